"""Sparse × dense product whose matrix is constant, by the kernel that is best on its device.

``embedding_bag`` in mode "sum" with per-sample weights is a CSR product: bag i is row i. On a CPU it reaches
the memory bandwidth of a plain gather and is several times faster than ``torch.sparse.mm``
(docs/performance.md). ``KERNELS`` says which kernel serves which type of device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_INT32_MAX = np.iinfo(np.int32).max
# Entries of a row that one bag of split_bag_product adds up. Products with 32, 64, 128, 256 of them on an NVIDIA H100
# (2026-11-28): 290, 289, 293, 330 µs (2 million non-zeros), 3.14, 2.79, 2.56, 2.50 ms (20 million).
PIECE = 128


class Pieces(NamedTuple):
    """Rows cut into pieces of at most ``PIECE`` entries (or as asked for), so that a long row is not one long bag.

    Attributes:
        offsets: (n_pieces + 1,) start of each piece in the matrix's entries; an empty row has one empty piece.
        numbers: (n_pieces,) 0, 1, 2, …
        first: (n_rows + 1,) first piece of each row. All three have the dtype of the matrix's offsets.
    """

    offsets: Tensor
    numbers: Tensor
    first: Tensor

    @classmethod
    def of(cls, offsets: Tensor, most: int = PIECE) -> Pieces:
        """Cut the rows that start at ``offsets``, (n_rows + 1,), after every ``most`` entries; on the same device."""
        starts = offsets.to("cpu", torch.int64).numpy()
        lengths = np.diff(starts)
        first = np.concatenate([[0], np.cumsum(np.maximum(-(-lengths // most), 1))])
        row = np.repeat(np.arange(len(lengths)), np.diff(first))
        pieces = np.arange(first[-1])
        begin = starts[row] + (pieces - first[row]) * most
        made = (np.append(begin, starts[-1]), pieces, first)
        return cls(*(torch.from_numpy(part).to(offsets.device, offsets.dtype) for part in made))


class Csr(NamedTuple):
    """A constant matrix in compressed sparse rows, shape (n_rows, n_cols).

    Attributes:
        offsets: (n_rows + 1,) int32 or int64, start of each row in the other two.
        columns: (nnz,) of the same dtype.
        weights: (nnz,) float32 or float64.
        shape: (n_rows, n_cols).
        pieces: of its rows, for the kernel that wants them; :meth:`to` makes them. None: rows are not cut.
    """

    offsets: Tensor
    columns: Tensor
    weights: Tensor
    shape: tuple[int, int]
    pieces: Pieces | None = None

    @classmethod
    def from_scipy(cls, matrix: sp.spmatrix, dtype: torch.dtype = torch.float32) -> Csr:
        """Copy a scipy matrix; indices are 32 bits wide where they fit, which halves their traffic."""
        csr = sp.csr_matrix(matrix)
        csr.sort_indices()
        width = np.int32 if max(csr.nnz, *csr.shape) <= _INT32_MAX else np.int64
        return cls(
            torch.from_numpy(csr.indptr.astype(width)),
            torch.from_numpy(csr.indices.astype(width)),
            torch.from_numpy(csr.data.astype(np.float64)).to(dtype),
            (int(csr.shape[0]), int(csr.shape[1])),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Csr:
        """Copy to a device, and to a floating dtype where given; with pieces if the device's kernel wants them."""
        device = torch.device(device)
        weights = self.weights.to(device=device, dtype=dtype or self.weights.dtype)
        offsets = self.offsets.to(device)
        pieces = Pieces.of(offsets) if kernel_of(device) is split_bag_product else None
        return Csr(offsets, self.columns.to(device), weights, self.shape, pieces)

    def matmul(self, dense: Tensor) -> Tensor:
        """Product with a dense (n_cols, d) matrix, shape (n_rows, d); not differentiable by itself.

        Detached, or embedding_bag would prepare for a backward pass of its own that nobody asks for.
        """
        if self.columns.numel() == 0:
            return dense.new_zeros(self.shape[0], dense.shape[1])
        return kernel_of(dense.device)(self, dense.detach())


# --- kernels ----------------------------------------------------------------------------------------------------

Kernel = Callable[[Csr, Tensor], Tensor]


def bag_product(matrix: Csr, dense: Tensor) -> Tensor:
    """One bag a row. The sum of a row has a fixed order, so the product is the same each time."""
    return torch.nn.functional.embedding_bag(
        matrix.columns,
        dense,
        matrix.offsets,
        mode="sum",
        per_sample_weights=matrix.weights,
        include_last_offset=True,
    )


def split_bag_product(matrix: Csr, dense: Tensor) -> Tensor:
    """One bag a piece of a row, then one bag of pieces a row; the same each time, too.

    On a GPU a bag is added up by one group of threads, entry after entry: the longest row would decide how long all
    take, and the rows of a popular video have thousands of entries.
    """
    pieces = matrix.pieces
    if pieces is None or len(pieces.numbers) == matrix.shape[0]:
        return bag_product(matrix, dense)
    sums = bag_product(matrix._replace(offsets=pieces.offsets), dense)
    return torch.nn.functional.embedding_bag(pieces.numbers, sums, pieces.first, mode="sum", include_last_offset=True)


def csr_product(matrix: Csr, dense: Tensor) -> Tensor:
    """The vendor's product: MKL on a CPU, cuSPARSE on a GPU."""
    vendors = torch.sparse_csr_tensor(
        matrix.offsets, matrix.columns, matrix.weights, matrix.shape, check_invariants=False
    )
    return vendors @ dense


# By type of device; another type is served as "cpu". On an NVIDIA H100 (2026-11-28, docs/performance.md) a step of
# VA-GNN took 30.8, 25.0 and 26.5 ms by bag_product, split_bag_product and csr_product, one of SimGCL 10.6, 8.65 and
# 8.27 ms; the product alone 659, 293 and 117 µs. cuSPARSE by itself is the fastest of the three, but its steps are not
# clearly faster, and the algorithm that torch asks it for (CUSPARSE_SPMM_CSR_ALG2) promises no equal result twice.
KERNELS: dict[str, Kernel] = {"cpu": bag_product, "cuda": split_bag_product}


def kernel_of(device: torch.device) -> Kernel:
    """The kernel that serves a device."""
    return KERNELS.get(device.type, KERNELS["cpu"])


# --- differentiable ---------------------------------------------------------------------------------------------


class SparsePair(NamedTuple):
    """A constant matrix and its transpose, kept together so that backward needs no transposition."""

    forward: Csr
    transposed: Csr

    @classmethod
    def from_scipy(cls, matrix: sp.spmatrix, dtype: torch.dtype = torch.float32) -> SparsePair:
        """Copy a scipy matrix of shape (n_rows, n_cols)."""
        return cls(Csr.from_scipy(matrix, dtype), Csr.from_scipy(matrix.T, dtype))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> SparsePair:
        """Copy to a device, and to a floating dtype where given."""
        return SparsePair(self.forward.to(device, dtype), self.transposed.to(device, dtype))


class _SparseProduct(Function):
    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: SparsePair) -> Tensor:
        ctx.matrix = matrix
        return matrix.forward.matmul(dense)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.matrix.transposed.matmul(grad.contiguous()), None


def sparse_product(matrix: SparsePair, dense: Tensor) -> Tensor:
    """``matrix @ dense``, differentiable in ``dense``.

    Runs in the dtype of the matrix even under autocast, which may hand over bf16 or half rows: sums over thousands of
    neighbours would lose most of their digits.

    Args:
        matrix: constant, shape (n_rows, n_cols).
        dense: (n_cols, d).

    Returns:
        (n_rows, d), of the dtype of the matrix.
    """
    with torch.autocast(device_type=dense.device.type, enabled=False):
        return _SparseProduct.apply(dense.to(matrix.forward.weights.dtype), matrix)  # type: ignore[no-any-return]
