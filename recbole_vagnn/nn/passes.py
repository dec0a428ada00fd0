"""Passes through the layers of one symmetric graph: clean or perturbed, several at once, only the rows wanted.

The graph may have any number of node types: its nodes are numbered one type after the other, and Â is one square
symmetric matrix. Sources: He et al., LightGCN, SIGIR 2020, eqs. 3–8; Yu et al., SimGCL, SIGIR 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from recbole_vagnn.nn.propagation import symmetric_normalisation
from recbole_vagnn.nn.sparse import Csr

Weights = tuple[float, ...]


class Pass(NamedTuple):
    """One run through the layers E⁰ … E^K and what is wanted of it.

    Attributes:
        rows: (m,) int64 nodes wanted; all different where there is noise.
        taps: one output each: the weights of layers 0 … K in it.
        noise: (n, d) → (n, d), applied to every layer from 1 on, with a zero derivative of what it adds; None =
            a clean pass.
    """

    rows: Tensor
    taps: tuple[Weights, ...]
    noise: Callable[[Tensor], Tensor] | None = None


def layer_mean(n_layers: int, first: int = 0) -> Weights:
    """Weights of the mean of layers ``first`` … ``n_layers``.

    Example:
        >>> layer_mean(2, first=1)
        (0.0, 0.5, 0.5)
    """
    count = n_layers + 1 - first
    return (0.0,) * first + (1.0 / count,) * count


def single_layer(n_layers: int, layer: int) -> Weights:
    """Weights of one layer alone.

    Example:
        >>> single_layer(2, 1)
        (0.0, 1.0, 0.0)
    """
    return tuple(float(k == layer) for k in range(n_layers + 1))


def bipartite_adjacency(user_item: sp.spmatrix) -> sp.csr_matrix:
    """Â = D^-1/2 A D^-1/2 of the user–item graph as one square matrix.

    Args:
        user_item: (n_users, n_items), non-negative.

    Returns:
        (n, n) float64, n = n_users + n_items, users first. A node without edges keeps an empty row.
    """
    return symmetric_normalisation(sp.bmat([[None, user_item], [user_item.T, None]]))


def tripartite_adjacency(user_item: sp.spmatrix, item_vlogger: sp.spmatrix, user_vlogger: sp.spmatrix) -> sp.csr_matrix:
    """Â = D^-1/2 A D^-1/2 of the graph of users, items and vloggers as one square matrix.

    Args:
        user_item: (n_users, n_items); item_vlogger: (n_items, n_vloggers); user_vlogger: (n_users, n_vloggers);
            all non-negative.

    Returns:
        (n, n) float64, n = n_users + n_items + n_vloggers, in this order. A node without edges keeps an empty row.
    """
    r, c, s = user_item, item_vlogger, user_vlogger
    return symmetric_normalisation(sp.bmat([[None, r, s], [r.T, None, c], [s.T, c.T, None]]))


def _forward(adjacency: Csr, x: Tensor, passes: Sequence[Pass]) -> list[Tensor]:
    n_layers = len(passes[0].taps[0]) - 1
    # Before any noise: every pass shares this product.
    first = adjacency.matmul(x) if n_layers else x
    return [out for one in passes for out in _one_pass(adjacency, x, first, one, n_layers)]


def _one_pass(adjacency: Csr, x: Tensor, first: Tensor, one: Pass, n_layers: int) -> list[Tensor]:
    outputs = [x.new_zeros(len(one.rows), x.shape[1]) for _ in one.taps]
    layer = x
    for k in range(n_layers + 1):
        if k > 0:
            layer = first if k == 1 else adjacency.matmul(layer)
        if one.noise is not None and 0 < k < n_layers:
            layer = one.noise(layer)
        if not any(weights[k] for weights in one.taps):
            continue
        wanted = layer.index_select(0, one.rows)
        if one.noise is not None and 0 < k == n_layers:
            wanted = one.noise(wanted)  # no later layer needs the other rows
        for out, weights in zip(outputs, one.taps, strict=True):
            if weights[k]:
                out.add_(wanted, alpha=weights[k])
    return outputs


def _gradients_by_weights(
    passes: Sequence[Pass], grads: Sequence[Tensor | None], n_nodes: int
) -> list[tuple[Weights, Tensor]]:
    """Gradients of all outputs that weigh the layers alike, added up into one (n_nodes, d) table."""
    groups: dict[Weights, tuple[list[Tensor], list[Tensor]]] = {}
    wanted = [(one.rows, weights) for one in passes for weights in one.taps]
    for (rows, weights), grad in zip(wanted, grads, strict=True):
        if grad is not None:
            ids, parts = groups.setdefault(weights, ([], []))
            ids.append(rows)
            parts.append(grad)
    # The backward of an embedding look-up: unlike index_add_, it gives the same sum each time on a GPU too.
    scatter = torch.ops.aten.embedding_dense_backward
    return [
        (weights, scatter(torch.cat(parts), torch.cat(ids), n_nodes, -1, False))
        for weights, (ids, parts) in groups.items()
    ]


class _Passes(Function):
    # The noise is a constant where it is differentiable (sign has slope 0), so every pass has the same linear
    # backward: Â is symmetric, no activation is kept, and one run of Horner's scheme serves all passes.
    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Csr, passes: Sequence[Pass]) -> tuple[Tensor, ...]:
        ctx.adjacency, ctx.passes = adjacency, passes
        ctx.set_materialize_grads(False)
        return tuple(_forward(adjacency, x, passes))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        passes, adjacency = ctx.passes, ctx.adjacency
        groups = _gradients_by_weights(passes, grads, adjacency.shape[0])
        total: Tensor | None = None
        for k in reversed(range(len(passes[0].taps[0]))):
            total = None if total is None else adjacency.matmul(total)
            for weights, grad in groups:
                if weights[k]:
                    total = grad * weights[k] if total is None else total.add_(grad, alpha=weights[k])
        return total, None, None


def run_passes(adjacency: Csr, x: Tensor, passes: Sequence[Pass]) -> tuple[Tensor, ...]:
    r"""Run :math:`E^{(k+1)} = noise(\hat A E^{(k)})` once for each pass and return the layer sums it asks for.

    Runs in the dtype of the embeddings even under autocast: bf16 sums over thousands of neighbours would lose
    most of their digits. Draws of a pass come in the order of its layers, those of the passes one after the
    other; the last layer draws for the wanted rows alone.

    Args:
        adjacency: Â, symmetric, (n, n).
        x: (n, d) layer-0 embeddings E⁰.
        passes: at least one; all taps have K + 1 weights, K the number of layers.

    Returns:
        for each tap of each pass Σ_k weight_k E^(k)[rows], (m, d), in order; differentiable once in ``x``.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        return _Passes.apply(x, adjacency, passes)  # type: ignore[no-any-return]
