"""How well a model finds vloggers that a user does not know yet (option ``eval_vloggers``).

Every model is judged the same way: by its own vectors of vloggers where it has some, else by the mean of a vlogger's
videos (``extract.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.arrays import MemoryRows
from recbole_vagnn.serving.checkpoint import Vectors
from recbole_vagnn.serving.extract import model_vectors
from recbole_vagnn.serving.propagation import VLOGGER
from recbole_vagnn.serving.ranking import best
from recbole_vagnn.serving.scoring import ModelScorer, Scorer, VectorScorer

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]
_BATCH = 1024


@dataclass(frozen=True)
class VloggerTask:
    """What is to be found; rows are ids without the padding.

    Attributes:
        known: (n_users, n_vloggers) CSR, vloggers left out of a user's ranking.
        positives: (n_users, n_vloggers) CSR, held-out vloggers that the user does not know.
    """

    known: sp.csr_matrix
    positives: sp.csr_matrix

    @property
    def users(self) -> IntArray:
        """(n,) rows of the users with something to be found."""
        return np.flatnonzero(np.diff(self.positives.indptr))


def vlogger_task(splits: Sequence[VloggerDataset], follow: FollowPairs | None) -> VloggerTask:
    """The held-out new vloggers of every user.

    Known are the vloggers of the user's training videos (those that ``degradation`` withheld too), of validation videos
    unless ``mask_valid_at_test`` is off, and those followed in training. Positives are the vloggers of test videos, and
    those of follow pairs that are too young for training, unless they are known.

    Args:
        splits: training, validation and test data.
        follow: every pair of the ``.follow`` file, or None.

    Raises:
        InputError: the data have no vloggers, or no user has a positive.
    """
    train, valid, test = splits
    if train.vlogger_num == 1:
        raise InputError("`eval_vloggers: True` needs the vlogger of each item: set `VLOGGER_ID_FIELD`.")
    creators = test.creators()  # those of training, and its follow pairs, may be degraded
    known = _met(train.interactions(), creators) + _followed(train, test.follow)
    if train.withheld is not None:
        known = known + _met(_pairs(train, *train.withheld), creators)
    if train.options.mask_valid_at_test:
        known = known + _met(valid.interactions(), creators)
    held_out = _met(test.interactions(), creators) + _followed(train, follow)
    new = held_out.astype(bool) - held_out.astype(bool).multiply(known.astype(bool))
    new.eliminate_zeros()
    task = VloggerTask(sp.csr_matrix(known), sp.csr_matrix(new))
    if len(task.users) == 0:
        raise InputError(
            f"`eval_vloggers: True`, but no user of {train.dataset_name} has a held-out vlogger that is new to them. "
            f"Switch it off."
        )
    return task


def evaluate_vloggers(
    model: Any, train: VloggerDataset, task: VloggerTask, topk: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Recall and NDCG over held-out new vloggers, all other vloggers that are not known being ranked.

    Args:
        model: the trained model.
        train: the training split.
        task: what is to be found.
        topk: cut-offs.

    Returns:
        ``"vloggerrecall@10"``, ``"vloggerndcg@10"``, … → (n,) float64, in the order of ``task.users``.
    """
    scorer = _scorer(model, train)
    parts = [_metrics(task, users, scorer, topk) for users in _batches(task.users)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(users: IntArray) -> list[IntArray]:
    return np.array_split(users, range(_BATCH, len(users), _BATCH))


def _scorer(model: Any, train: VloggerDataset) -> Scorer:
    found = model_vectors(model, train.vlogger_of_item, train.vlogger_num)
    if found is None:
        return ModelScorer(model, train.vlogger_of_item[1:] - 1, train.vlogger_num - 1)
    assert found.vloggers is not None
    users, videos, vloggers = (MemoryRows(table) for table in (found.users, found.videos, found.vloggers))
    return VectorScorer(Vectors(users, videos, vloggers, None))


def _metrics(task: VloggerTask, users: IntArray, scorer: Scorer, topk: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """The definitions of RecBole's Recall and NDCG, for the given rows of users."""
    scores = scorer.scores(users, VLOGGER)
    known, wanted = task.known[users], task.positives[users]
    scores[known.nonzero()] = -np.inf
    ranked = best(scores, max(topk))
    rows = np.arange(len(users))[:, None]
    hits = np.asarray(wanted[rows, ranked.columns].todense(), dtype=bool)
    n_wanted = np.diff(wanted.indptr)
    gains = 1 / np.log2(np.arange(2, max(topk) + 2))
    found: dict[str, NDArray[np.float64]] = {}
    for k in topk:
        ideal = np.cumsum(gains)[np.minimum(n_wanted, k) - 1]
        found[f"vloggerrecall@{k}"] = hits[:, :k].sum(axis=1) / n_wanted
        found[f"vloggerndcg@{k}"] = hits[:, :k] @ gains[: hits[:, :k].shape[1]] / ideal
    return found


def _met(interactions: sp.csr_matrix, creators: sp.csr_matrix) -> sp.csr_matrix:
    """(n_users, n_vloggers) interactions with vloggers, without the padding ids."""
    return sp.csr_matrix(interactions @ creators)[1:, 1:]


def _pairs(train: VloggerDataset, users: IntArray, items: IntArray) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(users)), (users, items)), shape=(train.user_num, train.item_num))


def _followed(train: VloggerDataset, pairs: FollowPairs | None) -> sp.csr_matrix:
    shape = (train.user_num, train.vlogger_num)
    return (sp.csr_matrix(shape) if pairs is None else pairs.matrix(*shape))[1:, 1:]
