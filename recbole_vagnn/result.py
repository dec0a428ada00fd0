"""What a run leaves: metrics, timings and everything needed to repeat it."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOT_IN_JSON = ("per_user", "users", "activity", "vlogger_per_user", "vlogger_users")
_PACKAGES = ("recbole", "torch", "numpy", "scipy", "pandas")


@dataclass
class Result:
    """Outcome of one run.

    Attributes:
        model, dataset: names.
        seed: seed of the model.
        config: every option of the run, plain values.
        fingerprint: hashes of the splits and the creators (data/fingerprint.py).
        sizes: users, items, vloggers, interactions per split; padding ids not counted.
        valid: validation metrics at the best epoch, full precision, e.g. ``{"recall@10": 0.12}``; None without
            validation data.
        test: test metrics of the best epoch's model, full precision.
        best_epoch: number of the best epoch, from 0.
        epochs: number of epochs trained.
        seconds: ``load``, ``build`` (of the model; linear models are fitted there), ``train``, ``valid``, ``test``,
            ``epoch`` (mean of training alone), ``total``.
        peak_memory_mb: largest resident set of the process so far, MiB; ``peak_gpu_memory_mb`` on a GPU.
        parameters: number of trainable parameters.
        checkpoint: path of the best epoch's .pth, or with ``keep_pth: False`` of the checkpoint folder, which is
            beside it under the same name; ``recbole_vagnn.load`` takes either.
        versions: Python and packages.
        history: one entry per epoch (losses, validation metrics, seconds).
        per_user: test metric → (n,) float64, in the order of ``users``; not part of the JSON.
        users: (n,) original ids of the test users; not part of the JSON.
        activity: (n,) int64 training interactions of the test users; not part of the JSON.
        vlogger_per_user: metric of vlogger recommendation → (m,) float64, in the order of ``vlogger_users``; empty
            unless ``eval_vloggers`` is on; not part of the JSON.
        vlogger_users: (m,) original ids of the users with a held-out new vlogger; not part of the JSON.
    """

    model: str
    dataset: str
    seed: int
    config: dict[str, Any]
    fingerprint: dict[str, str]
    sizes: dict[str, int]
    valid: dict[str, float] | None
    test: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: dict[str, float]
    peak_memory_mb: float
    peak_gpu_memory_mb: float | None
    parameters: int
    checkpoint: str
    versions: dict[str, str]
    history: list[dict[str, Any]]
    per_user: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    users: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=str), repr=False)
    activity: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    vlogger_per_user: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    vlogger_users: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=str), repr=False)

    def to_json(self) -> str:
        """All but the per-user metrics, as JSON text."""
        content = {name: value for name, value in self.__dict__.items() if name not in _NOT_IN_JSON}
        return json.dumps(content, indent=2, ensure_ascii=False)

    def write(self, path: str | Path) -> None:
        """Write :meth:`to_json` to a file, whole or not at all; missing folders are made."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(self.to_json() + "\n", encoding="utf-8")
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """A configuration value as JSON can hold it; objects such as devices and enums become text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def installed_versions() -> dict[str, str]:
    """Versions of Python, this package and what it computes with."""
    from recbole_vagnn import __version__

    python = platform.python_version()
    return {"python": python, "recbole_vagnn": __version__, **{name: version(name) for name in _PACKAGES}}


def peak_memory_mb() -> float:
    """Largest resident set size of this process so far, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # macOS counts bytes, Linux KiB
