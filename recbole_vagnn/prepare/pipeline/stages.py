"""Progress of a preparation: a bar with bytes and time on a terminal, one line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _QueryShare(ProgressColumn):
    """How much of the running query the database has done."""

    def __init__(self, share: Callable[[], float]) -> None:
        self._share = share
        super().__init__()

    def render(self, task: Task) -> Text:
        share = self._share() if task.total is None and not task.finished else -1.0
        return Text(f"{share:.0f} %" if 0 <= share <= 100 else "", style="progress.percentage")


class Work:
    """Size and state of a stage, in units of its own."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task, self._total = progress, task, 0

    def grow(self, amount: int) -> None:
        """More work has become known."""
        self._total += amount
        self._progress.update(self._task, total=self._total)

    def advance(self, amount: int) -> None:
        """Work was done."""
        self._progress.advance(self._task, amount)


class Stages:
    """Shows which stage of a long job is running.

    Args:
        quiet: show nothing.
        query_share: percentage of the running query, −1 if unknown.
        console: where to print; standard error by default, so that standard output holds the report alone.
    """

    def __init__(
        self, quiet: bool, query_share: Callable[[], float] = lambda: -1.0, console: Console | None = None
    ) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._live = not quiet and self._console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _QueryShare(query_share),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )

    @contextmanager
    def stage(self, title: str) -> Iterator[Work]:
        """One stage; gives the object that is told of the work."""
        began = time.monotonic()
        with self._progress:
            task = self._progress.add_task(title, total=None)
            yield Work(self._progress, task)
            self._progress.remove_task(task)
        if not self._quiet:
            self._console.print(f"{title}: {time.monotonic() - began:.1f} s", highlight=False)
