"""RecBole's EASE (Steck, WWW 2019) with its inverse from a Cholesky factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.general_recommender.ease import EASE

from recbole_vagnn.models.item_regression import item_regression_weights

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset


class FastEASE(EASE):
    """EASE in a quarter of the time and an eighth of the memory (``benchmarks/ease.py``), for many items.

    Args:
        config: RecBole's Config.
        dataset: the training split.

    Raises:
        InputError: ``reg_weight`` is too small for float32.
    """

    def __init__(self, config: Config, dataset: Dataset) -> None:
        GeneralRecommender.__init__(self, config, dataset)  # EASE's own would invert the matrix its way
        self.dummy_param = torch.nn.Parameter(torch.zeros(1))
        self.interaction_matrix = dataset.inter_matrix(form="csr").astype(np.float32)
        # RecBole's methods want numpy's matrix
        self.item_similarity = np.asmatrix(item_regression_weights(self.interaction_matrix, config["reg_weight"]))
        self.other_parameter_name = ["interaction_matrix", "item_similarity"]
        self.device = config["device"]
