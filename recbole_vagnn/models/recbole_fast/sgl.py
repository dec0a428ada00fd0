"""RecBole's SGL (Wu et al., SIGIR 2021) with a fast propagation and a fast contrast."""

from __future__ import annotations

import scipy.sparse as sp
from recbole.model.general_recommender.sgl import SGL
from torch import Tensor

from recbole_vagnn.nn.losses import info_nce_against_all
from recbole_vagnn.nn.propagation import light_propagation
from recbole_vagnn.nn.sparse import SparsePair, sparse_product


class FastSGL(SGL):
    """SGL whose graphs are :class:`SparsePair`; RecBole's own code draws the views.

    The contrast is exact: with all nodes, in blocks, each node of the batch once and counted as often as it occurs.
    Where RecBole's exp(cos/τ) overflows (τ below about 0.012), this one stays finite.

    Args:
        config: RecBole's Config.
        dataset: the training split.
    """

    def csr2tensor(self, matrix: sp.spmatrix) -> SparsePair:
        """The (n_users, n_items) block of a symmetric matrix over all nodes."""
        block = sp.csr_matrix(matrix)[: self.n_users, self.n_users :]
        return SparsePair.from_scipy(block).to(self.device)

    def forward(self, graph: SparsePair | list[SparsePair]) -> tuple[Tensor, Tensor]:
        users, items = self.user_embedding.weight, self.item_embedding.weight
        if isinstance(graph, SparsePair):
            return light_propagation(graph, users, items, self.n_layers)
        return _mean_of_walk(graph, users, items)

    def calc_ssl_loss(
        self,
        user_list: Tensor,
        pos_item_list: Tensor,
        user_sub1: Tensor,
        user_sub2: Tensor,
        item_sub1: Tensor,
        item_sub2: Tensor,
    ) -> Tensor:
        of_users = info_nce_against_all(user_sub1, user_sub2, user_list, self.ssl_tau)
        of_items = info_nce_against_all(item_sub1, item_sub2, pos_item_list, self.ssl_tau)
        return (of_items + of_users) * self.ssl_weight


def _mean_of_walk(graphs: list[SparsePair], users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of layers 0…L, each layer with its own graph (SGL-RW)."""
    sums = users, items
    for graph in graphs:
        turned = SparsePair(graph.transposed, graph.forward)
        users, items = sparse_product(graph, items), sparse_product(turned, users)
        sums = sums[0] + users, sums[1] + items
    scale = 1.0 / (len(graphs) + 1)
    return sums[0] * scale, sums[1] * scale
