"""VA-GNN: a vlogger-augmented graph neural network for micro-video recommendation.

Lai, Jin, Li, Zheng, Zhao, arXiv 2405.18260. Where the paper and the authors' program differ, or either is
silent, docs/fidelity.md says what is done here and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.data.sampler import WALK_STREAM, AuxiliarySampler, own_generator
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.data.walks import meta_path_edges
from recbole_vagnn.models.inner_product import InnerProductRecommender
from recbole_vagnn.models.options import VAGNNOptions
from recbole_vagnn.models.vagnn_parts import Operators, Rows, ScoreParts, View
from recbole_vagnn.nn.losses import bpr_loss, info_nce, squared_norm_of_rows
from recbole_vagnn.nn.nodes import different_nodes
from recbole_vagnn.nn.projection import ProjectionHead
from recbole_vagnn.nn.propagation import light_propagation, symmetric_normalisation
from recbole_vagnn.nn.rows import look_up, side_by_side
from recbole_vagnn.nn.sparse import SparsePair, sparse_product

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset

_INIT_STD = 0.1


class VAGNN(InnerProductRecommender):
    r"""Vlogger-augmented graph neural network (arXiv 2405.18260).

    Two views of every node, by LightGCN propagation (L layers, mean of layers):

    * video view: :math:`(u_1, v_1)` on the user–video graph R', :math:`p_1` = the normalised mean of the
      vlogger's videos :math:`v_1`;
    * vlogger view: :math:`(u_2, p_2)` on the user–vlogger graph S', :math:`v_2` = the normalised sum of its users
      :math:`u_2`, each divided by the number of the user's videos.

    R' and S' are the training interactions plus meta-path edges. With
    :math:`w_v = \sigma(\bar v^\top Q \bar p)`, a bar being the mean of both views,

    .. math:: s(u, v) = w_v (u_1 \cdot v_1 + u_2 \cdot v_2) + (1 - w_v)(u_1 \cdot p_1 + u_2 \cdot p_2)

    which is one inner product in 2d dimensions, as w does not depend on the user. Loss: BPR on s, plus
    ``aux_weight`` × BPR on vlogger recommendation :math:`u_1 \cdot p_1 + u_2 \cdot p_2`, plus ``ssl_weight`` ×
    InfoNCE between the views of users, videos and vloggers, plus ``reg_weight`` × ½‖Θ‖²/B.

    Args:
        config: RecBole's Config; options are those of :class:`~recbole_vagnn.models.options.VAGNNOptions`.
        dataset: the training split; nothing else enters the graphs.

    Raises:
        InputError: an option is out of range, or the data set has no vloggers.
    """

    loss_names = ("bpr", "vlogger", "contrast", "l2")
    recomputed = ("_matrices", "_walks")

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self.options = VAGNNOptions.from_config(config.__getitem__)
        self.n_vloggers = dataset.vlogger_num
        self._graph = TripartiteGraph.from_dataset(dataset)
        self._walk_seed = config["seed"] if self.options.meta_path_seed is None else self.options.meta_path_seed
        self._auxiliary = self._build_auxiliary(dataset, config["seed"])
        self._matrices: tuple[Any, Operators] | None = None
        self._walks: tuple[Tensor, int, int] | None = None
        self._init_parameters()

    # --- construction -----------------------------------------------------------------------------------------

    def _build_auxiliary(self, dataset: VloggerDataset, seed: int) -> AuxiliarySampler | None:
        if self.options.aux_weight == 0:
            return None
        pairs = self._graph.auxiliary_pairs(dataset, self.options.aux_pairs)
        sampler = AuxiliarySampler(pairs, self.options.aux_user_sampling == "pair", seed)
        if not sampler:
            self.logger.warning(
                "No user has both a vlogger and a vlogger they do not know: the auxiliary task is left out."
            )
            return None
        return sampler

    def _init_parameters(self) -> None:
        """Only what the chosen views and mix use, so that every parameter receives a gradient."""
        d, options = self.options.embedding_size, self.options
        self.user_embedding = nn.Embedding(self.n_users, d)
        self.item_embedding = nn.Embedding(self.n_items, d) if options.views != "vlogger" else None
        self.vlogger_embedding = nn.Embedding(self.n_vloggers, d) if options.views != "video" else None
        self.mix_matrix = nn.Parameter(torch.empty(d, d)) if options.mix == "adaptive" else None
        for table in (self.user_embedding, self.item_embedding, self.vlogger_embedding):
            if table is not None:
                nn.init.normal_(table.weight, std=_INIT_STD)
        if self.mix_matrix is not None:
            nn.init.normal_(self.mix_matrix, std=_INIT_STD)
        self.heads = nn.ModuleDict()
        if options.contrasts and options.projection_heads:
            for node in ("user", "video", "vlogger"):
                self.heads[node] = ProjectionHead(d, options.head_size, options.head_dropout)
        # Part of the state dict: a checkpoint restores the graph its weights were trained on.
        self.register_buffer("walk_epoch", torch.zeros((), dtype=torch.int64))
        vlogger_of = torch.from_numpy(self._graph.vlogger_of)
        self.register_buffer("vlogger_of", vlogger_of, persistent=False)

    # --- graphs -----------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch; redraws the meta-paths where asked to.

        Args:
            epoch: number of the epoch, from 0. The draw depends on it and on the seed alone.
        """
        if self.options.redraw_meta_paths:
            self.walk_epoch.fill_(epoch)

    def _epoch_of_walks(self) -> int:
        """``walk_epoch``, read again only after it was written: reading it waits for a GPU."""
        state, version = self.walk_epoch, self.walk_epoch._version
        if self._walks is None or self._walks[0] is not state or self._walks[1] != version:
            self._walks = (state, version, int(state))
        return self._walks[2]

    def augmented_graphs(self) -> tuple[Any, Any]:
        """R' and S' (scipy CSR, float64): training interactions plus the meta-path edges of this epoch."""
        graph, options = self._graph, self.options
        if not options.meta_paths:
            return graph.user_video, graph.user_vlogger
        rng = own_generator(self._walk_seed, WALK_STREAM, self._epoch_of_walks())
        videos, vloggers = meta_path_edges(graph.walk_graph(), options.walk_prob, options.user_hop_prob, rng)
        return graph.user_video + videos, graph.user_vlogger + vloggers

    def _operators(self) -> Operators:
        """The sparse matrices on the model's device and in its dtype, rebuilt when any of these change."""
        table = self.user_embedding.weight
        key = (self._epoch_of_walks(), table.device, table.dtype)
        if self._matrices is None or self._matrices[0] != key:
            graphs = [symmetric_normalisation(graph) for graph in self.augmented_graphs()]
            matrices = (*graphs, self._graph.mean_over_videos(), self._graph.users_of_video())
            pairs = [SparsePair.from_scipy(matrix, table.dtype).to(table.device) for matrix in matrices]
            self._matrices = (key, Operators(*pairs))
        return self._matrices[1]

    # --- forward ----------------------------------------------------------------------------------------------

    def forward(self) -> tuple[View | None, View | None]:
        """Propagate once over the whole graph.

        Returns:
            the video view (u₁, v₁, p₁) and the vlogger view (u₂, v₂, p₂); None for a view that is off.
        """
        matrix = self._operators()
        first = second = None
        table, layers = self.user_embedding.weight, self.options.n_layers
        with torch.autocast(device_type=table.device.type, enabled=False):
            if self.item_embedding is not None:
                users, videos = light_propagation(matrix.user_video, table, self.item_embedding.weight, layers)
                vloggers = functional.normalize(sparse_product(matrix.video_to_vlogger, videos), dim=1)
                first = View(users, videos, vloggers)
            if self.vlogger_embedding is not None:
                users, vloggers = light_propagation(matrix.user_vlogger, table, self.vlogger_embedding.weight, layers)
                videos = functional.normalize(sparse_product(matrix.user_to_video, users), dim=1)
                second = View(users, videos, vloggers)
        return first, second

    def _mix_weight(self, videos: Tensor, vloggers: Tensor, known: Tensor) -> Tensor:
        """w of each video: sigmoid(v̄ᵀ Q p̄), a constant for the other mixes; 1 where the vlogger is unknown.

        Also under autocast in the dtype of the parameters: part of the gradient of Q would underflow in float16.

        Args:
            videos, vloggers: (n, views · d) vectors of the videos and of their vloggers, views side by side.
            known: (n,) bool.

        Returns:
            (n, 1).
        """
        if self.mix_matrix is None:
            constant = {"equal": 0.5, "video": 1.0, "vlogger": 0.0}[self.options.mix]
            weight = torch.full_like(videos[:, :1], constant)
        else:
            d = self.options.embedding_size
            v, p = (x.view(len(x), x.shape[1] // d, d).mean(dim=1) for x in (videos, vloggers))
            with torch.autocast(device_type=v.device.type, enabled=False):
                weight = torch.sigmoid((v @ self.mix_matrix * p).sum(dim=1, keepdim=True))
        return torch.where(known.unsqueeze(1), weight, 1.0)

    def _item_vectors(self, videos: Tensor, vloggers: Tensor, items: Tensor) -> Tensor:
        """w v + (1 − w) p for some items, so that s(u, v) is an inner product (module docstring).

        Args:
            videos: (n_videos, views · d), vloggers: (n_vloggers, views · d), items: (k,) video ids.

        Returns:
            (k, views · d).
        """
        owner = self.vlogger_of[items]
        v, p = functional.embedding(items, videos), functional.embedding(owner, vloggers)
        weight = self._mix_weight(v, p, owner > 0)
        return weight * v + (1 - weight) * p

    # --- training ---------------------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Interaction) -> tuple[Tensor, ...]:
        """The weighted terms of the loss, named by ``loss_names``; their sum is minimised.

        Args:
            interaction: batch of B (user, positive item, negative item), each (B,) int64.

        Returns:
            four scalars: BPR, ``aux_weight`` × auxiliary BPR, ``ssl_weight`` × InfoNCE, ``reg_weight`` × ½‖Θ‖²/B.
        """
        users, positives, negatives = (interaction[name] for name in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID))
        triple = self._auxiliary.sample(len(users)) if self._auxiliary is not None else None
        auxiliary = None
        if triple:  # one copy to the device instead of three
            auxiliary = torch.from_numpy(np.stack(triple)).to(users.device, non_blocking=True).unbind()
        terms = self.loss_terms(users, positives, self.objective.candidates(users, negatives), auxiliary)
        weights = (1.0, self.options.aux_weight, self.options.ssl_weight, self.options.reg_weight)
        return tuple(weight * term for weight, term in zip(weights, terms, strict=True))

    def loss_terms(
        self, users: Tensor, positives: Tensor, candidates: Tensor, auxiliary: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, ...]:
        """The unweighted terms of the loss for given triples, the model's ``share`` of them.

        Contrasted are all nodes of the batch, whatever the share: it is one of the anchors.

        Args:
            users, positives: (B,) int64 ids.
            candidates: (B,) int64 ids of negatives, or (B, k), of which the objective makes its choice.
            auxiliary: users, positive and negative vloggers, each (B',) int64, or None.

        Returns:
            four scalars: the objective, auxiliary BPR, InfoNCE, ½‖Θ_batch‖²/B.
        """
        views = [view for view in self.forward() if view is not None]
        negatives = self._chosen_negatives(views, users, candidates)
        own, good, bad = self.share.of(users, positives, negatives)
        none = own[:0]
        triple = self.share.of(*auxiliary) if auxiliary is not None else (none,) * 3
        contrasted = self._contrasted(users, positives) if self.options.contrasts else (none,) * 3
        if self.options.objective == "softmax":  # it looks up in the table of all items
            good = bad = none
        rows = self._rows(views, own, good, bad, triple, contrasted)

        if self.options.objective == "softmax":
            items = self._every_item(views)
            ranking = self.objective.softmax(rows.users, items, users, positives, candidates, self.share)
        else:
            positive = self._scores(rows.users, *rows.good, self.vlogger_of[good] > 0)
            negative = self._scores(rows.users, *rows.bad, self.vlogger_of[bad] > 0)
            ranking = bpr_loss(positive, negative, len(users))
        aux = contrast = ranking.new_zeros(())
        if auxiliary is not None:
            aux_user, aux_good, aux_bad = rows.triple
            aux = bpr_loss((aux_user * aux_good).sum(1), (aux_user * aux_bad).sum(1), len(auxiliary[0]))
        if self.options.contrasts:
            contrast = self._contrast(rows.contrasted)
        return ranking, aux, contrast, self._regulariser(users, positives, negatives, auxiliary)

    def _rows(
        self,
        views: Sequence[View],
        users: Tensor,
        good: Tensor,
        bad: Tensor,
        triple: Sequence[Tensor],
        contrasted: Sequence[Tensor],
    ) -> Rows:
        """Look all nodes of a batch up.

        Args:
            views: those that are on.
            users, good, bad: (n,) ids of users and of videos.
            triple: (m,) ids of users and of two vloggers each.
            contrasted: ids of users, videos and vloggers.
        """
        wanted = (
            [users, triple[0], contrasted[0]],
            [good, bad, contrasted[1]],
            [self.vlogger_of[good], self.vlogger_of[bad], *triple[1:], contrasted[2]],
        )
        found = [[look_up(table, ids) for table, ids in zip(view, wanted, strict=True)] for view in views]
        last = [[of_kind.pop() for of_kind in of_view] for of_view in found]
        joined = [[side_by_side(parts) for parts in zip(*kind, strict=True)] for kind in zip(*found, strict=True)]
        (u, aux_user), (v_good, v_bad), (p_good, p_bad, *aux) = joined
        return Rows(u, (v_good, p_good), (v_bad, p_bad), (aux_user, *aux), last)

    def _chosen_negatives(self, views: Sequence[View], users: Tensor, candidates: Tensor) -> Tensor:
        """One negative for each of B triples, (B,) int64: the objective's choice of (B, k) candidates."""
        if candidates.dim() == 1:
            return candidates
        if self.options.objective != "hard":  # nothing is compared, so no item vectors are needed
            return candidates[:, 0]
        with torch.no_grad():
            own = side_by_side([functional.embedding(self.share.of(users)[0], view.users) for view in views])
            return self.objective.negatives(own, self._every_item(views), candidates, self.share)

    def _every_item(self, views: Sequence[View]) -> Tensor:
        """(n_items, views · d): the vectors of :meth:`_item_vectors`."""
        every = torch.arange(self.n_items, device=self.vlogger_of.device)
        videos, vloggers = (side_by_side([view[kind] for view in views]) for kind in (1, 2))
        return self._item_vectors(videos, vloggers, every)

    def _scores(self, users: Tensor, videos: Tensor, vloggers: Tensor, known: Tensor) -> Tensor:
        """s(u, v) of pairs: as :meth:`_item_vectors`, but mixing numbers instead of vectors.

        Args:
            users, videos, vloggers: (n, views · d) vectors of the pairs' users, videos, and vloggers of these.
            known: (n,) bool, whether the video has a vlogger.

        Returns:
            (n,).
        """
        weight = self._mix_weight(videos, vloggers, known).squeeze(1)
        return weight * (users * videos).sum(1) + (1 - weight) * (users * vloggers).sum(1)

    def _contrasted(self, users: Tensor, positives: Tensor) -> Sequence[Tensor]:
        """Ids of the batch's users, videos and vloggers whose views are contrasted."""
        owners = self.vlogger_of[positives]
        if self.options.contrast_nodes == "unique":
            return different_nodes([users, positives, owners], [self.n_users, self.n_items, self.n_vloggers])
        return [users, positives, owners[owners > 0]]

    def _contrast(self, views: Sequence[Sequence[Tensor]]) -> Tensor:
        """Mean over users, videos and vloggers of InfoNCE between the views of the batch's nodes.

        Args:
            views: for both views the vectors of users, videos and vloggers, each (n, d).
        """
        total = views[0][0].new_zeros(())
        for name, *both in zip(("user", "video", "vlogger"), *views, strict=True):
            if name in self.heads:
                both = [self.heads[name](x) for x in both]
            total = total + info_nce(both[0], both[1], self.options.ssl_tau, self.share.rows(len(both[0])))
        return total / 3

    def _regulariser(
        self, users: Tensor, positives: Tensor, negatives: Tensor, auxiliary: tuple[Tensor, ...] | None
    ) -> Tensor:
        """½‖Θ_batch‖²/B over the layer-0 rows of every node the share names, repeats counted each time."""
        size = len(users)
        users, positives, negatives = self.share.of(users, positives, negatives)
        auxiliary = self.share.of(*auxiliary) if auxiliary is not None else None
        items = torch.cat([positives, negatives])
        user_rows, vlogger_rows = [users], [self.vlogger_of[items]]
        if auxiliary is not None:
            user_rows.append(auxiliary[0])
            vlogger_rows.extend(auxiliary[1:])
        total = squared_norm_of_rows(self.user_embedding.weight, torch.cat(user_rows))
        if self.item_embedding is not None:
            total = total + squared_norm_of_rows(self.item_embedding.weight, items)
        if self.vlogger_embedding is not None:
            total = total + squared_norm_of_rows(self.vlogger_embedding.weight, torch.cat(vlogger_rows), but=0)
        return 0.5 * total / size

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that the model owns, by name: that of the auxiliary triples, and the objective's."""
        own = {} if self._auxiliary is None else {"auxiliary": self._auxiliary.rng}
        return {**own, **super().generators()}

    # --- prediction -------------------------------------------------------------------------------------------

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        """(n_users, k) and (n_items, k), k = d × number of views."""
        views = [view for view in self.forward() if view is not None]
        return side_by_side([view.users for view in views]), self._every_item(views)

    def _joined_views(self) -> tuple[Tensor, ...]:
        """Users, videos and vloggers, each (n, k): the vectors of the views that are on, side by side."""
        on = [view for view in self.forward() if view is not None]
        return tuple(side_by_side(parts) for parts in zip(*on, strict=True))

    @torch.no_grad()
    def score_parts(self) -> ScoreParts:
        """What :meth:`vectors` are made of; with ``new_videos: vlogger``, new videos have the means of both parts."""
        users, videos, vloggers = self._joined_views()
        owners = functional.embedding(self.vlogger_of, vloggers)
        weights = self._mix_weight(videos, owners, self.vlogger_of > 0)
        parts = weights * videos, (1 - weights) * owners, weights
        of_videos, of_vloggers, mixed = (self.with_new_videos(part) for part in parts)
        return ScoreParts(users, of_videos, of_vloggers, mixed.squeeze(1))
