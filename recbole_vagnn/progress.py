"""What a person sees of a run: data in a line, progress, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from recbole_vagnn.result import Result
from recbole_vagnn.trainer import EpochRecord


class Reporter:
    """Prints a run's progress: a bar on a terminal, elsewhere one line per evaluation.

    Args:
        config: the run's configuration; ``show_progress: False`` leaves out bar and lines, not the table.
        quiet: print nothing at all.
    """

    def __init__(self, config: Any, quiet: bool) -> None:
        self.console = Console(quiet=quiet)
        self._config = config
        self._metric = config["valid_metric"].lower()
        self._shows = bool(config["show_progress"])
        self._best = float("-inf") if config["valid_metric_bigger"] else float("inf")
        self._best_epoch = -1
        self._progress: Progress | None = None
        self._epochs = 0
        self._started = 0.0
        self._told = 0.0

    def loaded(self, train: Any, valid: Any, test: Any) -> None:
        """Say what was loaded."""
        vloggers = f", {train.vlogger_num - 1:,} vloggers" if train.vlogger_field else ""
        self.console.print(
            f"{self._config['model']} on {train.dataset_name}: {train.user_num - 1:,} users, "
            f"{train.item_num - 1:,} items{vloggers}; {len(train):,} training, {len(valid):,} validation and "
            f"{len(test):,} test interactions",
            highlight=False,
            soft_wrap=True,
        )
        if getattr(train, "tie_report", None) is not None:
            self.console.print(str(train.tie_report), highlight=False, soft_wrap=True)

    @contextmanager
    def training(self, epochs: int, history: list[EpochRecord]) -> Iterator[None]:
        """Show progress while the block trains; epochs of an earlier, resumed part count as done."""
        self._epochs, self._started = epochs, time.perf_counter()
        for record in history:
            self._follow_best(record)
        if not (self._shows and self.console.is_terminal):
            yield
            return
        columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True) as self._progress:
            self._task = self._progress.add_task(
                f"epoch {len(history) + 1}/{epochs}", total=epochs, completed=len(history)
            )
            yield
        self._progress = None

    def batch(self, done: int, of: int) -> None:
        """One more batch of the current epoch is under way."""
        if self._progress is not None:
            whole = int(self._progress.tasks[0].completed)
            self._progress.update(self._task, completed=whole + (done - 1) / of)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch has ended."""
        self._follow_best(record)
        if self._progress is not None:
            state = f"epoch {record.epoch + 1}/{self._epochs}  {self._score(record)}"
            self._progress.update(self._task, completed=record.epoch + 1, description=state)
        elif self._shows and (record.valid is not None) and time.perf_counter() - self._told > 1.0:
            self._told = time.perf_counter()
            losses = " ".join(f"{name} {value:.4f}" for name, value in record.losses.items())
            line = f"epoch {record.epoch + 1}/{self._epochs}  {losses}  {self._score(record)}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def _follow_best(self, record: EpochRecord) -> None:
        if record.valid is None:
            return
        score = record.valid[self._metric]
        bigger = self._config["valid_metric_bigger"]
        if score >= self._best if bigger else score <= self._best:
            self._best, self._best_epoch = score, record.epoch

    def _score(self, record: EpochRecord) -> str:
        if record.valid is None:
            return ""
        score = f"{self._config['valid_metric']} {record.valid[self._metric]:.4f}"
        return f"{score} (best {self._best:.4f}, epoch {self._best_epoch + 1})"

    def finished(self, result: Result) -> None:
        """Print the final table."""
        self.console.print(results_table(result))
        seconds = result.seconds
        self.console.print(
            f"best epoch {result.best_epoch + 1} of {result.epochs}; {seconds['total']:.0f} s in all, "
            f"{seconds['epoch']:.2f} s an epoch; peak memory {result.peak_memory_mb:.0f} MiB",
            highlight=False,
            soft_wrap=True,
        )
        self.console.print(f"checkpoint: {result.checkpoint}", highlight=False, soft_wrap=True)


def results_table(result: Result) -> Table:
    """One row per metric, with its validation and test value."""
    table = Table(title=f"{result.model} on {result.dataset}", title_justify="left", title_style="")
    table.add_column("metric")
    for column in ("validation", "test"):
        table.add_column(column, justify="right")
    validation = result.valid or {}
    for metric, value in result.test.items():
        valid = f"{validation[metric]:.4f}" if metric in validation else "–"
        table.add_row(metric, valid, f"{value:.4f}")
    return table
