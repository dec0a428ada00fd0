"""The optional ``.follow`` file: explicit user–vlogger pairs for the auxiliary task."""

from __future__ import annotations

from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_vagnn.data.atomic import read_atomic, read_header, require_columns, require_type, require_values
from recbole_vagnn.data.options import DataOptions
from recbole_vagnn.errors import InputError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class FollowPairs:
    """User–vlogger pairs in internal ids.

    Attributes:
        users: (n,) int64.
        vloggers: (n,) int64, never 0.
        times: (n,) int64 or float64, same unit as the interactions' time, the dtype's smallest value where a pair
            has none; None when the file has no time column.
    """

    users: IntArray
    vloggers: IntArray
    times: NDArray[Any] | None

    def matrix(self, n_users: int, n_vloggers: int) -> sp.csr_matrix:
        """(n_users, n_vloggers) binary matrix of the pairs; repeats count once."""
        ones = np.ones(len(self.users), dtype=np.float64)
        matrix = sp.csr_matrix((ones, (self.users, self.vloggers)), shape=(n_users, n_vloggers))
        matrix.data[:] = 1.0
        return matrix

    def before(self, first_held_out: NDArray[Any]) -> tuple[FollowPairs, int]:
        """Keep the pairs older than their user's first held-out interaction.

        Args:
            first_held_out: (n_users,) time of it; users without one hold the largest value of the dtype.

        Returns:
            the pairs kept, and how many were dropped. Pairs without a time are kept.
        """
        return self.older_than(first_held_out[self.users])

    def older_than(self, limits: NDArray[Any]) -> tuple[FollowPairs, int]:
        """Keep the pairs older than a time of each.

        Args:
            limits: (n,) times.

        Returns:
            the pairs kept, and how many were dropped. Pairs without a time are kept.
        """
        if self.times is None:
            return self, 0
        keep = self.times < limits
        kept = FollowPairs(self.users[keep], self.vloggers[keep], self.times[keep])
        return kept, int((~keep).sum())


def read_follow(
    path: Path,
    options: DataOptions,
    separator: str,
    encoding: str,
    user_ids: dict[str, int],
    vlogger_ids: dict[str, int],
    logger: Logger,
) -> FollowPairs:
    """Read a ``.follow`` file and translate it to internal ids.

    Pairs whose user has no interaction left, or whose vlogger has no video, are dropped and counted: they
    would add users nobody evaluates and vloggers nobody can be recommended.

    Args:
        path: the file.
        options: names of its columns.
        separator, encoding: of the file.
        user_ids, vlogger_ids: token → internal id.
        logger: receives the counts and a warning about pairs without a time.

    Raises:
        InputError: a column is missing or has the wrong type, or an entry is empty.
    """
    user, vlogger, time = (
        options.FOLLOW_USER_ID_FIELD,
        options.FOLLOW_VLOGGER_ID_FIELD,
        options.FOLLOW_TIME_FIELD,
    )
    header = read_header(path, separator, encoding)
    require_columns(path, header, {user: "FOLLOW_USER_ID_FIELD", vlogger: "FOLLOW_VLOGGER_ID_FIELD"})
    require_type(path, header, (user, vlogger), "token")
    # A pair may lack its time, so that column is read as text and converted here.
    columns = {name: "token" for name in header if name in (user, vlogger, time)}
    frame = read_atomic(path, columns, separator, encoding, header)
    require_values(path, frame, (user, vlogger))

    users = frame[user].map(user_ids).to_numpy(dtype=np.float64)
    vloggers = frame[vlogger].map(vlogger_ids).to_numpy(dtype=np.float64)
    known = ~(np.isnan(users) | np.isnan(vloggers))
    times = _times(path, frame[time].astype(object)) if time in frame else None
    _report(logger, path, users, vloggers, int(frame[time].isna().sum()) if time in frame else len(frame))
    return FollowPairs(
        users[known].astype(np.int64),
        vloggers[known].astype(np.int64),
        None if times is None else times[known],
    )


def _times(path: Path, column: pd.Series) -> NDArray[Any]:
    """Whole numbers as int64, so that a column with empty entries keeps 64 bits too."""
    given = column.notna().to_numpy()
    parsed = pd.to_numeric(column[given], errors="coerce").to_numpy()
    bad = np.zeros(len(column), dtype=bool)
    bad[given] = ~np.isfinite(parsed.astype(np.float64))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path}: {int(bad.sum())} row(s), first at line {first + 2} ({column.iloc[first]!r}): "
            f"`{column.name}` is not a number. Correct them or leave them empty."
        )
    kind: np.dtype[Any] = np.dtype(np.int64) if np.issubdtype(parsed.dtype, np.integer) else np.dtype(np.float64)
    times = np.full(len(column), np.iinfo(kind).min if kind == np.int64 else -np.inf, dtype=kind)
    times[given] = parsed
    return times


def _report(
    logger: Logger,
    path: Path,
    users: NDArray[np.float64],
    vloggers: NDArray[np.float64],
    untimed: int,
) -> None:
    no_user, no_vlogger = int(np.isnan(users).sum()), int(np.isnan(vloggers).sum())
    if no_user or no_vlogger:
        logger.info(
            f"{path.name}: of {len(users)} pairs, {no_user} have a user without interactions and {no_vlogger} a "
            f"vlogger without videos; these pairs are left out."
        )
    if untimed:
        logger.warning(
            f"{path.name}: {untimed} of {len(users)} pairs have no time. They may be younger than the held-out "
            f"interactions; for a comparison that cannot leak, set `aux_pairs: interactions`."
        )
