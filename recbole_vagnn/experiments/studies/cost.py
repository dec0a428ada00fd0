"""What a study will cost: CPU hours from finished runs, or from a timed epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.benchmark import Todo
from recbole_vagnn.experiments.events import Failure, Progress
from recbole_vagnn.experiments.plan import Job, configuration
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.experiments.serial import run_serially

# Epochs of a run that stops early, until one of the study has: from 64 to 140 in docs/results.md and README.md.
TYPICAL_EPOCHS = 100
Clock = Callable[[Job], Mapping[str, Any]]  # a job of one epoch → its row of runs.csv


@dataclass(frozen=True)
class Part:
    """Runs of one model on one data set, under all conditions and with all options.

    Attributes:
        dataset, model: which; of data sets that are alike, their number.
        runs: still to be made.
        seconds: of a run apart from its epochs.
        epoch_seconds: of an epoch with its evaluation.
        epochs: expected.
        most_epochs: allowed.
        timed: whether an epoch was timed for it, else taken from finished runs.
    """

    dataset: str
    model: str
    runs: int
    seconds: float
    epoch_seconds: float
    epochs: float
    most_epochs: int
    timed: bool

    def hours(self, epochs: float) -> float:
        """Of all its runs, with so many epochs each."""
        return self.runs * (self.seconds + epochs * self.epoch_seconds) / 3600


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        parts: what is to be run.
        finished: runs that are in the records.
        threads: of a run.
    """

    parts: tuple[Part, ...]
    finished: int
    threads: int

    @property
    def likely(self) -> float:
        """CPU hours if runs stop early as expected."""
        return self.threads * sum(part.hours(part.epochs) for part in self.parts)

    @property
    def most(self) -> float:
        """CPU hours if no run stops early."""
        return self.threads * sum(part.hours(part.most_epochs) for part in self.parts)

    def table(self) -> Table:
        """The parts, for the screen."""
        table = Table(
            "data", "model", "runs", "s/epoch", "epochs", "CPU h", "at most", box=SIMPLE, padding=(0, 1, 0, 0)
        )
        for column in table.columns[:2]:
            column.overflow = "fold"
        for column in table.columns[2:]:
            column.justify, column.no_wrap = "right", True
        for part in self.parts:
            hours = [f"{self.threads * part.hours(number):.2f}" for number in (part.epochs, part.most_epochs)]
            numbers = (str(part.runs), f"{part.epoch_seconds:.2f}", f"{part.epochs:.0f}/{part.most_epochs}")
            table.add_row(part.dataset, part.model, *numbers, *hours)
        return table

    def text(self) -> str:
        """The sum in words."""
        runs = sum(part.runs for part in self.parts)
        if not runs:
            return f"Nothing to run: all {self.finished} runs are finished."
        source = "an epoch of each was timed" if any(part.timed for part in self.parts) else "from finished runs"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)} a run"
        return (
            f"{runs} run{'s' * (runs != 1)} to make, {self.finished} finished before: about {hours_text(self.likely)}, "
            f"at most {hours_text(self.most)} if none stops early ({source}; {threads})."
        )


def hours_text(hours: float) -> str:
    """``3.5 CPU hours``, or minutes where there is less than one hour."""
    if hours >= 1:
        return f"{hours:.1f} CPU hours"
    minutes = max(1, round(60 * hours))
    return f"{minutes} CPU minute{'s' * (minutes != 1)}"


def cost_of(todo: Todo, data_path: Path, clock: Clock, threads: int, *, alike: bool = False) -> Cost:
    """Estimate the runs that wait.

    Args:
        todo: the runs.
        data_path: folder of the data sets.
        clock: called for each data set and model without a finished run.
        threads: of a run.
        alike: whether the data sets are of one size, so that a run on one tells of all.
    """
    parts: dict[tuple[str, str], list[Job]] = {}
    for job in todo.waiting:
        parts.setdefault(("" if alike else job.dataset, job.contestant.model), []).append(job)
    finished = _finished(todo)
    usual = finished.loc[finished["epochs"] > 1, "epochs"].mean()
    found = []
    for (dataset, model), jobs in parts.items():
        same = (finished["source"] == dataset) | (dataset == "")
        found.append(_part(jobs, finished[same & (finished["network"] == model)], usual, data_path, clock))
    return Cost(tuple(found), len(todo.jobs) - len(todo.waiting), threads)


def _finished(todo: Todo) -> pd.DataFrame:
    """Rows of runs.csv with the data set without its condition, and the model without its label."""
    jobs = {job.key: job for job in todo.jobs}
    rows = [
        {**row, "source": job.dataset, "network": job.contestant.model}
        for row in todo.records.runs.to_dict("records")
        if (job := jobs.get((row["dataset"], row["model"], row["seed"]))) is not None
    ]
    return pd.DataFrame(rows, columns=None if rows else ["source", "network", "epochs"])


def _part(jobs: list[Job], finished: pd.DataFrame, usual: float, data_path: Path, clock: Clock) -> Part:
    job, timed = jobs[0], finished.empty
    config = configuration(job, data_path)
    most = 1 if "TRADITIONAL" in str(config["MODEL_TYPE"]) else int(config["epochs"])
    rows = pd.DataFrame([clock(job)]) if timed else finished
    in_epochs = rows["train_seconds"] + rows["valid_seconds"]
    if not timed:
        expected = float(rows["epochs"].mean())
    else:
        expected = TYPICAL_EPOCHS if pd.isna(usual) else float(usual)
    names = {other.dataset for other in jobs}
    return Part(
        dataset=job.dataset if len(names) == 1 else f"{len(names)} data sets",
        model=job.contestant.model,
        runs=len(jobs),
        seconds=float((rows["total_seconds"] - in_epochs).mean()),
        epoch_seconds=float(in_epochs.sum() / rows["epochs"].sum()),
        epochs=min(expected, most),
        most_epochs=most,
        timed=timed,
    )


def time_epoch(job: Job, data_path: str | Path, threads: int) -> Mapping[str, Any]:
    """Run one epoch of a job in a process of its own.

    Args:
        job: the run; its probe is left out.
        data_path: folder of the data sets, absolute.
        threads: of torch.

    Returns:
        its row of runs.csv.

    Raises:
        InputError: it fails, and so would the study.
    """
    ends = _Ends()
    once = replace(job, options={**job.options, "epochs": 1, "eval_step": 1}, probe=None)
    run_serially([once], str(data_path), threads, ends)
    if ends.record is None:
        raise InputError(f"{job.contestant.label} on {job.data} fails in its first epoch: {ends.reason}")
    return ends.record.row


class _Ends:
    """A listener that waits for the end of one job."""

    record: RunRecord | None = None
    reason = ""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, progress: Progress) -> None: ...

    def retried(self, job: Job, reason: str) -> None: ...

    def finished(self, _job: Job, record: RunRecord) -> None:
        self.record = record

    def failed(self, failure: Failure) -> None:
        self.reason = failure.reason


def within(cost: Cost, hours: float | None) -> None:
    """Check a budget.

    Raises:
        InputError: the study may need more; the message says how many epochs would fit, the same for all runs.
    """
    if hours is None or cost.most <= hours:
        return
    fixed = cost.threads * sum(part.hours(0) for part in cost.parts)
    an_epoch = cost.threads * sum(part.hours(1) - part.hours(0) for part in cost.parts if part.most_epochs > 1)
    once = cost.threads * sum(part.hours(1) - part.hours(0) for part in cost.parts if part.most_epochs == 1)
    epochs = int((hours - fixed - once) / an_epoch) if an_epoch > 0 else 0
    cut = f"--epochs {epochs} (the same for every run), " if epochs >= 1 else ""
    raise InputError(
        f"The study may need {hours_text(cost.most)}, more than --hours {hours:g} (about {hours_text(cost.likely)} if "
        f"runs stop early as usual). Give {cut}fewer --seeds or fewer --datasets, or more hours."
    )
