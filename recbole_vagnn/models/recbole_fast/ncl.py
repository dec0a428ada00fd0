"""RecBole's NCL (Lin et al., WWW 2022) with a fast propagation and a fast structural contrast."""

from __future__ import annotations

from recbole.model.general_recommender.ncl import NCL
from torch import Tensor

from recbole_vagnn.models.recbole_fast.adjacency import recbole_adjacency
from recbole_vagnn.nn.losses import info_nce_against_all
from recbole_vagnn.nn.sparse import Csr, SparsePair, sparse_product


class FastNCL(NCL):
    """NCL whose graph is a :class:`Csr`; clustering and the contrast with prototypes are RecBole's own.

    The structural contrast is exact: with all nodes, in blocks, each node of the batch once and counted as often as
    it occurs.

    Args:
        config: RecBole's Config.
        dataset: the training split.
    """

    norm_adj_mat: Csr  # square and symmetric

    def get_norm_adj_mat(self) -> Csr:
        return Csr.from_scipy(recbole_adjacency(self.interaction_matrix))

    def forward(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        graph = SparsePair(self.norm_adj_mat, self.norm_adj_mat)
        layers = [self.get_ego_embeddings()]
        for _ in range(max(self.n_layers, self.hyper_layers * 2)):
            layers.append(sparse_product(graph, layers[-1]))
        mean = sum(layers[1 : self.n_layers + 1], layers[0]) / (self.n_layers + 1)
        users, items = mean.split([self.n_users, self.n_items])
        return users, items, layers

    def ssl_layer_loss(
        self, current_embedding: Tensor, previous_embedding: Tensor, user: Tensor, item: Tensor
    ) -> Tensor:
        sizes = [self.n_users, self.n_items]
        of_users, of_items = (
            info_nce_against_all(now, before, nodes, self.ssl_temp)
            for now, before, nodes in zip(
                current_embedding.split(sizes), previous_embedding.split(sizes), (user, item), strict=True
            )
        )
        return self.ssl_reg * (of_users + self.alpha * of_items)
