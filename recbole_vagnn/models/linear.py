"""What the linear rivals share: items ranked by a user's items times a matrix of item–item weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from torch import Tensor, nn

from recbole_vagnn.data.history import Histories
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.options import Options

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset


@dataclass(frozen=True)
class LinearOptions(Options):
    """Options of the linear models.

    Attributes:
        creator_weight: w ≥ 0, weight of a common creator against a common user; 0 = without creators.
        recency_decay: γ in (0, 1], weight of a user's item against that of their next one, in ranking; 1 = all alike,
            as also where the split is not by time, and so knows no order.

    Raises:
        InputError: a value is out of its range.
    """

    creator_weight: float = 1.0
    recency_decay: float = 1.0

    def __post_init__(self) -> None:
        self.require_number("creator_weight", 0)
        self.require_number("recency_decay", 0, 1, above=True)


_OptionsClass = type[LinearOptions]  # inside of the class `type` is RecBole's


class LinearRecommender(GeneralRecommender):
    r"""Base of the models that score :math:`s(u, \cdot) = \tilde x_u W`.

    :math:`\tilde x_u` is the user's row of the training interactions R, its j-th last entry, in order of time, being
    :math:`\gamma^{j-1}`. A model gives W by ``item_weights``, from R stacked on :math:`\sqrt w\, C^\top`: a creator is
    one more user, who has seen the creator's items.

    Args:
        config: RecBole's Config; options are those of ``options_class``.
        dataset: the training split; nothing else is counted.

    Raises:
        InputError: an option is out of range, or creators are wanted and the data set has none.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL
    options_class: ClassVar[_OptionsClass] = LinearOptions

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self.options: Any = self.options_class.from_config(config.__getitem__)
        rows = sp.csr_matrix(dataset.interactions(), dtype=np.float32)
        ordered = config["eval_args"]["order"] == "TO"
        self._rows = self._decayed(dataset) if ordered and self.options.recency_decay < 1 else rows
        self._weights = self.item_weights(self._stacked(rows, dataset))
        self.unused = nn.Parameter(torch.zeros(1))  # RecBole's optimiser wants one

    def item_weights(self, stacked: sp.csr_matrix) -> Any:
        """W, (n_items, n_items) float32, dense or sparse.

        Args:
            stacked: (n_users + n_vloggers, n_items) float32, or (n_users, n_items) where the creators' weight is 0.
        """
        raise NotImplementedError

    def _stacked(self, rows: sp.csr_matrix, dataset: VloggerDataset) -> sp.csr_matrix:
        if self.options.creator_weight == 0:
            return rows
        creators = TripartiteGraph.from_dataset(dataset).video_vlogger
        return sp.vstack([rows, np.sqrt(self.options.creator_weight) * creators.T], format="csr", dtype=np.float32)

    def _decayed(self, dataset: VloggerDataset) -> sp.csr_matrix:
        bags = Histories.from_dataset(dataset, self.options.recency_decay, self.n_items).all()
        parts = tuple(part.numpy() for part in (bags.weights, bags.items, bags.offsets))
        return sp.csr_matrix(parts, shape=(self.n_users, self.n_items), dtype=np.float32)

    def _scores(self, users: Tensor) -> Any:
        scores = self._rows[np.array(users.cpu())] @ self._weights
        return scores.toarray() if sp.issparse(scores) else np.asarray(scores)

    def calculate_loss(self, interaction: Interaction) -> Tensor:  # noqa: ARG002
        """0, with a gradient of 0: everything is computed at construction."""
        return 0.0 * self.unused.sum()

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of given pairs: (B,) users and (B,) items → (B,) float32."""
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        different, places = torch.unique(users, return_inverse=True)
        return torch.from_numpy(self._scores(different)[np.array(places.cpu()), np.array(items.cpu())]).to(self.device)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of every item: (B,) users → (B, n_items) float32."""
        return torch.from_numpy(self._scores(interaction[self.USER_ID])).to(self.device)
