"""Vloggers and their videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_vagnn.simulation.draw import (
    FloatArray,
    IntArray,
    Segments,
    appeals,
    dirichlet,
    group_offsets,
    power_law_counts,
    stream,
)
from recbole_vagnn.simulation.options import (
    APPEAL_TAIL,
    AUDIENCE_TAIL,
    CATALOGUE_TAIL,
    HORIZON,
    TOPIC_SKEW,
    VLOGGER_FOCUS,
    Sizes,
)


@dataclass(frozen=True)
class Vloggers:
    """P vloggers.

    Attributes:
        topic_popularity: (K,) float64 π, sums to 1, descending.
        topics: (P, K) float64 θ, rows sum to 1.
        appeal: (P,) float64 a > 0, how readily they win followers.
        vlogger_of: (V,) int64 p(v), who made each video.
    """

    topic_popularity: FloatArray
    topics: FloatArray
    appeal: FloatArray
    vlogger_of: IntArray


@dataclass(frozen=True)
class Catalogue:
    """V videos.

    Attributes:
        vlogger_of: (V,) int64 p(v).
        topic_of: (V,) int64 z.
        appeal: (V,) float64 b > 0, independent of the vlogger.
        uploaded: (V,) int64 seconds; half of the videos exist from time 0.
        by_topic, by_vlogger: (V,) int64 videos sorted by topic and by vlogger.
        of_topic, of_vlogger: draw positions of these by appeal.
        vlogger_offsets: (P + 1,) int64 where each vlogger's videos start in ``by_vlogger``.
    """

    vlogger_of: IntArray
    topic_of: IntArray
    appeal: FloatArray
    uploaded: IntArray
    by_topic: IntArray
    by_vlogger: IntArray
    of_topic: Segments
    of_vlogger: Segments
    vlogger_offsets: IntArray

    @property
    def at_start(self) -> IntArray:
        """(P,) int64 number of each vlogger's videos that exist from time 0."""
        return np.bincount(self.vlogger_of[self.uploaded == 0], minlength=len(self.vlogger_offsets) - 1)


def topic_popularity(topics: int) -> FloatArray:
    """(topics,) float64 π_k ∝ (k + 1)^-TOPIC_SKEW."""
    popularity = np.arange(1.0, topics + 1) ** -TOPIC_SKEW
    return popularity / popularity.sum()


def draw_vloggers(sizes: Sizes, topics: int, seed: int) -> Vloggers:
    """Vloggers of the free model: θ_p ~ Dirichlet, power-law numbers of videos and appeal.

    a_p = (number of videos) · (Lomax variable).
    """
    popularity = topic_popularity(topics)
    rng = stream(seed, "vloggers")
    mixes = dirichlet(rng, VLOGGER_FOCUS, popularity, sizes.vloggers)
    per_video = appeals(rng, AUDIENCE_TAIL, sizes.vloggers)
    rng = stream(seed, "catalogue")
    counts = power_law_counts(rng, sizes.vloggers, sizes.videos, 1, sizes.videos, CATALOGUE_TAIL)
    vlogger_of = rng.permutation(np.repeat(np.arange(sizes.vloggers), counts))
    return Vloggers(popularity, mixes, counts * per_video, vlogger_of)


def draw_catalogue(vloggers: Vloggers, seed: int) -> Catalogue:
    """Topic z_v ~ θ_p(v), appeal b_v ~ Lomax and upload time of every video."""
    n_vloggers, n_topics = vloggers.topics.shape
    vlogger_of = vloggers.vlogger_of
    mixes = Segments(np.arange(n_vloggers + 1) * n_topics, vloggers.topics.ravel())
    topic_of = mixes.draw(vlogger_of, stream(seed, "videos")) - vlogger_of * n_topics
    appeal = appeals(stream(seed, "appeal"), APPEAL_TAIL, len(vlogger_of))
    by_topic = np.argsort(topic_of, kind="stable")
    by_vlogger = np.argsort(vlogger_of, kind="stable")
    offsets = group_offsets(vlogger_of, n_vloggers)
    return Catalogue(
        vlogger_of=vlogger_of,
        topic_of=topic_of,
        appeal=appeal,
        uploaded=_upload_times(len(vlogger_of), seed),
        by_topic=by_topic,
        by_vlogger=by_vlogger,
        of_topic=Segments(group_offsets(topic_of, n_topics), appeal[by_topic]),
        of_vlogger=Segments(offsets, appeal[by_vlogger]),
        vlogger_offsets=offsets,
    )


def _upload_times(videos: int, seed: int) -> IntArray:
    """(videos,) int64: 0 for a random half (rounded up), for the rest uniform in the horizon."""
    rng = stream(seed, "uploads")
    uploaded = np.zeros(videos, dtype=np.int64)
    later = rng.permutation(videos)[: videos // 2]
    uploaded[later] = rng.integers(1, HORIZON, len(later))
    return uploaded
