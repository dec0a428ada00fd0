"""What the VA-GNN authors' release says about a platform: who made what, and who is tied to whom.

Its two real files are used: ``vlogger_video_data.txt`` (``vlogger<TAB>video`` a line) and
``user_vlogger_data2.txt`` (``user p1 … pk`` a line), with ``data_size.txt`` (users, videos, vloggers) where it is.
The views themselves (``user_video_data.txt``) are not public for every set, and are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recbole_vagnn.errors import InputError
from recbole_vagnn.simulation.audience import Pairs, draw_activity, explore
from recbole_vagnn.simulation.catalogue import Vloggers
from recbole_vagnn.simulation.draw import FloatArray, IntArray, dirichlet, stream
from recbole_vagnn.simulation.options import ACTIVITY_NOISE, LOYAL_TASTE, PURITY, TASTE_FOCUS, Sizes

VIDEOS, PAIRS, SIZES = "vlogger_video_data.txt", "user_vlogger_data2.txt", "data_size.txt"
_NUMBERS = re.compile(r"[0-9]{1,9}(\s+[0-9]{1,9})*")
_LLOYD_STEPS = 100


@dataclass(frozen=True)
class Release:
    """The real part of a platform.

    Attributes:
        name: of the folder.
        vlogger_of: (V,) int64 vlogger of each video.
        pairs: the user–vlogger pairs, sorted, each once.
        users, vloggers: their numbers.
        files: what was read.
    """

    name: str
    vlogger_of: IntArray
    pairs: Pairs
    users: int
    vloggers: int
    files: tuple[Path, ...]

    @property
    def audience(self) -> IntArray:
        """(P,) int64 users tied to each vlogger."""
        return np.bincount(self.pairs.vlogger, minlength=self.vloggers)


def read_release(folder: Path) -> Release:
    """Read a release's two real files, and its sizes where they are given.

    Raises:
        InputError: a file is missing or a line is not as described, an id is beyond the sizes, a video has two
            vloggers or none.
    """
    for name in (VIDEOS, PAIRS):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} does not exist. --calibrate takes a folder with {VIDEOS} and {PAIRS}.")
    sizes = _read_sizes(folder / SIZES)
    users, videos, vloggers = sizes or (None, None, None)
    makers = _read_pairs(folder / VIDEOS, ("vlogger", vloggers), ("video", videos), single=True)
    pairs = np.unique(_read_pairs(folder / PAIRS, ("user", users), ("vlogger", vloggers)), axis=0)
    for name, rows in ((VIDEOS, makers), (PAIRS, pairs)):
        if len(rows) == 0:
            raise InputError(f"{folder / name} has no pairs.")
    highest = max(int(makers[:, 0].max()), int(pairs[:, 1].max()))
    return Release(
        name=folder.resolve().name,
        vlogger_of=_vlogger_of(folder / VIDEOS, makers, videos),
        pairs=Pairs(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])),
        users=users or int(pairs[:, 0].max()) + 1,
        vloggers=vloggers or highest + 1,
        files=tuple(folder / name for name in (VIDEOS, PAIRS, SIZES) if (folder / name).is_file()),
    )


def _lines(path: Path) -> Iterator[tuple[int, list[int]]]:
    """Line number (from 1) and whole numbers of each line that is not blank."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if text and not _NUMBERS.fullmatch(text):
                raise InputError(f"{path}, line {number}: {text[:80]!r} is not whole numbers from 0. Correct the line.")
            if text:
                yield number, [int(token) for token in text.split()]


def _read_sizes(path: Path) -> tuple[int, int, int] | None:
    """Users, videos, vloggers; None without the file."""
    if not path.is_file():
        return None
    lines = list(_lines(path))
    if len(lines) != 1 or len(lines[0][1]) != 3 or 0 in lines[0][1]:
        raise InputError(f"{path} must hold one line with the numbers of users, videos and vloggers, all above 0.")
    users, videos, vloggers = lines[0][1]
    return users, videos, vloggers


def _read_pairs(
    path: Path, head: tuple[str, int | None], tail: tuple[str, int | None], *, single: bool = False
) -> IntArray:
    """Pairs of a line's first id and each further one.

    Args:
        path: the file.
        head, tail: what the ids are, and their number (None = not known).
        single: whether a line has exactly two ids.

    Returns:
        (n, 2) int64 in file order.
    """
    heads: list[int] = []
    tails: list[int] = []
    for number, (first, *others) in _lines(path):
        if single and len(others) != 1:
            raise InputError(f"{path}, line {number}: {1 + len(others)} numbers; expected one vlogger and one video.")
        for (kind, limit), largest in ((head, first), (tail, max(others, default=0))):
            if limit is not None and largest >= limit:
                raise InputError(f"{path}, line {number}: {kind} {largest} is beyond the {limit:,} of {SIZES}.")
        heads += [first] * len(others)
        tails += others
    return np.array([heads, tails], dtype=np.int64).T


def _vlogger_of(path: Path, makers: IntArray, videos: int | None) -> IntArray:
    """(V,) int64 from (n, 2) vlogger–video pairs."""
    makers = np.unique(makers, axis=0)
    counts = np.bincount(makers[:, 1], minlength=videos or 0)
    if counts.max() > 1:
        raise InputError(f"{path}: video {int(counts.argmax())} has {int(counts.max())} vloggers. Keep one line of it.")
    if counts.min() < 1:
        missing = np.flatnonzero(counts == 0)
        raise InputError(
            f"{path}: {len(missing):,} of {len(counts):,} videos have no line, the first is {missing[0]}. Every video "
            f"needs its vlogger: number the videos from 0 without gaps, and add lines or correct {SIZES}."
        )
    return makers[np.argsort(makers[:, 1]), 0]


# --- topics from ties ------------------------------------------------------------------------------------------


def calibrated_vloggers(release: Release, topics: int, seed: int) -> Vloggers:
    """Vloggers of a release: the real map, appeal = real audience + 1, topics from the clusters of the pairs.

    θ_p = PURITY on the vlogger's cluster, the rest as the topics' popularity π. Clusters are numbered by falling
    audience; a cluster's popularity is its share of the audience.
    """
    rng = stream(seed, "clusters")
    appeal = 1 + release.audience.astype(np.float64)
    cluster = _clusters(release, topics, rng)
    tied = cluster >= 0
    weight = np.bincount(cluster[tied], appeal[tied], minlength=topics) + 1.0
    rank = np.empty(topics, dtype=np.int64)
    rank[np.argsort(-weight, kind="stable")] = np.arange(topics)
    popularity: FloatArray = np.sort(weight)[::-1] / weight.sum()
    cluster = np.where(tied, rank[cluster], rng.choice(topics, len(cluster), p=popularity))
    mixes: FloatArray = PURITY * np.eye(topics)[cluster] + (1 - PURITY) * popularity
    return Vloggers(popularity, mixes, appeal, release.vlogger_of)


def _clusters(release: Release, topics: int, rng: np.random.Generator) -> IntArray:
    """(P,) int64 cluster of each vlogger, −1 for one without pairs.

    Spectral co-clustering: k-means of the unit rows of the leading singular vectors of D_u^-½ R D_p^-½.
    """
    tied = np.flatnonzero(release.audience)
    users, user = np.unique(release.pairs.user, return_inverse=True)
    vlogger = np.searchsorted(tied, release.pairs.vlogger)
    values = (np.bincount(user)[user] * np.bincount(vlogger)[vlogger]) ** -0.5
    ties = sp.csr_matrix((values, (user, vlogger)), shape=(len(users), len(tied)))
    cluster = np.full(release.vloggers, -1, dtype=np.int64)
    cluster[tied] = _k_means(_embedding(ties, topics), min(topics, len(tied)), rng)
    return cluster


def _embedding(ties: sp.csr_matrix, rank: int) -> FloatArray:
    """(P, ≤ rank) float64 unit rows; each column's largest entry is positive."""
    rank = min(rank, min(ties.shape) - 1)
    if rank < 1:
        return np.ones((ties.shape[1], 1))
    _, strength, vectors = svds(ties, k=rank, v0=np.ones(min(ties.shape)), solver="arpack")
    vectors = vectors[np.argsort(-strength, kind="stable")].T
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(rank)])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _k_means(points: FloatArray, clusters: int, rng: np.random.Generator) -> IntArray:
    """(n,) int64 clusters by Lloyd's algorithm from a k-means++ start; an emptied cluster stays empty."""
    centres = _spread_start(points, clusters, rng)
    label = np.full(len(points), -1)
    for _ in range(_LLOYD_STEPS):
        new = _squared_distances(points, centres).argmin(axis=1)
        if np.array_equal(new, label):
            break
        label = new
        for k in np.unique(label):
            centres[k] = points[label == k].mean(axis=0)
    return label.astype(np.int64)


def _spread_start(points: FloatArray, clusters: int, rng: np.random.Generator) -> FloatArray:
    """(clusters, d) points: each next one drawn ∝ squared distance to the nearest so far."""
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < clusters:
        nearest = np.minimum(nearest, _squared_distances(points, points[chosen[-1:]])[:, 0])
        total = nearest.sum()
        probabilities = nearest / total if total > 0 else None
        chosen.append(int(rng.choice(len(points), p=probabilities)))
    return points[chosen].copy()


def _squared_distances(points: FloatArray, centres: FloatArray) -> FloatArray:
    """(n, k) float64."""
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
    return np.maximum(squares, 0.0)


# --- users -----------------------------------------------------------------------------------------------------


def calibrated_tastes(release: Release, vloggers: Vloggers, seed: int) -> FloatArray:
    """(U, K) float64: half the mean topics of the vloggers a user is tied to, half Dirichlet(TASTE_FOCUS · π).

    A user without pairs has the Dirichlet part alone.
    """
    popularity = vloggers.topic_popularity
    drawn = dirichlet(stream(seed, "tastes"), TASTE_FOCUS, popularity, release.users)
    pairs = release.pairs
    ties = sp.csr_matrix(
        (np.ones(len(pairs.user)), (pairs.user, pairs.vlogger)), shape=(release.users, release.vloggers)
    )
    counts = np.asarray(ties.sum(axis=1))
    mean = (ties @ vloggers.topics) / np.maximum(counts, 1)
    tastes = np.where(counts > 0, LOYAL_TASTE * mean + (1 - LOYAL_TASTE) * drawn, drawn)
    return explore(tastes, popularity)


def calibrated_activity(release: Release, sizes: Sizes, seed: int) -> IntArray:
    """(U,) int64: the free model's views per user, given out in the order of log(1 + pairs) + noise."""
    activity = np.sort(draw_activity(sizes, seed))
    pairs = np.bincount(release.pairs.user, minlength=release.users)
    noise = ACTIVITY_NOISE * stream(seed, "activity ranks").standard_normal(release.users)
    matched = np.empty_like(activity)
    matched[np.argsort(np.log1p(pairs) + noise, kind="stable")] = activity
    return matched
