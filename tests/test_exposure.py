"""Exposure of vloggers: cases by hand, and the mean absolute difference, which defines Gini's coefficient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_vagnn.exposure import gini, vlogger_exposure


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5, 5, 5, 5], 0.0),
        ([0, 0, 0, 8], 0.75),  # one has all: (n − 1) / n
        ([7], 0.0),
        ([1, 3], 0.25),  # Lorenz curve (½, ¼): area 3/8 of 1/2
        ([1, 2, 3], 2 / 9),
        ([0, 0], 0.0),
    ],
)
def test_gini_by_hand(counts: list[int], expected: float) -> None:
    assert gini(np.array(counts)) == pytest.approx(expected, abs=1e-15)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any))
def test_gini_is_half_the_mean_absolute_difference_over_the_mean(counts: list[int]) -> None:
    n = len(counts)
    difference = sum(abs(a - b) for a in counts for b in counts) / n**2
    expected = difference / (2 * sum(counts) / n)
    assert gini(np.array(counts)) == pytest.approx(expected, abs=1e-12)
    assert gini(np.array(counts[::-1])) == gini(np.array(counts))


def test_exposure_by_hand() -> None:
    """Items 1–5 of vloggers 1, 1, 2, 3, unknown; item 0 is padding; vlogger 4 has no recommended item."""
    owners = np.array([0, 1, 1, 2, 3, 0])
    lists = np.array([[1, 3, 4], [2, 5, 3]])
    found = vlogger_exposure(lists, owners, 4, [1, 2, 3])
    assert found == pytest.approx(
        {
            "vloggercoverage@1": 1 / 4,  # vlogger 1 twice
            "vloggergini@1": 3 / 4,
            "vloggercoverage@2": 2 / 4,  # places 2, 1, 0, 0: item 5 counts for nobody
            "vloggergini@2": (-3 * 0 - 1 * 0 + 1 * 1 + 3 * 2) / (4 * 3),
            "vloggercoverage@3": 3 / 4,  # places 2, 2, 1, 0
            "vloggergini@3": (-1 * 1 + 1 * 2 + 3 * 2) / (4 * 5),
        },
        abs=1e-15,
    )


def test_items_of_unknown_vloggers_count_for_nobody() -> None:
    known, unknown = np.array([[1], [2]]), np.array([[1, 3], [2, 3]])
    owners = np.array([0, 1, 2, 0])
    (coverage, spread) = vlogger_exposure(known, owners, 3, [1]).values()
    assert vlogger_exposure(unknown, owners, 3, [2]) == {"vloggercoverage@2": coverage, "vloggergini@2": spread}
    assert vlogger_exposure(np.array([[3, 0]]), owners, 3, [2]) == {"vloggercoverage@2": 0.0, "vloggergini@2": 0.0}


def test_without_vloggers_there_is_no_exposure() -> None:
    assert vlogger_exposure(np.array([[1, 2]]), np.zeros(3, dtype=np.int64), 0, [1, 2]) == {}
