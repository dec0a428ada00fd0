"""Exact and stable order of millions of rows, and how often file order had to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def stable_argsort(values: NDArray[Any]) -> IntArray:
    """(n,) positions that sort ``values`` (n,), equal values in their present order.

    Sorting one array of whole numbers is many times faster than sorting positions by another array, so value and
    position are put into one 64-bit number wherever they fit.
    """
    n_rows = len(values)
    if n_rows and np.issubdtype(values.dtype, np.signedinteger):
        lowest, bits = int(values.min()), n_rows.bit_length()
        if (int(values.max()) - lowest).bit_length() + bits < 64:
            packed = ((values.astype(np.int64) - lowest) << bits) | np.arange(n_rows)
            packed.sort()
            return packed & ((1 << bits) - 1)
    return np.argsort(values, kind="stable")


def repeated_pairs(first: IntArray, second: IntArray, keep: str) -> NDArray[np.bool_]:
    """(n,) which pairs of numbers ≥ 0 are left out if of equal ones the ``first`` or ``last`` is kept."""
    pair = first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second
    order = stable_argsort(pair)
    in_order = pair[order]
    same = in_order[1:] == in_order[:-1]
    repeated = np.zeros(len(pair), dtype=bool)
    repeated[(order[1:] if keep == "first" else order[:-1])[same]] = True
    return repeated


@dataclass(frozen=True)
class TieReport:
    """How many users' leave-one-out items were chosen by file order, because times were equal.

    Attributes:
        n_users: users with a held-out item.
        n_tied: users among them for whom another order of the equal times would hold out another item.
    """

    n_users: int
    n_tied: int

    def __str__(self) -> str:
        share = self.n_tied / self.n_users if self.n_users else 0.0
        return (
            f"{self.n_tied} of {self.n_users} users ({share:.1%}) have a held-out item decided by a tie in "
            f"time (file order decides)."
        )


def held_out_ties(users: IntArray, times: NDArray[Any], n_held_out: int) -> TieReport:
    """Count the users whose held-out items a tie decided.

    Args:
        users: (n,) user of each interaction.
        times: (n,) exact time of each interaction.
        n_held_out: items held out per user at most, 1 or 2; at least one stays in training.
    """
    by_time = stable_argsort(times)
    order = by_time[stable_argsort(users[by_time])]
    sorted_users, sorted_times = users[order], times[order]
    last = np.flatnonzero(np.append(sorted_users[1:] != sorted_users[:-1], True))
    sizes = np.diff(np.append(-1, last))
    tied = np.zeros(len(last), dtype=bool)
    for back in range(n_held_out):
        # held out at position last-back if the user has an older interaction, at last-back-1
        has_older = sizes > back + 1
        newer, older = last[has_older] - back, last[has_older] - back - 1
        tied[has_older] |= sorted_times[newer] == sorted_times[older]
    return TieReport(int((sizes > 1).sum()), int(tied.sum()))


def first_time_per_user(users: IntArray, times: NDArray[Any], n_users: int) -> NDArray[Any]:
    """(n_users,) smallest time of each user; users without one hold the dtype's largest value."""
    kind: np.dtype[Any] = times.dtype
    largest = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else np.inf
    first = np.full(n_users, largest, dtype=kind)
    np.minimum.at(first, users, times)
    return first
