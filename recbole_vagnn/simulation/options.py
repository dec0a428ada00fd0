"""What can be asked of a simulated platform, and the constants of the model.

The constants were fixed before any model was trained on a simulation; docs/simulation.md says where each is from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options

MIN_HISTORY = 3  # views per user: one each to train, validate and test
VIEWS_PER_USER = 30  # where only one of --users and --interactions is given
VIDEOS_PER_VLOGGER = 10
CATALOGUE_AT = (3_000, 60_000)  # 3,000 videos at 60,000 views, and the square root law from there
CALIBRATED_VIEWS_PER_USER = (1_000_000, 14_571)  # a million views of TakaTak's users

TOPIC_SKEW = 0.5  # popularity of topic k ∝ (k + 1)^-TOPIC_SKEW
VLOGGER_FOCUS = 1.0  # total of the Dirichlet parameters of a vlogger's topics
TASTE_FOCUS = 5.0  # ... and of a user's
EXPLORATION = 0.02  # part of every taste that follows the topics' popularity
CATALOGUE_TAIL = 2.0  # tail index of videos per vlogger
AUDIENCE_TAIL = 2.0  # ... of a vlogger's appeal per video
APPEAL_TAIL = 2.0  # ... of a video's appeal
APPEAL_FLOOR = 0.01  # smallest appeal, whose mean is 1 + APPEAL_FLOOR
ACTIVITY_TAIL = 2.5  # ... of views per user
MIN_LOYALTIES = 3  # loyal vloggers of a user
VIEWS_PER_LOYALTY = 4  # a user of n views has at least n / VIEWS_PER_LOYALTY of them
HORIZON = 60 * 86_400  # seconds; below 2^24, so that RecBole's float32 times stay exact
MIN_WINDOW = 10 * 86_400  # shortest time a user is active

PURITY = 0.8  # calibrated: part of a vlogger's topics that is its cluster
LOYAL_TASTE = 0.5  # calibrated: part of a user's taste that is the mean of the loyal vloggers' topics
ACTIVITY_NOISE = 0.5  # calibrated: standard deviation added to log(1 + pairs) before users are ranked by it

_MOST_INTERACTIONS = 100_000_000
_FEWEST_VIDEOS = 4 * MIN_HISTORY


@dataclass(frozen=True)
class SimulationOptions(Options):
    """Options of a simulated platform.

    Attributes:
        users, videos, vloggers, interactions: sizes; 0 = from the others (:func:`resolve_sizes`).
        vlogger_effect: e in [0, 1], the probability that a view is chosen by loyalty to a vlogger.
        topics: K.
        follow_completeness: probability that a loyal pair is among the follow edges.
        follow_noise: share of the follow edges that are no loyal pairs.
        feature_quality: probability that the topic a video shows is its own; else it is a uniformly random one.
        seed: of all random numbers.

    Raises:
        InputError: a value is outside its range.
    """

    users: int = 0
    videos: int = 0
    vloggers: int = 0
    interactions: int = 0
    vlogger_effect: float = 0.5
    topics: int = 20
    follow_completeness: float = 0.5
    follow_noise: float = 0.1
    feature_quality: float = 1.0
    seed: int = 2020

    def __post_init__(self) -> None:
        for name in ("users", "videos", "vloggers", "interactions"):
            self.require_number(name, 0, _MOST_INTERACTIONS, whole=True)
        self.require_number("topics", 1, 1_000, whole=True)
        self.require_number("seed", 0, 2**63 - 1, whole=True)
        for name in ("vlogger_effect", "follow_completeness", "feature_quality"):
            self.require_number(name, 0, 1)
        self.require_number("follow_noise", 0, 0.9)


@dataclass(frozen=True)
class Sizes:
    """Resolved sizes of a platform.

    Raises:
        InputError: the views do not fit the users and videos.
    """

    users: int
    videos: int
    vloggers: int
    interactions: int

    def __post_init__(self) -> None:
        if self.videos < _FEWEST_VIDEOS:
            raise InputError(f"`videos` is {self.videos}; a platform needs at least {_FEWEST_VIDEOS}.")
        if self.vloggers > self.videos:
            raise InputError(
                f"`vloggers` is {self.vloggers:,} and `videos` {self.videos:,}: every vlogger has a video, so raise "
                f"--videos or lower --vloggers."
            )
        low, high = MIN_HISTORY * self.users, self.longest_history * self.users
        if self.interactions < low:
            raise InputError(
                f"`interactions` is {self.interactions:,}; {self.users:,} users with at least {MIN_HISTORY} views "
                f"each make {low:,}. Raise --interactions or lower --users."
            )
        if self.interactions > high:
            raise InputError(
                f"`interactions` is {self.interactions:,}; {self.users:,} users who each watch at most a quarter of "
                f"{self.videos:,} videos make {high:,}. Lower --interactions, or raise --users or --videos."
            )

    @property
    def longest_history(self) -> int:
        """Most views of one user: a quarter of the videos (half of those that exist from the start), and no more
        than the shortest window has seconds.
        """
        return min(self.videos // 4, MIN_WINDOW)


def resolve_sizes(options: SimulationOptions) -> Sizes:
    """Fill in the sizes that are 0.

    Views and users are in the ratio VIEWS_PER_USER, videos and vloggers in VIDEOS_PER_VLOGGER, and the videos grow
    with the square root of the views (as the distinct words of a text do: Heaps' law).

    Raises:
        InputError: the sizes do not fit together.
    """
    anchor_videos, anchor_views = CATALOGUE_AT
    views = options.interactions or options.users * VIEWS_PER_USER or anchor_views
    users = options.users or max(1, round(views / VIEWS_PER_USER))
    by_views = max(_FEWEST_VIDEOS, round(anchor_videos * math.sqrt(views / anchor_views)))
    videos = options.videos or options.vloggers * VIDEOS_PER_VLOGGER or by_views
    vloggers = options.vloggers or max(1, videos // VIDEOS_PER_VLOGGER)
    return Sizes(users, videos, vloggers, views)


def resolve_calibrated_sizes(options: SimulationOptions, users: int, videos: int, vloggers: int) -> Sizes:
    """Sizes of a platform calibrated from a release: all real but the views.

    Raises:
        InputError: a size is given that the release already says, or the views do not fit.
    """
    for name in ("users", "videos", "vloggers"):
        if getattr(options, name):
            raise InputError(f"`{name}` is {getattr(options, name):,}, but --calibrate takes it from the release.")
    views, of_users = CALIBRATED_VIEWS_PER_USER
    return Sizes(users, videos, vloggers, options.interactions or round(users * views / of_users))
