"""How a trained model ranks new videos, user by user: what the study of new videos measures on every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.probe import Trained
from recbole_vagnn.models.inner_product import InnerProductRecommender
from recbole_vagnn.models.new_videos import VloggerMeans
from recbole_vagnn.models.vlogger_pop import VloggerPop
from recbole_vagnn.nn.tied_ranks import expected_metrics, expected_share

RANKINGS, SIZES = "new_videos", "new_video_sizes"  # names of the tables
OWN, VLOGGER = "own", "vlogger"  # rules of a model: its own vectors, or the mean of the vlogger's trained videos
RANDOM, POPULARITY = "random", "vlogger popularity"  # rules without a model
# What is looked for, and among which videos.
NEW_AMONG_NEW, NEW_AMONG_ALL = "new among new", "new among all"
KNOWN_AMONG_ALL, KNOWN_AMONG_KNOWN = "known among all", "known among known"
SHARE_AT = 10  # length of the lists whose share of new videos is counted

Ranker = Callable[[Tensor], Tensor]  # (B,) users → (B, n_items) scores


def measure(trained: Trained) -> Mapping[str, pd.DataFrame]:
    """Rank new and known videos by every rule that the run offers; see :func:`rankers`.

    Args:
        trained: a run with ``new_video_share``.

    Returns:
        ``new_videos``: a row for each user, rule and question with ``recall@k`` and ``ndcg@k``, expected over random
        orders of equal scores, and ``new_share``, the share of new videos among the 10 best of all (NaN for other
        questions); ``new_video_sizes``: one row about the data.

    Raises:
        InputError: the run has no new videos, or does not rank all videos.
    """
    return {RANKINGS: rank(trained, rankers(trained)), SIZES: _sizes(trained)}


def rank(trained: Trained, by: Mapping[str, Ranker]) -> pd.DataFrame:
    """The table ``new_videos`` of :func:`measure` for rules of one's own.

    Raises:
        InputError: see there.
    """
    if trained.train.new_videos is None or not isinstance(trained.test_loader, FullSortEvalDataLoader):
        raise InputError("New videos are measured with `new_video_share` above 0 and full ranking (`mode: full`).")
    frames = []
    for rule, ranker in by.items():
        frames += [frame.assign(rule=rule) for frame in _Measurement(trained, ranker).frames()]
    return pd.concat(frames, ignore_index=True)


def rankers(trained: Trained) -> dict[str, Ranker]:
    """The rules by which a run can rank new videos.

    "own" is the model's own score; "vlogger" that of ``new_videos: vlogger``, from the same parameters, for models
    that have the option. A run of VloggerPop, which counts instead of training, stands for what needs no model:
    "random", all scores equal, and "vlogger popularity", the training interactions of the video's vlogger.
    """
    model = trained.model
    if isinstance(model, InnerProductRecommender):
        return _by_vectors(trained, model)
    found: dict[str, Ranker] = {OWN: lambda users: _predicted(model, users)}
    if isinstance(model, VloggerPop):
        totals = torch.from_numpy(_vlogger_popularity(trained))
        found[RANDOM] = lambda users: torch.zeros(len(users), len(totals))
        found[POPULARITY] = lambda users: totals.expand(len(users), -1).clone()
    return found


@torch.no_grad()
def _by_vectors(trained: Trained, model: InnerProductRecommender) -> dict[str, Ranker]:
    users, own = model.compute_vectors()
    filled = VloggerMeans(trained.train.interactions(), trained.train.vlogger_of_item).fill(own)
    return {OWN: inner_product(users, own), VLOGGER: inner_product(users, filled)}


def inner_product(users: Tensor, items: Tensor) -> Ranker:
    """Scores by vectors; equal vectors, as new videos of one vlogger have, get equal scores to the last bit.

    A matrix product alone may sum their columns in another order.
    """
    different, place = torch.unique(items, dim=0, return_inverse=True)
    return lambda ids: (users[ids.to(users.device)] @ different.t()).index_select(1, place)


@torch.no_grad()
def _predicted(model: Any, users: Tensor) -> Tensor:
    scores: Tensor = model.full_sort_predict(Interaction({model.USER_ID: users.to(model.device)}))
    return scores.view(len(users), -1).clone()


def _vlogger_popularity(trained: Trained) -> np.ndarray:
    """(n_items,) training interactions of each video's vlogger; 0 where that is unknown."""
    counts = np.bincount(
        np.asarray(trained.train.inter_feat[trained.train.iid_field]), minlength=trained.train.item_num
    )
    owner = trained.train.vlogger_of_item
    totals = np.bincount(owner, counts)
    totals[0] = 0
    return totals[owner]


def _sizes(trained: Trained) -> pd.DataFrame:
    new, test = trained.train.new_videos, trained.test
    assert new is not None
    users = len(np.unique(np.asarray(test.inter_feat[test.uid_field])))
    row = {"new": int(new.sum()), "videos": test.item_num - 1, "interactions": len(test), "users": users}
    return pd.DataFrame([row])


@dataclass(frozen=True)
class _Batch:
    """Users, the places of a (users, items) matrix that are no candidates, and those that are relevant."""

    users: Tensor
    left_out: tuple[Tensor, Tensor]
    relevant: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Measurement:
    """One rule on one run."""

    trained: Trained
    ranker: Ranker

    @cached_property
    def _new(self) -> Tensor:
        return torch.from_numpy(self.trained.train.new_videos)

    def frames(self) -> Iterator[pd.DataFrame]:
        """The answers to each question, batch by batch."""
        for batch in self._test_batches():
            scores = self._scores(batch)
            share = expected_share(scores, self._new, min(SHARE_AT, scores.shape[1] - 1))
            yield self._frame(NEW_AMONG_ALL, batch, scores, share)
            yield self._frame(NEW_AMONG_NEW, batch, scores.masked_fill(~self._new, -torch.inf))
        for batch in self._validation_batches():
            scores = self._scores(batch)
            yield self._frame(KNOWN_AMONG_ALL, batch, scores)
            yield self._frame(KNOWN_AMONG_KNOWN, batch, scores.masked_fill(self._new, -torch.inf))

    def _scores(self, batch: _Batch) -> Tensor:
        scores = self.ranker(batch.users).cpu()
        scores[:, 0] = -torch.inf
        scores[batch.left_out] = -torch.inf
        return scores

    def _frame(self, question: str, batch: _Batch, scores: Tensor, share: Tensor | None = None) -> pd.DataFrame:
        metrics = expected_metrics(scores, *batch.relevant, self.trained.config["topk"])
        users = self.trained.train.id2token(self.trained.train.uid_field, batch.users.numpy())
        columns = {name: values.numpy() for name, values in metrics.items()}
        new_share = np.full(len(users), np.nan) if share is None else share.numpy()
        return pd.DataFrame({"user": users, "question": question, **columns, "new_share": new_share})

    def _test_batches(self) -> Iterator[_Batch]:
        """RecBole's batches: every interaction with a new video, and what RecBole leaves out of the ranking."""
        field = self.trained.test.uid_field
        for interaction, left_out, rows, columns in self.trained.test_loader:
            yield _Batch(interaction[field], left_out, (rows, columns))

    def _validation_batches(self) -> Iterator[_Batch]:
        """The validation interactions, which are with known videos; what was trained on is left out."""
        seen, wanted = self.trained.train.interactions(), self.trained.valid.interactions()
        users = np.flatnonzero(np.diff(wanted.indptr))
        for start in range(0, len(users), self.trained.test_loader.step):
            ids = users[start : start + self.trained.test_loader.step]
            yield _Batch(torch.from_numpy(ids), _places(seen[ids]), _places(wanted[ids]))


def _places(matrix: sp.csr_matrix) -> tuple[Tensor, Tensor]:
    rows, columns = matrix.nonzero()
    return torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64))
