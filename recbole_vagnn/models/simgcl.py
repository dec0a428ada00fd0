"""SimGCL: graph contrastive learning by noise on the embeddings instead of on the graph.

Yu, Yin, Xia, Chen, Cui, Nguyen, "Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
Recommendation", SIGIR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from recbole_vagnn.data.sampler import own_generator
from recbole_vagnn.models.graph_recommender import GraphOptions, GraphRecommender
from recbole_vagnn.nn.losses import info_nce
from recbole_vagnn.nn.nodes import different_nodes
from recbole_vagnn.nn.noise import SignNoise
from recbole_vagnn.nn.passes import Pass, Weights, layer_mean, run_passes

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset

NOISE_STREAM = 4  # beside the streams in data/sampler.py


@dataclass(frozen=True)
class SimGCLOptions(GraphOptions):
    """Options of SimGCL; ``properties/model/SimGCL.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    n_layers: int = 2
    eps: float = 0.1
    ssl_weight: float = 0.5
    ssl_tau: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("n_layers", 1, whole=True)  # layer 0 is no part of the output
        self.require_number("eps", 0)
        self.require_number("ssl_weight", 0)
        self.require_number("ssl_tau", 0, above=True)


class SimGCL(GraphRecommender):
    r"""SimGCL (Yu et al., SIGIR 2022).

    :math:`E^{(k+1)} = \hat A E^{(k)}`, and in a perturbed pass each layer moves by noise of length ε,
    :math:`+\,\varepsilon\,\mathrm{sign}(E^{(k+1)}) \odot \mathrm{normalize}(r)`, r uniform in [0, 1). Output:
    the mean of layers 1…K, layer 0 left out. With (z', z'') the outputs of two perturbed passes over the unique
    users and positive items of the batch,

    .. math:: L = \mathrm{BPR}(u \cdot v^+ - u \cdot v^-) + \lambda\,(\mathrm{InfoNCE}(z'_u, z''_u)
              + \mathrm{InfoNCE}(z'_v, z''_v)) + \mu\,\tfrac12\|\Theta\|^2 / B

    where BPR is on a clean pass, InfoNCE is the mean over nodes with cosine similarity, and Θ are the layer-0
    embeddings that the batch names.

    Args:
        config: RecBole's Config; options are those of :class:`SimGCLOptions`.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range.
    """

    loss_names: tuple[str, ...] = ("bpr", "contrast", "l2")
    options_class: ClassVar[type[GraphOptions]] = SimGCLOptions
    options: SimGCLOptions

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self._noise = SignNoise(own_generator(config["seed"], NOISE_STREAM), self.options.eps)

    def layer_weights(self) -> Weights:
        """Weights of layers 0 … K in the vectors that are ranked by: 0, 1/K, …, 1/K."""
        return layer_mean(self.options.n_layers, first=1)

    def loss_weights(self) -> tuple[float, ...]:
        """1, λ and the weight of the regulariser."""
        return (1.0, self.options.ssl_weight, self.options.reg_weight)

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss.

        Args:
            users, positives: (B,) int64 ids.
            negatives: (B,) int64 ids, or the (B, k) candidates of the objective.

        Returns:
            three scalars: BPR, InfoNCE summed over node types (0 where λ is 0), ½‖Θ_batch‖²/B.
        """
        taps = (self.layer_weights(),)
        is_bpr = self.objective.is_bpr
        passes = [Pass(self._triples(users, positives, negatives) if is_bpr else self._every_node(), taps)]
        types: list[Tensor] = []
        if self.options.ssl_weight:
            types = self.contrast_nodes(users, positives)
            nodes = torch.cat(types)
            passes += [Pass(nodes, taps, self._noise), Pass(nodes, taps, self._noise)]
        clean, *views = run_passes(self.adjacency(), self.layer_zero(), passes)
        contrast = self._contrast(views, [len(nodes) for nodes in types]) if views else clean.new_zeros(())
        if is_bpr:
            ranking = self._bpr(len(users), *clean.chunk(3))
        else:
            ranking, negatives = self._ranking(clean, users, positives, negatives)
        return ranking, contrast, self.regulariser(users, positives, negatives)

    def _triples(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(3n,) node numbers of the users, positive and negative items of the n triples of the share."""
        users, positives, negatives = self.share.of(users, positives, negatives)
        return torch.cat([users, self.item_nodes(positives), self.item_nodes(negatives)])

    def contrast_nodes(self, users: Tensor, positives: Tensor) -> list[Tensor]:
        """Node numbers contrasted for a batch, each once, one tensor for each node type.

        Args:
            users, positives: (B,) int64 ids.

        Returns:
            users, items and, where vloggers are nodes, the known vloggers of the items.
        """
        ids, sizes = [users, positives], [len(table) for table in self._tables()]
        if self.vlogger_nodes:
            ids.append(self.vlogger_of[positives])
        users, items, *vloggers = different_nodes(ids, sizes[: len(ids)])
        return [users, self.item_nodes(items), *map(self.vlogger_nodes_of, vloggers)]

    def _contrast(self, views: Sequence[Tensor], sizes: list[int]) -> Tensor:
        """Sum over node types of InfoNCE; the rows of both views are the types of the given sizes in turn.

        The share is one of the anchors: each is contrasted with all nodes of its type, whoever else computes them.
        """
        parts = zip(*(view.split(sizes) for view in views), strict=True)
        terms = [info_nce(one, two, self.options.ssl_tau, self.share.rows(len(one))) for one, two in parts]
        return torch.stack(terms).sum()

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that the model owns, by name: that of the noise, and the objective's."""
        return {"noise": self._noise.rng, **super().generators()}
