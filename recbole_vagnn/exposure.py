"""How a model spreads its recommendations over vloggers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def vlogger_exposure(
    top_items: NDArray[np.int64], vlogger_of_item: NDArray[np.int64], n_vloggers: int, topk: Iterable[int]
) -> dict[str, float]:
    """Coverage and Gini coefficient of the vloggers in users' lists.

    Args:
        top_items: (n_users, K) int64 recommended items, best first.
        vlogger_of_item: (n_items,) int64, 0 = unknown; places with an unknown vlogger count for nobody.
        n_vloggers: number of vloggers, the unknown one not counted.
        topk: list lengths ≤ K.

    Returns:
        ``vloggercoverage@k``, the share of vloggers in at least one list, and ``vloggergini@k``, the Gini coefficient
        of the places they get: 0 = all equal, (n − 1)/n = one gets all. Empty without vloggers.
    """
    if n_vloggers == 0:
        return {}
    found: dict[str, float] = {}
    for k in topk:
        owners = vlogger_of_item[top_items[:, :k]].ravel()
        places = np.bincount(owners, minlength=n_vloggers + 1)[1:]
        found[f"vloggercoverage@{k}"] = float((places > 0).mean())
        found[f"vloggergini@{k}"] = gini(places)
    return found


def gini(counts: NDArray[np.int64]) -> float:
    """Gini coefficient Σᵢ(2i − n − 1)xᵢ / (n Σx) of counts in ascending order; 0 if all are 0."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    n = len(counts)
    ranks = 2.0 * np.arange(1, n + 1) - n - 1
    return float((ranks * np.sort(counts)).sum() / (n * total))
