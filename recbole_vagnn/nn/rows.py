"""Rows of a table for several purposes at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def look_up(table: Tensor, ids: Sequence[Tensor]) -> list[Tensor]:
    """The rows of each list of ids, by one look-up.

    Each look-up's backward fills a gradient of the whole table, however few its rows: one look-up fills one.

    Args:
        table: (n, d).
        ids: lists of row numbers, each (k,) int64.

    Returns:
        for each list (k, d).

    Example:
        >>> import torch
        >>> look_up(torch.tensor([[1.0], [2.0], [3.0]]), [torch.tensor([2, 0]), torch.tensor([2])])
        [tensor([[3.],
                [1.]]), tensor([[3.]])]
    """
    return list(functional.embedding(torch.cat(list(ids)), table).split([len(one) for one in ids]))


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """(n, d) tables as one (n, d × number of tables); a single one as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
