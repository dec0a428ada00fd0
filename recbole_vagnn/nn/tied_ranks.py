"""Recall and NDCG of full rankings in which scores may be equal: their expectation over random orders of equal scores.

A model that cannot tell new items apart gives them equal scores. What RecBole then counts is decided by the items'
numbers, that is by the order of the files. The expectation has no such accident and needs no seed. Source: McSherry
and Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR
2008.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 2**24  # comparisons at a time


def places(scores: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Where entries of a score matrix stand in their rows.

    Args:
        scores: (n, m).
        rows, columns: (k,) int64, the entries asked for.

    Returns:
        (k,) int64 number of larger scores in the row, and (k,) int64 number of equal ones, itself included.
    """
    size = max(1, _BLOCK // max(1, scores.shape[1]))
    above, equal = [], []
    for i, j in zip(rows.split(size), columns.split(size), strict=True):
        of_row = scores[i]
        own = of_row.gather(1, j.unsqueeze(1))
        above.append((of_row > own).sum(1))
        equal.append((of_row == own).sum(1))
    return torch.cat(above), torch.cat(equal)


def expected_metrics(scores: Tensor, rows: Tensor, columns: Tensor, topk: Sequence[int]) -> dict[str, Tensor]:
    """Expected Recall@k and NDCG@k of each row, as RecBole defines them.

    Args:
        scores: (n, m); −inf for what is no candidate.
        rows, columns: (k,) int64, the relevant entries, all of them candidates; each row has at least one.
        topk: cut-offs.

    Returns:
        ``recall@k`` and ``ndcg@k`` → (n,) float64.
    """
    n = len(scores)
    above, equal = places(scores, rows, columns)
    relevant = torch.bincount(rows, minlength=n)
    ranks = torch.arange(1, max(topk) + 1, dtype=torch.float64, device=scores.device)
    gains = torch.cat([ranks.new_zeros(1), (1 / torch.log2(ranks + 1)).cumsum(0)])  # DCG of the first 0, 1, 2, … ranks
    found: dict[str, Tensor] = {}
    for k in topk:
        low, high = above.clamp(max=k), (above + equal).clamp(max=k)  # an equal score takes each rank as often
        found[f"recall@{k}"] = torch.bincount(rows, (high - low).double() / equal, n) / relevant
        gain = torch.bincount(rows, (gains[high] - gains[low]) / equal, n)
        found[f"ndcg@{k}"] = gain / gains[relevant.clamp(max=k)]
    return found


def expected_share(scores: Tensor, chosen: Tensor, k: int) -> Tensor:
    """Expected share of chosen items among the k best of each row.

    Args:
        scores: (n, m), at least k of a row above −inf.
        chosen: (m,) bool.
        k: length of the lists.

    Returns:
        (n,) float64.
    """
    last = scores.topk(k, dim=1).values[:, -1:]
    above, equal = (mask.double() for mask in (scores > last, scores == last))
    of_chosen = chosen.to(scores.device).double()
    left = k - above.sum(1)
    return (above @ of_chosen + (equal @ of_chosen) * left / equal.sum(1)) / k
