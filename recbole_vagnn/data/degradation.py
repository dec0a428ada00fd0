"""Poorer training data on purpose: creators unknown or wrong, follow pairs missing or wrong, histories cut short.

The option ``degradation`` changes the training split after the split was made: validation and test interactions, ids
and candidates stay as they are. What is changed depends on the data and the option alone, so it is the same for every
model and seed of a model, and a larger share changes what a smaller one does, and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction

from recbole_vagnn.data.complement import ComplementSampler
from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.data.options import Degradation
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]

_LINKS, _FOLLOWS, _USERS = 11, 12, 13  # streams, beside those of data/sampler.py


def degrade(train: VloggerDataset, change: Degradation) -> None:
    """Change a training split in place; nothing that it shares with the other splits is touched.

    Args:
        train: the split; its ``withheld`` holds what users held down lose.
        change: what to do.

    Raises:
        InputError: it concerns creators or follow pairs, and the data have none.
    """
    if change.links_removed or change.links_corrupted:
        _degrade_links(train, change)
    if change.follows_removed or change.follows_corrupted:
        _degrade_follows(train, change)
    if change.users_held_down:
        _hold_down(train, change)


def _degrade_links(train: VloggerDataset, change: Degradation) -> None:
    if train.vlogger_field is None or not train.vlogger_of_item.any():
        raise InputError(f"`degradation` asks for links of {train.dataset_name} to vloggers, but it has none.")
    vloggers = train.vlogger_of_item
    linked = np.flatnonzero(vloggers)
    items = np.asarray(train.inter_feat[train.iid_field])
    rng = np.random.default_rng([change.seed, _LINKS])
    ordered = linked[_order(np.bincount(items, minlength=train.item_num)[linked], change.order, rng)]
    removed, corrupted = _parts(len(ordered), change.links_removed, change.links_corrupted)
    changed = vloggers.copy()
    changed[ordered[removed]] = 0
    if corrupted.stop > corrupted.start:
        changed[ordered[corrupted]] = _others(vloggers[ordered], train.vlogger_num, rng)[corrupted]
    columns = {**train.item_feat.interaction, train.vlogger_field: torch.from_numpy(changed)}
    train.item_feat = Interaction(columns)  # the other splits keep the true one


def _degrade_follows(train: VloggerDataset, change: Degradation) -> None:
    follow = train.follow
    if follow is None or not len(follow.users):
        raise InputError(f"`degradation` asks for follow pairs of {train.dataset_name}, but it has none to train on.")
    followers = np.bincount(follow.vloggers, minlength=train.vlogger_num)
    rng = np.random.default_rng([change.seed, _FOLLOWS])
    order = _order(followers[follow.vloggers], change.order, rng)
    removed, corrupted = _parts(len(order), change.follows_removed, change.follows_corrupted)
    vloggers = follow.vloggers.copy()
    if corrupted.stop > corrupted.start:
        matrix = follow.matrix(train.user_num, train.vlogger_num)
        sampler = ComplementSampler(matrix, followers.astype(np.int64))
        free = sampler.free[follow.users[order]] > 0  # a user who follows everybody cannot follow anybody wrongly
        wrong = vloggers[order]
        wrong[free] = sampler.sample(follow.users[order][free], rng)
        vloggers[order[corrupted]] = wrong[corrupted]
    kept = np.ones(len(order), dtype=bool)
    kept[order[removed]] = False
    train.follow = _pairs(FollowPairs(follow.users, vloggers, follow.times), kept)


def _hold_down(train: VloggerDataset, change: Degradation) -> None:
    users, items = (np.asarray(train.inter_feat[field]) for field in (train.uid_field, train.iid_field))
    history = np.bincount(users, minlength=train.user_num)
    eligible = np.flatnonzero(history >= change.held_down_from)
    rng = np.random.default_rng([change.seed, _USERS])
    n_chosen = round(change.users_held_down * len(eligible))
    if n_chosen == 0:
        raise InputError(
            f"`degradation` holds down {change.users_held_down:g} of {len(eligible)} users of {train.dataset_name} "
            f"with at least {change.held_down_from} training interactions: that is nobody. Raise `users_held_down` or "
            f"lower `held_down_from`."
        )
    chosen = np.zeros(train.user_num, dtype=bool)
    chosen[rng.permutation(eligible)[:n_chosen]] = True
    kept = ~chosen[users] | (_places_from_the_end(users) < change.held_down_to)
    train.withheld = np.stack([users[~kept], items[~kept]])
    train.inter_feat = train.inter_feat[torch.from_numpy(np.flatnonzero(kept))]
    if train.follow is not None:
        train.follow = _pairs(train.follow, ~chosen[train.follow.users])


def _order(weights: IntArray, order: str, rng: np.random.Generator) -> IntArray:
    """Positions of (n,) weights in random order, or by weight with equal ones in random order."""
    random = rng.permutation(len(weights))
    if order == "random":
        return random
    sign = -1 if order == "popular" else 1
    return random[np.argsort(sign * weights[random], kind="stable")]


def _parts(n: int, removed: float, corrupted: float) -> tuple[slice, slice]:
    """The first places of an order, to be removed, and the next ones, to be corrupted."""
    end = round(n * removed)
    return slice(0, end), slice(end, max(end, min(n, round(n * (removed + corrupted)))))


def _others(vloggers: IntArray, n_vloggers: int, rng: np.random.Generator) -> IntArray:
    """For each of (n,) vloggers another one, in proportion to how often they occur among the n."""
    counts = np.bincount(vloggers, minlength=n_vloggers)
    if np.count_nonzero(counts) < 2:
        raise InputError("`degradation` cannot give a video a wrong vlogger: there is only one.")
    itself = sp.csr_matrix(sp.identity(n_vloggers))
    return ComplementSampler(itself, counts.astype(np.int64)).sample(vloggers, rng)


def _places_from_the_end(users: IntArray) -> IntArray:
    """(n,) how many of a user's rows stand below each row."""
    order = np.argsort(users, kind="stable")
    ends = np.cumsum(np.bincount(users))
    places = np.empty(len(users), dtype=np.int64)
    places[order] = ends[users[order]] - 1 - np.arange(len(users))
    return places


def _pairs(follow: FollowPairs, kept: NDArray[np.bool_]) -> FollowPairs:
    return FollowPairs(follow.users[kept], follow.vloggers[kept], None if follow.times is None else follow.times[kept])
