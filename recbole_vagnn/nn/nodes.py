"""The nodes of a batch, each once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor


def different_nodes(ids: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """The different ids of each type of node, ascending, without id 0 (RecBole's PAD, the unknown vlogger).

    All types are sorted at once and their numbers read together: a GPU that is asked for a number is waited for.

    Args:
        ids: for each type (k,) int64, 0 ≤ id < its size, on one device.
        sizes: number of ids of each type.

    Returns:
        for each type (m,) int64.

    Example:
        >>> import torch
        >>> different_nodes([torch.tensor([3, 1, 3]), torch.tensor([0, 2])], [4, 3])
        [tensor([1, 3]), tensor([2])]
    """
    starts = list(accumulate(sizes, initial=0))
    joined = torch.unique(torch.cat([one + start for one, start in zip(ids, starts, strict=False)]))
    ends = torch.tensor([(start + 1, stop) for start, stop in pairwise(starts)])
    places = torch.searchsorted(joined, ends.to(joined.device, non_blocking=True)).tolist()
    return [joined[first:last] - start for (first, last), start in zip(places, starts, strict=False)]
