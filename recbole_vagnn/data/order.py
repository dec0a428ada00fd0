"""Exact order in time, and how often file order had to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


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
    order = np.lexsort((times, users))
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
