"""RecBole's LightGCN (He et al., SIGIR 2020) with a fast propagation."""

from __future__ import annotations

import scipy.sparse as sp
from recbole.model.general_recommender.lightgcn import LightGCN
from torch import Tensor

from recbole_vagnn.models.recbole_fast.adjacency import recbole_adjacency
from recbole_vagnn.nn.propagation import light_propagation
from recbole_vagnn.nn.sparse import SparsePair


class FastLightGCN(LightGCN):
    """LightGCN whose graph is a :class:`SparsePair` and whose layers are one differentiable function.

    Args:
        config: RecBole's Config.
        dataset: the training split.
    """

    norm_adj_matrix: SparsePair  # the (n_users, n_items) block of RecBole's symmetric matrix

    def get_norm_adj_mat(self) -> SparsePair:
        adjacency = sp.csr_matrix(recbole_adjacency(self.interaction_matrix))
        return SparsePair.from_scipy(adjacency[: self.n_users, self.n_users :])

    def forward(self) -> tuple[Tensor, Tensor]:
        users, items = self.user_embedding.weight, self.item_embedding.weight
        return light_propagation(self.norm_adj_matrix, users, items, self.n_layers)
