"""Creator-augmented ItemKNN: neighbours by common users and a common creator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import scipy.sparse as sp
from recbole.model.general_recommender.itemknn import ComputeSimilarity

from recbole_vagnn.models.linear import LinearOptions, LinearRecommender


@dataclass(frozen=True)
class CreatorItemKNNOptions(LinearOptions):
    """Options of creator-augmented ItemKNN; ``properties/model/CreatorItemKNN.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    k: int = 100
    shrink: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("k", 1, whole=True)
        self.require_number("shrink", 0)


class CreatorItemKNN(LinearRecommender):
    r"""ItemKNN whose cosine counts a common creator as w common users.

    .. math:: \mathrm{sim}(i, j) = \frac{n_{ij} + w\,[p(i) = p(j)]}{\sqrt{n_i + w\,[p(i)]}\,\sqrt{n_j + w\,[p(j)]} + h}

    n counts training users, [p] is 1 where the creator is known, h is ``shrink``. W keeps the k greatest of each
    column, computed by RecBole. Ranking: :class:`LinearRecommender`. w = 0 and γ = 1 are RecBole's ItemKNN.

    Args:
        config: RecBole's Config; options are those of :class:`CreatorItemKNNOptions`.
        dataset: the training split; nothing else is counted.

    Raises:
        InputError: an option is out of range, or the data set has no creators.
    """

    options_class: ClassVar[type[LinearOptions]] = CreatorItemKNNOptions

    def item_weights(self, stacked: sp.csr_matrix) -> Any:
        """The similarities, (n_items, n_items) float32, sparse."""
        similarity = ComputeSimilarity(stacked, topk=self.options.k, shrink=self.options.shrink, method="item")
        return similarity.compute_similarity()[1]
