"""Users: tastes, activity, windows of activity, loyalties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_vagnn.simulation.catalogue import Catalogue, Vloggers
from recbole_vagnn.simulation.draw import (
    FloatArray,
    IntArray,
    Segments,
    dirichlet,
    group_offsets,
    power_law_counts,
    stream,
)
from recbole_vagnn.simulation.options import (
    ACTIVITY_TAIL,
    EXPLORATION,
    HORIZON,
    MIN_HISTORY,
    MIN_LOYALTIES,
    MIN_WINDOW,
    TASTE_FOCUS,
    VIEWS_PER_LOYALTY,
    Sizes,
)

_ROUNDS = 6


@dataclass(frozen=True)
class Pairs:
    """User–vlogger pairs, sorted by user; no pair twice.

    Attributes:
        user, vlogger: (L,) int64.
    """

    user: IntArray
    vlogger: IntArray


@dataclass(frozen=True)
class Audience:
    """U users.

    Attributes:
        tastes: (U, K) float64 φ > 0, rows sum to 1.
        activity: (U,) int64 n, views of each user.
        start, end: (U,) int64 seconds between which a user watches.
    """

    tastes: FloatArray
    activity: IntArray
    start: IntArray
    end: IntArray


@dataclass(frozen=True)
class Loyalties:
    """Who is loyal to whom.

    Attributes:
        pairs: L pairs.
        offsets: (U + 1,) int64 where each user's pairs start.
        choice: draws positions of the pairs by loyalty weight, w_u ~ Dirichlet(1, …, 1).
        added: pairs that were added to given ones because their videos were too few.
    """

    pairs: Pairs
    offsets: IntArray
    choice: Segments
    added: int


def draw_tastes(popularity: FloatArray, users: int, seed: int) -> FloatArray:
    """(users, K) float64: φ_u ~ Dirichlet(TASTE_FOCUS · π), mixed with EXPLORATION parts of π."""
    return explore(dirichlet(stream(seed, "tastes"), TASTE_FOCUS, popularity, users), popularity)


def explore(tastes: FloatArray, popularity: FloatArray) -> FloatArray:
    """Mix EXPLORATION parts of the topics' popularity into tastes, so that nobody excludes a topic."""
    return (1 - EXPLORATION) * tastes + EXPLORATION * popularity


def draw_activity(sizes: Sizes, seed: int) -> IntArray:
    """(U,) int64 views per user: at least MIN_HISTORY, a power-law tail, and exactly the sum asked for."""
    return power_law_counts(
        stream(seed, "activity"),
        sizes.users,
        sizes.interactions,
        MIN_HISTORY,
        sizes.longest_history,
        ACTIVITY_TAIL,
    )


def draw_windows(users: int, seed: int) -> tuple[IntArray, IntArray]:
    """(users,) int64 start in the first half of the horizon, and end at least MIN_WINDOW seconds later."""
    rng = stream(seed, "windows")
    start = rng.integers(0, HORIZON // 2, users)
    return start, rng.integers(start + MIN_WINDOW, HORIZON, endpoint=True)


def draw_loyalties(
    audience: Audience, vloggers: Vloggers, catalogue: Catalogue, given: Pairs | None, seed: int
) -> Loyalties:
    """Draw each user's loyal vloggers ∝ a_p · (φ_u · θ_p), one after the other without repeats.

    A user with n views takes vloggers until there are at least max(MIN_LOYALTIES, n / VIEWS_PER_LOYALTY) of them
    and they have at least n videos at time 0: enough for n distinct views by loyalty alone. A user of ``given``
    pairs keeps these, and takes more only if their videos are too few.

    Args:
        audience, vloggers, catalogue: the platform.
        given: real pairs; None or no pairs of a user = all drawn.
        seed: of all random numbers.
    """
    n_users, n_vloggers = len(audience.activity), len(vloggers.appeal)
    given = given or Pairs(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    fixed = np.bincount(given.user, minlength=n_users)
    fewest = np.maximum(MIN_LOYALTIES, -(-audience.activity // VIEWS_PER_LOYALTY))
    target = _Target(
        size=np.where(fixed > 0, fixed, np.minimum(fewest, n_vloggers)),
        videos=audience.activity,
        at_start=catalogue.at_start,
    )
    pairs = _draw_pairs(audience.tastes, vloggers, target, given, stream(seed, "loyalties"))
    offsets = group_offsets(pairs.user, n_users)
    weights = stream(seed, "loyalty weights").standard_exponential(len(pairs.user))
    has_videos = np.diff(catalogue.vlogger_offsets) > 0
    choice = Segments(offsets, np.where(has_videos[pairs.vlogger], weights, 0.0))
    added = int((np.diff(offsets) - fixed)[fixed > 0].sum())
    return Loyalties(pairs, offsets, choice, added)


@dataclass(frozen=True)
class _Target:
    """When a user has enough loyal vloggers.

    Attributes:
        size: (U,) int64 at least so many vloggers.
        videos: (U,) int64 with at least so many videos at time 0.
        at_start: (P,) int64 each vlogger's videos at time 0.
    """

    size: IntArray
    videos: IntArray
    at_start: IntArray

    def trim(self, user: IntArray, vlogger: IntArray) -> tuple[IntArray, IntArray]:
        """Keep of each user's pairs, given in order of preference, those up to the first that is enough.

        Args:
            user, vlogger: (n,) int64, sorted by user, perhaps with repeats.
        """
        n_vloggers = len(self.at_start)
        first = np.sort(np.unique(user * n_vloggers + vlogger, return_index=True)[1])
        user, vlogger = user[first], vlogger[first]
        begin = group_offsets(user, len(self.size))[user]
        before = np.concatenate([[0], np.cumsum(self.at_start[vlogger])])
        videos_before = before[:-1] - before[begin]
        keep = (np.arange(len(user)) - begin < self.size[user]) | (videos_before < self.videos[user])
        return user[keep], vlogger[keep]

    def unmet(self, user: IntArray, vlogger: IntArray) -> IntArray:
        """Users whose pairs are not enough."""
        size = np.bincount(user, minlength=len(self.size))
        videos = np.bincount(user, self.at_start[vlogger], minlength=len(self.size))
        return np.flatnonzero((size < self.size) | (videos < self.videos))


def _draw_pairs(
    tastes: FloatArray, vloggers: Vloggers, target: _Target, given: Pairs, rng: np.random.Generator
) -> Pairs:
    """Add draws to the given pairs until every user's target is met.

    Rounds draw more and more vloggers with replacement and drop repeats; who needs more after the last round gets
    an exact draw without replacement.
    """
    n_users, n_topics = tastes.shape
    weights = (vloggers.appeal[:, None] * vloggers.topics).T  # (K, P)
    of_topic = Segments(np.arange(n_topics + 1) * weights.shape[1], weights.ravel())
    topic_choice = Segments(np.arange(n_users + 1) * n_topics, (tastes * weights.sum(axis=1)).ravel())
    user, vlogger = target.trim(given.user, given.vlogger)
    for doubling in range(_ROUNDS):
        unmet = target.unmet(user, vlogger)
        again = np.repeat(unmet, target.size[unmet] * 2**doubling + MIN_LOYALTIES)
        topic = topic_choice.draw(again, rng) - again * n_topics
        drawn = of_topic.draw(topic, rng) - topic * weights.shape[1]
        user, vlogger = _append(target, user, vlogger, again, drawn)
    unmet = target.unmet(user, vlogger)
    races = [_race(tastes[u] @ weights, rng) for u in unmet]
    if races:
        again = np.repeat(unmet, [len(race) for race in races])
        user, vlogger = _append(target, user, vlogger, again, np.concatenate(races))
    return Pairs(user, vlogger)


def _append(
    target: _Target, user: IntArray, vlogger: IntArray, more_user: IntArray, more_vlogger: IntArray
) -> tuple[IntArray, IntArray]:
    """Put more pairs behind each user's own, and trim."""
    user, vlogger = np.concatenate([user, more_user]), np.concatenate([vlogger, more_vlogger])
    order = np.argsort(user, kind="stable")
    return target.trim(user[order], vlogger[order])


def _race(weights: FloatArray, rng: np.random.Generator) -> IntArray:
    """All positions, in the order of successive draws without replacement by weight (exponential clocks)."""
    with np.errstate(divide="ignore"):
        return np.argsort(rng.standard_exponential(len(weights)) / weights, kind="stable")
