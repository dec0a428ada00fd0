"""Graph trend filtering of node embeddings (GTN).

Fan, Liu, Jin, Zhao, Tang, Li, "Graph Trend Filtering Networks for Recommendations", SIGIR 2022
(arXiv 2108.05552), section 3.

Edge e of the bipartite graph joins user u and item i. The incidence matrix Δ, (edges × nodes), has +1 at i and −1
at u; D̃ = D + I, Δ̃ = Δ D̃^-1/2, L̃ = Δ̃ᵀΔ̃ = D̃^-1/2 (D − A) D̃^-1/2. The layers are proximal steps (γ = 1, β = ½) on

    min over E of ½‖E − X‖²_F + λ2 ‖Δ̃E‖₁.

With γ = 1 the gradient step Y = E − γ(E − X) is X itself, so a layer depends on the one before it through Z alone:

    W⁰ = X, Z⁰ = 0;  Z^(k+1) = clip(Z^k + ½ Δ̃ W^k, −λ2, λ2),  W^(k+1) = X − Δ̃ᵀ Z^(k+1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from recbole_vagnn.nn.sparse import Csr

_BETA = 0.5
_COLUMNS, _BLOCK_EDGES = 16, 32768  # at once on a CPU: what they need stays in its cache
_PER_EDGE = 3  # entries in a row of TrendGraph.edges


class TrendGraph(NamedTuple):
    """The constant matrices of trend filtering; nodes are the users, then the items; n of them, m edges.

    Attributes:
        smooth: I − ½L̃, (n, n), symmetric: a layer in which nothing clips.
        edges: [½Δ̃, I], (m, n + m), three entries a row: one step of Z from node rows and edge rows.
        nodes: Δ̃ᵀ, (n, m).
        reach: (n, 1), the diagonal of D̃^-1/2, 0 at nodes without edges: the most a node row adds to a row of Δ̃.
        n_users: number of user rows.
    """

    smooth: Csr
    edges: Csr
    nodes: Csr
    reach: Tensor
    n_users: int

    @classmethod
    def from_scipy(cls, interactions: sp.spmatrix, dtype: torch.dtype = torch.float32) -> TrendGraph:
        """Build from a 0/1 matrix; a node without edges is left as it is by every layer.

        Args:
            interactions: (n_users, n_items); only its support is read.
            dtype: of the weights; they are computed in float64.
        """
        support = sp.csr_matrix(interactions, dtype=np.float64, copy=True)
        support.eliminate_zeros()
        support.sort_indices()
        n_users, n_items = support.shape
        m, n = support.nnz, n_users + n_items
        users, items = np.repeat(np.arange(n_users), np.diff(support.indptr)), support.indices + n_users
        degree = np.bincount(users, minlength=n) + np.bincount(items, minlength=n)
        scale = 1.0 / np.sqrt(degree + 1.0)

        columns = np.stack([users, items], axis=1).ravel()
        values = np.stack([-scale[users], scale[items]], axis=1).ravel()
        incidence = sp.csr_matrix((values, columns, np.arange(0, 2 * m + 1, 2)), shape=(m, n))
        adjacency = sp.csr_matrix((scale[users] * scale[items], (users, items)), shape=(n, n))
        kept = sp.diags(1.0 - _BETA * degree / (degree + 1.0))
        return cls(
            smooth=Csr.from_scipy(kept + _BETA * (adjacency + adjacency.T), dtype),
            edges=Csr.from_scipy(sp.hstack([_BETA * incidence, sp.identity(m)], format="csr"), dtype),
            nodes=Csr.from_scipy(incidence.T, dtype),
            reach=torch.from_numpy(np.where(degree > 0, scale, 0.0)).to(dtype).unsqueeze(1),
            n_users=n_users,
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TrendGraph:
        """Copy to a device, and to a floating dtype where given."""
        smooth, edges, nodes = (matrix.to(device, dtype) for matrix in (self.smooth, self.edges, self.nodes))
        reach = self.reach.to(device=device, dtype=dtype or self.reach.dtype)
        return TrendGraph(smooth, edges, nodes, reach, self.n_users)


def trend_filtering(graph: TrendGraph, nodes: Tensor, n_layers: int, clip: float) -> Tensor:
    """W^K of the module docstring: K layers of graph trend filtering (GTN, section 3.2).

    Where no entry of any Z can reach ±λ2, the layers are the powers of I − ½L̃ and no edge is visited; a bound over
    the nodes tells. Otherwise every layer visits every edge, which takes many times longer; on a CPU Z exists for a
    few columns at a time, and backward keeps one byte for each of the m × d entries of Z and each layer. Runs in the
    dtype of the embeddings even under autocast.

    Args:
        graph: the graph of n nodes.
        nodes: X, (n, d): user rows, then item rows, of the dtype of the graph.
        n_layers: K ≥ 0.
        clip: λ2 ≥ 0, may be infinite.

    Returns:
        (n, d), differentiable once.
    """
    with torch.autocast(device_type=nodes.device.type, enabled=False):
        return _TrendFiltering.apply(nodes, graph, n_layers, float(clip))  # type: ignore[no-any-return]


class _TrendFiltering(Function):
    @staticmethod
    def forward(ctx: Any, nodes: Tensor, graph: TrendGraph, n_layers: int, clip: float) -> Tensor:
        ctx.graph, ctx.n_layers, ctx.inside = graph, n_layers, None
        smoothed = _layers_without_clipping(graph, nodes, n_layers, clip)
        if smoothed is not None:
            return smoothed
        filtered, ctx.inside = torch.empty_like(nodes), []
        edges = _EdgeRows(graph, nodes)
        for columns in edges.column_blocks:
            layer, inside = _layers(edges, nodes[:, columns], n_layers, clip, ctx.needs_input_grad[0])
            filtered[:, columns] = layer
            ctx.inside.append(inside)
        return filtered

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        grad = grad.contiguous()
        if ctx.inside is None:
            for _ in range(ctx.n_layers):
                grad = ctx.graph.smooth.matmul(grad)
            return grad, None, None, None
        total = torch.empty_like(grad)
        edges = _EdgeRows(ctx.graph, grad)
        for columns, inside in zip(edges.column_blocks, ctx.inside, strict=True):
            total[:, columns] = _layers_backward(edges, grad[:, columns], inside)
        return total, None, None, None


def _layers_without_clipping(graph: TrendGraph, nodes: Tensor, n_layers: int, clip: float) -> Tensor | None:
    """(I − ½L̃)^K X, or None if an entry of some Z might clip on the way.

    As long as nothing clips, Z^k is ½ Δ̃ S with S = W⁰ + … + W^(k−1): its entries in a column lie between the
    extremes over the items minus those over the users.
    """
    layer, total = nodes, torch.zeros_like(nodes)
    for _ in range(n_layers):
        total = total + layer
        users, items = (total * graph.reach).tensor_split([graph.n_users])
        if not (len(users) and len(items)):
            return nodes.clone()
        # Not aminmax, which is 50 times slower along columns.
        largest = torch.maximum(items.amax(0) - users.amin(0), users.amax(0) - items.amin(0)).max()
        if not float(_BETA * largest) <= clip:  # not ">": a NaN must go the way that keeps it to its own edges
            return None
        layer = graph.smooth.matmul(layer)
    return layer if n_layers else nodes.clone()


def _layers(
    edges: _EdgeRows, nodes: Tensor, n_layers: int, clip: float, keep: bool
) -> tuple[Tensor, list[list[Tensor]]]:
    """W^K of some columns, edge by edge; and, if asked to ``keep`` them, for each layer and block of edges which
    entries of Z are inside ±λ2, as int8 0/1.
    """
    inside: list[list[Tensor]] = []
    edges.clear(nodes.shape[1])
    layer = nodes
    for _ in range(n_layers):
        kept: list[Tensor] = []
        for step, rows in edges.step(layer):
            torch.clamp(step, -clip, clip, out=rows)
            if keep:
                kept.append(torch.eq(step, rows).view(torch.int8))  # int8: a product with bool is slower
        inside.append(kept)
        layer = nodes - edges.sums()
    return layer, inside


def _layers_backward(edges: _EdgeRows, grad: Tensor, inside: list[list[Tensor]]) -> Tensor:
    """Gradient of the layers: the same steps in reverse order, with the mask of each in the place of its clip.

    V^K = the incoming gradient, P^(K+1) = 0; P^k = inside^k ⊙ (P^(k+1) + ½ Δ̃ V^k), V^(k−1) = −Δ̃ᵀ P^k. X enters
    every W^k, so its gradient is the sum of all V.
    """
    edges.clear(grad.shape[1])
    total = grad.clone()
    for kept in reversed(inside):
        for (step, rows), mask in zip(edges.step(grad), kept, strict=True):
            torch.mul(step, mask, out=rows)
        grad = -edges.sums()
        total += grad
    return total


class _EdgeRows:
    """Z of some columns, with the node rows it is computed from: one table, so that one sparse product does a step.

    Columns do not depend on each other, and a few at a time keep the node rows in a CPU's cache and Z small.

    Attributes:
        column_blocks: slices over the d columns; one block after the other uses the table.
    """

    def __init__(self, graph: TrendGraph, like: Tensor) -> None:
        on_cpu = like.device.type == "cpu"
        n, d = like.shape
        width = min(d, _COLUMNS) if on_cpu else d
        self.column_blocks = [slice(start, min(start + width, d)) for start in range(0, d, width)]
        self._graph = graph
        self._n_nodes = n
        self._n_edges = graph.edges.shape[0]
        self._block = _BLOCK_EDGES if on_cpu else max(1, self._n_edges)
        self._table = like.new_empty((n + self._n_edges) * width)

    def clear(self, width: int) -> None:
        """Z = 0, for a block of so many columns."""
        self._rows = self._table[: (self._n_nodes + self._n_edges) * width].view(-1, width)
        self._rows[self._n_nodes :].zero_()

    def step(self, nodes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Z + ½ Δ̃ × nodes, block by block, each with the rows of Z that its caller overwrites.

        Args:
            nodes: (n, columns of the block).
        """
        self._rows[: self._n_nodes] = nodes
        for start in range(0, self._n_edges, self._block):
            stop = min(start + self._block, self._n_edges)
            rows = self._rows[self._n_nodes + start : self._n_nodes + stop]
            yield _some_rows(self._graph.edges, start, stop).matmul(self._rows), rows

    def sums(self) -> Tensor:
        """Δ̃ᵀ Z, (n, columns of the block)."""
        return self._graph.nodes.matmul(self._rows[self._n_nodes :])


def _some_rows(edges: Csr, start: int, stop: int) -> Csr:
    """Rows of ``graph.edges``, as views: its rows are equally long, so the first offsets serve every block."""
    entries = slice(start * _PER_EDGE, stop * _PER_EDGE)
    shape = (stop - start, edges.shape[1])
    return Csr(edges.offsets[: shape[0] + 1], edges.columns[entries], edges.weights[entries], shape)
