"""Models that rank by an inner product: vectors computed once per state of the parameters, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_vagnn.models.new_videos import VloggerMeans
from recbole_vagnn.models.objective import Objective, ObjectiveOptions, restore_states, states_of
from recbole_vagnn.nn.share import WHOLE, Share

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.interaction import Interaction

    from recbole_vagnn.data.dataset import VloggerDataset


class InnerProductRecommender(GeneralRecommender):
    """Base of the models whose score is the inner product of a user's and an item's vector.

    A model has ``user_embedding`` among its modules and gives ``compute_vectors``. With ``new_videos: vlogger``, videos
    without training interactions are ranked by the mean vector of their vlogger's other videos
    (:class:`~recbole_vagnn.models.new_videos.VloggerMeans`); training never sees it.

    Several processes that train one model are given the same batch, draw the same numbers, and each computes its
    ``share`` of the loss: the losses, and so the gradients, of all shares add up to those of the batch.

    Attributes:
        objective: what positive items are ranked against in training.
        share: the part of each batch whose loss is computed; the whole unless a trainer says otherwise.

    Args:
        config: RecBole's Config.
        dataset: the training split.

    Raises:
        InputError: ``new_videos`` or an option of the objective is not one of its choices.
    """

    input_type = InputType.PAIRWISE
    recomputed: ClassVar[tuple[str, ...]] = ()  # attributes, None when empty, that copies and pickles leave out

    user_embedding: nn.Embedding
    share: Share = WHOLE

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self._vectors: tuple[Any, Tensor, Tensor] | None = None
        shared = ObjectiveOptions.from_config(config.__getitem__)
        self.objective = Objective(shared, config, dataset)
        wanted = shared.new_videos == "vlogger"
        self._vlogger_means = VloggerMeans(dataset.interactions(), dataset.vlogger_of_item) if wanted else None

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that the model owns, by name."""
        return self.objective.generators

    def random_state(self) -> dict[str, Any]:
        """States of the generators the model owns, for an exact resume (see trainer.py)."""
        return states_of(self.generators())

    def load_random_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`random_state` returned."""
        restore_states(self.generators(), state)

    def compute_vectors(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users and items as they are now, (n_users, k) and (n_items, k), without dropout or noise.

        New videos come by their own embedding here; :meth:`vectors` gives them others where that is asked for.
        """
        raise NotImplementedError

    @torch.no_grad()
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Vectors whose inner product is the score: (n_users, k) and (n_items, k).

        Computed once per state of the model and kept; an in-place update of any parameter or buffer (an optimiser
        step, a loaded checkpoint, a redrawn graph) is noticed by its version counter. Writing through ``.data`` is
        not.
        """
        versions = tuple(tensor._version for tensor in (*self.parameters(), *self.buffers()))
        table = self.user_embedding.weight
        key = (versions, table.device, table.dtype)
        if self._vectors is None or self._vectors[0] != key:
            users, items = self.compute_vectors()
            self._vectors = (key, users, self.with_new_videos(items))
        return self._vectors[1], self._vectors[2]

    def with_new_videos(self, values: Tensor) -> Tensor:
        """Values that scores are linear in, (n_items, k), with those of new videos as ``new_videos`` wants them."""
        return values if self._vlogger_means is None else self._vlogger_means.fill(values)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of given pairs: (B,) users and (B,) items → (B,) float."""
        users, items = self.vectors()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of every item: (B,) users → (B, n_items) float."""
        users, items = self.vectors()
        return users[interaction[self.USER_ID]] @ items.t()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out what is computed again when needed."""
        return {**self.__dict__, "_vectors": None, **dict.fromkeys(self.recomputed)}
