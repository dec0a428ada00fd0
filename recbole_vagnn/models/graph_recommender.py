"""What the graph baselines share: the graph, the embeddings, the cached vectors and the loss as named terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.models.inner_product import InnerProductRecommender
from recbole_vagnn.models.objective import ObjectiveOptions
from recbole_vagnn.nn.losses import bpr_loss, squared_norm_of_rows
from recbole_vagnn.nn.passes import Pass, Weights, bipartite_adjacency, layer_mean, run_passes, tripartite_adjacency
from recbole_vagnn.nn.sparse import Csr

if TYPE_CHECKING:
    import scipy.sparse as sp
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset


@dataclass(frozen=True)
class GraphOptions(ObjectiveOptions):
    """Options of every graph baseline; ``properties/model/`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    embedding_size: int = 64
    n_layers: int = 3
    reg_weight: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("embedding_size", 1, whole=True)
        self.require_number("n_layers", 0, whole=True)
        self.require_number("reg_weight", 0)


class GraphRecommender(InnerProductRecommender):
    """Base of the models that propagate free embeddings through one symmetric graph and rank by inner product.

    Nodes are numbered users first, then items, then vloggers where these are nodes; node 0 of each type is
    RecBole's PAD, which has no edge and is in no batch. A model gives ``loss_terms`` and, where they differ,
    ``layer_zero``, ``layer_weights`` and ``_item_vectors``.

    Args:
        config: RecBole's Config; options are those of ``options_class``.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range, or the model uses vloggers and the data set has none.
    """

    recomputed = ("_operator",)
    loss_names: tuple[str, ...] = ("bpr", "l2")
    options_class: ClassVar[type[GraphOptions]] = GraphOptions
    vlogger_nodes: ClassVar[bool] = False  # vloggers are nodes of the graph
    embeds_vloggers: ClassVar[bool] = False  # vloggers have embeddings; those that are nodes always have

    options: GraphOptions

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self.options = self.options_class.from_config(config.__getitem__)
        self._adjacency = self._build_adjacency(dataset)
        self._operator: tuple[Any, Csr] | None = None
        d = self.options.embedding_size
        self.user_embedding = nn.Embedding(self.n_users, d)
        self.item_embedding = nn.Embedding(self.n_items, d)
        with_vloggers = self.vlogger_nodes or self.embeds_vloggers
        self.vlogger_embedding = nn.Embedding(dataset.vlogger_num, d) if with_vloggers else None
        vlogger_of = torch.from_numpy(dataset.vlogger_of_item)
        self.register_buffer("vlogger_of", vlogger_of, persistent=False)
        for table in self._tables():
            self._init_table(table)

    # --- construction -----------------------------------------------------------------------------------------

    def _build_adjacency(self, dataset: VloggerDataset) -> sp.csr_matrix:
        if not self.vlogger_nodes:
            return bipartite_adjacency(dataset.interactions())
        graph = TripartiteGraph.from_dataset(dataset)
        return tripartite_adjacency(graph.user_video, graph.video_vlogger, graph.user_vlogger > 0)

    def _tables(self) -> list[Tensor]:
        """The free embeddings of users, items and, where the model has them, vloggers."""
        modules = (self.user_embedding, self.item_embedding, self.vlogger_embedding)
        return [module.weight for module in modules if module is not None]

    def _init_table(self, table: Tensor) -> None:
        nn.init.xavier_uniform_(table)

    # --- propagation ------------------------------------------------------------------------------------------

    def adjacency(self) -> Csr:
        """Â on the model's device and in its dtype, copied again when either changes."""
        table = self.user_embedding.weight
        key = (table.device, table.dtype)
        if self._operator is None or self._operator[0] != key:
            self._operator = (key, Csr.from_scipy(self._adjacency, table.dtype).to(table.device))
        return self._operator[1]

    def layer_zero(self) -> Tensor:
        """E⁰, (n_nodes, d): the embeddings of all nodes, one type after the other."""
        return torch.cat(self._tables())

    def layer_weights(self) -> Weights:
        """Weights of layers 0 … K in the vectors that are ranked by."""
        return layer_mean(self.options.n_layers)

    def item_nodes(self, items: Tensor) -> Tensor:
        """Node numbers of item ids."""
        return items + self.n_users

    def vlogger_nodes_of(self, vloggers: Tensor) -> Tensor:
        """Node numbers of vlogger ids, in a graph that has them."""
        return vloggers + (self.n_users + self.n_items)

    # --- training ---------------------------------------------------------------------------------------------

    def loss_weights(self) -> tuple[float, ...]:
        """Weights of the terms of ``loss_terms``."""
        return (1.0, self.options.reg_weight)

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss, named by ``loss_names``: the model's ``share`` of them.

        Args:
            users, positives: (B,) int64 ids.
            negatives: (B,) int64 ids, or the (B, k) candidates of the objective.

        Returns:
            scalars.
        """
        raise NotImplementedError

    def calculate_loss(self, interaction: Interaction) -> tuple[Tensor, ...]:
        """The weighted terms of the loss, named by ``loss_names``; their sum is minimised.

        Args:
            interaction: batch of B (user, positive item, negative item), each (B,) int64.

        Returns:
            scalars.
        """
        users, positives, negatives = (interaction[name] for name in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID))
        terms = self.loss_terms(users, positives, self.objective.candidates(users, negatives))
        return tuple(weight * term for weight, term in zip(self.loss_weights(), terms, strict=True))

    @staticmethod
    def _bpr(size: int, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """BPR of three (n, d) tables of vectors, n of the ``size`` triples of the batch."""
        return bpr_loss((users * positives).sum(dim=1), (users * negatives).sum(dim=1), size)

    def _every_node(self) -> Tensor:
        """Numbers of all nodes."""
        return torch.arange(self.adjacency().shape[0], device=self.user_embedding.weight.device)

    def _ranking(self, nodes: Tensor, users: Tensor, positives: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """The share's part of the objective and the batch's negatives, from the vectors of all nodes, (n_nodes, d)."""
        own = functional.embedding(self.share.of(users)[0], nodes)
        return self.objective.loss(own, self._item_vectors(nodes), users, positives, candidates, self.share)

    def regulariser(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """½‖Θ_batch‖²/B: every free embedding that the batch names, as often as it names it.

        These are the users, the positive and negative items and, where vloggers have embeddings, the known
        vloggers of these items. The authors of LightGCN regularise so; those of SimGCL take the unsquared norm
        of propagated vectors, which no other model here does.

        Args:
            users, positives, negatives: (B,) int64 ids of the whole batch, of which the share is counted.

        Returns:
            scalar.
        """
        size = len(users)
        users, positives, negatives = self.share.of(users, positives, negatives)
        items = torch.cat([positives, negatives])
        total = squared_norm_of_rows(self.user_embedding.weight, users)
        total = total + squared_norm_of_rows(self.item_embedding.weight, items)
        if self.vlogger_embedding is not None:
            total = total + squared_norm_of_rows(self.vlogger_embedding.weight, self.vlogger_of[items], but=0)
        return 0.5 * total / size

    # --- prediction -------------------------------------------------------------------------------------------

    def _item_vectors(self, nodes: Tensor) -> Tensor:
        """Vectors of all items, (n_items, d), from those of all nodes, (n_nodes, d)."""
        return nodes[self.n_users : self.n_users + self.n_items]

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        """(n_users, d) and (n_items, d), from a clean pass."""
        (nodes,) = run_passes(self.adjacency(), self.layer_zero(), [Pass(self._every_node(), (self.layer_weights(),))])
        return nodes[: self.n_users], self._item_vectors(nodes)
