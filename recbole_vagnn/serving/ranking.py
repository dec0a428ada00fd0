"""The best of a row of scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.serving.arrays import Array

IntArray = NDArray[np.int64]


class Ranked(NamedTuple):
    """The best columns of each row, best first.

    Attributes:
        columns: (B, K) int64.
        scores: (B, K) of the scores' dtype; −inf where a row has fewer than K columns left, at its end.
    """

    columns: IntArray
    scores: Array


def best(scores: Array, k: int) -> Ranked:
    """The k best columns of each row; equal scores in ascending order of their columns.

    Args:
        scores: (B, n) float; −inf = left out. NaN becomes −inf, in place.
        k: how many; fewer if there are fewer columns.

    Returns:
        K = min(k, n) columns and their scores.
    """
    n_rows, n = scores.shape
    k = min(k, n)
    if k == 0 or n_rows == 0:
        return Ranked(np.zeros((n_rows, k), dtype=np.int64), scores[:, :k])
    chosen = _chosen(scores, k)
    values = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return Ranked(np.take_along_axis(chosen, order, axis=1), np.take_along_axis(values, order, axis=1))


def _chosen(scores: Array, k: int) -> IntArray:
    """(B, k) the k best columns of each row in ascending order; of equal scores at the border, the first ones."""
    border = _border(scores, k)
    found = scores >= border
    sizes = found.sum(axis=1)
    for row in np.flatnonzero(sizes > k):  # more columns at the border than places left: drop the last of them
        at_border = np.flatnonzero(scores[row] == border[row])
        found[row, at_border[k - sizes[row] :]] = False
    return np.nonzero(found)[1].reshape(len(scores), k)


def _border(scores: Array, k: int) -> Array:
    """(B, 1) the k-th largest score of each row."""
    top = np.partition(scores, -k, axis=1)[:, -k:]
    if np.isnan(top).any():  # NaN sorts as the largest
        scores[np.isnan(scores)] = -np.inf
        top = np.partition(scores, -k, axis=1)[:, -k:]
    return top[:, :1]
