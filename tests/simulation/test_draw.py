from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, lomax

from recbole_vagnn.simulation import draw
from recbole_vagnn.simulation.draw import (
    Segments,
    appeals,
    contains,
    distinct_draws,
    group_offsets,
    power_law_counts,
    stream,
)


def test_streams_differ_and_repeat():
    first = stream(1, "views").random(4)
    assert np.array_equal(first, stream(1, "views").random(4))
    assert not np.array_equal(first, stream(2, "views").random(4))
    assert not np.array_equal(first, stream(1, "follows").random(4))
    with pytest.raises(ValueError, match="not in tuple"):
        stream(1, "typo")


def test_appeals_are_lomax_above_their_floor():
    drawn = appeals(stream(0, "appeal"), 2.0, 20_000)
    assert kstest(drawn - 0.01, lomax(2.0).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("size", "total", "low", "high"),
    [
        (100, 3_000, 3, 200),
        (100, 300, 3, 200),
        (100, 20_000, 3, 200),
        (100, 19_999, 3, 200),
        (1, 7, 3, 9),
        (7, 22, 3, 9),
    ],
)
def test_counts_sum_exactly_and_keep_their_bounds(size, total, low, high):
    counts = power_law_counts(np.random.default_rng(0), size, total, low, high, 2.5)
    assert counts.sum() == total
    assert counts.min() >= low
    assert counts.max() <= high


def test_counts_have_the_tail_index_asked_for():
    counts = power_law_counts(np.random.default_rng(1), 50_000, 50_000 * 100, 1, 10**9, 2.0)
    scale = (counts.mean() - 1) * (2.0 - 1)  # of a Lomax variable with this mean
    # Maximum likelihood for Pareto: n / Σ log(1 + x/c), with standard error tail/√n.
    tail = 1 / np.mean(np.log1p((counts - 1) / scale))
    assert tail == pytest.approx(2.0, abs=0.1)


def test_segments_draw_by_weight_and_never_outside_or_at_zero_weight():
    offsets = np.array([0, 3, 3, 5, 9])
    weights = np.array([1.0, 0.0, 3.0, 2.0, 0.0, 0.0, 1.0, 1.0, 2.0])
    segments = Segments(offsets, weights)
    assert segments.share.tolist() == [0.25, 0, 0.75, 1, 0, 0, 0.25, 0.25, 0.5]
    rng = np.random.default_rng(3)
    for segment in (0, 2, 3):
        drawn = segments.draw(np.full(20_000, segment), rng)
        inside = np.arange(offsets[segment], offsets[segment + 1])
        counts = np.bincount(drawn, minlength=9)
        assert counts.sum() == counts[inside].sum()
        expected = 20_000 * segments.share[inside]
        assert (counts[inside][expected == 0] == 0).all()
        if np.sum(expected > 0) > 1:
            assert chisquare(counts[inside][expected > 0], expected[expected > 0]).pvalue > 0.001


def test_segments_stay_inside_at_the_largest_random_number():
    segments = Segments(np.array([0, 2, 4]), np.array([1.0, 0.0, 1.0, 1.0]))
    rng = mock.Mock(random=lambda size: np.full(size, 1.0))
    assert segments.draw(np.array([0, 1]), rng).tolist() == [0, 3]


def test_offsets_and_membership():
    assert group_offsets(np.array([0, 0, 2]), 4).tolist() == [0, 2, 2, 3, 3]
    assert contains(np.array([2, 5]), np.array([5, 1, 9, 2])).tolist() == [True, False, False, True]
    assert contains(np.array([], dtype=np.int64), np.array([5])).tolist() == [False]


def _distinct(groups, weights, seed, forbidden=()):
    """Draws by ``weights`` over values, none of ``forbidden``."""
    rng = np.random.default_rng(seed)
    one = Segments(np.array([0, len(weights)]), weights)
    values = np.arange(len(weights))
    return distinct_draws(
        groups,
        len(weights),
        lambda slots: one.draw(np.zeros(len(slots), dtype=np.int64), rng),
        lambda slots, drawn: ~np.isin(drawn, forbidden),
        lambda slot: (values[~np.isin(values, forbidden)], weights[~np.isin(values, forbidden)]),
        rng,
    )


@pytest.mark.parametrize("rounds", [0, 2, 64])
@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_draws_are_distinct_and_complete_whatever_the_rounds(rounds, chunk, monkeypatch):
    monkeypatch.setattr(draw, "_ROUNDS", rounds)
    monkeypatch.setattr(draw, "_CHUNK", chunk)
    groups = np.repeat([0, 3, 4, 9], [5, 1, 4, 2])
    weights = np.array([1e-9, 1.0, 2.0, 100.0, 5.0, 1.0])
    values, exact = _distinct(groups, weights, seed=5, forbidden=(1,))
    assert len(set(zip(groups, values, strict=True))) == 12
    assert set(values[:5]) == {0, 2, 3, 4, 5}  # a full group takes everything that is allowed
    assert (exact == 12) == (rounds == 0)


@pytest.mark.parametrize("rounds", [0, 64])
def test_rejection_and_exact_draws_have_the_same_distribution(rounds, monkeypatch):
    monkeypatch.setattr(draw, "_ROUNDS", rounds)
    groups = np.repeat(np.arange(3_000), 2)
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    values, _ = _distinct(groups, weights, seed=6, forbidden=(3,))
    pairs = np.sort(values.reshape(-1, 2), axis=1)
    # Successive draws without replacement from weights 1, 2, 3.
    p = weights[:3] / 6
    sets = {(a, b): p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b]) for a, b in ((0, 1), (0, 2), (1, 2))}
    counts = [int((pairs == pair).all(axis=1).sum()) for pair in sets]
    assert chisquare(counts, 3_000 * np.array(list(sets.values()))).pvalue > 0.001


def test_a_slot_without_a_value_is_an_error():
    with pytest.raises(ValueError, match="no value is left"):
        _distinct(np.zeros(3, dtype=np.int64), np.ones(2), seed=1)
