"""Random numbers: named streams, power laws, weighted draws, draws without repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.simulation.options import APPEAL_FLOOR

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# One stream for one purpose: a change in one leaves the numbers of the others alone. Append only.
_STREAMS = (
    "vloggers",
    "catalogue",
    "videos",
    "appeal",
    "uploads",
    "tastes",
    "activity",
    "windows",
    "loyalties",
    "loyalty weights",
    "times",
    "modes",
    "views",
    "follows",
    "follow noise",
    "follow times",
    "features",
    "clusters",
    "activity ranks",
)
_ROUNDS = 64
_CHUNK = 2**19


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one purpose.

    Raises:
        ValueError: there is no stream of this name.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(name),)))


def appeals(rng: np.random.Generator, tail: float, size: int) -> FloatArray:
    """Draw (size,) values x = APPEAL_FLOOR + y, y ~ Lomax(tail): P(Y > y) = (1 + y)^-tail."""
    return APPEAL_FLOOR + rng.pareto(tail, size)


def dirichlet(rng: np.random.Generator, total: float, mean: FloatArray, size: int) -> FloatArray:
    """Draw (size, K) rows from Dirichlet(total · mean)."""
    return rng.dirichlet(total * mean, size)


def power_law_counts(rng: np.random.Generator, size: int, total: int, low: int, high: int, tail: float) -> IntArray:
    """Draw counts with a power-law tail that sum to ``total`` exactly.

    x ~ Lomax(tail), count = min(low + c·x, high), with c such that the sum is right; fractions are rounded by
    largest remainder.

    Args:
        rng: generator.
        size: how many counts.
        total: their sum, between size·low and size·high.
        low, high: bounds of every count.
        tail: P(X > x) falls as x^-tail.

    Returns:
        (size,) int64.
    """
    x = rng.pareto(tail, size)
    scale = _scale_for(x, total, low, high)
    exact = np.minimum(low + scale * x, high)
    counts = np.floor(exact).astype(np.int64)
    rest = total - int(counts.sum())
    order = np.argsort(-(exact - counts), kind="stable")
    while rest > 0:
        free = order[counts[order] < high][:rest]
        counts[free] += 1
        rest -= len(free)
    return counts


def _scale_for(x: FloatArray, total: int, low: int, high: int) -> float:
    """Largest c (to rounding) with Σ min(low + c·x, high) ≤ total."""

    def sum_at(c: float) -> float:
        return float(np.minimum(low + c * x, high).sum())

    below, above = 0.0, 1.0
    while sum_at(above) < total and above < 1e18:
        below, above = above, 2 * above
    for _ in range(60):
        middle = (below + above) / 2
        below, above = (middle, above) if sum_at(middle) <= total else (below, middle)
    return below


class Segments:
    """Weighted draws within segments of one flat array, by search in its cumulative sum.

    Args:
        offsets: (S + 1,) int64; segment s is positions offsets[s] … offsets[s + 1] − 1.
        weights: (offsets[-1],) float64, ≥ 0; every segment that is drawn from has a positive sum. Weights are
            taken relative to their segment.
    """

    def __init__(self, offsets: IntArray, weights: FloatArray) -> None:
        segment_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        sums = np.bincount(segment_of, weights, minlength=len(offsets) - 1)
        #: (n,) weights that sum to 1 in each segment
        self.share: FloatArray = np.divide(
            weights, sums[segment_of], out=np.zeros(len(weights)), where=sums[segment_of] > 0
        )
        self._cumulative = np.concatenate([[0.0], np.cumsum(self.share)])
        self._offsets = offsets
        positive = np.concatenate([[-1], np.where(self.share > 0, np.arange(len(weights)), -1)])
        self._last = np.maximum.accumulate(positive)[offsets[1:]]

    def draw(self, segments: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw a position of the flat array for each of (n,) segments; (n,) int64."""
        base = self._cumulative[self._offsets[segments]]
        span = self._cumulative[self._offsets[segments + 1]] - base
        found = np.searchsorted(self._cumulative, base + rng.random(len(segments)) * span, side="right") - 1
        return np.minimum(found, self._last[segments])


def group_offsets(groups: IntArray, n_groups: int) -> IntArray:
    """(n_groups + 1,) where the entries of each group start in an array sorted by group."""
    return np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=n_groups))]).astype(np.int64)


def contains(sorted_keys: IntArray, keys: IntArray) -> BoolArray:
    """Which ``keys`` are in ``sorted_keys``; (len(keys),) bool."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), dtype=np.bool_)
    found = np.searchsorted(sorted_keys, keys)
    found[found == len(sorted_keys)] = 0
    return sorted_keys[found] == keys


def distinct_draws(
    groups: IntArray,
    n_values: int,
    propose: Callable[[IntArray], IntArray],
    allowed: Callable[[IntArray, IntArray], BoolArray],
    weights: Callable[[int], tuple[IntArray, FloatArray]],
    rng: np.random.Generator,
) -> tuple[IntArray, int]:
    """Draw a value for each slot, so that no two slots of a group get the same value.

    Rounds of rejection: slots without a value draw one; a value that is not allowed, or that another slot of the
    group has, is drawn again. Slots that 64 rounds leave empty draw from the exact conditional distribution.

    Args:
        groups: (n,) int64 group of each slot, in ascending order.
        n_values: values are 0 … n_values − 1.
        propose: (m,) slots → (m,) values, from the slots' own distributions.
        allowed: (m,) slots, (m,) values → (m,) bool.
        weights: slot → its allowed values and the weights that ``propose`` gives them; the sum of those the group
            does not have must be positive.
        rng: for the exact draws.

    Returns:
        (n,) int64 values, and how many of them were exact draws.
    """
    values = np.empty(len(groups), dtype=np.int64)
    exact = 0
    for start, stop in _chunks(groups):
        part = values[start:stop]
        part[:] = -1
        left = _reject(start, part, groups[start:stop] - groups[start], n_values, propose, allowed)
        for slot in left:
            first, last = np.searchsorted(groups[start:stop], groups[start + slot] + np.array([0, 1]))
            part[slot] = _one_exact(part[first:last], *weights(start + int(slot)), rng)
        exact += len(left)
    return values, exact


def _chunks(groups: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of about _CHUNK slots that end where a group ends."""
    start = 0
    while start < len(groups):
        last = groups[min(start + _CHUNK, len(groups)) - 1]
        stop = int(np.searchsorted(groups, last, side="right"))
        yield start, stop
        start = stop


def _reject(
    start: int,
    part: IntArray,
    groups: IntArray,
    n_values: int,
    propose: Callable[[IntArray], IntArray],
    allowed: Callable[[IntArray, IntArray], BoolArray],
) -> IntArray:
    """Fill ``part`` in rounds of rejection; returns the slots (from 0) that are still −1."""
    held = np.empty(0, dtype=np.int64)
    empty = np.arange(len(part))
    for _ in range(_ROUNDS):
        if len(empty) == 0:
            break
        drawn = propose(start + empty)
        keys = groups[empty] * n_values + drawn
        fits = np.flatnonzero(allowed(start + empty, drawn) & ~contains(held, keys))
        new, first = np.unique(keys[fits], return_index=True)
        part[empty[fits[first]]] = drawn[fits[first]]
        held = np.sort(np.concatenate([held, new]), kind="stable")
        empty = empty[part[empty] < 0]
    return empty


def _one_exact(held: IntArray, values: IntArray, weights: FloatArray, rng: np.random.Generator) -> int:
    """Draw one of ``values`` that is not ``held``, by weight."""
    cumulative = np.cumsum(np.where(np.isin(values, held), 0.0, weights))
    if len(cumulative) == 0 or cumulative[-1] <= 0:
        raise ValueError("no value is left for a slot")
    at = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return int(values[min(at, np.searchsorted(cumulative, cumulative[-1]))])
