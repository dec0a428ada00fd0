"""What an experiment tells while it runs, and how a person sees it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.records import RunRecord


@dataclass(frozen=True)
class Progress:
    """State of a running job: epochs done and the best validation score so far (None before the first)."""

    epochs: int
    best: float | None


@dataclass(frozen=True)
class Failure:
    """A job that failed for good: the reason in one line, and how often it was tried."""

    job: Job
    reason: str
    attempts: int


class Listener(Protocol):
    """Told of every change."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def progressed(self, job: Job, progress: Progress) -> None:
        """Epochs were trained."""

    def retried(self, job: Job, reason: str) -> None:
        """A job died and begins again."""

    def finished(self, job: Job, record: RunRecord) -> None:
        """A job is done."""

    def failed(self, failure: Failure) -> None:
        """A job failed for good."""


@dataclass
class Board:
    """A live table on a terminal; elsewhere a line for each run that ends.

    Args:
        total: number of jobs.
        console: where to print.
        metric: column of the records shown, e.g. ``valid_recall@10``.
    """

    total: int
    console: Console
    metric: str
    running: dict[tuple[str, str, int], Progress] = field(default_factory=dict)
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(self.table(), console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, job: Job) -> None:
        self.running[job.key] = Progress(0, None)
        self._show()

    def progressed(self, job: Job, progress: Progress) -> None:
        self.running[job.key] = progress
        self._show()

    def retried(self, job: Job, reason: str) -> None:
        self.running[job.key] = Progress(0, None)
        self.counts["retried"] += 1
        self._say(f"{_name(job)} died and is tried again: {reason}")

    def finished(self, job: Job, record: RunRecord) -> None:
        self.running.pop(job.key, None)
        self.counts["finished"] += 1
        score = float(str(record.row.get(self.metric, "nan")))
        self.scores.setdefault((job.data, job.contestant.label), []).append(score)
        row = record.row
        self._say(f"{_name(job)}: {self.metric} {score:.4f}, {row['epochs']} epochs, {row['total_seconds']:.0f} s")

    def failed(self, failure: Failure) -> None:
        self.running.pop(failure.job.key, None)
        self.counts["failed"] += 1
        self._say(f"{_name(failure.job)} failed after {failure.attempts} attempt(s): {failure.reason}")

    def table(self) -> Table:
        """What is running and what is done."""
        done, minutes = self.counts["finished"], (time.monotonic() - self._began) / 60
        left = f", about {minutes / done * (self.total - done - self.counts['failed']):.0f} min left" if done else ""
        title = f"{done} of {self.total} runs, {self.counts['failed']} failed, {minutes:.1f} min{left}"
        table = Table("data set", "model", "seed", "epochs", "best so far", title=title, title_justify="left")
        for (dataset, label, seed), progress in sorted(self.running.items()):
            best = "" if progress.best is None else f"{progress.best:.4f}"
            table.add_row(dataset, label, str(seed), str(progress.epochs), best)
        for (dataset, label), scores in sorted(self.scores.items()):
            table.add_row(dataset, label, f"{len(scores)} done", "", f"{sum(scores) / len(scores):.4f}", style="dim")
        return table

    def _say(self, text: str) -> None:
        left = self.total - self.counts["finished"] - self.counts["failed"]
        self.console.print(f"{text} ({left} of {self.total} runs left)", highlight=False, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self.table())


def _name(job: Job) -> str:
    return f"{job.contestant.label} on {job.data}, seed {job.seed}"


def one_line(error: Any) -> str:
    """The last line of an error's text that says something; empty for empty text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "" if isinstance(error, str) else type(error).__name__
