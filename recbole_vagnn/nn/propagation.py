"""LightGCN propagation on a weighted bipartite graph.

Source: He et al., LightGCN, SIGIR 2020, eqs. 3–8; used by VA-GNN (arXiv 2405.18260) in both of its views.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from recbole_vagnn.nn.sparse import SparsePair


def symmetric_normalisation(matrix: sp.spmatrix) -> sp.csr_matrix:
    """Scale a biadjacency matrix so that the bipartite graph is D^-1/2 A D^-1/2.

    Args:
        matrix: (n_left, n_right), non-negative edge weights.

    Returns:
        (n_left, n_right) float64 with entries m_ij / sqrt(d_i d_j), where d_i and d_j are the row and column
        sums. A node without edges keeps an empty row or column.
    """
    m = sp.csr_matrix(matrix, dtype=np.float64)
    left = _inverse_root(np.asarray(m.sum(axis=1)).ravel())
    right = _inverse_root(np.asarray(m.sum(axis=0)).ravel())
    return sp.csr_matrix(sp.diags(left) @ m @ sp.diags(right))


def _inverse_root(degree: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(degree > 0, degree**-0.5, 0.0)


def _mean_of_layers(graph: SparsePair, left: Tensor, right: Tensor, n_layers: int) -> tuple[Tensor, Tensor]:
    # Horner's scheme of (I + A + … + A^L) X: as many products as layers, and no list of layers to keep.
    sum_left, sum_right = left, right
    for _ in range(n_layers):
        sum_left, sum_right = (
            graph.forward.matmul(sum_right).add_(left),
            graph.transposed.matmul(sum_left).add_(right),
        )
    scale = 1.0 / (n_layers + 1)
    return sum_left * scale, sum_right * scale


class _LightPropagation(Function):
    # The mean of the powers of a symmetric matrix is symmetric: backward is forward, and keeps no activation.
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, graph: SparsePair, n_layers: int) -> tuple[Tensor, Tensor]:
        ctx.graph, ctx.n_layers = graph, n_layers
        return _mean_of_layers(graph, left, right, n_layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_left: Tensor, grad_right: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grads = _mean_of_layers(ctx.graph, grad_left.contiguous(), grad_right.contiguous(), ctx.n_layers)
        return (*grads, None, None)


def light_propagation(graph: SparsePair, left: Tensor, right: Tensor, n_layers: int) -> tuple[Tensor, Tensor]:
    """Mean of layers 0…L of X^(l+1) = Â X^(l) (LightGCN, eqs. 7 and 8 with equal layer weights).

    Runs in the dtype of the embeddings even under autocast: bf16 sums over thousands of neighbours would
    lose most of their digits.

    Args:
        graph: normalised biadjacency, shape (n_left, n_right), and its transpose.
        left: (n_left, d) layer-0 embeddings.
        right: (n_right, d) layer-0 embeddings.
        n_layers: L ≥ 0.

    Returns:
        (n_left, d) and (n_right, d).
    """
    with torch.autocast(device_type=left.device.type, enabled=False):
        return _LightPropagation.apply(left, right, graph, n_layers)  # type: ignore[no-any-return]
