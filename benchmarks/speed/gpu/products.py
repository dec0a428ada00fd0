"""Ways to multiply Â with a dense table on one device, against the bandwidth of a copy and of a gather."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.nn import sparse
from recbole_vagnn.nn.passes import bipartite_adjacency
from recbole_vagnn.nn.sparse import Csr, Pieces

from .clock import Clock

Action = Callable[[], Tensor]
_COPIED = 2**28  # numbers
_CHECKED = 4  # columns compared with float64
_PIECES = (32, 64, 128, 256)
_TRITON = ((8, 1), (16, 1), (32, 2), (64, 4))  # entries at once, warps


def random_interactions(n_users: int, n_items: int, count: int, seed: int = 0) -> sp.csr_matrix:
    """A 0/1 matrix whose users and items have as unequal degrees as on a platform.

    Returns:
        (n_users, n_items); repeated pairs count once, so it has somewhat fewer entries than ``count``.
    """
    rng = np.random.default_rng(seed)
    rows = (n_users * rng.random(count) ** 1.5).astype(np.int64)
    columns = (n_items * rng.random(count) ** 2.5).astype(np.int64)
    matrix = sp.csr_matrix((np.ones(count), (rows, columns)), shape=(n_users, n_items))
    matrix.data[:] = 1.0
    return matrix


class ProductBench:
    """Times every way on one graph.

    Args:
        interactions: R; multiplied is Â of the whole graph.
        size: d.
        clock: of the device.
    """

    def __init__(self, interactions: sp.csr_matrix, size: int, clock: Clock) -> None:
        self._clock, self._device = clock, clock.device
        scipy_matrix = bipartite_adjacency(interactions)
        self._host = Csr.from_scipy(scipy_matrix)
        self._matrix = self._host.to(self._device)
        generator = torch.Generator().manual_seed(0)
        table = torch.randn(self._host.shape[1], size, generator=generator)
        self._exact = scipy_matrix @ table[:, :_CHECKED].double().numpy()
        self._table = table.to(self._device)
        lengths = self._host.offsets.diff()
        self.sizes = {
            "nodes": len(lengths),
            "nonzeros": self._host.columns.numel(),
            "longest_row": int(lengths.max()),
            "size": size,
        }

    def run(self, told: Callable[[str], None], over: Callable[[], bool]) -> dict[str, Any]:
        """Time all ways until the time is over; a way that fails is reported with its error."""
        found: dict[str, Any] = {"sizes": self.sizes, "ways": {}}
        for name, dtype, make in self._ways():
            if over():
                found["cut_short"] = True
                break
            told(f"product {self.sizes['nonzeros']:,} × {name}")
            try:
                found["ways"][name] = self._time(make(), dtype)
            except Exception as error:  # one kernel that a device lacks must not end the others
                found["ways"][name] = {"error": f"{type(error).__name__}: {error}"[:300]}
        return found

    def _time(self, action: Action, dtype: torch.dtype) -> dict[str, Any]:
        result = action()
        error = None
        if result.shape == (self._host.shape[0], self.sizes["size"]):
            got = result[:, :_CHECKED].double().cpu().numpy()
            error = float(np.linalg.norm(got - self._exact) / np.linalg.norm(self._exact))
        del result
        warm, cold = self._clock.median(action), self._clock.median(action, cold=True)
        read = self.sizes["nonzeros"] * self.sizes["size"] * dtype.itemsize
        speed = {"gb_s": read / warm["seconds"] / 1e9, "gb_s_cold": read / cold["seconds"] / 1e9}
        return {"warm": warm, "cold": cold, "error_to_float64": error, **speed}

    # --- the ways -------------------------------------------------------------------------------------------------

    def _ways(self) -> Iterator[tuple[str, torch.dtype, Callable[[], Action]]]:
        yield "gather alone (copies every row read)", torch.float32, self._gather
        yield "sum of rows, not weighed", torch.float32, self._unweighed
        for dtype, label in ((torch.float32, ""), (torch.bfloat16, ", bf16")):
            for wide in (False, True):
                width = "int64" if wide else "int32"
                yield f"embedding_bag {width}{label}", dtype, lambda d=dtype, w=wide: self._bag(d, w)  # type: ignore[misc]
                yield f"CSR {width}{label}", dtype, lambda d=dtype, w=wide: self._csr(d, w)  # type: ignore[misc]
            for most in _PIECES:
                yield f"embedding_bag, pieces of {most}{label}", dtype, lambda d=dtype, m=most: self._split(d, m)  # type: ignore[misc]
            for entries, warps in _TRITON:
                name = f"Triton, rows, {entries} entries, {warps} warps{label}"
                yield name, dtype, lambda d=dtype, e=entries, w=warps: self._triton(d, e, w, None)  # type: ignore[misc]
                for most in _PIECES[1:]:
                    name = f"Triton, pieces of {most}, {entries} entries, {warps} warps{label}"
                    yield name, dtype, lambda d=dtype, e=entries, w=warps, m=most: self._triton(d, e, w, m)  # type: ignore[misc]
        yield "COO", torch.float32, self._coo
        yield "gather + index_add", torch.float32, self._index_add
        yield "gather + segment_reduce", torch.float32, self._segment_reduce

    def _operands(self, dtype: torch.dtype, wide: bool = False) -> tuple[Csr, Tensor]:
        matrix = self._matrix._replace(weights=self._matrix.weights.to(dtype), pieces=None)
        if wide:
            matrix = matrix._replace(offsets=matrix.offsets.long(), columns=matrix.columns.long())
        return matrix, self._table.to(dtype)

    def _gather(self) -> Action:
        matrix, table = self._operands(torch.float32)
        return lambda: table.index_select(0, matrix.columns)

    def _unweighed(self) -> Action:
        matrix, table = self._operands(torch.float32)
        ones = torch.nn.functional.embedding_bag
        return lambda: ones(matrix.columns, table, matrix.offsets, mode="sum", include_last_offset=True)[:0]

    def _bag(self, dtype: torch.dtype, wide: bool) -> Action:
        matrix, table = self._operands(dtype, wide)
        return lambda: sparse.bag_product(matrix, table)

    def _split(self, dtype: torch.dtype, most: int) -> Action:
        matrix, table = self._operands(dtype)
        matrix = matrix._replace(pieces=Pieces.of(matrix.offsets, most))
        return lambda: sparse.split_bag_product(matrix, table)

    def _csr(self, dtype: torch.dtype, wide: bool) -> Action:
        matrix, table = self._operands(dtype, wide)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the layout is in beta
            sparse.csr_product(matrix, table)
        return lambda: sparse.csr_product(matrix, table)

    def _coo(self) -> Action:
        rows, matrix = self._row_numbers(), self._matrix
        indices = torch.stack([rows, matrix.columns.long()])
        coo = torch.sparse_coo_tensor(indices, matrix.weights, matrix.shape, check_invariants=False).coalesce()
        return lambda: torch.sparse.mm(coo, self._table)

    def _row_numbers(self) -> Tensor:
        lengths = self._matrix.offsets.diff().long()
        return torch.repeat_interleave(torch.arange(len(lengths), device=self._device), lengths)

    def _weighed_rows(self) -> Tensor:
        return self._table.index_select(0, self._matrix.columns).mul_(self._matrix.weights[:, None])

    def _index_add(self) -> Action:
        rows, shape = self._row_numbers(), (self._matrix.shape[0], self.sizes["size"])
        return lambda: self._table.new_zeros(shape).index_add_(0, rows, self._weighed_rows())

    def _segment_reduce(self) -> Action:
        offsets = self._matrix.offsets.long()
        return lambda: torch.segment_reduce(self._weighed_rows(), "sum", offsets=offsets, initial=0.0)

    def _triton(self, dtype: torch.dtype, entries: int, warps: int, most: int | None) -> Action:
        from .triton_csr import rows_product

        matrix, table = self._operands(dtype)
        weights = self._matrix.weights
        if most is None:
            return lambda: rows_product(matrix.offsets, matrix.columns, weights, table, dtype, entries, warps)
        pieces = Pieces.of(matrix.offsets, most)

        def product() -> Tensor:
            sums = rows_product(pieces.offsets, matrix.columns, weights, table, torch.float32, entries, warps)
            return rows_product(pieces.first, pieces.numbers, None, sums, dtype, entries, warps)

        return product


def copy_bandwidth(clock: Clock, small: bool) -> float:
    """GB/s of a plain copy, bytes read and bytes written."""
    numbers = _COPIED // 64 if small else _COPIED
    source = torch.rand(numbers, device=clock.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / clock.median(lambda: target.copy_(source))["seconds"] / 1e9
