"""Sparse × dense product whose matrix is constant.

``embedding_bag`` in mode "sum" with per-sample weights is a CSR product: bag i is row i. On a CPU it reaches
the memory bandwidth of a plain gather and is several times faster than ``torch.sparse.mm``
(docs/performance.md); it runs on CUDA too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_INT32_MAX = np.iinfo(np.int32).max


class Csr(NamedTuple):
    """A constant matrix in compressed sparse rows, shape (n_rows, n_cols).

    Attributes:
        offsets: (n_rows + 1,) int32 or int64, start of each row in the other two.
        columns: (nnz,) of the same dtype.
        weights: (nnz,) float32 or float64.
        shape: (n_rows, n_cols).
    """

    offsets: Tensor
    columns: Tensor
    weights: Tensor
    shape: tuple[int, int]

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
        """Copy to a device, and to a floating dtype where given."""
        weights = self.weights.to(device=device, dtype=dtype or self.weights.dtype)
        return Csr(self.offsets.to(device), self.columns.to(device), weights, self.shape)

    def matmul(self, dense: Tensor) -> Tensor:
        """Product with a dense (n_cols, d) matrix, shape (n_rows, d); not differentiable by itself."""
        if self.columns.numel() == 0:
            return dense.new_zeros(self.shape[0], dense.shape[1])
        return torch.nn.functional.embedding_bag(
            self.columns,
            dense,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )


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

    Args:
        matrix: constant, shape (n_rows, n_cols).
        dense: (n_cols, d), of the dtype of the matrix.

    Returns:
        (n_rows, d).
    """
    return _SparseProduct.apply(dense, matrix)  # type: ignore[no-any-return]
