"""RecBole's BPR, LightGCN, NGCF, SGL and NCL with another training objective than BPR.

The classes are made from RecBole's, or from the fast ones, by :func:`with_objective`; ``registry.model_class`` picks
them where ``objective`` is not bpr. Parameters, regulariser, contrast and prediction stay those of the class.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.loss import BPRLoss
from torch import Tensor, nn
from torch.nn import functional

from recbole_vagnn.models.objective import Objective, ObjectiveOptions, restore_states, states_of

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset


class _GivenLoss(nn.Module):
    """Stands where RecBole computes BPR from scores: returns the softmax loss of the batch, or that BPR."""

    def __init__(self) -> None:
        super().__init__()
        self._bpr = BPRLoss()
        self.given: Tensor | None = None

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        return self._bpr(positive, negative) if self.given is None else self.given


class _Ranked(GeneralRecommender):
    """Put in front of a model that ranks by the inner product of what ``forward()`` returns first, users and items.

    The pass that the negatives are chosen by is the one that is trained: it is run once and handed on.
    """

    _loss_name = "mf_loss"

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self.objective = Objective(ObjectiveOptions.from_config(config.__getitem__), config, dataset)
        self._kept: Any = None
        self._given_loss = _GivenLoss()
        setattr(self, self._loss_name, self._given_loss)

    def forward(self, *given: Any) -> Any:
        """The class's own, or the pass of this batch if it was run already."""
        if self._kept is None:
            return super().forward(*given)
        kept, self._kept = self._kept, None
        return kept

    def _run_pass(self) -> Any:
        """The output of the pass that is ranked by."""
        return super().forward()

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Vectors of users and items of the pass that the loss will use."""
        self._kept = self._run_pass()
        return self._kept[0], self._kept[1]

    def calculate_loss(self, interaction: Interaction) -> Any:
        """The class's own loss, its BPR taken against the objective's negatives or replaced by the softmax.

        Args:
            interaction: batch of B (user, positive item, negative item), each (B,) int64.
        """
        users, positives, negatives = (interaction[name] for name in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID))
        candidates = self.objective.candidates(users, negatives)
        user_table, item_table = self._tables()
        own = functional.embedding(users, user_table)
        if self.objective.options.objective == "softmax":
            self._given_loss.given = self.objective.softmax(own, item_table, users, positives, candidates)
        chosen = self.objective.negatives(own, item_table, candidates)
        try:
            return super().calculate_loss(Interaction({**interaction.interaction, self.NEG_ITEM_ID: chosen}))
        finally:
            self._given_loss.given = self._kept = None

    def random_state(self) -> dict[str, Any]:
        """States of the generators the model owns, for an exact resume (see trainer.py)."""
        return states_of(self.generators())

    def load_random_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`random_state` returned."""
        restore_states(self.generators(), state)

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that the model owns, by name."""
        return self.objective.generators


class _RankedTables(_Ranked):
    """For BPR, whose vectors are its parameters."""

    _loss_name = "loss"

    def _tables(self) -> tuple[Tensor, Tensor]:
        return self.user_embedding.weight, self.item_embedding.weight


class _RankedSum(_Ranked):
    """For SGL, which passes its graph to ``forward`` and sums BPR over the batch."""

    def _run_pass(self) -> Any:
        return super(_Ranked, self).forward(self.train_graph)

    def calc_bpr_loss(self, user_emd: Tensor, item_emd: Tensor, *triple: Tensor) -> Tensor:
        """RecBole's: the ranking loss of the batch plus the weighted regulariser."""
        given = self._given_loss.given
        if given is None:
            return super().calc_bpr_loss(user_emd, item_emd, *triple)  # type: ignore[no-any-return]
        tables = (self.user_embedding, self.item_embedding, self.item_embedding)
        norms = self.reg_loss(*(table(ids) for table, ids in zip(tables, triple, strict=True)))
        return len(triple[0]) * given + torch.as_tensor(norms) * self.reg_weight


_MIXINS: dict[str, type] = {
    "BPR": _RankedTables,
    "LightGCN": _Ranked,
    "NGCF": _Ranked,
    "SGL": _RankedSum,
    "NCL": _Ranked,
}


@cache
def with_objective(name: str, base: type) -> type:
    """The class ``base`` of model ``name``, trained by the objective of its configuration.

    Raises:
        KeyError: the model is none of those that this serves.
    """
    return type(f"Ranked{base.__name__}", (_MIXINS[name], base), {"__module__": __name__})
