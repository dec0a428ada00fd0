"""What the study of new videos found on one data set: the rankings of its runs, by name, question and draw."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from recbole_vagnn.experiments.plan import Condition, data_label
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.new_video_rankings import (
    NEW_AMONG_ALL,
    OWN,
    POPULARITY,
    RANDOM,
    RANKINGS,
    SIZES,
    VLOGGER,
)
from recbole_vagnn.experiments.summary import by_cut_off

SHARE = "new_share"  # column of new_video_rankings.measure
OWN_NAME, MEAN_NAME = "own vectors", "vlogger’s mean"  # what people call the rules
_NO_METRIC = ("user", "question", "rule")
_COLUMNS = ("draw", "seed", "ranking", "question", "metric", "value")


@dataclass(frozen=True)
class Measured:
    """The rankings on one data set.

    Attributes:
        dataset: without the condition.
        rankings: their names, in the order of the tables.
        sizes: a row for each draw: ``new``, ``videos``, ``interactions``, ``users``.
        values: ``draw``, ``seed``, ``ranking``, ``question``, ``metric`` and its mean over users, ``value``.
    """

    dataset: str
    rankings: tuple[str, ...]
    sizes: pd.DataFrame
    values: pd.DataFrame

    @property
    def metrics(self) -> list[str]:
        """Metrics of accuracy, smallest cut-off first."""
        names = [name for name in self.values["metric"].unique() if name != SHARE]
        return [name for group in by_cut_off(names).values() for name in group]

    @property
    def main_metric(self) -> str:
        """The metric of figure and words: NDCG at the smallest cut-off."""
        return next((name for name in self.metrics if name.startswith("ndcg")), self.metrics[0])

    def by_draw(self, question: str, ranking: str, metric: str) -> pd.Series:
        """Mean over users and seeds in each draw; index: its number."""
        table = self.values
        wanted = (table["question"] == question) & (table["ranking"] == ranking) & (table["metric"] == metric)
        return table[wanted].groupby("draw")["value"].mean()

    def mean(self, question: str, ranking: str, metric: str) -> float:
        """Mean over users, seeds and draws; NaN without a run."""
        return float(self.by_draw(question, ranking, metric).mean())

    def table(self) -> pd.DataFrame:
        """The values with the name of the data set, as the study's CSV has them."""
        return self.values.assign(dataset=self.dataset)[["dataset", *_COLUMNS]]


def read(records: Records, dataset: str, conditions: dict[int, Condition], labels: Sequence[str]) -> Measured | None:
    """What the runs on a data set measured; None without a run.

    Args:
        records: of the study.
        dataset: its name.
        conditions: draw → condition of the data.
        labels: contestants in the order of the tables.
    """
    rows: list[tuple[object, ...]] = []
    names: dict[str, list[str]] = {}
    sizes = []
    for draw, condition in conditions.items():
        data = data_label(dataset, condition.label)
        sizes += [frame for _, frame in records.measured(SIZES, data)][:1]
        for (_, label, seed), frame in records.measured(RANKINGS, data):
            rules = {*frame["rule"]}
            for (question, rule), part in frame.groupby(["question", "rule"], sort=False):
                name = name_of(label, str(rule), rules)
                names.setdefault(label, []).append(name)
                means = part.drop(columns=list(_NO_METRIC)).mean()
                means = means if question == NEW_AMONG_ALL else means.drop(SHARE)
                rows += [(draw, seed, name, question, metric, value) for metric, value in means.items()]
    if not rows:
        return None
    found = dict.fromkeys(name for label in labels for name in names.get(label, []))
    rankings = sorted(found, key=lambda name: name in (RANDOM, POPULARITY))  # floors last
    values = pd.DataFrame(rows, columns=list(_COLUMNS))
    return Measured(dataset, tuple(rankings), pd.concat(sizes, ignore_index=True), values)


def name_of(label: str, rule: str, rules: Collection[str]) -> str:
    """A ranking as people read it.

    Args:
        label: of the contestant.
        rule: by which it ranks.
        rules: all that it was measured with.
    """
    if rule in (RANDOM, POPULARITY):
        return rule
    return f"{label}, {OWN_NAME if rule == OWN else MEAN_NAME}" if VLOGGER in rules else label
