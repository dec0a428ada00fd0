"""What the study of contribution found on one data set, and how it spreads over groups of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

EVERYTHING = "all"


@dataclass(frozen=True)
class Grouping:
    """Groups of videos by a number, the same for every data set.

    Attributes:
        name: what people call the number.
        column: of the table of videos.
        starts: smallest number of each group.
    """

    name: str
    column: str
    starts: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the groups: ``2–3``, ``16 or more``."""
        ends = [start - 1 for start in self.starts[1:]]
        inner = [
            f"{start:,}" if start == end else f"{start:,}–{end:,}"
            for start, end in zip(self.starts, ends, strict=False)
        ]
        return (*inner, f"{self.starts[-1]:,} or more")

    def of(self, values: pd.Series) -> pd.Categorical:
        """The group of each number."""
        places = np.searchsorted(self.starts, values.to_numpy(), side="right") - 1
        return pd.Categorical.from_codes(places, categories=list(self.labels), ordered=True)


GROUPINGS = {
    "size": Grouping("videos of the vlogger", "vlogger_videos", (1, 2, 4, 8, 16, 32)),
    "popularity": Grouping("training interactions of the video", "interactions", (0, 1, 3, 10, 30, 100, 300)),
}


@dataclass(frozen=True)
class Contribution:
    """The tables of ``contribution_measures.measure`` of one contestant, with a column ``seed``.

    Attributes:
        dataset, label: where, and who.
        videos, lists, users: the tables.
    """

    dataset: str
    label: str
    videos: pd.DataFrame
    lists: pd.DataFrame
    users: pd.DataFrame

    def weights(self) -> pd.DataFrame:
        """The videos of known vlogger, with their groups."""
        return _grouped(self.videos[self.videos["vlogger"] != ""])

    def shares(self) -> pd.DataFrame:
        """The recommendations that have a share, with the groups of their videos."""
        columns = ["seed", "id", *(grouping.column for grouping in GROUPINGS.values())]
        lists = self.lists[self.lists["share"].notna()]
        return _grouped(lists.merge(self.videos[columns], on=["seed", "id"], validate="many_to_one"))

    def vlogger_weights(self) -> pd.Series:
        """Mean w of each vlogger's videos, of each seed."""
        return self.weights().groupby(["seed", "vlogger"])["weight"].mean()


def _grouped(frame: pd.DataFrame) -> pd.DataFrame:
    groups = {name: grouping.of(frame[grouping.column]) for name, grouping in GROUPINGS.items()}
    return frame.assign(**groups, **{EVERYTHING: EVERYTHING})


def spread(frame: pd.DataFrame, grouping: str, value: str) -> pd.DataFrame:
    """How a value spreads in each group that has members.

    Args:
        frame: of :class:`Contribution`.
        grouping: ``EVERYTHING`` or one of ``GROUPINGS``.
        value: column.

    Returns:
        ``group``, ``count``, ``mean``, deciles 1 (``low``), 5 (``median``) and 9 (``high``), and the shares of rows
        whose part of the vlogger, or of the video, is negative, ``against_vlogger`` and ``against_video`` (NaN where
        ``frame`` has no recommendations).
    """
    rows = []
    for group, part in frame.groupby(grouping, observed=True):
        values = part[value]
        rows.append(
            {
                "group": str(group),
                "count": len(part),
                "mean": values.mean(),
                **dict(zip(("low", "median", "high"), values.quantile([0.1, 0.5, 0.9]), strict=True)),
                **{f"against_{name}": _negative(part, name) for name in ("vlogger", "video")},
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS: Sequence[str] = ["group", "count", "mean", "low", "median", "high", "against_vlogger", "against_video"]


def _negative(part: pd.DataFrame, name: str) -> float:
    return float((part[name] < 0).mean()) if "share" in part else float("nan")
