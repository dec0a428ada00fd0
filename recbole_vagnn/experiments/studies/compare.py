"""What studies compare: runs of one data set, also under different conditions, user by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_vagnn.experiments.drawing import mean_and_interval
from recbole_vagnn.experiments.figures import headline
from recbole_vagnn.experiments.records import Key, Records
from recbole_vagnn.experiments.significance import significance_table
from recbole_vagnn.experiments.tables import LEVEL

SEED = 0  # of the bootstrap
SAMPLES = 10_000

Runs = dict[Key, pd.DataFrame]  # (data set, label, seed) → metrics per user, index = user


@dataclass(frozen=True)
class Where:
    """A contestant under a condition.

    Attributes:
        data: data set with its condition (:func:`~recbole_vagnn.experiments.plan.data_label`).
        label: of the contestant.
    """

    data: str
    label: str


def runs_of(records: Records, dataset: str, wanted: Mapping[str, Where]) -> Runs:
    """Metrics per user of contestants, wherever they ran, as runs on one data set.

    Args:
        records: of the study.
        dataset: what the comparison is about.
        wanted: name in the comparison → what to take; those without a run are left out.

    Returns:
        runs with the metrics that all of them have.
    """
    tables = {data: list(records.per_user(data)) for data in {where.data for where in wanted.values()}}
    found: Runs = {}
    for name, where in wanted.items():
        for (_, label, seed), frame in tables[where.data]:
            if label == where.label:
                found[dataset, name, seed] = frame.set_index("user").drop(columns="history")
    shared = [set(frame.columns) for frame in found.values()]
    return {key: frame[[n for n in frame if all(n in names for names in shared)]] for key, frame in found.items()}


def paired_tests(runs: Runs, ours: str, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """``significance_table`` of ours against every other name; ``metrics`` None = all; empty without ours or rivals."""
    names = {key[1] for key in runs}
    if ours not in names or len(names) < 2:
        return pd.DataFrame()
    return significance_table(runs, ours, seed=SEED, bootstrap_samples=SAMPLES, metrics=metrics)


def headline_of(runs: Runs) -> list[str]:
    """The two metrics that figures and words are about."""
    return headline(next(iter(runs.values())).columns) if runs else []


def user_means(runs: Runs, name: str, metric: str) -> NDArray[np.float64]:
    """(users,) a metric averaged over the seeds of a name; empty without a run."""
    frames = [frame[metric].sort_index() for key, frame in runs.items() if key[1] == name]
    return np.mean([frame.to_numpy() for frame in frames], axis=0) if frames else np.zeros(0)


def point(runs: Runs, name: str, metric: str) -> tuple[float, float]:
    """Mean over users and half the width of its 95 % t interval; NaN without a run."""
    values = user_means(runs, name, metric)
    return mean_and_interval(values) if len(values) else (float("nan"), float("nan"))


def paired_interval(runs: Runs, name: str, other: str, metric: str) -> float:
    """Half the width of the 95 % t interval of the mean difference of two names, user by user; NaN without a run."""
    one, two = (user_means(runs, which, metric) for which in (name, other))
    return mean_and_interval(one - two)[1] if len(one) and len(two) else float("nan")


def rows_of(table: pd.DataFrame, metric: str, **wanted: str) -> list[dict[str, Any]]:
    """Rows of a table of tests."""
    if table.empty:
        return []
    chosen = table["metric"] == metric
    for column, value in wanted.items():
        chosen &= table[column] == value
    return table[chosen].to_dict("records")  # type: ignore[no-any-return]


def is_significant(row: Mapping[str, Any]) -> bool:
    """Holm-corrected p of the two-sided paired t test below 5 %."""
    return bool(row["t_p_two_sided_holm"] < LEVEL)


def change_percent(row: Mapping[str, Any]) -> float:
    """The rival against ours in percent of ours' mean, as ours is the full model; NaN if that is 0."""
    full = row["ours_mean"]
    return float(-100 * row["difference"] / full) if full > 0 else float("nan")
