"""Who watches what, when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_vagnn.simulation.audience import Audience, Loyalties
from recbole_vagnn.simulation.catalogue import Catalogue
from recbole_vagnn.simulation.draw import BoolArray, FloatArray, IntArray, Segments, distinct_draws, stream


@dataclass(frozen=True)
class Views:
    """N views, sorted by user, then time.

    Attributes:
        user, video: (N,) int64; no pair twice.
        time: (N,) int64 seconds, distinct within a user, never before the video's upload.
        by_loyalty: (N,) bool, chosen by loyalty (else by taste).
        exact: how many videos were drawn by the exact fallback.
    """

    user: IntArray
    video: IntArray
    time: IntArray
    by_loyalty: BoolArray
    exact: int


def draw_views(audience: Audience, loyalties: Loyalties, catalogue: Catalogue, effect: float, seed: int) -> Views:
    """Draw all views.

    Each view is by loyalty with probability ``effect``: a vlogger by the user's loyalty weights, then one of its
    videos by appeal. Else it is by taste: a topic from φ_u, then one of its videos by appeal, whoever made it.
    Videos not yet uploaded or seen by the user are drawn again, in the same way.
    """
    user = np.repeat(np.arange(len(audience.activity)), audience.activity)
    time = draw_times(audience, seed)
    by_loyalty = stream(seed, "modes").random(len(user)) < effect
    rng = stream(seed, "views")
    n_users, n_topics = audience.tastes.shape
    tastes = audience.tastes * (np.bincount(catalogue.topic_of, minlength=n_topics) > 0)
    taste_choice = Segments(np.arange(n_users + 1) * n_topics, tastes.ravel())
    chooser = _Chooser(user, time, by_loyalty, tastes, taste_choice, loyalties, catalogue, rng)
    video, exact = distinct_draws(user, len(catalogue.topic_of), chooser.propose, chooser.allowed, chooser.weights, rng)
    return Views(user, video, time, by_loyalty, exact)


def draw_times(audience: Audience, seed: int) -> IntArray:
    """(N,) int64 ascending, distinct seconds for each user's views, uniform in the window.

    Sorted uniform numbers are partial sums of exponential ones, divided by their total.
    """
    n = audience.activity
    gaps = stream(seed, "times").standard_exponential(int(n.sum()) + len(n))
    sums = np.cumsum(gaps)
    ends = np.cumsum(n + 1)
    before = np.concatenate([[0.0], sums[ends[:-1] - 1]])
    total = sums[ends - 1] - before
    inner = np.ones(len(gaps), dtype=np.bool_)
    inner[ends - 1] = False
    uniform = (sums[inner] - np.repeat(before, n)) / np.repeat(total, n)
    rank = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
    room = np.repeat(audience.end - audience.start - n, n)
    return np.repeat(audience.start, n) + (np.clip(uniform, 0, 1 - 1e-12) * room).astype(np.int64) + rank


@dataclass(frozen=True)
class _Chooser:
    """The distribution of each view's video.

    Attributes:
        user, time, by_loyalty: (N,) the views.
        tastes: (U, K) float64 φ; zero where a topic has no video.
        taste_choice: draws positions of the flat ``tastes``.
        loyalties, catalogue: the platform.
        rng: for the proposals.
    """

    user: IntArray
    time: IntArray
    by_loyalty: BoolArray
    tastes: FloatArray
    taste_choice: Segments
    loyalties: Loyalties
    catalogue: Catalogue
    rng: np.random.Generator

    def propose(self, slots: IntArray) -> IntArray:
        """(m,) videos for (m,) views, seen or not, uploaded or not."""
        videos = np.empty(len(slots), dtype=np.int64)
        loyal = self.by_loyalty[slots]
        videos[loyal] = self._by_loyalty(self.user[slots[loyal]])
        videos[~loyal] = self._by_taste(self.user[slots[~loyal]])
        return videos

    def allowed(self, slots: IntArray, videos: IntArray) -> BoolArray:
        """Which videos are uploaded at the time of the view."""
        return self.catalogue.uploaded[videos] <= self.time[slots]

    def weights(self, slot: int) -> tuple[IntArray, FloatArray]:
        """Uploaded videos a view can be of, and their probabilities."""
        videos, weights = self._loyal_weights(slot) if self.by_loyalty[slot] else self._taste_weights(slot)
        there = self.catalogue.uploaded[videos] <= self.time[slot]
        return videos[there], weights[there]

    def _by_loyalty(self, user: IntArray) -> IntArray:
        pair = self.loyalties.choice.draw(user, self.rng)
        return self.catalogue.by_vlogger[self.catalogue.of_vlogger.draw(self.loyalties.pairs.vlogger[pair], self.rng)]

    def _by_taste(self, user: IntArray) -> IntArray:
        topic = self.taste_choice.draw(user, self.rng) - user * self.tastes.shape[1]
        return self.catalogue.by_topic[self.catalogue.of_topic.draw(topic, self.rng)]

    def _loyal_weights(self, slot: int) -> tuple[IntArray, FloatArray]:
        first, last = self.loyalties.offsets[self.user[slot] : self.user[slot] + 2]
        vloggers, offsets = self.loyalties.pairs.vlogger[first:last], self.catalogue.vlogger_offsets
        ranges = [np.arange(offsets[p], offsets[p + 1]) for p in vloggers]
        at = np.concatenate(ranges)
        weights = np.repeat(self.loyalties.choice.share[first:last], [len(r) for r in ranges])
        return self.catalogue.by_vlogger[at], weights * self.catalogue.of_vlogger.share[at]

    def _taste_weights(self, slot: int) -> tuple[IntArray, FloatArray]:
        videos = self.catalogue.by_topic
        taste = self.tastes[self.user[slot], self.catalogue.topic_of[videos]]
        return videos, taste * self.catalogue.of_topic.share
