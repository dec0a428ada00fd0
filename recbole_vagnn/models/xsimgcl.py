"""XSimGCL: SimGCL in one perturbed pass, which is ranked by and contrasted with one of its own layers.

Yu, Xia, Chen, Cui, Hung, Yin, "XSimGCL: Towards Extremely Simple Graph Contrastive Learning for Recommendation",
TKDE 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.errors import InputError
from recbole_vagnn.models.graph_recommender import GraphOptions
from recbole_vagnn.models.simgcl import SimGCL, SimGCLOptions
from recbole_vagnn.nn.passes import Pass, run_passes, single_layer


@dataclass(frozen=True)
class XSimGCLOptions(SimGCLOptions):
    """Options of XSimGCL; ``properties/model/XSimGCL.yaml`` explains each.

    Raises:
        InputError: a value is out of its range, or the contrasted layer is beyond the last.
    """

    eps: float = 0.2
    ssl_weight: float = 0.2
    ssl_tau: float = 0.15
    contrast_layer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("contrast_layer", 1, whole=True)
        if self.contrast_layer > self.n_layers:
            raise InputError(
                f"`contrast_layer` is {self.contrast_layer}, but there are {self.n_layers} layers (`n_layers`)."
            )


class XSimGCL(SimGCL):
    r"""XSimGCL (Yu et al., TKDE 2023).

    One perturbed pass as in SimGCL, in training; its mean of layers 1…K, z, serves BPR, and the contrast is between
    z and layer l*, :math:`z^*`, of the same pass:

    .. math:: L = \mathrm{BPR}(z_u \cdot z_{v^+} - z_u \cdot z_{v^-}) + \lambda\,(\mathrm{InfoNCE}(z_u, z^*_u)
              + \mathrm{InfoNCE}(z_v, z^*_v)) + \mu\,\tfrac12\|\Theta\|^2 / B

    over the unique users and positive items of the batch. Scores come from a clean pass.

    Args:
        config: RecBole's Config; options are those of :class:`XSimGCLOptions`.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range.
    """

    options_class: ClassVar[type[GraphOptions]] = XSimGCLOptions
    options: XSimGCLOptions

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss, as :meth:`SimGCL.loss_terms`."""
        contrasted = self.contrast_nodes(users, positives) if self.options.ssl_weight else []
        triples = torch.cat([users, self.item_nodes(positives), self.item_nodes(negatives).flatten()])
        # Each node once, so that a node that the batch repeats has one noise; whatever the share, all draw for all.
        if self.objective.is_bpr:
            nodes, places = torch.unique(torch.cat([triples, *contrasted]), return_inverse=True)
        else:
            nodes, places = self._every_node(), torch.cat([triples, *contrasted])
        taps = [self.layer_weights()]
        if contrasted:
            taps.append(single_layer(self.options.n_layers, self.options.contrast_layer))
        outputs = run_passes(self.adjacency(), self.layer_zero(), [Pass(nodes, tuple(taps), self._noise)])
        of_triples, of_contrast = places.split([len(triples), len(places) - len(triples)])
        contrast = outputs[0].new_zeros(())
        if contrasted:
            views = [functional.embedding(of_contrast, output) for output in outputs]
            contrast = self._contrast(views, [len(ids) for ids in contrasted])
        if self.objective.is_bpr:
            own = torch.cat(self.share.of(*of_triples.chunk(3)))
            ranking = self._bpr(len(users), *functional.embedding(own, outputs[0]).chunk(3))
        else:
            ranking, negatives = self._ranking(outputs[0], users, positives, negatives)
        return ranking, contrast, self.regulariser(users, positives, negatives)
