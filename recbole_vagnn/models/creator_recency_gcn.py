"""Creator-aware graph convolution with recency: one graph of users, items and creators, and what was seen last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.data.history import Bags, Histories
from recbole_vagnn.data.sampler import AuxiliarySampler
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.models.graph_recommender import GraphOptions
from recbole_vagnn.models.xsimgcl import XSimGCL, XSimGCLOptions
from recbole_vagnn.nn.losses import bpr_loss
from recbole_vagnn.nn.passes import Pass, Weights, layer_mean, run_passes, single_layer

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset


@dataclass(frozen=True)
class CreatorRecencyOptions(XSimGCLOptions):
    """Options of CreatorRecencyGCN; ``properties/model/CreatorRecencyGCN.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    objective: str = "hard"
    creators: bool = True
    vlogger_weight: float = 0.0
    first_layer: int = 1
    recency_weight: float = 1.0
    recency_decay: float = 0.8
    recency_length: int = 20
    aux_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_flag("creators")
        for name in ("vlogger_weight", "recency_weight", "aux_weight"):
            self.require_number(name, 0)
        self.require_number("first_layer", 0, 1, whole=True)
        self.require_number("recency_decay", 0, 1, above=True)
        self.require_number("recency_length", 1, whole=True)


class CreatorRecencyGCN(XSimGCL):
    loss_names = ("bpr", "contrast", "l2", "vlogger")
    options_class: ClassVar[type[GraphOptions]] = CreatorRecencyOptions
    options: CreatorRecencyOptions

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        self.vlogger_nodes = bool(config["creators"])  # the base builds the graph by it
        super().__init__(config, dataset)
        options = self.options
        self._histories = None
        if options.recency_weight:
            self._histories = Histories.from_dataset(dataset, options.recency_decay, options.recency_length)
        self._auxiliary = None
        if options.aux_weight:
            pairs = TripartiteGraph.from_dataset(dataset).auxiliary_pairs(dataset, "auto")
            self._auxiliary = AuxiliarySampler(pairs, False, config["seed"])

    def layer_weights(self) -> Weights:
        return layer_mean(self.options.n_layers, first=self.options.first_layer)

    def loss_weights(self) -> tuple[float, ...]:
        return (*super().loss_weights(), self.options.aux_weight)

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        contrasted = self.contrast_nodes(users, positives) if self.options.ssl_weight else []
        taps = [self.layer_weights()]
        if contrasted:
            taps.append(single_layer(self.options.n_layers, self.options.contrast_layer))
        outputs = run_passes(self.adjacency(), self.layer_zero(), [Pass(self._every_node(), tuple(taps), self._noise)])
        nodes, items = outputs[0], self._item_vectors(outputs[0])
        contrast = nodes.new_zeros(())
        if contrasted:
            ids = torch.cat(contrasted)
            views = [functional.embedding(ids, output) for output in outputs]
            contrast = self._contrast(views, [len(part) for part in contrasted])
        own_users, own_items = self.share.of(users, positives)
        own = functional.embedding(own_users, nodes)
        if self._histories is not None:
            bags = self._histories.before(own_users.cpu().numpy(), own_items.cpu().numpy())
            own = own + self.options.recency_weight * self._mean_of(bags, items)
        ranking, negatives = self.objective.loss(own, items, users, positives, negatives, self.share)
        aux = nodes.new_zeros(())
        if self._auxiliary is not None:
            triple = tuple(torch.from_numpy(x).to(users.device) for x in self._auxiliary.sample(len(users)))
            u, good, bad = self.share.of(*triple)
            rows = functional.embedding(u, nodes)
            scores = [(rows * functional.embedding(self.vlogger_nodes_of(p), nodes)).sum(1) for p in (good, bad)]
            aux = bpr_loss(scores[0], scores[1], len(users))
        return ranking, contrast, self.regulariser(users, positives, negatives), aux

    @staticmethod
    def _mean_of(bags: Bags, items: Tensor) -> Tensor:
        return functional.embedding_bag(
            bags.items.to(items.device),
            items,
            bags.offsets.to(items.device),
            mode="sum",
            per_sample_weights=bags.weights.to(items),
            include_last_offset=True,
        )

    def generators(self) -> dict[str, np.random.Generator]:
        own = {} if self._auxiliary is None else {"auxiliary": self._auxiliary.rng}
        return {**own, **super().generators()}

    def _item_vectors(self, nodes: Tensor) -> Tensor:
        items = super()._item_vectors(nodes)
        if not (self.vlogger_nodes and self.options.vlogger_weight):
            return items
        owners = functional.embedding(self.vlogger_nodes_of(self.vlogger_of), nodes)
        known = (self.vlogger_of > 0).unsqueeze(1).to(nodes)
        return items + self.options.vlogger_weight * known * owners

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        users, items = super().compute_vectors()
        if self._histories is not None:
            users = users + self.options.recency_weight * self._mean_of(self._histories.all(), items)
        return users, items
