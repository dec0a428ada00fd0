"""The contestants on a device: data loaded once, batches moved, models built for a device and a precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..contestants import CONTESTANTS, RECBOLE, Competitor, Contestant, first_batches
from ..data import Loaded, Size, load_ours, load_recbole, require_same, simulate

CPU = torch.device("cpu")


@dataclass
class Field:
    """Data of all contestants, and what builds them.

    Attributes:
        ours, recbole: the data as either program loads them.
        device: that is measured.
    """

    ours: Loaded
    recbole: Loaded
    device: torch.device
    _batches: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def simulated(cls, folder: Path, size: Size, device: torch.device) -> Field:
        """Simulate a platform in ``folder`` and load it."""
        simulate(folder, size)
        ours = load_ours(folder, size)
        recbole = load_recbole(folder, size, ours.options["eval_batch_size"])
        require_same(ours, recbole)
        return cls(ours, recbole, device)

    def batches(self, device: torch.device) -> list[Any]:
        """The batches that steps train on, on a device."""
        if not self._batches:
            self._batches["cpu"] = first_batches(self.ours)
        if device.type not in self._batches:
            self._batches[device.type] = [batch.to(device) for batch in self._batches["cpu"]]
        return self._batches[device.type]

    def compete(
        self,
        key: str | Contestant,
        device: torch.device | None = None,
        amp: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> Competitor:
        """A contestant, built anew under its seed.

        Args:
            key: of ``CONTESTANTS``, or a contestant.
            device: default: the one that is measured.
            amp: RecBole's mixed precision; with its scaler of gradients on a GPU.
            options: beside the contestant's own.
        """
        device = device or self.device
        contestant = CONTESTANTS[key] if isinstance(key, str) else key
        loaded = self.recbole if contestant.kind == RECBOLE else self.ours
        more = {"use_gpu": device.type == "cuda", "enable_amp": amp, "enable_scaler": amp and device.type == "cuda"}
        contestant = replace(contestant, options={**contestant.options, **(options or {})})
        return Competitor(contestant, replace(loaded, options={**loaded.options, **more}), self.batches(device))
