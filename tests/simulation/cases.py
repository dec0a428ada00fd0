"""Platforms and statistics that several tests share."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recbole_vagnn.simulation.calibration import Release, read_release
from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import Platform, simulate

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "vagnn-release"


@cache
def platform(**options: Any) -> Platform:
    return simulate(SimulationOptions(**options))


def small(**options: Any) -> Platform:
    """300 users, 600 videos, 60 vloggers, 6,000 views, 5 topics unless said otherwise."""
    return platform(**{"users": 300, "videos": 600, "vloggers": 60, "interactions": 6_000, "topics": 5} | options)


def write_release(folder: Path, videos: str, pairs: str, sizes: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vlogger_video_data.txt").write_text(videos)
    (folder / "user_vlogger_data2.txt").write_text(pairs)
    if sizes is not None:
        (folder / "data_size.txt").write_text(sizes)
    return folder


def blocks_release(folder: Path, *, loose: int = 3) -> Release:
    """Two groups of 4 vloggers with 10 videos each; 20 users tied to 3 vloggers of one group; ``loose`` without."""
    videos = "".join(f"{p}\t{10 * p + i}\n" for p in range(8) for i in range(10))
    pairs = "".join(f"{u} {' '.join(str(4 * (u % 2) + (u + i) % 4) for i in range(3))}\n" for u in range(20))
    return read_release(write_release(folder, videos, pairs, f"{20 + loose}\t80\t8"))


def beyond_strata(user: np.ndarray, vlogger: np.ndarray, stratum: np.ndarray) -> float:
    """Σ O² − Σ E² over users × vloggers, E from the margins inside each stratum.

    O is how often the user viewed the vlogger: the sum counts repeats beyond what the strata and the vloggers'
    popularity make likely.
    """
    n_strata = int(stratum.max()) + 1
    by_user, by_vlogger = np.zeros((int(user.max()) + 1, n_strata)), np.zeros((int(vlogger.max()) + 1, n_strata))
    np.add.at(by_user, (user, stratum), 1)
    np.add.at(by_vlogger, (vlogger, stratum), 1)
    by_vlogger /= np.maximum(by_vlogger.sum(axis=0), 1)
    observed = np.unique(user * len(by_vlogger) + vlogger, return_counts=True)[1]
    # E = by_user · by_vloggerᵀ
    return float(np.sum(observed**2) - np.sum((by_user.T @ by_user) * (by_vlogger.T @ by_vlogger)))


def permute_within(groups: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels shuffled among the entries of each group."""
    shuffled = labels.copy()
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        shuffled[members] = labels[rng.permutation(members)]
    return shuffled
