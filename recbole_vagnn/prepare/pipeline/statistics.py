"""Figures that describe prepared data, computed in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.prepare.pipeline.database import Connection, one, run

IntArray = NDArray[np.int64]

SHARES = 20  # bins of the distribution of shares
KNOWN_SHARE = "share of interactions with a vlogger met before"  # mean over users


@dataclass(frozen=True)
class Distribution:
    """How often a count occurs.

    Attributes:
        values: (k,) int64, ascending.
        frequencies: (k,) int64.
    """

    values: IntArray
    frequencies: IntArray

    def quantile(self, share: float) -> int:
        """Smallest value that at least ``share`` of all do not exceed."""
        cumulated = np.cumsum(self.frequencies)
        return int(self.values[np.searchsorted(cumulated, share * cumulated[-1])])

    def gini(self) -> float:
        """Gini coefficient of the counts: 0 = all equal, towards 1 = one holds all."""
        counts = np.cumsum(self.frequencies)
        masses = self.values * self.frequencies
        lorenz = np.cumsum(masses)
        # Twice the area under the Lorenz curve, by trapezoids over runs of equal values.
        area = float(np.sum(self.frequencies * (2.0 * lorenz - masses)))
        return 1.0 - area / (float(counts[-1]) * float(lorenz[-1]))


@dataclass(frozen=True)
class Statistics:
    """A data set in figures.

    Attributes:
        numbers: name → value, in the order of the report.
        history: interactions of a user; audience: of an item; reach: of a known vlogger; catalogue: items of a
            known vlogger.
        known_vlogger: (SHARES,) int64 users by the share of their interactions that go to a vlogger they met
            before, in equal bins of [0, 1].
    """

    numbers: dict[str, Any]
    history: Distribution
    audience: Distribution
    reach: Distribution
    catalogue: Distribution
    known_vlogger: IntArray


def describe(connection: Connection, has_order: bool) -> Statistics:
    """Describe the tables events, items and pairs (see loading); without an order, time means nothing."""
    history = _distribution(connection, 'SELECT count(*) AS n FROM events GROUP BY "user"')
    audience = _distribution(connection, "SELECT count(*) AS n FROM events GROUP BY item")
    reach = _distribution(connection, "SELECT count(*) AS n FROM events WHERE vlogger IS NOT NULL GROUP BY vlogger")
    catalogue = _distribution(connection, "SELECT count(*) AS n FROM items WHERE vlogger IS NOT NULL GROUP BY vlogger")
    shares, known = _known_vlogger(connection)
    times = _times(connection) if has_order else {}
    numbers = (
        _sizes(connection)
        | times
        | {
            "interactions per user, median": history.quantile(0.5),
            "interactions per item, median": audience.quantile(0.5),
            "Gini of interactions per item": round(audience.gini(), 4),
            "items per vlogger, median": catalogue.quantile(0.5) if len(catalogue.values) else 0,
            "Gini of interactions per vlogger": round(reach.gini(), 4) if len(reach.values) else 0.0,
            "share of interactions with vloggers of 3 or more items": _share_of_large_vloggers(connection),
            KNOWN_SHARE: known,
        }
    )
    return Statistics(numbers, history, audience, reach, catalogue, shares)


def _sizes(connection: Connection) -> dict[str, Any]:
    users, interactions, unknown = one(
        connection, 'SELECT count(DISTINCT "user"), count(*), count(*) FILTER (vlogger IS NULL) FROM events'
    )
    items, vloggers, without = one(
        connection, "SELECT count(*), count(DISTINCT vlogger), count(*) FILTER (vlogger IS NULL) FROM items"
    )
    pairs, timed = one(connection, "SELECT count(*), count(time) FROM pairs")
    return {
        "users": users,
        "items": items,
        "vloggers": vloggers,
        "interactions": interactions,
        "follow pairs": pairs,
        "follow pairs without time": pairs - timed,
        "density": float(f"{interactions / (users * items):.4g}"),
        "items of unknown vlogger": without,
        "interactions with items of unknown vlogger": unknown,
    }


def _times(connection: Connection) -> dict[str, Any]:
    oldest, newest = one(connection, "SELECT min(time), max(time) FROM events")
    return {"oldest time": oldest, "newest time": newest}


def _distribution(connection: Connection, query: str) -> Distribution:
    rows = run(connection, f"SELECT n, count(*) FROM ({query}) GROUP BY n ORDER BY n")
    values, frequencies = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return Distribution(values, frequencies)


def _share_of_large_vloggers(connection: Connection) -> float:
    query = (
        "SELECT count(*) FILTER (vlogger IN (SELECT vlogger FROM items WHERE vlogger IS NOT NULL GROUP BY vlogger "
        "HAVING count(*) >= 3)) / count(*) FROM events"
    )
    return round(float(one(connection, query)[0]), 4)


def _known_vlogger(connection: Connection) -> tuple[IntArray, float]:
    """Of n interactions with k different vloggers, n − k go to one met before; unknown vloggers are left out."""
    query = 'SELECT count(*) AS n, count(DISTINCT vlogger) AS k FROM events WHERE vlogger IS NOT NULL GROUP BY "user"'
    rows = run(connection, f"SELECT n, k, count(*) FROM ({query}) GROUP BY n, k ORDER BY n, k")
    n, k, users = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    bins = np.zeros(SHARES, dtype=np.int64)
    np.add.at(bins, (n - k) * SHARES // n, users)  # whole numbers: a share on the edge of a bin stays there
    total = int(users.sum())
    return bins, round(float(np.sum((n - k) / n * users)) / total, 4) if total else 0.0
