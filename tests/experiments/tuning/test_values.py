"""Values as text: exact for files, short for people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbole_vagnn.experiments.tuning.values import duration, exact, read_exact, short

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


@given(st.one_of(SCALARS, st.lists(SCALARS, max_size=4)))
def test_what_is_written_reads_back_with_value_and_type(value: Any) -> None:
    text = exact(value)
    assert "\n" not in text
    again = read_exact(text)
    assert (type(again), again) == (type(value), value)
    if isinstance(value, list):
        assert [type(entry) for entry in again] == [type(entry) for entry in value]


@pytest.mark.parametrize("value", [1e-05, 5e-324, 1e300, 0.1, 3.0, -0.0, math.inf])
def test_other_readers_of_yaml_take_a_float_for_a_float(value: float) -> None:
    again = yaml.safe_load(f"key: {exact(value)}")["key"]
    assert isinstance(again, float)
    assert math.copysign(1, again) == math.copysign(1, value)
    assert again == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("1e-3", "'1e-3'"), ("no", "'no'"), ("auto", "auto"), (np.float64(0.5), "0.5"), (np.int64(7), "7"), ("", "''")],
)
def test_text_that_looks_like_something_else_is_quoted(value: Any, text: str) -> None:
    assert exact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.000123456, "0.0001235"), (12, "12"), (None, "None"), (True, "True"), ([64, 64], "[64, 64]")]
)
def test_people_read_four_digits(value: Any, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1.0 min"), (90, "1.5 min"), (3598, "1 h 00 min"), (7260, "2 h 01 min")],
)
def test_durations_are_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
