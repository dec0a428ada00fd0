"""Coordinates of parameters, by hand."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.scale import scale_of

RATE = scale_of(Parameter("rate", "loguniform", low=1e-4, high=1e-2))
LAYERS = scale_of(Parameter("layers", "int", low=1, high=4))
STEPS = scale_of(Parameter("steps", "quniform", low=0.0, high=1.0, step=0.25))
PLAIN = scale_of(Parameter("plain", "uniform", low=-1.0, high=1.0))
WORDS = scale_of(Parameter("words", "choice", values=("b", "a", None)))
NUMBERS = scale_of(Parameter("numbers", "choice", values=(500, 5, 50)))
MIXED = scale_of(Parameter("mixed", "choice", values=(True, 1, 0, False)))


@pytest.mark.parametrize(
    ("scale", "value", "place"),
    [
        (RATE, 1e-3, -3.0),
        (LAYERS, 3, 3.0),
        (STEPS, 0.25, 0.25),
        (PLAIN, -0.5, -0.5),
        (WORDS, "b", 0.0),
        (WORDS, None, 2.0),
        (NUMBERS, 5, 0.0),
        (NUMBERS, 500, 2.0),
        (MIXED, True, 0.0),
        (MIXED, 1, 1.0),
        (MIXED, False, 3.0),
    ],
)
def test_a_value_has_its_place(scale: Any, value: Any, place: float) -> None:
    assert scale.place(value) == place


@pytest.mark.parametrize(("scale", "value"), [(RATE, 0.0), (RATE, None), (LAYERS, "3"), (WORDS, "c"), (LAYERS, True)])
def test_what_is_not_on_the_axis_has_no_place(scale: Any, value: Any) -> None:
    assert isnan(scale.place(value))


def test_ends_and_halves() -> None:
    assert (RATE.low, RATE.high, RATE.half) == (-4.0, -2.0, 0.0)
    assert (LAYERS.low, LAYERS.high, LAYERS.half) == (1.0, 4.0, 0.5)
    assert (STEPS.low, STEPS.high, STEPS.half) == (0.0, 1.0, 0.125)
    assert (WORDS.low, WORDS.high, WORDS.half) == (0.0, 2.0, 0.5)


def test_only_numbers_have_an_order() -> None:
    assert [scale.ordered for scale in (RATE, LAYERS, NUMBERS, WORDS, MIXED)] == [True, True, True, False, False]


def test_ticks_are_where_their_text_says() -> None:
    assert WORDS.ticks() == [(0.0, "b"), (1.0, "a"), (2.0, "None")]
    assert NUMBERS.ticks() == [(0.0, "5"), (1.0, "50"), (2.0, "500")]
    for scale in (RATE, LAYERS, STEPS, PLAIN):
        ticks = scale.ticks()
        assert len(ticks) >= 3
        for place, text in ticks:
            assert scale.place(float(text)) == pytest.approx(place)
            assert scale.low - 1e-9 <= place <= scale.high + 1e-9
    assert [text for _, text in RATE.ticks()] == ["0.0001", "0.001", "0.01"]
    assert [text for _, text in LAYERS.ticks()] == ["1", "2", "3", "4"]


def test_a_short_logarithmic_axis_has_ticks_between_the_powers() -> None:
    scale = scale_of(Parameter("tau", "loguniform", low=0.05, high=1.0))
    assert [text for _, text in scale.ticks()] == ["0.05", "0.1", "0.2", "0.5", "1"]
