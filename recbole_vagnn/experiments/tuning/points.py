"""Which points of a space are tried: Ray Tune's search algorithm and scheduler for a budget."""

from __future__ import annotations

from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.space import Space


def number_of_trials(space: Space, budget: Budget) -> int:
    """Trials of a search: the budget, or all points of a space that has no more.

    Raises:
        InputError: a grid search whose grid is larger than the budget, or has no end.
    """
    if budget.search == "grid" and (size := len(space.grid())) > budget.trials:
        raise InputError(
            f"{space.source}: the grid has {size} points, but the budget is {budget.trials} trials. Raise --trials, "
            f"list fewer values, or search with optuna or random."
        )
    return budget.trials if space.size is None else min(budget.trials, space.size)


def search_algorithm(space: Space, budget: Budget, mode: str) -> Any:
    """Ray's search algorithm, which begins with the points of ``first``.

    A space that has no more points than there are trials is tried point by point, whatever the search. TPE draws at
    random until a third of the trials, but at most ten, have ended; those of ``first`` count among them.

    Args:
        space, budget: what is searched, and how.
        mode: "max" or "min", of the best score so far, which trials report as "best".

    Returns:
        an ``OptunaSearch``, or None for a space without parameters.
    """
    if not space.parameters:
        return None
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    every_point = space.size is not None and space.size <= budget.trials
    sampler: Any
    if budget.search == "optuna" and not every_point:
        sampler = optuna.samplers.TPESampler(n_startup_trials=max(1, min(10, budget.trials // 3)), seed=budget.seed)
    else:
        sampler = optuna.samplers.RandomSampler(seed=budget.seed)
    first = space.grid() if every_point else list(space.first)
    return OptunaSearch(space.distributions(), metric="best", mode=mode, points_to_evaluate=first, sampler=sampler)


def scheduler(budget: Budget, evaluations: int) -> Any:
    """Ray's scheduler: ASHA by the number of evaluations; trials that never outlive the grace are not stopped.

    Args:
        budget: grace and reduction.
        evaluations: most evaluations of a trial.
    """
    from ray.tune.schedulers import FIFOScheduler

    from recbole_vagnn.experiments.tuning.hooks import RememberingAsha

    if evaluations <= budget.grace:
        return FIFOScheduler()
    return RememberingAsha(
        time_attr="evaluation",
        max_t=evaluations,
        grace_period=budget.grace,
        reduction_factor=budget.reduction,
    )
