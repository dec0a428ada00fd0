"""What a person sees of a search: a live table on a terminal, elsewhere a line for each trial that ends."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from recbole_vagnn.experiments.tuning.journal import FAILED, TrialState
from recbole_vagnn.experiments.tuning.store import STATES
from recbole_vagnn.experiments.tuning.values import duration, short


@dataclass
class Board:
    """Shows a search.

    Args:
        title: model and data set.
        metric: validation metric.
        bigger: is a larger score better?
        total: number of trials.
        epochs: most epochs of a trial.
        console: where to print.
        seconds_left: of the budget; None = no limit.

    Attributes:
        trials: by id.
    """

    title: str
    metric: str
    bigger: bool
    total: int
    epochs: int
    console: Console
    seconds_left: float | None = None
    trials: dict[str, TrialState] = field(default_factory=dict)
    _done_before: int = 0
    _began: float = 0.0
    _live: Live | None = None

    def __enter__(self) -> Self:
        self._done_before, self._began = len(self._ended()), time.monotonic()
        if self.console.is_terminal:
            self._live = Live(get_renderable=self.table, console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, trial: TrialState) -> None:
        """A trial began or reported."""
        self.trials[trial.trial] = trial

    def retried(self, trial: TrialState, reason: str) -> None:
        """A trial died and will begin again."""
        self._say(f"trial {trial.number} died and goes on from its last checkpoint: {reason}")

    def ended(self, trial: TrialState) -> None:
        """A trial ended."""
        self.update(trial)
        last = trial.last
        if trial.state == FAILED:
            self._say(f"trial {trial.number} failed: {trial.error}")
            return
        result = f"{self.metric} {last['best']:.4f} in epoch {last['best_epoch'] + 1} of {last['epoch'] + 1}"
        spent = duration(last["total_seconds"])
        tried = f"; {_options(trial)}" if trial.config else ""
        self._say(f"trial {trial.number}: {result}, {STATES[trial.state]}, {spent}{tried}")

    def _say(self, text: str) -> None:
        self.console.print(f"{text} ({len(self._ended())} of {self.total} done)", highlight=False, soft_wrap=True)

    def table(self) -> Table:
        """The trials that run, the best so far, and how much is left."""
        known = list(self.trials.values())  # the screen is refreshed by a thread of its own
        states = Counter(trial.state for trial in known)
        counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
        title = (
            f"{self.title}: {len(self._ended())} of {self.total} trials{f' ({counts})' if counts else ''}{self._left()}"
        )
        table = Table("trial", "epoch", self.metric, "best", "options", title=title, title_justify="left")
        table.min_width = len(title)  # else a narrow table would break it into lines
        for trial in known:
            if not trial.state:
                table.add_row(str(trial.number), *self._progress(trial), _options(trial))
        if (best := self.best()) is not None:
            cells = (str(best.last["best_epoch"] + 1), "", f"{best.last['best']:.4f}", _options(best))
            table.add_row(f"best: {best.number}", *cells, style="dim")
        return table

    def best(self) -> TrialState | None:
        """The best trial so far, running ones included; None before the first evaluation."""
        scored = [trial for trial in list(self.trials.values()) if trial.rows and trial.state != FAILED]
        sign = 1 if self.bigger else -1
        return max(scored, key=lambda trial: sign * trial.last["best"], default=None)

    def _progress(self, trial: TrialState) -> tuple[str, str, str]:
        if not trial.rows:
            return f"0/{self.epochs}", "", ""
        last = trial.last
        return f"{last['epoch'] + 1}/{self.epochs}", f"{last['score']:.4f}", f"{last['best']:.4f}"

    def _left(self) -> str:
        """Time spent in this session, and about how much is left."""
        spent = time.monotonic() - self._began
        done = len(self._ended()) - self._done_before
        guesses = [spent / done * (self.total - len(self._ended()))] if done else []
        if self.seconds_left is not None:
            guesses.append(max(0.0, self.seconds_left - spent))
        return f", {duration(spent)}" + (f", about {duration(min(guesses))} left" if guesses else "")

    def _ended(self) -> list[TrialState]:
        return [trial for trial in list(self.trials.values()) if trial.state]


def _options(trial: TrialState) -> str:
    return ", ".join(f"{name} {short(value)}" for name, value in trial.config.items())
