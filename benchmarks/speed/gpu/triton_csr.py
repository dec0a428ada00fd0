"""A CSR product in Triton: one program a row, a block of the row's entries at a time."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _rows(
    offsets,
    columns,
    weights,
    dense,
    out,
    SIZE: tl.constexpr,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    WEIGHED: tl.constexpr,
):
    row = tl.program_id(0)
    start, stop = tl.load(offsets + row), tl.load(offsets + row + 1)
    d = tl.arange(0, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    for at in range(start, stop, ENTRIES):
        entry = at + tl.arange(0, ENTRIES)
        inside = entry < stop
        column = tl.load(columns + entry, mask=inside, other=0).to(tl.int64)
        mask = inside[:, None] & (d < SIZE)[None, :]
        rows = tl.load(dense + column[:, None] * SIZE + d[None, :], mask=mask, other=0.0).to(tl.float32)
        if WEIGHED:
            weight = tl.load(weights + entry, mask=inside, other=0.0).to(tl.float32)
            rows = rows * weight[:, None]
        total += tl.sum(rows, axis=0)
    tl.store(out + row.to(tl.int64) * SIZE + d, total.to(out.dtype.element_ty), mask=d < SIZE)


def rows_product(
    offsets: Tensor,
    columns: Tensor,
    weights: Tensor | None,
    dense: Tensor,
    dtype: torch.dtype,
    entries: int,
    warps: int,
) -> Tensor:
    """Sum over each row's entries of weight × row of ``dense``; sums in float32.

    Args:
        offsets: (n_rows + 1,); columns: (nnz,); weights: (nnz,), None = 1 each.
        dense: (n_cols, d) contiguous.
        dtype: of the result.
        entries: of a row at once, a power of 2; warps: of a program.

    Returns:
        (n_rows, d).
    """
    n_rows, size = len(offsets) - 1, dense.shape[1]
    out = dense.new_empty(n_rows, size, dtype=dtype)
    launch: Any = _rows[(n_rows,)]
    launch(
        offsets, columns, weights if weights is not None else dense, dense, out, SIZE=size,
        WIDTH=triton.next_power_of_2(size), ENTRIES=entries, WEIGHED=weights is not None, num_warps=warps,
    )  # fmt: skip
    return out
