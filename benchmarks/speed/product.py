"""The sparse product against a pure gather with the same indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.sparse as sp
import torch
from torch.nn import functional

from recbole_vagnn.nn.passes import bipartite_adjacency
from recbole_vagnn.nn.sparse import Csr

from .timing import in_turn, summaries, timed

_PIECE = 4096  # rows that index_select copies at once: its output stays in the cache
PRODUCT = "product"
GATHERS = ("sum of rows", "copy of rows")


def product_against_gather(interactions: sp.csr_matrix, size: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Time of Â × a dense table, and of two ways to do nothing but gather the rows it reads.

    The gathers read the same rows in the same order: one adds up the rows of each bag without weighing them, the other
    copies them. A gather's bandwidth is that of the faster one.

    Args:
        interactions: R; Â is the whole graph's.
        size: d, columns of the table.
        rounds, seconds: as of :func:`in_turn`.

    Returns:
        times by name, ``bytes`` of the rows read, ``bandwidth`` of the product and ``gather_bandwidth`` in GB/s, and
        their ``ratio``.
    """
    matrix = Csr.from_scipy(bipartite_adjacency(interactions))
    table = torch.randn(matrix.shape[1], size, generator=torch.Generator().manual_seed(0))
    actions: dict[str, Callable[[], object]] = {
        PRODUCT: lambda: matrix.matmul(table),
        GATHERS[0]: lambda: functional.embedding_bag(
            matrix.columns, table, matrix.offsets, mode="sum", include_last_offset=True
        ),
        GATHERS[1]: _copying(matrix, table),
    }
    for action in actions.values():
        action()
    found = summaries(
        in_turn({name: lambda a=action: [timed(a)] for name, action in actions.items()}, rounds, seconds, least=3)  # type: ignore[misc]
    )
    read = matrix.columns.numel() * size * table.element_size()
    gather = max(read / found[name]["seconds"] for name in GATHERS)
    bandwidth = read / found[PRODUCT]["seconds"]
    return {
        "times": found,
        "bytes": read,
        "nonzeros": matrix.columns.numel(),
        "bandwidth": bandwidth / 1e9,
        "gather_bandwidth": gather / 1e9,
        "ratio": bandwidth / gather,
    }


def _copying(matrix: Csr, table: torch.Tensor) -> Callable[[], object]:
    pieces = matrix.columns.split(_PIECE)
    buffer = table.new_empty(_PIECE, table.shape[1])

    def copy() -> None:
        for piece in pieces:
            torch.index_select(table, 0, piece, out=buffer[: len(piece)])

    return copy
