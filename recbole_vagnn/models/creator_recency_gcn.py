"""Creator-aware graph convolution with recency: one graph of users, items and creators, and what was seen last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.data.history import Histories
from recbole_vagnn.data.sampler import AuxiliarySampler
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.graph_recommender import GraphOptions
from recbole_vagnn.models.seen import Seen, SeenBefore, SeenOtherwise
from recbole_vagnn.models.xsimgcl import XSimGCL, XSimGCLOptions
from recbole_vagnn.nn.losses import bpr_loss, squared_norm_of_rows
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
    ssl_weight: float = 0.0
    eps: float = 0.0
    creators: bool = True
    vlogger_weight: float = 0.0
    first_layer: int = 1
    history: str = "auto"
    recency_weight: float = 3.0
    recency_decay: float = 0.8
    recency_length: int = 50
    directed: bool = True
    aux_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("creators", "directed"):
            self.require_flag(name)
        self.require_choice("history", ("auto", "before", "others"))
        for name in ("vlogger_weight", "recency_weight", "aux_weight"):
            self.require_number(name, 0)
        self.require_number("first_layer", 0, 1, whole=True)
        self.require_number("recency_decay", 0, 1, above=True)
        self.require_number("recency_length", 1, whole=True)


class CreatorRecencyGCN(XSimGCL):
    r"""One graph of users, items and creators, and beside it what the user saw last (docs/models.md).

    With z the mean of layers of a pass as in XSimGCL, perturbed where ``eps`` is not 0, over a
    graph with edges R, C and the support of S,

    .. math:: x_v = z_v + \alpha\, z_{p(v)}, \qquad
              a_{u,t} = z_u + \beta \sum_{j=1}^{\min(t, L)} \frac{\gamma^{j-1}}{\Gamma} (x_{v_{t+1-j}} + q_{v_{t+1-j}}),
              \qquad s(u, v) = a_{u,t} \cdot x_v

    where :math:`v_1, v_2, \dots` are the user's training items in order of time, t of them are before the positive item
    in training and all of them in prediction, Γ is the sum of the weights, and q, with ``directed``, is what an item
    says of those after it and not of those before it. Where the split knows no order (``history: others``), the sum in
    training is over all of the user's items but the positive, all alike. An unknown creator adds nothing. Loss: the
    objective on s, plus λ × XSimGCL's contrast over users, items and creators, plus ``reg_weight`` × ½‖Θ‖²/B, plus
    ``aux_weight`` × BPR on creator recommendation :math:`z_u \cdot z_p`.

    Args:
        config: RecBole's Config; options are those of :class:`CreatorRecencyOptions`.
        dataset: the training split, its interactions in order of time; nothing else enters graph and histories.

    Raises:
        InputError: an option is out of range, creators are wanted and the data set has none, or ``history: before`` is
            and the split is not by time.
    """

    loss_names = ("bpr", "contrast", "l2", "vlogger")
    options_class: ClassVar[type[GraphOptions]] = CreatorRecencyOptions
    options: CreatorRecencyOptions

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        self.vlogger_nodes = bool(config["creators"])  # type: ignore[misc]  # the base builds its graph by it
        super().__init__(config, dataset)
        self._seen = self._build_seen(config, dataset)
        self.source_embedding = None
        if self._seen is not None and self.options.directed:
            self.source_embedding = nn.Embedding(self.n_items, self.options.embedding_size)
            nn.init.zeros_(self.source_embedding.weight)
        self._auxiliary = self._build_auxiliary(config, dataset)

    # --- construction -----------------------------------------------------------------------------------------

    def _build_seen(self, config: Config, dataset: VloggerDataset) -> Seen | None:
        options, timed = self.options, config["eval_args"]["order"] == "TO"
        if options.recency_weight == 0:
            return None
        if options.history == "others" or not (timed or options.history == "before"):
            return SeenOtherwise(dataset.interactions())
        if not timed:
            raise InputError(
                "CreatorRecencyGCN shall rank by what a user saw before, but the split is not by time: set `order: TO` "
                "in `eval_args`, or `history: others`."
            )
        return SeenBefore(Histories.from_dataset(dataset, options.recency_decay, options.recency_length))

    def _build_auxiliary(self, config: Config, dataset: VloggerDataset) -> AuxiliarySampler | None:
        if self.options.aux_weight == 0 or not self.vlogger_nodes:
            return None
        pairs = TripartiteGraph.from_dataset(dataset).auxiliary_pairs(dataset, "auto")
        return AuxiliarySampler(pairs, False, config["seed"]) or None

    def layer_weights(self) -> Weights:
        """Weights of layers 0 … K in z: their mean from ``first_layer`` on."""
        return layer_mean(self.options.n_layers, first=self.options.first_layer)

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that the model owns, by name: of the auxiliary triples, the noise and the objective."""
        own = {} if self._auxiliary is None else {"auxiliary": self._auxiliary.rng}
        return {**own, **super().generators()}

    # --- training ---------------------------------------------------------------------------------------------

    def loss_weights(self) -> tuple[float, ...]:
        """1, λ, the weight of the regulariser and that of the auxiliary task."""
        return (*super().loss_weights(), self.options.aux_weight)

    def loss_terms(self, users: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss: the model's ``share`` of them.

        Args:
            users, positives: (B,) int64 ids, each pair a training interaction.
            negatives: (B,) int64 ids, or the (B, k) candidates of the objective.

        Returns:
            four scalars: the objective, InfoNCE summed over node types, ½‖Θ_batch‖²/B, auxiliary BPR.
        """
        contrasted = self.contrast_nodes(users, positives) if self.options.ssl_weight else []
        taps = [self.layer_weights()]
        if contrasted:
            taps.append(single_layer(self.options.n_layers, self.options.contrast_layer))
        noise = self._noise if self.options.eps else None
        outputs = run_passes(self.adjacency(), self.layer_zero(), [Pass(self._every_node(), tuple(taps), noise)])
        nodes = outputs[0]
        contrast = nodes.new_zeros(())
        if contrasted:
            views = [functional.embedding(torch.cat(contrasted), output) for output in outputs]
            contrast = self._contrast(views, [len(ids) for ids in contrasted])
        items = self._item_vectors(nodes)
        own = self._states(nodes, items, users, positives)
        ranking, chosen = self.objective.loss(own, items, users, positives, negatives, self.share)
        return ranking, contrast, self.regulariser(users, positives, chosen), self._auxiliary_bpr(nodes, len(users))

    def _states(self, nodes: Tensor, items: Tensor, users: Tensor, positives: Tensor) -> Tensor:
        """The share's users as they are without their positive items and what came after, (n, d)."""
        own, good = self.share.of(users, positives)
        vectors = functional.embedding(own, nodes)
        if self._seen is None:
            return vectors
        return vectors + self.options.recency_weight * self._seen.around(own, good, self._sources(items))

    def _sources(self, items: Tensor) -> Tensor:
        """x + q of all items, (n_items, d): what they say of those after them."""
        return items if self.source_embedding is None else items + self.source_embedding.weight

    def _auxiliary_bpr(self, nodes: Tensor, size: int) -> Tensor:
        """BPR of creators for as many triples as the batch has; the share's part."""
        if self._auxiliary is None:
            return nodes.new_zeros(())
        drawn = [torch.from_numpy(ids).to(nodes.device) for ids in self._auxiliary.sample(size)]
        users, *vloggers = self.share.of(*drawn)
        u = functional.embedding(users, nodes)
        good, bad = ((u * functional.embedding(self.vlogger_nodes_of(p), nodes)).sum(dim=1) for p in vloggers)
        return bpr_loss(good, bad, size)

    def regulariser(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """½‖Θ_batch‖²/B as in the base, the second vectors of the items among them."""
        total = super().regulariser(users, positives, negatives)
        if self.source_embedding is None:
            return total
        items = torch.cat(self.share.of(positives, negatives))
        return total + 0.5 * squared_norm_of_rows(self.source_embedding.weight, items) / len(users)

    # --- prediction -------------------------------------------------------------------------------------------

    def _item_vectors(self, nodes: Tensor) -> Tensor:
        """x of all items, (n_items, d)."""
        items = super()._item_vectors(nodes)
        if self.options.vlogger_weight == 0 or not self.vlogger_nodes:
            return items
        owners = functional.embedding(self.vlogger_nodes_of(self.vlogger_of), nodes)
        return items + self.options.vlogger_weight * (self.vlogger_of > 0).unsqueeze(1).to(nodes) * owners

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        """a of all users after their last training item, (n_users, d), and x of all items, (n_items, d)."""
        users, items = super().compute_vectors()
        if self._seen is not None:
            users = users + self.options.recency_weight * self._seen.everything(self._sources(items))
        return users, items
