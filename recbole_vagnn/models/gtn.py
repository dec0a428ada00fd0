"""GTN: graph trend filtering networks for recommendation.

Fan, Liu, Jin, Zhao, Tang, Li, SIGIR 2022 (arXiv 2108.05552). docs/baselines.md says where the released program
differs from the paper; here is the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.models.graph_recommender import GraphOptions
from recbole_vagnn.models.inner_product import InnerProductRecommender
from recbole_vagnn.nn.losses import squared_norm_of_rows
from recbole_vagnn.nn.trend_filtering import TrendGraph, trend_filtering

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset

_INIT_STD = 0.1


@dataclass(frozen=True)
class GTNOptions(GraphOptions):
    """Options of GTN; ``properties/model/GTN.yaml`` explains each and holds the authors' values.

    Raises:
        InputError: a value is out of its range.
    """

    lambda2: float = 4.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("lambda2", 0)
        self.require_number("dropout", 0, 1)


class GTN(InnerProductRecommender):
    r"""Graph trend filtering network (arXiv 2108.05552).

    The vectors of users and items are K proximal steps on
    :math:`\min_E \frac12\|E - X\|_F^2 + \lambda_2 \|\tilde\Delta E\|_1` from the free embeddings X
    (:mod:`~recbole_vagnn.nn.trend_filtering`); the score is their inner product. Loss: BPR plus ``reg_weight`` ×
    ½‖Θ‖²/B, as LightGCN's. In training, entries of every :math:`E^k` are dropped; with γ = 1 only those of the
    last layer reach the output, so only these are drawn.

    Args:
        config: RecBole's Config; options are those of :class:`GTNOptions`.
        dataset: the training split; nothing else enters the graph. Vloggers are not used.

    Raises:
        InputError: an option is out of range.
    """

    loss_names = ("bpr", "l2")
    recomputed = ("_graph",)

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self.options = GTNOptions.from_config(config.__getitem__)
        self._interactions = dataset.interactions()
        self._graph: tuple[Any, TrendGraph] | None = None
        self.user_embedding = nn.Embedding(self.n_users, self.options.embedding_size)
        self.item_embedding = nn.Embedding(self.n_items, self.options.embedding_size)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, std=_INIT_STD)

    # --- forward ----------------------------------------------------------------------------------------------

    def _trend_graph(self) -> TrendGraph:
        """The graph on the model's device and in its dtype, built again when either changes."""
        table = self.user_embedding.weight
        key = (table.device, table.dtype)
        if self._graph is None or self._graph[0] != key:
            self._graph = (key, TrendGraph.from_scipy(self._interactions, table.dtype).to(table.device))
        return self._graph[1]

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users and items without dropout: (n_users, d) and (n_items, d)."""
        nodes = torch.cat([self.user_embedding.weight, self.item_embedding.weight])
        filtered = trend_filtering(self._trend_graph(), nodes, self.options.n_layers, self.options.lambda2)
        users, items = filtered.split([self.n_users, self.n_items])
        return users, items

    # --- training ---------------------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Interaction) -> tuple[Tensor, ...]:
        """The weighted terms of the loss, named by ``loss_names``; their sum is minimised.

        Args:
            interaction: batch of B (user, positive item, negative item), each (B,) int64.

        Returns:
            two scalars: BPR, ``reg_weight`` × ½‖Θ‖²/B.
        """
        users, positives, negatives = (interaction[name] for name in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID))
        ranking, l2 = self.loss_terms(users, positives, self.objective.candidates(users, negatives))
        return ranking, self.options.reg_weight * l2

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """The unweighted terms of the loss for given triples, the model's ``share`` of them.

        Args:
            users, positives: (B,) int64 ids.
            negatives: (B,) int64 ids, or the (B, k) candidates of the objective.

        Returns:
            two scalars: BPR, and ½‖Θ‖²/B over the layer-0 rows of the triples, repeats counted each time.
        """
        size = len(users)
        user_table, item_table = (self._drop(table) for table in self.forward())
        own = functional.embedding(self.share.of(users)[0], user_table)
        ranking, negatives = self.objective.loss(own, item_table, users, positives, negatives, self.share)
        users, positives, negatives = self.share.of(users, positives, negatives)
        rows = squared_norm_of_rows(self.user_embedding.weight, users)
        rows = rows + squared_norm_of_rows(self.item_embedding.weight, torch.cat([positives, negatives]))
        return ranking, 0.5 * rows / size

    def _drop(self, table: Tensor) -> Tensor:
        return functional.dropout(table, self.options.dropout, self.training)

    # --- prediction -------------------------------------------------------------------------------------------

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        """:meth:`forward`, which drops nothing."""
        return self.forward()
