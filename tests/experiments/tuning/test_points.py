"""Budget, order of points and early stopping, without Ray."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.hooks import RememberingAsha, observed_by
from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.points import number_of_trials, scheduler, search_algorithm
from recbole_vagnn.experiments.tuning.space import Space

RATE = Parameter("rate", "loguniform", low=1e-4, high=1.0)
LAYERS = Parameter("layers", "choice", values=(1, 2, 3))
FLAG = Parameter("flag", "choice", values=(True, False))
ENDLESS = Space("BPR", (RATE, LAYERS), ({"rate": 0.5, "layers": 3}, {"rate": 0.1, "layers": 1}), "space.yaml")
SMALL = Space("BPR", (LAYERS, FLAG), ({"layers": 2, "flag": False},), "space.yaml")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"search": "magic"}, "`search` is 'magic'; choose one of: optuna, random, grid"),
        ({"trials": 0}, "`trials` is 0"),
        ({"grace": 9}, "`grace` is 9; it must be at least 10"),
        ({"max_concurrent": 0}, "`max_concurrent` is 0"),
        ({"reduction": 1.0}, "`reduction` is 1"),
        ({"seconds": 0.0}, "time budget is 0 s"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget(**wrong)


def test_number_of_trials() -> None:
    assert number_of_trials(ENDLESS, Budget(trials=30)) == 30
    assert number_of_trials(SMALL, Budget(trials=30)) == 6
    assert number_of_trials(SMALL, Budget(trials=4)) == 4
    assert number_of_trials(SMALL, Budget(trials=6, search="grid")) == 6
    assert number_of_trials(Space("Pop", (), ({},), "space.yaml"), Budget(trials=30)) == 1


def test_a_grid_must_fit_the_budget_and_have_an_end() -> None:
    with pytest.raises(InputError, match=r"space\.yaml: the grid has 6 points, but the budget is 5 trials"):
        number_of_trials(SMALL, Budget(trials=5, search="grid"))
    with pytest.raises(InputError, match="`rate` is continuous"):
        number_of_trials(ENDLESS, Budget(trials=5, search="grid"))


def told(search: Any, trials: int, value: Any = lambda point: point["rate"]) -> list[dict[str, Any]]:
    """Points that a search gives when each is answered at once."""
    points = []
    for number in range(trials):
        points.append(search.suggest(str(number)))
        search.on_trial_complete(str(number), {"best": value(points[-1]), "training_iteration": 1})
    return points


@pytest.mark.parametrize("kind", ["optuna", "random"])
def test_first_points_come_first_and_a_seed_gives_the_same_points(kind: str) -> None:
    budget = Budget(trials=9, search=kind, seed=3)
    points = told(search_algorithm(ENDLESS, budget, "max"), 9)
    assert points[:2] == list(ENDLESS.first)
    assert points == told(search_algorithm(ENDLESS, budget, "max"), 9)
    assert points[2:] != told(search_algorithm(ENDLESS, Budget(trials=9, search=kind, seed=4), "max"), 9)[2:]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_tpe_goes_where_scores_are_good(mode: str) -> None:
    """In decades from the best rate, 0.01: random points of the space are 1 away on average."""

    def distance(point: dict[str, Any]) -> float:
        return abs(math.log10(point["rate"]) + 2)

    sign = -1 if mode == "max" else 1
    algorithm = search_algorithm(ENDLESS, Budget(trials=40), mode)
    late = told(algorithm, 40, lambda point: sign * distance(point))[20:]
    assert sum(map(distance, late)) / len(late) < 0.7


def test_a_third_of_the_trials_at_most_is_drawn_without_looking_at_scores() -> None:
    rising, falling = (
        told(search_algorithm(ENDLESS, Budget(trials=12), "max"), 12, lambda point, s=sign: s * point["rate"])
        for sign in (1, -1)
    )
    assert next(number for number in range(12) if rising[number] != falling[number]) == 4


@pytest.mark.parametrize("kind", ["optuna", "random", "grid"])
def test_a_space_that_has_no_more_points_than_trials_is_tried_point_by_point(kind: str) -> None:
    points = told(search_algorithm(SMALL, Budget(trials=6, search=kind), "max"), 6, lambda point: point["layers"])
    assert points[0] == SMALL.first[0]
    every = {(layers, flag) for layers, flag in itertools.product((1, 2, 3), (True, False))}
    assert {(point["layers"], point["flag"]) for point in points} == every


def test_nothing_to_search_needs_no_algorithm() -> None:
    assert search_algorithm(Space("Pop", (), ({},), "space.yaml"), Budget(), "max") is None


class Memory:
    """An observer that only remembers earlier evaluations."""

    def __init__(self, earlier: dict[str, list[dict[str, Any]]]) -> None:
        self._earlier = earlier

    def earlier(self, trial: str) -> list[dict[str, Any]]:
        return self._earlier.get(trial, [])


def curve(*scores: float) -> list[dict[str, Any]]:
    return [{"evaluation": number, "best": score} for number, score in enumerate(scores, start=1)]


def asha(evaluations: int = 100) -> Any:
    made = scheduler(Budget(), evaluations)
    made.set_search_properties("best", "max")
    return made


def add(made: Any, name: str, finished: bool = False) -> Any:
    trial = SimpleNamespace(trial_id=name, is_finished=lambda: finished)
    made.on_trial_add(None, trial)
    return trial


def decisions(made: Any, trial: Any, reports: list[dict[str, Any]]) -> list[int]:
    """Numbers of the evaluations after which the trial was to be stopped."""
    return [r["evaluation"] for r in reports if made.on_trial_result(None, trial, r) == made.STOP]


def test_trials_worse_than_two_thirds_of_the_others_are_stopped_at_the_rungs_alone() -> None:
    made = asha()
    with observed_by(Memory({})):  # type: ignore[arg-type]
        good, fair, bad = (add(made, name) for name in ("good", "fair", "bad"))
        assert decisions(made, good, curve(*[0.9] * 40)) == []
        assert decisions(made, fair, curve(*[0.8] * 9)) == []
        assert decisions(made, fair, curve(*[0.8] * 10)) == [10]
        assert decisions(made, bad, curve(*[0.1] * 9)) == []
        late = add(made, "late")
        assert decisions(made, late, curve(*[0.95] * 29, 0.85)) == [30]


def test_a_search_that_goes_on_stops_whom_it_would_have_stopped_without_the_interruption() -> None:
    earlier = {"good": curve(*[0.9] * 40), "cut": curve(*[0.2] * 10)}
    forgetful = asha()
    with observed_by(Memory({})):  # type: ignore[arg-type]
        add(forgetful, "good", finished=True)
        assert decisions(forgetful, add(forgetful, "new"), curve(*[0.5] * 12)) == []
    remembering = asha()
    assert isinstance(remembering, RememberingAsha)
    with observed_by(Memory(earlier)):  # type: ignore[arg-type]
        add(remembering, "good", finished=True)
        assert decisions(remembering, add(remembering, "new"), curve(*[0.5] * 12)) == [10]
        # Killed between its report and Ray's note of the decision: it is decided when it reports again.
        assert decisions(remembering, add(remembering, "cut"), curve(*[0.2] * 10)[9:]) == [10]


def test_trials_that_end_within_the_grace_are_never_stopped() -> None:
    assert not isinstance(scheduler(Budget(), 10), RememberingAsha)
    assert isinstance(scheduler(Budget(), 11), RememberingAsha)
