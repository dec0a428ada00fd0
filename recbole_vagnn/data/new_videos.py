"""Videos held out as if they were published after training: option ``new_video_share`` (docs/cold_start.md).

The draw depends on the training interactions, the creators, the share and ``new_video_seed`` alone, so it is the same
for every model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.data.order import first_time_per_user
from recbole_vagnn.errors import InputError

IntArray = NDArray[np.int64]


def draw_new_videos(
    counts: IntArray, vlogger_of: IntArray, share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw videos to be held out, uniformly but so that every vlogger keeps a video with training interactions.

    The pool are the videos that have training interactions and a known vlogger with another such video. Of each
    vlogger, the video that comes last in a random order of the pool is spared.

    Args:
        counts: (n_videos,) training interactions of each video.
        vlogger_of: (n_videos,) vlogger of each video, 0 = unknown.
        share: share of the pool, above 0 and at most 0.5, which leaves every vlogger a video.
        rng: the generator to draw from.

    Returns:
        (n_videos,) bool; round(share × pool) of them are True, but at least one.

    Raises:
        InputError: the pool is empty.
    """
    trained = (counts > 0) & (vlogger_of > 0)
    videos_of = np.bincount(vlogger_of[trained], minlength=int(vlogger_of.max(initial=0)) + 1)
    pool = np.flatnonzero(trained & (videos_of[vlogger_of] > 1))
    if len(pool) == 0:
        raise InputError(
            f"`new_video_share` is {share}, but none of the {int(trained.sum())} videos with training interactions and "
            f"a known vlogger has a vlogger with a second such video: none can be held out. Set it to 0."
        )
    order = rng.permutation(pool)
    spared = len(order) - 1 - np.unique(vlogger_of[order][::-1], return_index=True)[1]
    new = np.zeros(len(counts), dtype=bool)
    new[np.delete(order, spared)[: max(1, round(share * len(pool)))]] = True
    return new


def first_times(follow: FollowPairs, users: IntArray, vloggers: IntArray, times: NDArray[Any]) -> NDArray[Any]:
    """When the user of each follow pair first met a new video of its vlogger: a follow not older may be due to it.

    Args:
        follow: n pairs.
        users, vloggers: (m,) int64, of the interactions with new videos.
        times: (m,) of them.

    Returns:
        (n,) times; the largest value of the dtype where there was none.
    """
    width = 1 + max(int(part.max(initial=0)) for part in (vloggers, follow.vloggers))
    keys, codes = np.unique(users * width + vloggers, return_inverse=True)
    first = first_time_per_user(codes, times, len(keys) + 1)  # the last entry: never met
    wanted = follow.users * width + follow.vloggers
    places = np.searchsorted(keys, wanted)
    met = np.isin(wanted, keys)
    return first[np.where(met, places, len(keys))]
