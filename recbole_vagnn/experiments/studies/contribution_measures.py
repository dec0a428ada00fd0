"""What of a trained VA-GNN's lists comes from videos and what from vloggers: the probe of the study of contribution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.probe import Trained
from recbole_vagnn.models.vagnn import VAGNN
from recbole_vagnn.models.vagnn_parts import ScoreParts
from recbole_vagnn.nn.contribution import parts_of, vlogger_share
from recbole_vagnn.nn.tied_ranks import places

VIDEOS, LISTS, USERS = "contribution_videos", "contribution_lists", "contribution_users"  # names of the tables
LENGTH = 10  # of the lists
MOST_USERS = 100_000  # of more, so many are drawn
_SEED = 0
_BLOCK = 2**25  # scores at a time

IntArray = NDArray[np.int64]


def measure(trained: Trained) -> Mapping[str, pd.DataFrame]:
    """Take the lists of all users apart; what users have in training and validation is left out of them.

    Args:
        trained: a run of VA-GNN.

    Returns:
        ``contribution_videos``: ``id``, ``vlogger`` ("" = unknown), ``weight`` (w), ``interactions`` (of training),
        ``vlogger_videos`` (catalogued videos of the vlogger), ``recommended`` (lists that it is in).
        ``contribution_lists``, a row for each place of a list: ``user``, ``rank``, ``id``, ``video`` and ``vlogger``
        (the parts A and B of the score), ``share`` (of the vlogger, see :mod:`~recbole_vagnn.nn.contribution`; NaN
        where that is unknown, or no part is positive).
        ``contribution_users``: ``user``, ``history`` (training interactions), ``by_video`` and ``by_vlogger``: the
        share of the list that stays when videos are ranked by that part of the score alone, expected over random
        orders of equal parts.

    Raises:
        InputError: the model is none whose score has these parts.
    """
    if not isinstance(trained.model, VAGNN):
        raise InputError(f"{trained.config['model']}'s score has no part of the vlogger: this is measured on VAGNN.")
    parts = ScoreParts(*(part.cpu() for part in trained.model.score_parts()))
    users = _users(trained)
    size = max(1, min(_BLOCK // len(parts.weights), _BLOCK // (LENGTH * parts.users.shape[1])))
    blocks = [_lists(trained, parts, users[i : i + size]) for i in range(0, len(users), size)]
    lists, of_users = (pd.concat(frames, ignore_index=True) for frames in zip(*blocks, strict=True))
    return {VIDEOS: _videos(trained, parts, lists), LISTS: _named(trained, lists), USERS: of_users}


def _users(trained: Trained) -> IntArray:
    every = np.arange(1, trained.train.user_num)
    if len(every) <= MOST_USERS:
        return every
    return np.sort(np.random.default_rng(_SEED).choice(every, MOST_USERS, replace=False))


def _lists(trained: Trained, parts: ScoreParts, users: IntArray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lists of some users, with internal ids of videos, and a row about each user."""
    seen = (trained.train.interactions() + trained.valid.interactions())[users]
    vectors = parts.users[torch.from_numpy(users)]
    top = _best(_unseen(vectors @ (parts.videos + parts.vloggers).t(), seen))
    kept = {
        f"by_{name}": _kept(top, _unseen(vectors @ part.t(), seen))
        for name, part in (("video", parts.videos), ("vlogger", parts.vloggers))
    }
    of_both = parts_of(vectors, parts.videos, parts.vloggers, top)
    known = torch.from_numpy(trained.train.vlogger_of_item)[top] > 0
    share = torch.where(known, vlogger_share(of_both), torch.nan)
    names = trained.train.id2token(trained.train.uid_field, users)
    k = top.shape[1]
    columns = {"id": top, "video": of_both.video, "vlogger": of_both.vlogger, "share": share}
    lists = pd.DataFrame(
        {
            "user": np.repeat(names, k),
            "rank": np.tile(np.arange(1, k + 1), len(users)),
            **{name: values.flatten().numpy() for name, values in columns.items()},
        }
    )
    history = np.diff(trained.train.interactions()[users].indptr)
    lists = lists[lists["id"] > 0]
    return lists, pd.DataFrame({"user": names, "history": history, **kept})


def _unseen(scores: Tensor, seen: sp.csr_matrix) -> Tensor:
    """Scores with −∞ for PAD and for what users have seen."""
    rows, columns = (torch.from_numpy(indices.astype(np.int64)) for indices in seen.nonzero())
    scores[:, 0] = -torch.inf
    scores[rows, columns] = -torch.inf
    return scores


def _best(scores: Tensor) -> Tensor:
    """(B, LENGTH) best videos, then 0 for a user who has no more of them."""
    best = scores.topk(min(LENGTH, scores.shape[1] - 1), dim=1)
    return torch.where(best.values > -torch.inf, best.indices, 0)


def _kept(top: Tensor, scores: Tensor) -> NDArray[np.float64]:
    """(B,) expected share of a list that is in the list by other scores, as long; NaN for an empty one.

    Where a part is 0, as the vlogger's is for w = 1, many scores are equal.
    """
    rows, column = top.nonzero(as_tuple=True)
    above, equal = places(scores, rows, top[rows, column])
    length = (top > 0).sum(1)
    listed = ((length[rows] - above) / equal).clamp(0, 1).double()
    return (torch.bincount(rows, listed, len(top)) / length).numpy()


def _videos(trained: Trained, parts: ScoreParts, lists: pd.DataFrame) -> pd.DataFrame:
    train, owner = trained.train, trained.train.vlogger_of_item
    assert train.vlogger_field is not None
    of_vlogger = np.bincount(owner, minlength=train.vlogger_num)
    of_vlogger[0] = 0
    table = pd.DataFrame(
        {
            "id": train.id2token(train.iid_field, np.arange(train.item_num)),
            "vlogger": np.where(owner > 0, train.id2token(train.vlogger_field, owner), ""),
            "weight": parts.weights.double().numpy(),
            "interactions": np.bincount(train.interactions().indices, minlength=train.item_num),
            "vlogger_videos": of_vlogger[owner],
            "recommended": np.bincount(lists["id"], minlength=train.item_num),
        }
    )
    return table.iloc[1:].reset_index(drop=True)  # without PAD


def _named(trained: Trained, lists: pd.DataFrame) -> pd.DataFrame:
    return lists.assign(id=trained.train.id2token(trained.train.iid_field, lists["id"].to_numpy()))
