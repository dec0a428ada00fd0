"""One trial, in a worker of Ray: a training that reports its validation, and goes on where a dead worker left it."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.selection import SelectionData
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.fit import Evaluation, fit
from recbole_vagnn.trainer import read_last_state

CHECKPOINT_SECONDS = 30.0
_STATE = "state.last"
_COST = 20  # a checkpoint may take one in so many seconds


@dataclass(frozen=True)
class TrialRequest:
    """What all trials of a search share.

    Attributes:
        model, dataset: names.
        options: every option but the searched ones, those of the data set's own file included: a worker may not see
            the file.
        space: what is searched.
        checkpoint_seconds: least time between two checkpoints of a trial.
    """

    model: str
    dataset: str
    options: dict[str, Any]
    space: Space
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def configuration(self, point: Mapping[str, Any]) -> VloggerConfig:
        """The configuration of a point, which logs into the working directory of the process.

        Raises:
            InputError: the model refuses it.
        """
        options = {**self.options, **self.space.canonical(point), "checkpoint_dir": str(Path.cwd())}
        return VloggerConfig(self.model, self.dataset, options)


def train(point: dict[str, Any], request: TrialRequest, data: list[Any]) -> None:
    """Body of a trial.

    A configuration that the model refuses ends the trial with a report of why, as trying again would not help; any
    other exception is Ray's to retry.

    Args:
        point: value of each searched option.
        request: what all trials share.
        data: reference of the bytes of :class:`SelectionData`; in a list, or Ray would load it for every trial.
    """
    import ray
    from ray import tune

    try:
        content = SelectionData.from_bytes(ray.get(data[0]))
        reporter = _Reporter(request.checkpoint_seconds)
        fit(request.configuration(point), content, reporter, resume=_state_to_go_on_from())
    except InputError as error:
        tune.report({"error": str(error), "done": True})


class _Reporter:
    """Reports each evaluation to Ray, at times with a checkpoint."""

    def __init__(self, checkpoint_seconds: float) -> None:
        self._pause = checkpoint_seconds
        self._saved = time.monotonic()
        self._node = _node()

    def __call__(self, evaluation: Evaluation) -> None:
        from ray import tune

        report = {**report_of(evaluation), "node": self._node, "ended": evaluation.ended or ""}
        if evaluation.ended:
            tune.report({**report, "done": True})
        elif time.monotonic() - self._saved < self._pause:
            tune.report(report)
        else:
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                began = time.monotonic()
                evaluation.save(Path(folder, _STATE))
                tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))
            self._saved = time.monotonic()
            self._pause = max(self._pause, _COST * (self._saved - began))


def report_of(evaluation: Evaluation) -> dict[str, Any]:
    """What Ray is told of an evaluation, without node and end."""
    return {
        "evaluation": evaluation.number,
        "epoch": evaluation.epoch,
        "score": evaluation.score,
        "best": evaluation.best,
        "best_epoch": evaluation.best_epoch,
        "loss": evaluation.loss,
        "seconds": evaluation.seconds_since,
        "total_seconds": evaluation.seconds,
        **{f"valid_{name}": value for name, value in evaluation.metrics.items()},
    }


def _node() -> str:
    """The machine, and which Ray node on it."""
    import ray

    return f"{socket.gethostname()} ({ray.get_runtime_context().get_node_id()[:6]})"


def _state_to_go_on_from() -> Path | None:
    """The state in the trial's newest checkpoint that is whole; None for a new trial.

    Ray knows of a checkpoint only when its own record of the search is written: after the driver was killed, the one
    it names may be gone, replaced by a newer one.
    """
    from ray import tune

    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    states = sorted(Path(checkpoint.path).parent.glob(f"checkpoint_*/{_STATE}"), reverse=True)
    return next(filter(_is_whole, states), None)


def _is_whole(state: Path) -> bool:
    try:
        read_last_state(state)
    except InputError:
        return False
    return True
