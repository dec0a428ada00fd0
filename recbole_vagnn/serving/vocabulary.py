"""Original ids by row: the words between a user of the library and the arrays of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError, did_you_mean

IntArray = NDArray[np.int64]
UNKNOWN = -1
_SHOWN = 3
_SUGGESTED_FROM = 100_000  # a close word is not looked for among more ids: it would take seconds


class Vocabulary:
    """The original ids of one kind of node, row by row.

    Args:
        kind: what the ids name, for messages: "user", "video" or "vlogger".
        ids: (n,) strings, all different; row i of every array belongs to ``ids[i]``.
    """

    def __init__(self, kind: str, ids: pa.Array) -> None:
        self.kind = kind
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self._ids.to_pylist())}

    def all_ids(self) -> pa.Array:
        """(n,) Arrow strings in order of their rows."""
        return self._ids

    def ids(self, rows: Sequence[int] | IntArray) -> list[str]:
        """Original ids of rows."""
        return self._ids.take(pa.array(np.asarray(rows, dtype=np.int64))).to_pylist()  # type: ignore[no-any-return]

    def rows(self, ids: Iterable[str]) -> IntArray:
        """(n,) int64 rows of original ids; −1 for an id that is not known."""
        return np.array([self._row_of.get(token, UNKNOWN) for token in ids], dtype=np.int64)

    def require(self, ids: Sequence[str]) -> IntArray:
        """As :meth:`rows`, for ids that must be known.

        Raises:
            InputError: some are not.
        """
        rows = self.rows(ids)
        unknown = [token for token, row in zip(ids, rows.tolist(), strict=True) if row == UNKNOWN]
        if unknown:
            shown = ", ".join(map(repr, unknown[:_SHOWN]))
            known = self._row_of if len(self) <= _SUGGESTED_FROM else ()
            raise InputError(
                f"{len(unknown)} of {len(ids)} {self.kind} id(s) are not in the checkpoint, first {shown}."
                f"{did_you_mean(unknown[0], known)} It knows {len(self):,} {self.kind}s; give original ids."
            )
        return rows
