"""Where Ray Tune calls us: a callback, a stopper and a scheduler that hand everything to the search that runs.

Ray pickles them when a search begins and takes the pickled ones when it goes on, so they hold nothing of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback, Stopper
from ray.tune.schedulers import ASHAScheduler


class Observer(Protocol):
    """A running search."""

    def started(self, trial: str, config: dict[str, Any]) -> None:
        """A trial begins, or begins again."""

    def records_in(self, folder: Path) -> None:
        """Where Ray writes its record of the search."""

    def saved(self) -> None:
        """Ray has just written its record of the search."""

    def reported(self, trial: str, report: dict[str, Any]) -> None:
        """A trial reported an evaluation, or why it cannot be run."""

    def retried(self, trial: str, reason: str) -> None:
        """A trial died and will begin again."""

    def completed(self, trial: str) -> None:
        """A trial ended, or was stopped by the scheduler."""

    def failed(self, trial: str, reason: str) -> None:
        """A trial died for the last time."""

    def is_over(self) -> bool:
        """Whether all trials are to be stopped."""

    def all_known(self, trials: list[str]) -> None:
        """At the end: the ids of all trials that Ray knows, those of earlier sessions included."""

    def earlier(self, trial: str) -> list[dict[str, Any]]:
        """Evaluations of a trial in earlier sessions and now, oldest first."""


_observers: list[Observer] = []


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Hand what Ray tells in this process to an observer."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


class Forwarding(Callback):  # type: ignore[misc]
    """Tells the observer of every trial."""

    def on_trial_start(self, *, trial: Any, **_: Any) -> None:
        _observers[-1].records_in(Path(trial.storage.experiment_driver_staging_path))
        _observers[-1].started(trial.trial_id, trial.config)

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        _observers[-1].reported(trial.trial_id, result)

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:
        _observers[-1].retried(trial.trial_id, _reason(trial))

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        _observers[-1].completed(trial.trial_id)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        _observers[-1].failed(trial.trial_id, _reason(trial))

    def get_state(self) -> None:
        """Called when the trials and the search algorithm are written, which are then of the same moment."""
        _observers[-1].saved()

    def on_experiment_end(self, *, trials: list[Any], **_: Any) -> None:
        _observers[-1].all_known([trial.trial_id for trial in trials])


def _reason(trial: Any) -> str:
    """Why a trial died, in one line: of Ray's file, the part on the last time."""
    path = Path(trial.error_file or "")
    said = path.read_text(errors="replace").rpartition("Failure # ")[2] if path.is_file() else ""
    lines = [line.strip() for line in said.splitlines()[1:] if line.strip()]
    if not lines:
        return "unknown reason"
    # Of an exception the last line says what it was; of a death the first, and advice on Ray follows.
    return lines[0] if "actor died" in lines[0] else lines[-1]


class OverallStopper(Stopper):  # type: ignore[misc]
    """Stops all trials when the observer says so."""

    def __call__(self, _trial: str, _report: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return _observers[-1].is_over()


class RememberingAsha(ASHAScheduler):  # type: ignore[misc]
    """Asynchronous successive halving that knows the trials of earlier sessions, which Ray forgets.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, algorithm 2, in the form that
    stops trials in place of pausing them.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        reports = _observers[-1].earlier(trial.trial_id)
        if not trial.is_finished():
            reports = reports[:-1]  # whether it outlives the last one is still to be decided
        for report in reports:
            super().on_trial_result(tune_controller, trial, report)
