"""Popularity within vloggers: no training, no parameters, a control for VA-GNN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from torch import Tensor, nn

from recbole_vagnn.data.tripartite import TripartiteGraph

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset


class VloggerPop(GeneralRecommender):
    r"""Ranks by the user's interactions with the item's vlogger first and by the item's popularity second.

    .. math:: s(u, v) = m \cdot \mathrm{rank}(S[u, p(v)]) + \mathrm{rank}(n_v)

    S = RC counts the training interactions of u with videos of the vlogger, 0 for an unknown one, and n_v those of
    video v. rank numbers the m different values of n, and those of S, from 0 on in ascending order, so that scores
    are whole numbers small enough for float32 to tell apart (below 2^24; data of 10^7 interactions need less).

    Args:
        config: RecBole's Config; the model has no options.
        dataset: the training split; nothing else is counted.

    Raises:
        InputError: the data set has no vloggers.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        graph = TripartiteGraph.from_dataset(dataset)
        popularity = np.asarray(graph.user_video.sum(axis=0)).ravel()
        different, within = np.unique(popularity, return_inverse=True)
        self._within = torch.from_numpy(within.astype(np.float32))
        first = graph.user_vlogger.copy()  # its zeros are not stored: the stored values rank from 1 on
        ranks = 1 + np.unique(first.data, return_inverse=True)[1]
        first.data = (len(different) * ranks).astype(np.float32)
        self._first = first
        self._vlogger_of = torch.from_numpy(graph.vlogger_of)
        self.unused = nn.Parameter(torch.zeros(1))  # RecBole's optimiser wants one

    def calculate_loss(self, interaction: Interaction) -> Tensor:  # noqa: ARG002
        """0, with a gradient of 0: everything is counted at construction."""
        return 0.0 * self.unused.sum()

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of given pairs: (B,) users and (B,) items → (B,) float32."""
        users, items = interaction[self.USER_ID].cpu(), interaction[self.ITEM_ID].cpu()
        # scipy wants index arrays that own their memory, which a tensor's do not.
        rows, columns = (np.array(ids) for ids in (users, self._vlogger_of[items]))
        first = torch.from_numpy(np.asarray(self._first[rows, columns]).ravel())
        return (first + self._within[items]).to(self.device)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of every item: (B,) users → (B, n_items) float32."""
        first = torch.from_numpy(self._first[np.array(interaction[self.USER_ID].cpu())].toarray())
        return (first.index_select(1, self._vlogger_of) + self._within).to(self.device)
