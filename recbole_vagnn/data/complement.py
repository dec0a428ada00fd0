"""Exact, vectorised sampling of what a row does not contain, without rejection.

Serves the negative items of training triples and the negative vloggers of the auxiliary task. Lay all
candidates on a line, each as wide as its weight, and cut out the stretches of a row's members: what is left
has a known length, so a draw is one uniform integer and two binary searches, whatever share of the line the
members take. Nothing loops until it is lucky, so a user who holds almost everything costs as much as any other.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class ComplementSampler:
    """Draws candidates outside a row's members, with probability proportional to their weights.

    Args:
        members: (n_rows, n_groups) sparse; the non-zero columns of a row are what it must not draw.
        weights: (n_candidates,) non-negative integers; 0 means never drawn (the padding id, for one).
        groups: (n_candidates,) group of each candidate, in [0, n_groups). A member group excludes all of its
            candidates. Default: each candidate is its own group.

    Raises:
        ValueError: shapes do not fit, or rows × total weight exceed 63 bits.
    """

    def __init__(self, members: sp.csr_matrix, weights: IntArray, groups: IntArray | None = None) -> None:
        n_rows, n_groups = members.shape
        if groups is None:
            groups = np.arange(len(weights))
        if len(groups) != len(weights) or (len(groups) and groups.max() >= n_groups):
            raise ValueError(
                f"{len(weights)} weights, {len(groups)} groups and {n_groups} columns do not fit together."
            )
        self._weights = weights
        self._candidates = np.argsort(groups, kind="stable")
        self._ends = np.cumsum(weights[self._candidates], dtype=np.int64)
        self._total = int(self._ends[-1]) if len(weights) else 0
        if n_rows * (self._total + 1) >= 2**63:
            raise ValueError(f"{n_rows} rows × total weight {self._total} exceed 63 bits.")

        width = np.bincount(groups, weights=weights, minlength=n_groups).astype(np.int64)
        self._lay_out(sp.csr_matrix(members, copy=True), width)

    def _lay_out(self, members: sp.csr_matrix, width: IntArray) -> None:
        """Per member: the length of the row's line before it, with and without the members cut out."""
        members.sum_duplicates()
        members.eliminate_zeros()
        self._indptr = members.indptr.astype(np.int64)
        rows = np.repeat(np.arange(members.shape[0]), np.diff(self._indptr))
        cut = width[members.indices]
        self._cut_before = np.concatenate([[0], np.cumsum(cut)])
        start = (np.cumsum(width) - width)[members.indices]
        cut_in_row = self._cut_before[:-1] - self._cut_before[self._indptr[:-1]][rows]
        # Free length before each member, made comparable across rows by a stride per row.
        self._free_before = rows * (self._total + 1) + start - cut_in_row
        self.free = self._total - np.diff(self._cut_before[self._indptr])
        """(n_rows,) int64: weight of what each row can draw; 0 means that it can draw nothing."""

    def sample(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """One candidate for each row of ``rows``, independently.

        Args:
            rows: (k,) row numbers; repeats are allowed; each must have ``free > 0``.
            rng: owner of the randomness.

        Returns:
            (k,) int64 candidates.

        Raises:
            ValueError: a row has nothing left to draw.
        """
        if len(rows) == 0:
            return np.zeros(0, dtype=np.int64)
        free = self.free[rows]
        if free.min() <= 0:
            raise ValueError(f"Row {rows[free.argmin()]} contains every candidate.")
        drawn = rng.integers(0, free)
        first = self._indptr[rows]
        passed = np.searchsorted(self._free_before, rows * (self._total + 1) + drawn, side="right")
        position = drawn + self._cut_before[passed] - self._cut_before[first]
        return self._candidates[np.searchsorted(self._ends, position, side="right")]

    def probability(self, rows: IntArray, candidates: IntArray) -> FloatArray:
        """Probability of each candidate in one draw for its row.

        Args:
            rows: (k,) row numbers, each with ``free > 0``.
            candidates: (k,) candidates that the row can draw; of members the answer has no meaning.

        Returns:
            (k,) float64.
        """
        return self._weights[candidates] / self.free[rows]
