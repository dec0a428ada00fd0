"""RecBole's NGCF (Wang et al., SIGIR 2019) with a fast sparse product."""

from __future__ import annotations

import numpy as np
import torch
from recbole.model.general_recommender.ngcf import NGCF
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.models.recbole_fast.adjacency import recbole_adjacency
from recbole_vagnn.nn.sparse import Csr, SparsePair, sparse_product


class _EdgeDropout:
    """RecBole's SparseDropout of a symmetric matrix: it draws for every entry, so that a node's two edges differ.

    Args:
        rows, columns: (nnz,) of the entries, in RecBole's order, which is the order of the draws.
        keep: probability of keeping an entry.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, keep: float) -> None:
        self._keep = keep
        self._by_row = torch.from_numpy(np.lexsort((columns, rows)))
        self._by_column = torch.from_numpy(np.lexsort((rows, columns)))

    def __call__(self, matrix: Csr) -> SparsePair:
        # On the CPU wherever the matrix is, and rounded down rather than compared, as RecBole draws.
        kept = (torch.rand(len(self._by_row)) + self._keep).floor()
        scaled = matrix.weights * (1.0 / self._keep)
        # Values and pattern are symmetric before the dropout: one Csr serves both directions.
        by_row, by_column = (scaled * kept[order].to(scaled) for order in (self._by_row, self._by_column))
        return SparsePair(matrix._replace(weights=by_row), matrix._replace(weights=by_column))


class FastNGCF(NGCF):
    """NGCF whose graph is a :class:`Csr`; both dropouts draw RecBole's numbers in RecBole's order.

    Args:
        config: RecBole's Config.
        dataset: the training split.
    """

    norm_adj_matrix: Csr  # square and symmetric
    _edge_dropout: _EdgeDropout | None = None

    def get_norm_adj_mat(self) -> Csr:
        adjacency = recbole_adjacency(self.interaction_matrix)
        if self.node_dropout != 0:
            self._edge_dropout = _EdgeDropout(adjacency.row, adjacency.col, self.sparse_dropout.kprob)
        return Csr.from_scipy(adjacency)

    def _graph(self) -> SparsePair:
        """The graph of this pass, after the dropout of edges."""
        if self._edge_dropout is not None and self.training:
            return self._edge_dropout(self.norm_adj_matrix)
        return SparsePair(self.norm_adj_matrix, self.norm_adj_matrix)

    def forward(self) -> tuple[Tensor, Tensor]:
        graph = self._graph()
        vectors = self.get_ego_embeddings()
        layers = [vectors]
        for layer in self.GNNlayers:
            neighbours = sparse_product(graph, vectors)
            vectors = layer.linear(vectors + neighbours) + layer.interActTransform(neighbours * vectors)
            vectors = self.emb_dropout(functional.leaky_relu(vectors, negative_slope=0.2))
            vectors = functional.normalize(vectors, dim=1)
            layers.append(vectors)
        users, items = torch.cat(layers, dim=1).split([self.n_users, self.n_items])
        return users, items
