"""Tripartite LightGCN: LightGCN given the vloggers as nodes, a control for VA-GNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.models.graph_recommender import GraphOptions, GraphRecommender
from recbole_vagnn.nn.passes import Pass, run_passes

_INIT_STD = 0.1


@dataclass(frozen=True)
class TripartiteLightGCNOptions(GraphOptions):
    """Options of Tripartite LightGCN; ``properties/model/TripartiteLightGCN.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    score: str = "video"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_choice("score", ("video", "video_and_vlogger"))


class TripartiteLightGCN(GraphRecommender):
    r"""LightGCN (He et al., SIGIR 2020) on one graph of users, items and vloggers.

    Edges are the training interactions R, the creators C and the support of S = RC, which VA-GNN sees too.
    :math:`E^{(k+1)} = \hat A E^{(k)}`, output = the mean of layers 0…K, E⁰ ~ N(0, 0.1²). Score u·v, or, with
    ``score: video_and_vlogger`` (variant +C), u·(v + p(v)), where an unknown vlogger adds nothing. Loss: BPR plus
    ``reg_weight`` × ½‖Θ‖²/B over the layer-0 embeddings that the batch names. Without any known vlogger this is
    LightGCN.

    Args:
        config: RecBole's Config; options are those of :class:`TripartiteLightGCNOptions`.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range, or the data set has no vloggers.
    """

    options_class: ClassVar[type[GraphOptions]] = TripartiteLightGCNOptions
    vlogger_nodes = True
    options: TripartiteLightGCNOptions

    def _init_table(self, table: Tensor) -> None:
        nn.init.normal_(table, std=_INIT_STD)

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss.

        Args:
            users, positives: (B,) int64 ids.
            negatives: (B,) int64 ids, or the (B, k) candidates of the objective.

        Returns:
            two scalars: BPR, ½‖Θ_batch‖²/B.
        """
        if not self.objective.is_bpr:
            every = Pass(self._every_node(), (self.layer_weights(),))
            (vectors,) = run_passes(self.adjacency(), self.layer_zero(), [every])
            ranking, negatives = self._ranking(vectors, users, positives, negatives)
            return ranking, self.regulariser(users, positives, negatives)
        own, good, bad = self.share.of(users, positives, negatives)
        items = torch.cat([good, bad])
        nodes = [own, self.item_nodes(items)]
        if self._adds_vloggers:
            nodes.append(self.vlogger_nodes_of(self.vlogger_of[items]))
        (rows,) = run_passes(self.adjacency(), self.layer_zero(), [Pass(torch.cat(nodes), (self.layer_weights(),))])
        u, v, *p = rows.split([len(ids) for ids in nodes])
        if p:
            v = v + self._known(items) * p[0]
        bpr = self._bpr(len(users), u, *v.split([len(good), len(bad)]))
        return bpr, self.regulariser(users, positives, negatives)

    @property
    def _adds_vloggers(self) -> bool:
        return self.options.score == "video_and_vlogger"

    def _known(self, items: Tensor) -> Tensor:
        """(k, 1): 1 where the vlogger of the item is known, else 0."""
        return (self.vlogger_of[items] > 0).unsqueeze(1).to(self.user_embedding.weight.dtype)

    def _item_vectors(self, nodes: Tensor) -> Tensor:
        """v, or v + p(v), of all items."""
        _, items, vloggers = nodes.split([self.n_users, self.n_items, len(nodes) - self.n_users - self.n_items])
        if not self._adds_vloggers:
            return items
        every = torch.arange(self.n_items, device=nodes.device)
        return items + self._known(every) * functional.embedding(self.vlogger_of, vloggers)
