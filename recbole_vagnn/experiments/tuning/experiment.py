"""A search as a Ray Tune experiment, which can be killed and resumed at any moment."""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_vagnn.experiments.tuning import snapshot
from recbole_vagnn.experiments.tuning.board import Board
from recbole_vagnn.experiments.tuning.journal import FAILED, STOPPED, Journal
from recbole_vagnn.experiments.tuning.points import number_of_trials, scheduler, search_algorithm
from recbole_vagnn.experiments.tuning.search import Search
from recbole_vagnn.experiments.tuning.store import SearchRecord
from recbole_vagnn.experiments.tuning.trial import train

RETRIES = 2  # of a trial whose process died
_FAILURES_IN_A_ROW = 3
_DONE, _TIME = "all trials done", "time budget spent"
_REPORTED = ("evaluation", "epoch", "score", "best", "best_epoch", "loss", "seconds", "total_seconds", "node", "ended")
# Ray's defaults suit its own console output and loggers, which are replaced here.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the other kind of output prints even when it is to be silent
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a refused configuration reports no score
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",  # a point is chosen when there is room for it, with all that is known then
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def run_search(search: Search, data: Any, console: Console) -> SearchRecord:
    """Run a search, or go on with the one in its folder; one that is over is only read.

    Args:
        search: the search.
        data: Ray's reference of the bytes of the training and validation data.
        console: where to print.

    Returns:
        all its trials; where ``budget["hopeless"]`` is true, ``budget["ended"]`` says why it was given up.

    Raises:
        InputError: the folder holds another search.
        KeyboardInterrupt: Ctrl-C; the search can be resumed.
    """
    journal = search.open()
    if journal.over is None:
        observer = SearchObserver(search, journal, console)
        with _quiet_ray(), observer.board:
            _fit(search, data, observer)
        observer.close()
        _remove_what_resuming_needs(search)
    return search.record(journal)


class SearchObserver:
    """Keeps the journal of a running search, shows it, and says when it is over (see ``hooks.Observer``)."""

    def __init__(self, search: Search, journal: Journal, console: Console) -> None:
        self.search, self.journal = search, journal
        self.total = number_of_trials(search.request.space, search.budget)
        limit = search.budget.seconds
        left = None if limit is None else max(0.0, limit - journal.seconds)
        self._deadline = None if left is None else time.monotonic() + left
        self._known: list[str] = []
        self._failures: list[str] = []  # in a row
        self._out_of_time = False
        self._record: Path | None = None
        self.board = Board(search.name, search.metric, search.bigger, self.total, search.epochs, console, left)
        for trial in journal.trials.values():
            if trial.state:
                self.board.update(trial)
        journal.session()

    def started(self, trial: str, config: dict[str, Any]) -> None:
        self.journal.started(trial, self.search.request.space.canonical(config))
        self.board.update(self.journal.trials[trial])

    def records_in(self, folder: Path) -> None:
        self._record = folder

    def saved(self) -> None:
        if self._record is not None:
            snapshot.keep(self._record, self.search.kept)

    def reported(self, trial: str, report: dict[str, Any]) -> None:
        if "error" in report:
            self.journal.trials[trial].error = report["error"]
            return
        row = {key: value for key, value in report.items() if key in _REPORTED or key.startswith("valid_")}
        self.journal.evaluated(trial, row)
        self.board.update(self.journal.trials[trial])

    def retried(self, trial: str, reason: str) -> None:
        self.board.retried(self.journal.trials[trial], reason)

    def completed(self, trial: str) -> None:
        state = self.journal.trials[trial]
        self._ended(trial, FAILED if state.error else state.last.get("ended") or STOPPED, state.error)

    def failed(self, trial: str, reason: str) -> None:
        self._ended(trial, FAILED, f"{reason} (after {self.journal.trials[trial].starts} attempts)")

    def _ended(self, trial: str, state: str, error: str) -> None:
        self.journal.ended(trial, state, error)
        self._failures = [*self._failures, error] if state == FAILED else []
        self.board.ended(self.journal.trials[trial])

    def earlier(self, trial: str) -> list[dict[str, Any]]:
        state = self.journal.trials.get(trial)
        return [] if state is None else [state.rows[number] for number in sorted(state.rows)]

    def is_over(self) -> bool:
        self._out_of_time = self._deadline is not None and time.monotonic() > self._deadline
        return self._out_of_time or self._is_hopeless()

    def _is_hopeless(self) -> bool:
        """Whether the first points all failed, or three trials in a row."""
        enough = _FAILURES_IN_A_ROW
        if all(trial.state in ("", FAILED) for trial in self.journal.trials.values()):
            enough = min(enough, len(self.search.request.space.first) or enough)
        return len(self._failures) >= enough

    def all_known(self, trials: list[str]) -> None:
        self._known = trials

    def close(self) -> None:
        """Write the end into the journal.

        Raises:
            KeyboardInterrupt: trials are missing; Ray turns Ctrl-C into an orderly end.
        """
        trials = [trial for trial in self.journal.trials.values() if trial.trial in self._known]
        hopeless = self._is_hopeless()
        if not (hopeless or self._out_of_time) and sum(bool(trial.state) for trial in trials) < self.total:
            raise KeyboardInterrupt
        for trial in trials:
            if not trial.state:
                self.journal.ended(trial.trial, STOPPED)
        reason = _TIME if self._out_of_time else _DONE
        if hopeless:
            reason = f"{len(self._failures)} trial(s) in a row failed, the last one: {self._failures[-1]}"
        self.journal.finish(reason, hopeless, [trial.trial for trial in trials])


def _fit(search: Search, data: Any, observer: SearchObserver) -> None:
    """Ray Tune's part: a new experiment, or the restored one."""
    from ray import tune

    from recbole_vagnn.experiments.tuning.hooks import Forwarding, OverallStopper, observed_by

    body = partial(train, request=search.request, data=[data])
    trainable = tune.with_resources(body, {"CPU": search.resources.cpus, "GPU": search.resources.gpus})
    mode = "max" if search.bigger else "min"
    with observed_by(observer):
        if search.kept.is_file():
            snapshot.put_back(search.kept, search.experiment)
            tune.Tuner.restore(str(search.experiment), trainable, resume_unfinished=True, resume_errored=True).fit()
            return
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric="best",
                mode=mode,
                search_alg=search_algorithm(search.request.space, search.budget, mode),
                scheduler=scheduler(search.budget, search.evaluations),
                num_samples=observer.total,
                max_concurrent_trials=search.budget.max_concurrent,
                reuse_actors=True,  # a new process spends seconds on imports
            ),
            run_config=tune.RunConfig(
                name=search.experiment.name,
                storage_path=str(search.experiment.parent),
                callbacks=[Forwarding()],
                stop=OverallStopper(),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
                verbose=0,
            ),
        ).fit()


@contextmanager
def _quiet_ray() -> Iterator[None]:
    """Ray Tune with our settings and without its own output, which would tear the table apart."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    logger = logging.getLogger("ray")
    level = logger.level
    os.environ.update(_ENVIRONMENT)
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _remove_what_resuming_needs(search: Search) -> None:
    """It serves nobody when a search is over, and a large model's checkpoints are large."""
    search.kept.unlink(missing_ok=True)
    for checkpoint in search.experiment.glob("*/checkpoint_*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
