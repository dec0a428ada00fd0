"""The Python interface of a checkpoint: ``recbole_vagnn.load(path)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.arrays import Array
from recbole_vagnn.serving.checkpoint import TRAIN, Checkpoint, read_checkpoint
from recbole_vagnn.serving.explanation import Explainer, Explanation, unit
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER
from recbole_vagnn.serving.ranking import best
from recbole_vagnn.serving.recommending import BY_FOLD_IN, Batch, Engine, make_query
from recbole_vagnn.serving.scoring import ModelScorer, Scorer, VectorScorer
from recbole_vagnn.serving.tables import to_table
from recbole_vagnn.serving.vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from recbole_vagnn.serving.rebuild import Rebuilt

IntArray = NDArray[np.int64]


def load(checkpoint: str | Path, data_path: str | Path | None = None) -> Recommender:
    """Open a checkpoint for recommendations.

    Args:
        checkpoint: the folder that a run wrote, or the .pth beside it.
        data_path: folder of the data sets, for models that rank by no inner product (EASE, ItemKNN, NeuMF, …) and need
            their data; by default the one the run used. Others need no data.

    Raises:
        InputError: the checkpoint is missing, damaged, of another format, or its model needs data that are not there
            or not those it was trained on.

    Example:
        >>> recommender = load(CHECKPOINT)  # doctest: +SKIP
        >>> recommender.recommend(["196"], topk=3)  # doctest: +SKIP
    """
    return Recommender(read_checkpoint(checkpoint), data_path)


class Recommender:
    """Recommendations, explanations and vectors of a trained model, in original ids.

    Args:
        checkpoint: the checkpoint.
        data_path: see :func:`load`.

    Raises:
        InputError: see :func:`load`.
    """

    def __init__(self, checkpoint: Checkpoint, data_path: str | Path | None = None) -> None:
        self.checkpoint = checkpoint
        self._data_path = data_path
        self._scorer = self._build_scorer()
        self._engine = Engine(checkpoint, self._scorer)

    def _build_scorer(self) -> Scorer:
        if self.checkpoint.vectors is not None:
            return VectorScorer(self.checkpoint.vectors)
        history = self.checkpoint.history
        return ModelScorer(self.model().model, history.vlogger_of, len(self.checkpoint.vloggers))

    def model(self) -> Rebuilt:
        """The model itself with its data, e.g. to go on training it; built anew at each call.

        Raises:
            InputError: the data are not there, or not those it was trained on.
        """
        from recbole_vagnn.serving.rebuild import load_model

        return load_model(self.checkpoint, self._data_path)

    def __repr__(self) -> str:
        manifest, sizes = self.checkpoint.manifest, self.checkpoint
        return (
            f"<Recommender {manifest.model} on {manifest.dataset}: {len(sizes.users):,} users, "
            f"{len(sizes.videos):,} videos, {len(sizes.vloggers):,} vloggers>"
        )

    # --- recommendations ----------------------------------------------------------------------------------------

    def recommend(
        self,
        users: Iterable[str] | None = None,
        topk: int = 10,
        *,
        what: str = "videos",
        exclude_seen: str = "all",
        candidates: Sequence[str] | None = None,
        explain: bool = False,
    ) -> pd.DataFrame:
        """The best videos or vloggers for users.

        Users that the model never saw in training get the most popular ones (training interactions, also their score),
        marked "popularity" in ``source``.

        Args:
            users: original ids; None = all users.
            topk: length of each list.
            what: "videos" or "vloggers".
            exclude_seen: what is left out: "all" = everything the user has interacted with in the whole data set (for
                vloggers: met or followed), "history" = the same without the test split, as in evaluation, "none".
            candidates: original ids that may be recommended; None = all.
            explain: add ``from_video``, ``from_vlogger`` and ``because`` (see :meth:`explain`).

        Returns:
            one row for each recommendation; columns as in :func:`~recbole_vagnn.serving.tables.schema`.

        Raises:
            InputError: an argument is wrong, or a candidate is not known.
        """
        tables = self.tables(users, topk, what=what, exclude_seen=exclude_seen, candidates=candidates, explain=explain)
        return pa.concat_tables(list(tables)).to_pandas()

    def tables(
        self,
        users: Iterable[str] | None = None,
        topk: int = 10,
        *,
        what: str = "videos",
        exclude_seen: str = "all",
        candidates: Sequence[str] | None = None,
        explain: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[pa.Table]:
        """As :meth:`recommend`, a batch of users at a time, for more lists than memory holds.

        Args:
            users, topk, what, exclude_seen, candidates, explain: as there.
            progress: called with the number of users done so far.
        """
        _require_list(users, "users")
        query = make_query(self.checkpoint, what, topk, exclude_seen, candidates)
        explainer = self._explainer if explain else None
        return self._tables(self._engine.batches(query, users), query.what, explainer, progress)

    def _tables(
        self,
        batches: Iterator[Batch],
        what: str,
        explainer: Explainer | None,
        progress: Callable[[int], None] | None,
    ) -> Iterator[pa.Table]:
        done = 0
        for batch in batches:
            yield to_table(self.checkpoint, batch, what, explainer)
            done += len(batch.users)
            if progress is not None:
                progress(done)
        if done == 0:
            raise InputError("There are no users to recommend to: the list of users is empty.")

    # --- one score ----------------------------------------------------------------------------------------------

    def score(self, users: Sequence[str], videos: Sequence[str]) -> NDArray[np.float64]:
        """Scores of pairs.

        Args:
            users, videos: (n,) original ids each.

        Returns:
            (n,) float64 s(u, v).

        Raises:
            InputError: an id is not known, or there are not as many users as videos.
        """
        if len(users) != len(videos):
            raise InputError(
                f"{len(users)} users and {len(videos)} videos are given; scores are of pairs, so give one each."
            )
        rows, columns = self.checkpoint.users.require(list(users)), self.checkpoint.videos.require(list(videos))
        if isinstance(self._scorer, VectorScorer):
            u, v = self._scorer.users(rows), self._scorer.table(VIDEO)[columns]
            return np.einsum("nk,nk->n", u.astype(np.float64), v.astype(np.float64))  # type: ignore[no-any-return]
        scores = [self._scorer.scores(rows[[i]], VIDEO, columns[[i]])[0, 0] for i in range(len(rows))]
        return np.array(scores, dtype=np.float64)

    def explain(self, user: str, id: str, *, what: str = "videos", top: int = 5) -> Explanation:
        """Take a score apart.

        Args:
            user: original id; id: of a video, or of a vlogger with ``what="vloggers"``.
            what: "videos" or "vloggers".
            top: number of reasons at most.

        Raises:
            InputError: an id is not known, or the model ranks by no inner product.
        """
        kind = make_query(self.checkpoint, what, 1, "none", [id]).what
        target = self._names(kind).require([id])
        row = int(self.checkpoint.users.require([user])[0])
        return self._explainer.explain(row, kind, target, top)[0]

    @cached_property
    def _explainer(self) -> Explainer:
        vectors = self._with_vectors("explained")
        assert self.checkpoint.vectors is not None
        return Explainer(self.checkpoint, self.checkpoint.vectors, vectors)

    # --- vectors ------------------------------------------------------------------------------------------------

    def vectors(self, what: str = "videos") -> tuple[list[str], Array]:
        """Vectors whose inner product with a user's is the score.

        Args:
            what: "users", "videos" or "vloggers".

        Returns:
            (n,) original ids and (n, k) vectors, row by row.

        Raises:
            InputError: there are none.
        """
        scorer = self._with_vectors("exported")
        if what == "users":
            assert self.checkpoint.vectors is not None
            return self.checkpoint.users.all_ids().to_pylist(), self.checkpoint.vectors.users.whole()
        kind = make_query(self.checkpoint, what, 1, "none", None).what
        return self._names(kind).all_ids().to_pylist(), scorer.table(kind)

    def similar_videos(self, video: str, topk: int = 10) -> pd.DataFrame:
        """The videos whose vectors have the largest cosine with that of a video.

        Returns:
            columns ``video``, ``similarity``, the most similar first; the video itself is left out.

        Raises:
            InputError: the id is not known, or the model ranks by no inner product.
        """
        return self._similar(VIDEO, video, topk)

    def similar_vloggers(self, vlogger: str, topk: int = 10) -> pd.DataFrame:
        """As :meth:`similar_videos`, for vloggers."""
        return self._similar(VLOGGER, vlogger, topk)

    def _similar(self, kind: str, id: str, topk: int) -> pd.DataFrame:
        names = self._names(kind)
        make_query(self.checkpoint, f"{kind}s", topk, "none", None)
        row = int(names.require([id])[0])
        table = unit(self._with_vectors("compared").table(kind))
        cosines = (table @ table[row])[None]
        cosines[0, row] = -np.inf
        columns, values = best(cosines, min(topk, len(names) - 1))
        return pd.DataFrame({kind: names.ids(columns[0]), "similarity": values[0]})

    # --- users who are new --------------------------------------------------------------------------------------

    def fold_in(self, history: Sequence[str], user: str | None = None) -> Array:
        """The vector of a user after new interactions, without retraining (``propagation.py`` has the equation).

        Args:
            history: original ids of videos; repeats and those the user is known for count once.
            user: a user of the checkpoint, whose own interactions and embedding count too; None = a new user, who has
                no embedding of their own.

        Returns:
            (k,) float32, in the space of :meth:`vectors`.

        Raises:
            InputError: an id is not known, the history is empty, or the model does not propagate linearly.
        """
        _require_list(history, "history")
        propagation = self.checkpoint.propagation
        if propagation is None:
            raise InputError(
                f"{self.checkpoint.manifest.model} does not propagate linearly over a graph of users, so a user cannot "
                f"be folded in. Models that do: VAGNN, LightGCN, SimGCL, TripartiteLightGCN and their relatives."
            )
        videos = np.unique(self.checkpoint.videos.require(list(history)))
        if user is None and len(videos) == 0:
            raise InputError("`history` is empty: a new user needs at least one video.")
        row = UNKNOWN if user is None else int(self.checkpoint.users.require([user])[0])
        edges = propagation.no_edges() if user is None else propagation.edges_of(row)
        own = np.zeros(propagation.size)
        if user is not None:
            whole = self._with_vectors("folded in").users(np.array([row]))[0]
            own = whole - propagation.gather(propagation.contributions(edges))
            videos = np.setdiff1d(videos, self._trained_on(row))
        owners = self.checkpoint.history.vlogger_of[videos]
        edges = propagation.add(edges, videos, owners[owners != UNKNOWN])
        vector = own + propagation.gather(propagation.contributions(edges))
        return vector.astype(np.float32)  # type: ignore[no-any-return]

    def recommend_from(
        self,
        history: Sequence[str],
        topk: int = 10,
        *,
        user: str | None = None,
        what: str = "videos",
        candidates: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Recommendations for a user who is folded in (see :meth:`fold_in`).

        The history, everything the known user has seen, and with ``what="vloggers"`` the vloggers of both, are left
        out.

        Returns:
            as :meth:`recommend`, with ``source`` "fold-in" and the user's id, empty for a new user.

        Raises:
            InputError: as :meth:`fold_in` and :meth:`recommend`.
        """
        query = make_query(self.checkpoint, what, topk, "all", candidates)
        vector = self.fold_in(history, user)
        scorer = self._with_vectors("folded in")
        videos = self.checkpoint.videos.require(list(history))
        seen = videos if query.what == VIDEO else self.checkpoint.history.vlogger_of[videos]
        row = self.checkpoint.users.rows([user or ""]) if user is not None else np.array([UNKNOWN])
        if user is not None:
            seen = np.concatenate([seen, self._engine.seen(query, row)[1]])
        seen = seen[seen != UNKNOWN]
        scores = scorer.scores_of(vector[None], query.what, query.candidates)
        ranked = self._engine.ranked(query, scores, np.zeros(len(seen), dtype=np.int64), seen)
        batch = Batch([user or ""], row, [BY_FOLD_IN], ranked)
        return to_table(self.checkpoint, batch, query.what).to_pandas()

    # --- helpers ------------------------------------------------------------------------------------------------

    def _names(self, kind: str) -> Vocabulary:
        return self.checkpoint.videos if kind == VIDEO else self.checkpoint.vloggers

    def _trained_on(self, user: int) -> IntArray:
        seen = self.checkpoint.history.seen
        return seen.of(user, "videos")[seen.of(user, "split") == TRAIN].astype(np.int64)

    def _with_vectors(self, participle: str) -> VectorScorer:
        if not isinstance(self._scorer, VectorScorer):
            raise InputError(
                f"{self.checkpoint.manifest.model} ranks by no inner product: it has no vectors, and nothing can be "
                f"{participle}. `recommend` works."
            )
        return self._scorer


def _require_list(ids: Iterable[str] | None, name: str) -> None:
    """A text is a list of letters to Python, and none of them an id."""
    if isinstance(ids, str):
        raise InputError(f"`{name}` is the text {ids!r}; give a list of ids, e.g. [{ids!r}].")
