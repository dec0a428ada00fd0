"""Creator-augmented EASE: the ridge regression of EASE with the creators of items as side information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from recbole_vagnn.errors import InputError
from recbole_vagnn.models.linear import LinearOptions, LinearRecommender

_MATRICES = 3  # dense ones at a time: the Gram matrix, its inverse, and the solver's copy


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
        InputError: an option is out of range, the data set has no creators, or the dense matrices exceed the limit.
    """

    options_class: ClassVar[type[LinearOptions]] = CreatorEASEOptions

    def item_weights(self, stacked: sp.csr_matrix) -> Any:
        """B, (n_items, n_items) float32, dense."""
        n_items = stacked.shape[1]
        self._check_memory(n_items)
        gram = stacked.T @ stacked + self.options.reg_weight * sp.identity(n_items, dtype=np.float32)
        inverse = np.linalg.inv(gram.toarray().astype(np.float32, copy=False))
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return weights

    def _check_memory(self, n_items: int) -> None:
        needed = -(-_MATRICES * 4 * n_items**2 // 2**20)
        limit = self.options.memory_limit_mb
        if needed > limit:
            raise InputError(
                f"CreatorEASE needs about {needed:,} MiB for {_MATRICES} dense {n_items:,} × {n_items:,} matrices, "
                f"and `memory_limit_mb` is {limit:,}. Raise it, or filter items with `item_inter_num_interval`."
            )
