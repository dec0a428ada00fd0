"""What a search may spend; the same for every model."""

from __future__ import annotations

from dataclasses import dataclass

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import FIRST_SEED

SEARCHES = ("optuna", "random", "grid")
LEAST_GRACE = 10


@dataclass(frozen=True)
class Budget:
    """Effort of a search; the most epochs and the patience of a trial are options of the plan, as in a benchmark.

    Attributes:
        trials: how many configurations are tried.
        seconds: wall time after which running trials are stopped and no more are begun; None = no limit.
        search: "optuna" (TPE), "random" or "grid".
        seed: of the search, and of the model in every trial.
        grace: evaluations before a trial may be stopped for being worse than others.
        reduction: one of so many trials outlives each rung; rungs are at grace × reduction^k evaluations.
        max_concurrent: trials at once; None = as many as there are resources for. With 1, a seed gives the same
            trials every time; with more, later points depend on which trial ends first.
    """

    trials: int = 20
    seconds: float | None = None
    search: str = "optuna"
    seed: int = FIRST_SEED
    grace: int = LEAST_GRACE
    reduction: float = 3.0
    max_concurrent: int | None = None

    def __post_init__(self) -> None:
        if self.search not in SEARCHES:
            raise InputError(f"`search` is {self.search!r}; choose one of: {', '.join(SEARCHES)}.")
        least = {"trials": 1, "grace": LEAST_GRACE, "max_concurrent": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"`{name}` is {value}; it must be at least {low}.")
        if self.reduction <= 1:
            raise InputError(f"`reduction` is {self.reduction:g}; it must be above 1.")
        if self.seconds is not None and self.seconds <= 0:
            raise InputError(f"The time budget is {self.seconds:g} s; it must be above 0.")
