"""What a search cost, and what early stopping saved it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from recbole_vagnn.experiments.tuning.store import STATES, SearchRecord, TrialRecord
from recbole_vagnn.experiments.tuning.values import duration


@dataclass(frozen=True)
class Cost:
    """Of one search, or of several.

    A trial that was stopped for being worse than others is taken to have had as many epochs before it as the trials of
    its search that nobody stopped have trained on average (with none of these: all the epochs of the budget), and these
    to take as long as its own. So ``saved`` is an estimate; what it can be at most is ``saved_at_most``.

    Attributes:
        trials: number of trials.
        finished, plateau, stopped, failed: of them, those that ended in this way; see ``STATES``.
        epochs: trained, by all trials.
        most_epochs: trials × epochs of the budget.
        saved: epochs that early stopping saved, estimated.
        saved_at_most: epochs between a stopped trial's last one and the end of the budget.
        seconds: of training and validation, sum over trials.
        seconds_saved: what ``saved`` would have taken.
        wall_seconds: of the search.
    """

    trials: int = 0
    finished: int = 0
    plateau: int = 0
    stopped: int = 0
    failed: int = 0
    epochs: int = 0
    most_epochs: int = 0
    saved: float = 0.0
    saved_at_most: int = 0
    seconds: float = 0.0
    seconds_saved: float = 0.0
    wall_seconds: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{e.name: getattr(self, e.name) + getattr(other, e.name) for e in fields(self)})


def cost_of(record: SearchRecord) -> Cost:
    """The cost of a search."""
    states = Counter(trial.state for trial in record.trials)
    most = int(record.budget["epochs"])
    stopped = [trial for trial in record.trials if trial.state == "stopped" and trial.epochs]
    expected = _expected_epochs(record, most)
    saved = [max(0.0, expected - trial.epochs) for trial in stopped]
    return Cost(
        trials=len(record.trials),
        **{state: states[state] for state in STATES},
        epochs=sum(trial.epochs for trial in record.trials),
        most_epochs=most * len(record.trials),
        saved=sum(saved),
        saved_at_most=sum(most - trial.epochs for trial in stopped),
        seconds=sum(trial.seconds for trial in record.trials),
        seconds_saved=sum(n * _epoch_seconds(trial) for n, trial in zip(saved, stopped, strict=True)),
        wall_seconds=float(record.budget.get("wall_seconds", 0.0)),
    )


def _expected_epochs(record: SearchRecord, most: int) -> float:
    """Epochs that a trial trains if nobody stops it."""
    whole = [trial.epochs for trial in record.trials if trial.state in ("finished", "plateau")]
    return sum(whole) / len(whole) if whole else float(most)


def _epoch_seconds(trial: TrialRecord) -> float:
    return trial.seconds / trial.epochs


def total(records: Iterable[SearchRecord]) -> Cost:
    """The cost of several searches."""
    return sum(map(cost_of, records), Cost())


def sentences(cost: Cost) -> list[str]:
    """A cost in words."""
    ends = ", ".join(f"{n} {words}" for state, words in STATES.items() if (n := getattr(cost, state)))
    trained = f"{cost.epochs:,} of at most {cost.most_epochs:,} epochs were trained"
    spent = f"{duration(cost.seconds)} of training and validation in {duration(cost.wall_seconds)}"
    found = [f"Trials: {cost.trials} ({ends}). {trained}: {spent}."]
    if cost.stopped:
        found.append(
            f"Early stopping saved about {cost.saved:,.0f} epochs ({duration(cost.seconds_saved)}), at most "
            f"{cost.saved_at_most:,}. About: had the stopped trials trained as long as the others did on average."
        )
    return found
