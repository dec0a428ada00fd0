"""Studies on toy data whose runs are written instead of trained: every user's metric is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from recbole_vagnn.experiments.benchmark import Outcome
from recbole_vagnn.experiments.events import Failure, Listener
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.experiments.studies.run import Asked, run_study

USERS = 60
Values = Callable[[Job], NDArray[np.float64]]  # (USERS,) recall@10 of a run; ndcg@10 is half of it
Measured = Callable[[Job], dict[str, pd.DataFrame]]


def record(job: Job, values: NDArray[np.float64], history: NDArray[np.int64], **row: Any) -> RunRecord:
    """A run with these values of its users."""
    per_user = pd.DataFrame(
        {"user": [f"u{i}" for i in range(len(values))], "history": history, "recall@10": values, "ndcg@10": values / 2}
    )
    curve = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5], "valid": [0.1, 0.2], "train_seconds": [1.0, 1.0]})
    known: dict[str, object] = {
        **dict(zip(("dataset", "model", "seed"), job.key, strict=True)),
        "settings": job.settings,
        "fingerprint": f"split-of-{job.data}",
        "protocol": "p",
        "version": "1.0",
        "options": job.options_hash,
        **dict.fromkeys(("users", "valid", "test"), len(values)),
        **dict.fromkeys(("items", "vloggers", "train"), 9),
        "best_epoch": 1,
        "epochs": 2,
        "valid_recall@10": values.mean() + 0.1,
        "test_recall@10": values.mean(),
        "test_ndcg@10": values.mean() / 2,
        "train_seconds": 2.0,
        "valid_seconds": 1.0,
        "total_seconds": 5.0,
        "threads": 1,
    }
    return RunRecord({**known, **row}, per_user, curve)


class Written:
    """A scheduler that writes runs down; those of ``failing`` labels fail."""

    def __init__(self, values: Values, failing: str = "", measured: Measured | None = None) -> None:
        self.values, self.failing, self.measured = values, failing, measured
        self.jobs: list[Job] = []
        self.history = np.arange(1, USERS + 1)

    def __call__(self, jobs: Iterable[Job], data_path: str, listener: Listener) -> None:
        for job in jobs:
            self.jobs.append(job)
            listener.started(job)
            if job.contestant.label == self.failing:
                listener.failed(Failure(job, "out of luck", 2))
                continue
            made = record(job, self.values(job), self.history_of(job))
            tables = self.measured(job) if self.measured else {}
            listener.finished(job, RunRecord(made.row, made.per_user, made.curve, tables))

    def history_of(self, job: Job) -> NDArray[np.int64]:
        """Training interactions of the users under a job's condition."""
        change = job.options.get("degradation") or {}
        if "held_down_to" not in change:
            return self.history
        return np.where(self.history > 50, change["held_down_to"], self.history)


def clock(_job: Job) -> Mapping[str, Any]:
    """An epoch of 10 s training and 2 s validation, 3 s beside it."""
    return {"train_seconds": 10.0, "valid_seconds": 2.0, "total_seconds": 15.0, "epochs": 1}


def conduct(
    name: str, values: Values | Written, out: Path, data: Path, *, console: Console | None = None, **given: Any
) -> Outcome:
    """A study on toy data; ``given`` are fields of :class:`Asked` or arguments of ``run_study``."""
    asked = Asked(
        **{key: given.pop(key) for key in ("datasets", "seeds", "options", "entries", "tuned") if key in given}
    )
    schedule = values if isinstance(values, Written) else Written(values)
    given.setdefault("command", "the command")
    return run_study(
        name, out, schedule, clock, asked, data_path=data, console=console or Console(file=StringIO()), **given
    )


def noise(*parts: object, size: int = USERS) -> NDArray[np.float64]:
    """(size,) of mean 0 and deviation 1, the same for the same parts."""
    drawn = np.random.default_rng(sum(map(ord, "".join(map(str, parts))))).normal(size=size)
    return (drawn - drawn.mean()) / drawn.std()
