"""A simulated platform: all parts, drawn in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_vagnn.simulation.audience import (
    Audience,
    Loyalties,
    draw_activity,
    draw_loyalties,
    draw_tastes,
    draw_windows,
)
from recbole_vagnn.simulation.calibration import (
    Release,
    calibrated_activity,
    calibrated_tastes,
    calibrated_vloggers,
)
from recbole_vagnn.simulation.catalogue import Catalogue, Vloggers, draw_catalogue, draw_vloggers
from recbole_vagnn.simulation.draw import BoolArray, IntArray, contains, stream
from recbole_vagnn.simulation.follows import Follows, draw_follow_pairs, follow_times
from recbole_vagnn.simulation.options import SimulationOptions, Sizes, resolve_calibrated_sizes, resolve_sizes
from recbole_vagnn.simulation.views import Views, draw_views


@dataclass(frozen=True)
class Platform:
    """Everything about a simulated platform, the hidden parts included.

    Attributes:
        sizes: U users, V videos, P vloggers, N views.
        vloggers, catalogue, audience, loyalties: the world, which does not depend on the vlogger effect.
        views, follows: what can be observed.
        shown_topic: (V,) int64 the topic a video shows.
    """

    sizes: Sizes
    vloggers: Vloggers
    catalogue: Catalogue
    audience: Audience
    loyalties: Loyalties
    views: Views
    follows: Follows
    shown_topic: IntArray

    @property
    def on_loyal(self) -> BoolArray:
        """(N,) bool: views of videos by a vlogger the user is loyal to, chosen by loyalty or not."""
        pairs, vlogger_of = self.loyalties.pairs, self.catalogue.vlogger_of
        keys = np.sort(pairs.user * self.sizes.vloggers + pairs.vlogger)
        return contains(keys, self.views.user * self.sizes.vloggers + vlogger_of[self.views.video])

    def remarks(self) -> list[str]:
        """What came out, in sentences."""
        views, videos = self.views, np.bincount(self.views.video, minlength=self.sizes.videos)
        top = np.sort(videos)[::-1][: max(1, self.sizes.videos // 100)]
        loyal = self.follows.loyal
        found = int(loyal.sum())
        sentences = [
            f"Simulated: {self.sizes.users:,} users, {self.sizes.videos:,} videos, {self.sizes.vloggers:,} vloggers, "
            f"{self.sizes.interactions:,} views.",
            f"{views.by_loyalty.mean():.1%} of the views were chosen by loyalty; {self.on_loyal.mean():.1%} are of "
            f"vloggers the user is loyal to.",
            f"The most viewed 1 % of the videos have {top.sum() / self.sizes.interactions:.1%} of the views; "
            f"{np.mean(videos == 0):.1%} of the videos have none. A user has {self.audience.activity.min()} to "
            f"{self.audience.activity.max():,} views.",
            f"{len(self.loyalties.pairs.user):,} loyal pairs, of which {found / len(self.loyalties.pairs.user):.1%} "
            f"are among the {len(loyal):,} follow edges; {np.mean(~loyal) if len(loyal) else 0:.1%} of the edges are "
            f"noise.",
            f"{np.mean(self.shown_topic == self.catalogue.topic_of):.1%} of the videos show their own topic.",
        ]
        if self.loyalties.added:
            sentences.append(
                f"{self.loyalties.added:,} loyal pairs were added to the release's, for users whose views would not "
                f"fit into the videos of their own vloggers."
            )
        return sentences


def simulate(options: SimulationOptions, release: Release | None = None) -> Platform:
    """Draw a platform.

    Args:
        options: what is asked for.
        release: real vloggers, videos and pairs; None = all drawn.

    Raises:
        InputError: the sizes do not fit together, or the noise needs more pairs than there are.
    """
    seed = options.seed
    sizes = sizes_of(options, release)
    if release is None:
        vloggers = draw_vloggers(sizes, options.topics, seed)
        tastes = draw_tastes(vloggers.topic_popularity, sizes.users, seed)
        activity = draw_activity(sizes, seed)
    else:
        vloggers = calibrated_vloggers(release, options.topics, seed)
        tastes = calibrated_tastes(release, vloggers, seed)
        activity = calibrated_activity(release, sizes, seed)
    catalogue = draw_catalogue(vloggers, seed)
    audience = Audience(tastes, activity, *draw_windows(sizes.users, seed))
    loyalties = draw_loyalties(audience, vloggers, catalogue, release.pairs if release else None, seed)
    pairs, loyal = draw_follow_pairs(
        loyalties.pairs,
        sizes.users,
        vloggers.appeal,
        options.follow_completeness,
        options.follow_noise,
        seed,
    )
    views = draw_views(audience, loyalties, catalogue, options.vlogger_effect, seed)
    times = follow_times(pairs, views, audience, catalogue, seed)
    follows = Follows(pairs.user, pairs.vlogger, times, loyal)
    shown = show_topics(catalogue.topic_of, options.topics, options.feature_quality, seed)
    return Platform(sizes, vloggers, catalogue, audience, loyalties, views, follows, shown)


def sizes_of(options: SimulationOptions, release: Release | None) -> Sizes:
    """Sizes of the platform that :func:`simulate` draws.

    Raises:
        InputError: they do not fit together.
    """
    if release is None:
        return resolve_sizes(options)
    return resolve_calibrated_sizes(options, release.users, len(release.vlogger_of), release.vloggers)


def show_topics(topic_of: IntArray, topics: int, quality: float, seed: int) -> IntArray:
    """(V,) int64: the true topic with probability ``quality``, else a uniformly random one (it may be the same)."""
    rng = stream(seed, "features")
    true = rng.random(len(topic_of)) < quality
    return np.where(true, topic_of, rng.integers(0, topics, len(topic_of)))
