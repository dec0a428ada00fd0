"""Recommendations for any number of users, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.serving.arrays import Array, Lists
from recbole_vagnn.serving.checkpoint import TEST, Checkpoint
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER
from recbole_vagnn.serving.ranking import Ranked, best
from recbole_vagnn.serving.scoring import Scorer, column_places
from recbole_vagnn.serving.vocabulary import UNKNOWN

IntArray = NDArray[np.int64]
KINDS = {"videos": VIDEO, "vloggers": VLOGGER}
SEEN = ("all", "history", "none")
BY_MODEL, BY_POPULARITY, BY_FOLD_IN = "model", "popularity", "fold-in"
_BYTES_PER_SCORE = 24  # a score in 8 bytes at most, its copy for the selection, and masks (ranking.py)
_MEMORY = 256 * 2**20
_LARGEST_BATCH = 4096


@dataclass(frozen=True)
class Query:
    """What is asked for.

    Attributes:
        what: "video" or "vlogger".
        topk: length of the lists.
        seen: what a user has seen is left out: "all" = every interaction of the data set (and the vloggers met or
            followed), "history" = those before the test split, as in evaluation, "none" = nothing is left out.
        candidates: (m,) rows that may be recommended, ascending; None = all.
    """

    what: str
    topk: int
    seen: str
    candidates: IntArray | None

    def batch_size(self, n: int) -> int:
        """Users at once, so that their scores against n candidates fit into a fixed memory."""
        return int(min(max(1, _MEMORY // (_BYTES_PER_SCORE * max(n, 1))), _LARGEST_BATCH))


@dataclass(frozen=True)
class Batch:
    """Lists of some users.

    Attributes:
        users: original ids.
        rows: (B,) rows of the users, −1 = unknown.
        sources: for each user "model", "popularity" (the documented fall-back) or "fold-in".
        ranked: rows of videos or vloggers and their scores.
    """

    users: list[str]
    rows: IntArray
    sources: list[str]
    ranked: Ranked


def make_query(checkpoint: Checkpoint, what: str, topk: int, seen: str, candidates: Sequence[str] | None) -> Query:
    """Check what is asked for.

    Raises:
        InputError: an argument is wrong, or a candidate is not known.
    """
    if what not in KINDS:
        raise InputError(f"`what` is {what!r}; choose one of: {', '.join(KINDS)}.{did_you_mean(what, KINDS)}")
    if seen not in SEEN:
        raise InputError(f"`exclude_seen` is {seen!r}; choose one of: {', '.join(SEEN)}.")
    if not isinstance(topk, int) or isinstance(topk, bool) or topk < 1:
        raise InputError(f"`topk` is {topk!r}; it must be a whole number above 0.")
    kind = KINDS[what]
    names = checkpoint.videos if kind == VIDEO else checkpoint.vloggers
    if len(names) == 0:
        raise InputError(
            f"{checkpoint.manifest.dataset} has no vloggers to recommend: the model was trained without "
            f"`VLOGGER_ID_FIELD`."
        )
    rows = None if candidates is None else np.unique(names.require(list(candidates)))
    return Query(kind, topk, seen, rows)


class Engine:
    """Turns users into lists.

    Args:
        checkpoint: names, history and popularity.
        scorer: scores known users.
    """

    def __init__(self, checkpoint: Checkpoint, scorer: Scorer) -> None:
        self._checkpoint, self._scorer = checkpoint, scorer

    def batches(self, query: Query, users: Iterable[str] | None) -> Iterator[Batch]:
        """Lists of users in their order; None = every user of the checkpoint."""
        n = self._columns(query)
        if users is None:
            total, size = len(self._checkpoint.users), query.batch_size(n)
            for start in range(0, total, size):
                rows = np.arange(start, min(start + size, total))
                yield self.batch(query, self._checkpoint.users.ids(rows), rows)
            return
        waiting = iter(users)
        while ids := list(islice(waiting, query.batch_size(n))):
            yield self.batch(query, ids, self._checkpoint.users.rows(ids))

    def _columns(self, query: Query) -> int:
        names = self._checkpoint.videos if query.what == VIDEO else self._checkpoint.vloggers
        return len(names) if query.candidates is None else len(query.candidates)

    def batch(self, query: Query, ids: list[str], rows: IntArray) -> Batch:
        """Lists of a few users.

        Args:
            query: what is asked for.
            ids: original ids; rows: (B,) their rows, −1 = unknown.
        """
        history = self._checkpoint.history
        trained = (rows != UNKNOWN) & (history.user_counts[rows] > 0)
        if trained.all():
            scores = self._scorer.scores(rows, query.what, query.candidates)
        else:
            scores = self._popularity(query, len(rows))
            if trained.any():
                scores[trained] = self._scorer.scores(rows[trained], query.what, query.candidates)
        known = np.flatnonzero(rows != UNKNOWN)
        places, columns = self.seen(query, rows[known])
        sources = [BY_MODEL if own else BY_POPULARITY for own in trained.tolist()]
        return Batch(ids, rows, sources, self.ranked(query, scores, known[places], columns))

    def ranked(self, query: Query, scores: Array, places: IntArray, seen: IntArray) -> Ranked:
        """Rank scores, what was seen left out.

        Args:
            query: what is asked for.
            scores: (B, m) of the candidates; changed in place.
            places: (s,) rows of ``scores``; seen: (s,) rows of videos or vloggers that are left out there.
        """
        names = self._checkpoint.videos if query.what == VIDEO else self._checkpoint.vloggers
        columns = column_places(query.candidates, len(names))[seen]
        scores[places[columns >= 0], columns[columns >= 0]] = -np.inf
        found = best(scores, query.topk)
        if query.candidates is None:
            return found
        return Ranked(query.candidates[found.columns], found.scores)

    def _popularity(self, query: Query, n_users: int) -> Array:
        """(B, m) float64 training interactions of each candidate: the fall-back for whoever the model never saw."""
        history = self._checkpoint.history
        counts = history.video_counts if query.what == VIDEO else history.vlogger_counts
        chosen = counts if query.candidates is None else counts[query.candidates]
        return np.tile(chosen.astype(np.float64), (n_users, 1))

    def seen(self, query: Query, users: IntArray) -> tuple[IntArray, IntArray]:
        """(s,) place in ``users`` and (s,) row of everything that is left out for them."""
        nothing = np.zeros(0, dtype=np.int64)
        if query.seen == "none":
            return nothing, nothing
        history = self._checkpoint.history
        places, videos = _before(history.seen, users, "videos", query.seen)
        if query.what == VIDEO:
            return places, videos
        owners = history.vlogger_of[videos]
        followed_places, followed = _before(history.follows, users, "vloggers", query.seen)
        met = owners != UNKNOWN
        return np.concatenate([places[met], followed_places]), np.concatenate([owners[met], followed])


def _before(lists: Lists, users: IntArray, name: str, seen: str) -> tuple[IntArray, IntArray]:
    places, values = lists.take(users, name)
    values = values.astype(np.int64)
    if seen == "all":
        return places, values
    early = lists.take(users, "split")[1] < TEST
    return places[early], values[early]
