"""Scores of a batch of users, from stored vectors or from the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.serving.arrays import Array
from recbole_vagnn.serving.checkpoint import Vectors
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER

IntArray = NDArray[np.int64]


class Scorer(Protocol):
    """Scores users against everything of one kind."""

    def scores(self, users: IntArray, what: str, columns: IntArray | None = None) -> Array:
        """Scores, larger is better.

        Args:
            users: (B,) rows of users.
            what: "video" or "vlogger".
            columns: (m,) rows of videos or vloggers to score; None = all.

        Returns:
            (B, m) float, an array of the caller's own.
        """


class VectorScorer:
    """Inner products of stored vectors.

    Args:
        vectors: of the checkpoint.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._tables: dict[str, Array] = {}

    def table(self, what: str) -> Array:
        """(n, k) vectors of all videos or vloggers, read once."""
        if what not in self._tables:
            rows = self._vectors.videos if what == VIDEO else self._vectors.vloggers
            assert rows is not None
            self._tables[what] = rows.whole()
        return self._tables[what]

    def users(self, users: IntArray) -> Array:
        """(B, k) vectors of users."""
        return self._vectors.users.take(users)

    def scores(self, users: IntArray, what: str, columns: IntArray | None = None) -> Array:
        return self.scores_of(self.users(users), what, columns)

    def scores_of(self, vectors: Array, what: str, columns: IntArray | None = None) -> Array:
        """As :meth:`scores`, for (B, k) vectors of users."""
        table = self.table(what)
        return vectors @ (table if columns is None else table[columns]).T  # type: ignore[no-any-return]


class ModelScorer:
    """The model's own scores, for models that rank by no inner product.

    A vlogger's score is the mean of its videos'.

    Args:
        model: the model, in evaluation mode.
        vlogger_of: (n_videos,) int64 rows of vloggers, −1 = unknown.
        n_vloggers: number of vloggers.
    """

    def __init__(self, model: Any, vlogger_of: IntArray, n_vloggers: int) -> None:
        self._model = model
        self._vlogger_of, self._n_vloggers = vlogger_of, n_vloggers

    def scores(self, users: IntArray, what: str, columns: IntArray | None = None) -> Array:
        from recbole_vagnn.serving.extract import mean_by_vlogger

        found = self._of_videos(users)
        if what == VLOGGER:
            found = mean_by_vlogger(found.T, self._vlogger_of, self._n_vloggers).T
        return found if columns is None else found[:, columns]

    def _of_videos(self, users: IntArray) -> Array:
        import torch

        from recbole_vagnn.serving.extract import predicted

        ids = torch.from_numpy(users + 1).to(next(self._model.parameters()).device)
        with torch.no_grad():
            scores = predicted(self._model, ids)
            if scores is None:
                scores = torch.stack([_predicted_one_by_one(self._model, user) for user in ids])
        return np.array(scores[:, 1:].cpu())


def _predicted_one_by_one(model: Any, user: Any) -> Any:
    """Scores of every item for one user, by a model that scores pairs alone."""
    import torch
    from recbole.data.interaction import Interaction

    items = torch.arange(model.n_items, device=user.device)
    return model.predict(Interaction({model.USER_ID: user.expand(len(items)), model.ITEM_ID: items}))


def column_places(columns: Sequence[int] | IntArray | None, n: int) -> IntArray:
    """(n,) int64 place of each row in ``columns``, −1 where it is not among them; None = all of them."""
    if columns is None:
        return np.arange(n)
    places = np.full(n, -1, dtype=np.int64)
    places[columns] = np.arange(len(columns))
    return places
