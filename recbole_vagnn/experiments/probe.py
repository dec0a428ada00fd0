"""What an experiment measures on a trained model beyond its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.data.dataset import VloggerDataset
    from recbole_vagnn.result import Result

    Measure = Callable[["Trained"], Mapping[str, pd.DataFrame]]


@dataclass(frozen=True)
class Probe:
    """A measurement of every run of a plan.

    Attributes:
        reference: "module:function"; the function gets a :class:`Trained` and returns name → table. Names and columns
            are the same for every run; a run's tables are kept beside its metrics (``Records.measured``).
        snapshots: numbers of epochs trained after which the parameters are kept; 0 = untrained.
    """

    reference: str
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A run that is over.

    The model is a copy built for the probe, on the same data: it may be changed freely.

    Attributes:
        config: its configuration.
        model: the network, with the parameters of the best epoch, in evaluation mode.
        train, valid, test: the splits.
        test_loader: RecBole's loader of the test ranking, which knows the items to leave out.
        result: metrics and learning curve.
        snapshots: epochs trained → state dict on the CPU, for ``model.load_state_dict``; those of
            :attr:`Probe.snapshots` that the training reached.
    """

    config: VloggerConfig
    model: Any
    train: VloggerDataset
    valid: VloggerDataset
    test: VloggerDataset
    test_loader: Any
    result: Result
    snapshots: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)


class Snapshots:
    """Keeps the parameters of a training at chosen epochs, from the state files that its trainer writes.

    Args:
        folder: where the trainer writes.
        wanted: numbers of epochs trained.
    """

    def __init__(self, folder: str | Path, wanted: Iterable[int]) -> None:
        self._folder, self._wanted = Path(folder), frozenset(wanted)
        self.kept: dict[int, Mapping[str, Tensor]] = {}

    def look(self) -> None:
        """Keep the state that is there if it is wanted: between two epochs it is that before the last one."""
        import torch

        if not self._wanted:
            return
        for path in self._folder.glob("*.last"):
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["next_epoch"] in self._wanted:
                self.kept[state["next_epoch"]] = state["model"]


def measure(
    probe: Probe,
    model: str,
    dataset: str,
    options: Mapping[str, Any],
    result: Result,
    snapshots: Mapping[int, Mapping[str, Tensor]],
) -> dict[str, pd.DataFrame]:
    """What a probe finds on a finished run.

    Data and model are built again from the run's options, and the model takes the checkpoint's parameters: the probe
    cannot disturb a training, and the runner needs not know of probes.

    Args:
        probe: the measurement.
        model, dataset, options: of the run.
        result: of the run; its checkpoint is there.
        snapshots: parameters by epochs trained.

    Returns:
        name → table.
    """
    import torch
    from recbole.data import data_preparation

    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.registry import load_reference
    from recbole_vagnn.runner import build_model, load_dataset

    config = VloggerConfig(model, dataset, options)
    train, valid, test = data_preparation(config, load_dataset(config))
    network = build_model(config, train._dataset)
    # Written by this very run, so unpickling it is safe; RecBole keeps a Config and a linear model's matrices in it.
    checkpoint = torch.load(result.checkpoint, map_location=config["device"], weights_only=False)
    network.load_state_dict(checkpoint["state_dict"])
    network.load_other_parameter(checkpoint.get("other_parameter"))
    network.eval()
    splits = train._dataset, valid._dataset, test._dataset
    return dict(load_reference(probe.reference)(Trained(config, network, *splits, test, result, snapshots)))
