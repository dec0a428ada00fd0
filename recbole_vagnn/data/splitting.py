"""RecBole's splits of each user's interactions, by arrays: the same rows in the same order, without a list of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


class Groups:
    """Rows by group, the groups in the order in which they appear, rows of a group in theirs.

    Attributes:
        rows: (n,) row numbers, one group after the other.
        sizes: (n,) number of rows of each row's group.
        ranks: (n,) place of each row in its group, from 0.

    Args:
        keys: (n,) group of each row.
    """

    def __init__(self, keys: NDArray[np.generic]) -> None:
        _, first, codes, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        self.rows: IntArray = np.argsort(first[codes], kind="stable")
        groups = codes[self.rows]
        starts = np.zeros(len(counts), dtype=np.int64)
        order = np.argsort(first)
        starts[order] = np.cumsum(counts[order]) - counts[order]
        self.sizes: IntArray = counts[groups]
        self.ranks: IntArray = np.arange(len(groups)) - starts[groups]


def leave_one_out_rows(keys: NDArray[np.generic], n_held_out: int) -> list[IntArray]:
    """What RecBole's ``_split_index_by_leave_one_out`` returns.

    The last row of a group goes to the last part, the one before it to the part before; one row at least stays.

    Args:
        keys: (n,) group of each row.
        n_held_out: parts that get one row of each group, at least 1.

    Returns:
        ``n_held_out`` + 1 parts, row numbers each.

    Example:
        >>> [part.tolist() for part in leave_one_out_rows(np.array([7, 7, 3, 7, 3]), 2)]
        [[0, 2], [1], [3, 4]]
    """
    groups = Groups(keys)
    from_end = groups.sizes - 1 - groups.ranks
    held_out = np.minimum(n_held_out, groups.sizes - 1)
    part = np.where(from_end < held_out, n_held_out - from_end, 0)
    return [groups.rows[part == number] for number in range(n_held_out + 1)]


def ratio_rows(
    keys: NDArray[np.generic], ratios: Sequence[float], split_ids: Callable[..., Sequence[int]]
) -> list[IntArray]:
    """What RecBole's ``split_by_ratio`` selects with ``group_by``.

    Args:
        keys: (n,) group of each row.
        ratios: share of each part, adding up to 1.
        split_ids: RecBole's ``_calcu_split_ids``: for a size and ratios, where each part but the first begins. Asked
            once for each size of a group.

    Returns:
        one array of row numbers for each ratio.

    Example:
        >>> halves = lambda tot, ratios: [tot - tot // 2]
        >>> [part.tolist() for part in ratio_rows(np.array([7, 7, 3, 7, 3]), [0.5, 0.5], halves)]
        [[0, 1, 2], [3, 4]]
    """
    groups = Groups(keys)
    sizes, codes = np.unique(groups.sizes, return_inverse=True)
    begins = np.array([split_ids(tot=int(size), ratios=ratios) for size in sizes]).reshape(len(sizes), len(ratios) - 1)
    part = (groups.ranks[:, None] >= begins[codes]).sum(axis=1)
    return [groups.rows[part == number] for number in range(len(ratios))]
