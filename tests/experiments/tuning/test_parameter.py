"""Parameters: their values are the same in their own words, to Optuna and to Ray Tune."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.parameter import Parameter

optuna.logging.set_verbosity(optuna.logging.WARNING)

CHOICE = Parameter("tau", "choice", (0.05, 0.1, None, "auto", True, [64, 64]))
UNIFORM = Parameter("dropout", "uniform", low=0, high=0.5)
LOG = Parameter("learning_rate", "loguniform", low=1e-4, high=1e-2)
STEPS = Parameter("margin", "quniform", low=0.05, high=0.65, step=0.1)
WHOLE = Parameter("n_layers", "int", low=1, high=4)
WHOLE_STEPS = Parameter("size", "int", low=16, high=64, step=16)
EVERY_KIND = [CHOICE, UNIFORM, LOG, STEPS, WHOLE, WHOLE_STEPS]


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_stepped_range_has_the_numbers_as_they_are_written() -> None:
    assert STEPS.points() == [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65]  # 0.05 + 0.1 * 3 is 0.35000000000000003
    assert WHOLE.points() == [1, 2, 3, 4]
    assert WHOLE_STEPS.points() == [16, 32, 48, 64]
    assert all(type(point) is int for point in WHOLE_STEPS.points())


@given(st.integers(-50, 50), st.integers(1, 40), st.sampled_from(["0.1", "0.05", "0.25", "0.003", "7"]))
def test_points_are_low_plus_whole_steps_in_exact_arithmetic(start: int, count: int, step: str) -> None:
    exact = [Fraction(step) * (start + k) for k in range(count + 1)]
    parameter = Parameter("x", "quniform", low=float(exact[0]), high=float(exact[-1]), step=float(step))
    assert parameter.points() == [float(value) for value in exact]
    assert parameter.count() == count + 1


def test_continuous_ranges_have_no_list_of_points() -> None:
    for parameter in (UNIFORM, LOG):
        assert parameter.count() is None
        with pytest.raises(InputError, match=rf"`{parameter.name}`: a continuous range has no list of all values"):
            parameter.points()


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (CHOICE, [0.05, None, "auto", True, [64, 64]], [0.050001, 1, False, [64], "Auto", 0]),
        (UNIFORM, [0, 0.0, 0.25, 0.5], [-1e-3, 0.51, math.nan, math.inf, "0.1", None, True]),
        (LOG, [1e-4, 0.00123, 1e-2], [0.99e-4, 1.01e-2, 0.0, -1e-3, None]),
        (STEPS, [0.05, 0.15000000000000002, 0.35000000000000003, 0.65], [0.0, 0.1, 0.6500001, 0.75, -0.05]),
        (WHOLE, [1, 4, 2.0, np.int64(3)], [0, 5, 1.5, True, "2", None]),
        (WHOLE_STEPS, [16, 48, 64], [17, 0, 80, 24]),
    ],
)
def test_bounds_are_inside_and_nothing_beyond_them(parameter: Parameter, inside: list[Any], outside: list[Any]) -> None:
    assert [parameter.contains(value) for value in inside] == [True] * len(inside)
    assert [parameter.contains(value) for value in outside] == [False] * len(outside)


def test_a_value_takes_the_parameters_own_form() -> None:
    assert STEPS.canonical(0.35000000000000003) == 0.35
    assert repr(UNIFORM.canonical(0)) == "0.0"
    assert repr(WHOLE.canonical(np.float64(3.0))) == "3"
    assert repr(Parameter("k", "choice", (1, 2)).canonical(2.0)) == "2"
    assert LOG.canonical(1e-2 * (1 + 1e-12)) == 1e-2  # exp(log(x)) may leave the range by a rounding
    with pytest.raises(InputError, match=r"^`n_layers`: 9 is not a whole number between 1 and 4\.$"):
        WHOLE.canonical(9)
    with pytest.raises(InputError, match=r"^`margin`: 0.1 is not between 0.05 and 0.65 in steps of 0.1\.$"):
        STEPS.canonical(0.1)
    with pytest.raises(InputError, match=r"^`tau`: 3 is not one of 0.05, 0.1, None, 'auto', True, \[64, 64\]\.$"):
        CHOICE.canonical(3)


def test_true_is_no_one_and_one_is_no_true() -> None:
    both = Parameter("x", "choice", (True, 1, 0, False))
    assert [repr(both.canonical(value)) for value in (1, True, False, 0)] == ["1", "True", "False", "0"]


# --- Optuna and Ray Tune ----------------------------------------------------------------------------------------------


def optuna_samples(parameter: Parameter, count: int) -> list[Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return [study.ask({parameter.name: parameter.distribution()}).params[parameter.name] for _ in range(count)]


def ray_samples(parameter: Parameter, count: int) -> list[Any]:
    rng = np.random.default_rng(3)
    return [parameter.domain().sample(random_state=rng) for _ in range(count)]


@pytest.mark.parametrize("samples", [optuna_samples, ray_samples])
@pytest.mark.parametrize("parameter", [CHOICE, STEPS, WHOLE, WHOLE_STEPS], ids=lambda parameter: parameter.name)
def test_each_listed_value_is_drawn_equally_often(parameter: Parameter, samples: Any) -> None:
    count = 2000
    drawn = Counter(repr(parameter.canonical(value)) for value in samples(parameter, count))
    points = [repr(point) for point in parameter.points()]
    assert set(drawn) == set(points)
    expected = count / len(points)
    chi_square = sum((drawn[point] - expected) ** 2 / expected for point in points)
    assert chi_square < 30  # 99.99 % quantile with 6 degrees of freedom: 27.9


@pytest.mark.parametrize("samples", [optuna_samples, ray_samples])
@pytest.mark.parametrize(("parameter", "middle"), [(UNIFORM, 0.25), (LOG, 1e-3)], ids=["uniform", "log"])
def test_half_of_the_draws_lie_below_the_middle_of_the_scale(parameter: Parameter, middle: float, samples: Any) -> None:
    drawn = samples(parameter, 2000)
    assert all(parameter.contains(value) for value in drawn)
    assert abs(sum(value < middle for value in drawn) - 1000) < 5 * math.sqrt(500)


def test_optuna_keeps_the_order_of_steps_and_takes_lists_without_a_warning() -> None:
    assert STEPS.distribution() == optuna.distributions.FloatDistribution(0.05, 0.65, step=0.1)
    assert WHOLE_STEPS.distribution() == optuna.distributions.IntDistribution(16, 64, step=16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distribution = CHOICE.distribution()
    assert isinstance(distribution, optuna.distributions.CategoricalDistribution)
    assert distribution.choices == CHOICE.values


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "normal", "low": 0, "high": 1}, "`x`: there is no kind 'normal'; kinds: choice, uniform"),
        ({"kind": "choice"}, "`x`: the list of values is empty"),
        ({"kind": "choice", "values": (1, 2, 1.0)}, r"`x`: 1\.0 is listed twice"),
        ({"kind": "choice", "values": ({"a": 1},)}, "`x`: {'a': 1} cannot be a value"),
        ({"kind": "choice", "values": (math.nan,)}, "`x`: nan cannot be a value"),
        ({"kind": "uniform", "low": 2, "high": 1}, r"`x`: the bounds 2 and 1 enclose nothing\. Write .* first: 1, 2"),
        ({"kind": "uniform", "low": 1, "high": 1}, "`x`: the bounds 1 and 1 enclose nothing. They allow one value"),
        ({"kind": "uniform", "low": 0, "high": math.inf}, "`x`: the bound inf must be a number"),
        ({"kind": "uniform", "low": None, "high": 1}, "`x`: the bound None must be a number"),
        ({"kind": "uniform", "low": True, "high": 3}, "`x`: the bound True must be a number"),
        ({"kind": "uniform", "low": "1e-3", "high": 1}, "`x`: the bound '1e-3' must be a number"),
        ({"kind": "loguniform", "low": 0, "high": 1}, "`x`: the lower bound of a logarithmic range is 0; it must be"),
        ({"kind": "loguniform", "low": -1, "high": 1}, "`x`: the lower bound of a logarithmic range is -1; it must be"),
        ({"kind": "loguniform", "low": 1, "high": 2, "step": 0.1}, "`x`: a range of kind loguniform has no step"),
        ({"kind": "uniform", "low": 1, "high": 2, "step": 0.1}, "`x`: a range of kind uniform has no step"),
        ({"kind": "quniform", "low": 0, "high": 1}, "`x`: the step is missing"),
        ({"kind": "quniform", "low": 0, "high": 1, "step": 0}, "`x`: the step 0 must be a number above 0"),
        ({"kind": "quniform", "low": 0, "high": 1, "step": 0.3}, r"steps of 0\.3 from 0 do not reach 1\. .* is 0\.9"),
        ({"kind": "int", "low": 1, "high": 2.5}, r"`x`: the bound 2\.5 must be a whole number"),
        ({"kind": "int", "low": 1, "high": 5, "step": 0.5}, r"`x`: the step 0\.5 must be a whole number above 0"),
        ({"kind": "int", "low": 1, "high": 4, "step": 2}, "`x`: steps of 2 from 1 do not reach 4. The last is 3"),
    ],
)
def test_a_wrong_parameter_is_explained(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Parameter("x", **given)
