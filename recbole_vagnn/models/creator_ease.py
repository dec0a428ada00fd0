"""Creator-augmented EASE: the ridge regression of EASE with the creators of items as side information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError
from recbole_vagnn.models.item_regression import item_regression_weights
from recbole_vagnn.models.linear import LinearOptions, LinearRecommender


@dataclass(frozen=True)
class CreatorEASEOptions(LinearOptions):
    """Options of creator-augmented EASE; ``properties/model/CreatorEASE.yaml`` explains each.

    Raises:
        InputError: a value is out of its range.
    """

    reg_weight: float = 250.0
    memory_limit_mb: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_number("reg_weight", 0, above=True)
        self.require_number("memory_limit_mb", 1, whole=True)


class CreatorEASE(LinearRecommender):
    r"""EASE (Steck, WWW 2019) on interactions stacked on creators, as CEASE does (Jeunen et al., RecSys 2020).

    .. math:: \min_B \|R - R B\|_F^2 + w \|C^\top - C^\top B\|_F^2 + \lambda \|B\|_F^2
              \quad\text{with}\quad \mathrm{diag}(B) = 0

    has the solution :math:`B_{ij} = -P_{ij} / P_{jj}` off the diagonal, :math:`P = (R^\top R + w\,C C^\top + \lambda
    I)^{-1}`. Items of one creator have w in common beside their common users. Ranking: :class:`LinearRecommender`,
    W = B. w = 0 and γ = 1 are EASE.

    Args:
        config: RecBole's Config; options are those of :class:`CreatorEASEOptions`.
        dataset: the training split; nothing else is counted.

    Raises:
        InputError: an option is out of range, the data set has no creators, the dense matrix exceeds the limit,
            or ``reg_weight`` is too small for float32.
    """

    options_class: ClassVar[type[LinearOptions]] = CreatorEASEOptions

    def item_weights(self, stacked: sp.csr_matrix) -> NDArray[np.float32]:
        """B, (n_items, n_items) float32, dense."""
        self._check_memory(stacked.shape[1])
        return item_regression_weights(stacked, self.options.reg_weight)

    def _check_memory(self, n_items: int) -> None:
        needed = -(-4 * n_items**2 // 2**20)  # float32
        limit = self.options.memory_limit_mb
        if needed > limit:
            raise InputError(
                f"CreatorEASE needs about {needed:,} MiB for a dense {n_items:,} × {n_items:,} matrix, and "
                f"`memory_limit_mb` is {limit:,}. Raise it, or filter items with `item_inter_num_interval`."
            )
