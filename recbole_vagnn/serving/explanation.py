r"""Why a score is what it is: exact sums, not a second model.

* Video and vlogger: :math:`s(u, v) = (s(u, v) - c_v\,u \cdot p) + c_v\,u \cdot p` with p the vector of the video's
  vlogger and c_v its share, 1 − w_v in VA-GNN (arXiv 2405.18260).
* History: with the last propagation step of ``propagation.py`` and x the vector of what is recommended,
  :math:`s = w_0 e_u \cdot x + \sum_n \frac{m_{un}}{\sqrt{d_u d_n}} M_n \cdot x`: one summand for each video or vlogger
  that the user is linked to. x is held fixed: the user's own share in it (over the graph) is not told apart.

Models that do not propagate linearly are explained by likeness instead: the cosine between x and the vectors of the
user's history.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.serving.arrays import Array
from recbole_vagnn.serving.checkpoint import TRAIN, Checkpoint, Vectors
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER
from recbole_vagnn.serving.scoring import VectorScorer
from recbole_vagnn.serving.vocabulary import UNKNOWN

IntArray = NDArray[np.int64]
CONTRIBUTION, SIMILARITY = "contribution", "similarity"


@dataclass(frozen=True)
class Reason:
    """One part of the user's history.

    Attributes:
        kind: "video" or "vlogger".
        id: its original id.
        value: what it adds to the score, or its cosine with what is recommended (``Explanation.measure``).
    """

    kind: str
    id: str
    value: float


@dataclass(frozen=True)
class Explanation:
    """Parts of a score.

    Attributes:
        user, id: original ids of the user and of the video or vlogger; ``what`` says which.
        what: "video" or "vlogger".
        score: s(u, v) or y(u, p).
        from_video, from_vlogger: parts of ``score`` that add up to it; None where the model does not score by the
            vlogger apart, and for vloggers.
        measure: what ``value`` of the reasons is: "contribution" or "similarity".
        reasons: the parts of the user's training history with the largest positive values, largest first.
        from_user: with "contribution", what the user's own embedding adds; else None.
        from_rest: with "contribution", what all other edges add: the rest of the history, and edges of VA-GNN's
            meta-paths. ``from_user`` + Σ ``reasons`` + ``from_rest`` = ``score``. Else None.
    """

    user: str
    id: str
    what: str
    score: float
    from_video: float | None
    from_vlogger: float | None
    measure: str
    reasons: tuple[Reason, ...]
    from_user: float | None
    from_rest: float | None


@dataclass(frozen=True)
class _Links:
    """Values of a user's links for K targets.

    Attributes:
        kinds: (m,) "video" or "vlogger"; rows: (m,) rows of nodes; own: (m,) bool, whether in the user's history.
        values: (m, K).
    """

    kinds: NDArray[np.str_]
    rows: IntArray
    own: NDArray[np.bool_]
    values: Array


class Explainer:
    """Explains scores of one checkpoint.

    Args:
        checkpoint: the checkpoint; vectors: its vectors.
        scorer: reads them.
    """

    def __init__(self, checkpoint: Checkpoint, vectors: Vectors, scorer: VectorScorer) -> None:
        self._checkpoint, self._vectors, self._scorer = checkpoint, vectors, scorer

    @cached_property
    def _share(self) -> Array | None:
        share = self._vectors.vlogger_share
        return None if share is None else share.whole()

    def explain(self, user: int, what: str, targets: IntArray, top: int) -> list[Explanation]:
        """Explain some scores of one user.

        Args:
            user: row of the user.
            what: "video" or "vlogger".
            targets: (K,) rows of what is recommended.
            top: number of reasons at most.
        """
        vector = self._scorer.users(np.array([user]))[0].astype(np.float64)
        x = self._scorer.table(what)[targets].astype(np.float64)
        scores = x @ vector
        measure = CONTRIBUTION if self._checkpoint.propagation is not None else SIMILARITY
        links = self._contributions(user, x) if measure == CONTRIBUTION else self._similarities(user, x)
        sums = links.values.sum(axis=0)
        from_vlogger = self._from_vlogger(vector, targets) if what == VIDEO else None
        user_id = self._checkpoint.users.ids([user])[0]
        names = (self._checkpoint.videos if what == VIDEO else self._checkpoint.vloggers).ids(targets)
        found = []
        for k, name in enumerate(names):
            reasons = self._reasons(links, k, top)
            adds_up = measure == CONTRIBUTION
            told = sum(reason.value for reason in reasons)
            found.append(
                Explanation(
                    user=user_id,
                    id=name,
                    what=what,
                    score=float(scores[k]),
                    from_video=None if from_vlogger is None else float(scores[k] - from_vlogger[k]),
                    from_vlogger=None if from_vlogger is None else float(from_vlogger[k]),
                    measure=measure,
                    reasons=reasons,
                    from_user=float(scores[k] - sums[k]) if adds_up else None,
                    from_rest=float(sums[k] - told) if adds_up else None,
                )
            )
        return found

    def _from_vlogger(self, user: Array, videos: IntArray) -> Array | None:
        """(K,) c_v · u·p of each video, 0 where the vlogger is unknown; None without shares."""
        if self._share is None:
            return None
        owner = self._checkpoint.history.vlogger_of[videos]
        vectors = self._scorer.table(VLOGGER)[owner].astype(np.float64)  # any row where it is unknown: its share is 0
        return self._share[videos] * (vectors @ user)  # type: ignore[no-any-return]

    def _own_history(self, user: int) -> dict[str, IntArray]:
        """Rows of the videos of the user's training history, and of their vloggers."""
        history = self._checkpoint.history
        videos = history.seen.of(user, "videos")[history.seen.of(user, "split") == TRAIN].astype(np.int64)
        owners = np.unique(history.vlogger_of[videos])
        return {VIDEO: videos, VLOGGER: owners[owners != UNKNOWN]}

    def _contributions(self, user: int, x: Array) -> _Links:
        propagation = self._checkpoint.propagation
        assert propagation is not None
        mine = self._own_history(user)
        parts = propagation.contributions(propagation.edges_of(user))
        return _Links(
            np.concatenate([np.repeat(part.channel.nodes, len(part.nodes)) for part in parts]),
            np.concatenate([part.nodes for part in parts]).astype(np.int64),
            np.concatenate([np.isin(part.nodes, mine[part.channel.nodes]) for part in parts]),
            np.concatenate([part.vectors @ x[:, part.channel.start : part.channel.stop].T for part in parts]),
        )

    def _similarities(self, user: int, x: Array) -> _Links:
        videos = self._own_history(user)[VIDEO]
        table = self._scorer.table(VIDEO)[videos].astype(np.float64)
        kinds = np.repeat(VIDEO, len(videos))
        return _Links(kinds, videos, np.ones(len(videos), dtype=bool), unit(table) @ unit(x).T)

    def _reasons(self, links: _Links, k: int, top: int) -> tuple[Reason, ...]:
        values = np.where(links.own, links.values[:, k], 0.0)
        order = np.argsort(-values, kind="stable")[:top]
        found = []
        for place in order[values[order] > 0].tolist():
            kind = str(links.kinds[place])
            names = self._checkpoint.videos if kind == VIDEO else self._checkpoint.vloggers
            found.append(Reason(kind, names.ids([links.rows[place]])[0], float(values[place])))
        return tuple(found)


def unit(table: Array) -> Array:
    """Rows of length 1; a row of zeros stays one."""
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0, norms, 1.0)  # type: ignore[no-any-return]
