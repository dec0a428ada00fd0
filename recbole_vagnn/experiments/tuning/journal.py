"""A search's diary, written line by line: what is in it is never lost, whatever is killed.

Ray's own record of a search is written at intervals and its result files lie in a temporary folder until then; this
one is on the disk as soon as a thing has happened. What a retried trial reports again takes the place of the first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.experiments.tuning.store import EPOCH_COLUMNS, TrialRecord

FAILED, STOPPED = "failed", "stopped"


@dataclass
class TrialState:
    """What is known of a trial.

    Attributes:
        trial: Ray's id.
        number: from 0, in the order of their first start.
        config: its point.
        starts: how often it was begun.
        node: where it ran last.
        state: "finished", "plateau", "stopped" or "failed"; empty while it goes on.
        error: why it failed.
        rows: number of the evaluation → what was reported.
    """

    trial: str
    number: int
    config: dict[str, Any]
    starts: int = 0
    node: str = ""
    state: str = ""
    error: str = ""
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def last(self) -> dict[str, Any]:
        """The latest evaluation; empty before the first."""
        return self.rows[max(self.rows)] if self.rows else {}


class Journal:
    """The diary of one search.

    Args:
        path: its file, which need not exist.

    Attributes:
        trials: by id, in the order of their first start.
        over: why the search ended, None while it has not.
        hopeless: whether it was given up because too many trials failed.
        seconds: wall time of all sessions so far, up to their last events.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.trials: dict[str, TrialState] = {}
        self.over: str | None = None
        self.hopeless = False
        self.seconds = 0.0
        self._at = 0.0
        for event in _read(path):
            self._apply(event)

    def session(self) -> None:
        """The search begins or goes on."""
        _cut_torn_line(self._path)
        self._write("session")

    def started(self, trial: str, config: dict[str, Any]) -> None:
        """A trial begins, or begins again."""
        self._write("started", trial=trial, config=config)

    def evaluated(self, trial: str, row: dict[str, Any]) -> None:
        """A trial reported an evaluation."""
        self._write("evaluated", trial=trial, row=row)

    def ended(self, trial: str, state: str, error: str = "") -> None:
        """A trial ended for good."""
        self._write("ended", trial=trial, state=state, error=error)

    def finish(self, reason: str, hopeless: bool, trials: list[str]) -> None:
        """The search is over.

        Args:
            reason: why.
            hopeless: it was given up because too many trials failed.
            trials: those that count; Ray forgets one that was begun shortly before the driver was killed.
        """
        self._write("over", reason=reason, hopeless=hopeless, trials=trials)

    def _write(self, event: str, **content: Any) -> None:
        entry = {"event": event, "at": time.time(), **content}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        event, at = entry["event"], entry["at"]
        if event != "session":
            self.seconds += max(0.0, at - self._at)
        self._at = at
        if event == "over":
            self.over, self.hopeless = entry["reason"], entry["hopeless"]
            self.trials = {name: trial for name, trial in self.trials.items() if name in entry["trials"]}
            for number, trial in enumerate(self.trials.values()):
                trial.number = number
        elif event == "started":
            new = TrialState(entry["trial"], len(self.trials), entry["config"])
            trial = self.trials.setdefault(new.trial, new)
            trial.starts += 1
            trial.state = trial.error = ""
        elif event == "evaluated":
            trial = self.trials[entry["trial"]]
            number = entry["row"]["evaluation"]
            trial.rows = {n: row for n, row in trial.rows.items() if n < number} | {number: entry["row"]}
            trial.node = entry["row"]["node"]
        elif event == "ended":
            trial = self.trials[entry["trial"]]
            trial.state, trial.error = entry["state"], entry["error"]

    @property
    def date(self) -> str:
        """Day of the last event (UTC), e.g. "2026-11-28"."""
        return datetime.fromtimestamp(self._at, UTC).date().isoformat()

    def records(self, first: Collection[dict[str, Any]], seed: int) -> tuple[list[TrialRecord], pd.DataFrame]:
        """Trials and evaluations for trials.csv and epochs.csv.

        Args:
            first: the points that were to be tried first.
            seed: of all trials.
        """
        trials = list(self.trials.values())
        rows = [
            {"trial": trial.trial, "number": trial.number, **_epoch(trial.rows[evaluation])}
            for trial in trials
            for evaluation in sorted(trial.rows)
        ]
        epochs = pd.DataFrame(rows, columns=None if rows else list(EPOCH_COLUMNS))
        configs = [trial.config for trial in trials]
        firsts = {configs.index(point) for point in first if point in configs}
        return [_record(trial, trial.number in firsts, seed) for trial in trials], epochs


def _record(trial: TrialState, first: bool, seed: int) -> TrialRecord:
    last = trial.last
    return TrialRecord(
        trial=trial.trial,
        number=trial.number,
        state=trial.state or STOPPED,
        score=last.get("best"),
        best_epoch=last.get("best_epoch"),
        epochs=last.get("epoch", -1) + 1,
        seconds=last.get("total_seconds", 0.0),
        attempts=trial.starts,
        first=first,
        seed=seed,
        node=trial.node,
        error=trial.error,
        config=trial.config,
    )


def _epoch(row: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in row.items() if name.startswith("valid_")}
    return {**{name: row[name] for name in EPOCH_COLUMNS if name in row}, **metrics}


def _read(path: Path) -> list[dict[str, Any]]:
    """The entries, without a last line that a kill cut short."""
    content = path.read_bytes() if path.is_file() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def _cut_torn_line(path: Path) -> None:
    """Cut off a last line that a kill cut short, so that the next one begins a line of its own."""
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        with path.open("r+b") as file:
            file.truncate(whole)
