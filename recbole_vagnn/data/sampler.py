"""Samplers of training triples, built from training interactions alone.

RecBole's sampler checks candidates one by one in Python, and its popularity table counts validation and test
interactions too. Ours draws exactly, in a few array operations, from the same distribution.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from recbole_vagnn.data.complement import ComplementSampler
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]
NEGATIVE_STREAM, AUXILIARY_STREAM, WALK_STREAM = 1, 2, 3
CANDIDATE_STREAM = 5  # 4 is the noise of models/simgcl.py
_INTEGER_ALPHA_BITS = 62


def own_generator(seed: int, stream: int, *more: int) -> np.random.Generator:
    """A generator of its own for one purpose, so that drawing more here never shifts the numbers there."""
    return np.random.default_rng([seed, stream, *more])


class NegativeSampler:
    """Draws negative items for users, with RecBole's sampler interface (training phase only).

    uniform: uniform over the items without a training interaction of the user. popularity: proportional to
    (training count)^alpha over those items; a user who knows every item of positive weight is served uniformly.

    Args:
        interactions: (n_users, n_items) training interactions R.
        vlogger_of: (n_items,) vlogger of each item, 0 = unknown.
        distribution: "uniform" or "popularity".
        alpha: exponent of the popularity.
        neg_scope: "any", or "unseen_vlogger": only items of vloggers the user has no training interaction with
            (items of unknown vlogger count as one vlogger each); a user who has seen them all is served as "any".
        seed: seed of the sampler's own generator.
        stream: number of that generator among those of the seed.

    Raises:
        InputError: a user has a training interaction with every item.
    """

    phase = "train"

    def __init__(
        self,
        interactions: sp.csr_matrix,
        vlogger_of: IntArray,
        distribution: str,
        alpha: float,
        neg_scope: str,
        seed: int,
        stream: int = NEGATIVE_STREAM,
    ) -> None:
        self.rng = own_generator(seed, stream)
        self._interactions = interactions
        ones = np.ones(interactions.shape[1], dtype=np.int64)
        ones[0] = 0  # the padding item is never drawn
        uniform = ComplementSampler(interactions, ones)
        self._check_everyone_has_negatives(uniform)
        # Tried in order: the first one with something left for the user serves them.
        self._samplers = [uniform]
        if distribution == "popularity":
            weights = _popularity_weights(interactions, alpha)
            self._samplers.insert(0, ComplementSampler(interactions, weights))
        else:
            weights = ones
        if neg_scope == "unseen_vlogger":
            groups, members = _vlogger_groups(interactions, vlogger_of)
            unseen = [ComplementSampler(members, w, groups) for w in (weights, ones)]
            self._samplers = unseen[: len(self._samplers)] + self._samplers

    @staticmethod
    def _check_everyone_has_negatives(uniform: ComplementSampler) -> None:
        full = np.flatnonzero(uniform.free == 0)
        if len(full):
            raise InputError(
                f"{len(full)} user(s) have interacted with every item in training, so that no negative item is "
                f"left for them (first internal id: {full[0]}). Filter them with `user_inter_num_interval`."
            )

    @property
    def used_ids(self) -> NDArray[np.object_]:
        """(n_users,) sets of training items, as RecBole's loaders expect them."""
        rows = np.split(self._interactions.indices, self._interactions.indptr[1:-1])
        used = np.empty(len(rows), dtype=object)
        used[:] = [set(row.tolist()) for row in rows]
        return used

    def set_phase(self, phase: str) -> NegativeSampler:
        """RecBole's interface; this sampler serves the training phase alone."""
        if phase != self.phase:
            raise ValueError(f"This sampler serves training only, not {phase!r}.")
        return copy.copy(self)

    def random_state(self) -> dict[str, Any]:
        """State of the sampler's generator, for an exact resume."""
        return dict(self.rng.bit_generator.state)

    def load_random_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`random_state` returned."""
        self.rng.bit_generator.state = state

    def sample_by_user_ids(self, user_ids: Any, item_ids: Any, num: int) -> torch.Tensor:  # noqa: ARG002
        """Draw ``num`` negatives per user.

        Args:
            user_ids: (B,) internal user ids.
            item_ids: ignored; RecBole passes the positives.
            num: negatives per user.

        Returns:
            (num · B,) int64; the k-th negative of user i is at k · B + i, RecBole's order.
        """
        users = np.tile(np.asarray(user_ids, dtype=np.int64), num)
        items = np.zeros(len(users), dtype=np.int64)
        waiting = np.ones(len(users), dtype=bool)
        for sampler in self._samplers:
            served = np.flatnonzero(waiting & (sampler.free[users] > 0))
            items[served] = sampler.sample(users[served], self.rng)
            waiting[served] = False
            if not waiting.any():
                break
        return torch.from_numpy(items)

    def log_probability(self, user_ids: Any, items: Any) -> torch.Tensor:
        """Logarithm of the probability that one draw for a user gives an item.

        Args:
            user_ids: (B,) internal user ids.
            items: (B,) items that can be drawn for them.

        Returns:
            (B,) float64.
        """
        users, drawn = (np.asarray(ids, dtype=np.int64) for ids in (user_ids, items))
        probability = np.zeros(len(users))
        waiting = np.ones(len(users), dtype=bool)
        for sampler in self._samplers:
            served = np.flatnonzero(waiting & (sampler.free[users] > 0))
            probability[served] = sampler.probability(users[served], drawn[served])
            waiting[served] = False
        with np.errstate(divide="ignore"):
            return torch.from_numpy(np.log(probability))


def _popularity_weights(interactions: sp.csr_matrix, alpha: float) -> IntArray:
    """Integer weights proportional to count^alpha; exact for alpha = 1, else to about 2^-30 of the total."""
    counts = np.bincount(interactions.indices, minlength=interactions.shape[1]).astype(np.int64)
    counts[0] = 0
    if alpha == 1.0:
        return counts
    scaled = np.where(counts > 0, counts.astype(np.float64) ** alpha, 0.0)
    bits = _INTEGER_ALPHA_BITS - int(np.ceil(np.log2(interactions.shape[0] + 1)))
    scaled *= 2.0 ** min(bits, 40) / max(scaled.sum(), 1e-300)
    return np.where(counts > 0, np.maximum(np.floor(scaled), 1), 0).astype(np.int64)


def _vlogger_groups(interactions: sp.csr_matrix, vlogger_of: IntArray) -> tuple[IntArray, sp.csr_matrix]:
    """Group items by vlogger, items of unknown vlogger each by themselves.

    Returns:
        (n_items,) group of each item, and (n_users, n_groups) groups each user has interacted with.
    """
    n_known = int(vlogger_of.max(initial=0)) + 1
    unknown = np.flatnonzero(vlogger_of == 0)
    groups = vlogger_of.copy()
    groups[unknown] = n_known + np.arange(len(unknown))
    member = sp.csr_matrix(
        (np.ones(len(groups)), (np.arange(len(groups)), groups)),
        shape=(len(groups), n_known + len(unknown)),
    )
    return groups, sp.csr_matrix(interactions @ member)


def training_sampler(config: Config, dataset: VloggerDataset, recbole_sampler: Any) -> Any:
    """The sampler of the training phase: ours, or RecBole's where ``sampler: recbole`` or none is needed.

    Args:
        config: reads ``sampler``, ``neg_scope``, ``train_neg_sample_args`` and ``seed``.
        dataset: the training split.
        recbole_sampler: what RecBole made for this phase; None for models that draw no negatives.
    """
    if recbole_sampler is None or dataset.options.sampler == "recbole":
        return recbole_sampler
    return own_sampler(config, dataset)


def own_sampler(config: Config, dataset: VloggerDataset, stream: int = NEGATIVE_STREAM) -> NegativeSampler:
    """Our sampler with the distribution of the configuration.

    Args:
        config: reads ``neg_scope``, ``train_neg_sample_args`` and ``seed``.
        dataset: the training split.
        stream: number of its generator.
    """
    arguments = config["train_neg_sample_args"]
    return NegativeSampler(
        dataset.interactions(),
        dataset.vlogger_of_item,
        arguments["distribution"],
        arguments["alpha"],
        dataset.options.neg_scope,
        config["seed"],
        stream,
    )


class AuxiliarySampler:
    """Draws (user, positive vlogger, negative vlogger) for the auxiliary task (VA-GNN, vlogger recommendation).

    The user is uniform among users with pairs, the positive uniform among the user's vloggers (or, with
    ``by_pair``, the pair is uniform among all pairs), the negative uniform among all other vloggers. A user
    who is positive on every vlogger is never drawn.

    Args:
        pairs: (n_users, n_vloggers) support of F; column 0 (unknown vlogger) is empty.
        by_pair: draw pairs uniformly instead of users.
        seed: seed of the sampler's own generator.
    """

    def __init__(self, pairs: sp.csr_matrix, by_pair: bool, seed: int) -> None:
        self.rng = own_generator(seed, AUXILIARY_STREAM)
        weights = np.ones(pairs.shape[1], dtype=np.int64)
        weights[0] = 0
        self._pairs = pairs
        self._negatives = ComplementSampler(pairs, weights)
        degree = np.diff(pairs.indptr)
        users = np.flatnonzero((degree > 0) & (self._negatives.free > 0))
        self._users = np.repeat(users, degree[users]) if by_pair else users

    def __bool__(self) -> bool:
        """Whether there is any triple to draw."""
        return len(self._users) > 0

    def sample(self, size: int) -> tuple[IntArray, IntArray, IntArray]:
        """Draw ``size`` triples; three (size,) int64 arrays: users, positive and negative vloggers."""
        users = self._users[self.rng.integers(0, len(self._users), size)]
        start = self._pairs.indptr[users].astype(np.int64)
        degree = self._pairs.indptr[users + 1] - start
        positive = self._pairs.indices[start + self.rng.integers(0, degree)].astype(np.int64)
        return users.astype(np.int64), positive, self._negatives.sample(users, self.rng)
