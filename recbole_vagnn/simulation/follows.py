"""Follow edges: a part of the loyal pairs, and pairs that mean nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_vagnn.errors import InputError
from recbole_vagnn.simulation.audience import Audience, Pairs
from recbole_vagnn.simulation.catalogue import Catalogue
from recbole_vagnn.simulation.draw import (
    BoolArray,
    FloatArray,
    IntArray,
    Segments,
    contains,
    distinct_draws,
    stream,
)
from recbole_vagnn.simulation.views import Views


@dataclass(frozen=True)
class Follows:
    """F follow edges, sorted by user; no pair twice.

    Attributes:
        user, vlogger: (F,) int64.
        time: (F,) int64 seconds: the user's first view of the vlogger, else uniform in the user's window.
        loyal: (F,) bool, false for noise.
    """

    user: IntArray
    vlogger: IntArray
    time: IntArray
    loyal: BoolArray


def draw_follow_pairs(
    loyal: Pairs, users: int, appeal: FloatArray, completeness: float, noise: float, seed: int
) -> tuple[Pairs, BoolArray]:
    """Keep each loyal pair with probability ``completeness``; add noise up to a share ``noise`` of all.

    Args:
        loyal: all loyal pairs.
        users: U.
        appeal: (P,) float64; the vlogger of a noise pair is drawn ∝ appeal, its user ∝ vloggers not loyal to.
        completeness, noise: in [0, 1] and [0, 1).
        seed: of all random numbers.

    Returns:
        the pairs, sorted by user, and (F,) bool whether they are loyal.

    Raises:
        InputError: there are fewer pairs without loyalty than the noise needs.
    """
    kept = stream(seed, "follows").random(len(loyal.user)) < completeness
    wanted = round(int(kept.sum()) * noise / (1 - noise))
    free = len(appeal) - np.bincount(loyal.user, minlength=users)
    if wanted > int(free.sum()):
        raise InputError(
            f"`follow_noise` {noise} needs {wanted:,} pairs of users and vloggers they are not loyal to; there are "
            f"{int(free.sum()):,}. Lower --follow-noise or --follow-completeness, or raise --vloggers."
        )
    others = _noise_pairs(loyal, free, appeal, wanted, stream(seed, "follow noise"))
    user = np.concatenate([loyal.user[kept], others.user])
    vlogger = np.concatenate([loyal.vlogger[kept], others.vlogger])
    order = np.argsort(user, kind="stable")
    return Pairs(user[order], vlogger[order]), order < kept.sum()


def _noise_pairs(loyal: Pairs, free: IntArray, appeal: FloatArray, wanted: int, rng: np.random.Generator) -> Pairs:
    """``wanted`` distinct pairs without loyalty."""
    n_vloggers = len(appeal)
    places = np.sort(rng.choice(int(free.sum()), wanted, replace=False, shuffle=False))
    user = np.searchsorted(np.cumsum(free), places, side="right")
    loyal_keys = np.sort(loyal.user * n_vloggers + loyal.vlogger)
    by_appeal = Segments(np.array([0, n_vloggers]), appeal)

    def propose(slots: IntArray) -> IntArray:
        return by_appeal.draw(np.zeros(len(slots), dtype=np.int64), rng)

    def allowed(slots: IntArray, vloggers: IntArray) -> BoolArray:
        return ~contains(loyal_keys, user[slots] * n_vloggers + vloggers)

    def weights(slot: int) -> tuple[IntArray, FloatArray]:
        others = np.arange(n_vloggers)
        others = others[allowed(np.full(n_vloggers, slot), others)]
        return others, appeal[others]

    vlogger, _ = distinct_draws(user, n_vloggers, propose, allowed, weights, rng)
    return Pairs(user, vlogger)


def follow_times(pairs: Pairs, views: Views, audience: Audience, catalogue: Catalogue, seed: int) -> IntArray:
    """(F,) int64 seconds: the user's first view of the vlogger, else uniform in the user's window."""
    n_vloggers = len(catalogue.vlogger_offsets) - 1
    uniform = stream(seed, "follow times").random(len(pairs.user))
    start, end = audience.start[pairs.user], audience.end[pairs.user]
    times = start + (uniform * (end - start)).astype(np.int64)
    keys, first = np.unique(views.user * n_vloggers + catalogue.vlogger_of[views.video], return_index=True)
    wanted = pairs.user * n_vloggers + pairs.vlogger
    seen = contains(keys, wanted)
    times[seen] = views.time[first[np.searchsorted(keys, wanted[seen])]]
    return times
