"""Contribution: how the adaptive weight spreads, and what part of the lists is due to videos and what to vloggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Plan, contestants
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.contribution_figures import draw_contribution
from recbole_vagnn.experiments.studies.contribution_findings import EVERYTHING, GROUPINGS, Contribution, spread
from recbole_vagnn.experiments.studies.contribution_measures import LENGTH, LISTS, USERS, VIDEOS
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study
from recbole_vagnn.experiments.tables import NONE, Cell, Table
from recbole_vagnn.options import Options

_PROBE = Probe("recbole_vagnn.experiments.studies.contribution_measures:measure")


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/contribution.yaml``.

    Attributes:
        models: VA-GNN with one setting or another, as a plan names them.
    """

    models: list[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.models, list) or not self.models:
            raise InputError(f"`models` is {self.models!r}; it must be a list of models.")


def plans(request: Request) -> list[Plan]:
    """One plan of all models."""
    models = contestants(request.settings.models, "`models`")
    return [request.plan(models, probe=_PROBE, ours=[models[0].label])]


def analyse(findings: Findings) -> Section:
    """Weights and shares, overall and by size of the vlogger and popularity of the video."""
    labels = [contestant.label for contestant in contestants(findings.settings.models, "`models`")]
    found = [
        contribution
        for name in findings.datasets
        for label in labels
        if (contribution := read(findings.records, name, label)) is not None
    ]
    rows = [spread_table(contribution) for contribution in found]
    return Section(
        words=tuple(sentence for contribution in found for sentence in _sentences(contribution)),
        tables=tuple(table for contribution in found for table in _tables(contribution)),
        pictures=tuple(picture for contribution in found for picture in draw_contribution(contribution)),
        csv={"contribution": pd.concat(rows, ignore_index=True)} if found else {},
        notes=_NOTES,
    )


_NOTES = (
    "A score is w × (video's score) + (1 − w) × (vlogger's score) and is taken apart exactly into these two parts. A "
    "negative part speaks against the video, and what recommends it is the other part alone. So the vlogger's share is "
    "that of the positive parts: 0 = the video alone, 1 = the vlogger alone.",
    "w alone is no share: the vectors of videos and of vloggers have different lengths. And a share is no effect: a "
    "part that is equal for all videos adds to every score and changes no list. What a part decides is seen from the "
    "list that it makes alone.",
    f"Lists: the {LENGTH} best videos of every user that are not in the user's training or validation data (of more "
    "than 100,000 users, so many are drawn). Videos of unknown vlogger have w = 1 and no share; they are counted "
    "apart.",
    "A share describes how the model reaches its lists, not how good they are: the ablation study asks that.",
)


def read(records: Records, dataset: str, label: str) -> Contribution | None:
    """What the runs of a contestant measured on a data set, all seeds together; None without a run."""
    found = {}
    for name in (VIDEOS, LISTS, USERS):
        frames = [f.assign(seed=key[2]) for key, f in records.measured(name, dataset) if key[1] == label]
        if not frames:
            return None
        found[name] = pd.concat(frames, ignore_index=True)
    return Contribution(dataset, label, found[VIDEOS], found[LISTS], found[USERS])


# Tables


def spread_table(found: Contribution) -> pd.DataFrame:
    """The numbers behind tables and figures: a row for each quantity, grouping, group and seed."""
    parts = []
    for quantity, frame, value in (("weight", found.weights(), "weight"), ("vlogger share", found.shares(), "share")):
        for grouping in (EVERYTHING, *GROUPINGS):
            for seed, of_seed in frame.groupby("seed"):
                table = spread(of_seed, grouping, value)
                parts.append(table.assign(quantity=quantity, grouping=grouping, seed=seed))
    first = {"dataset": found.dataset, "model": found.label}
    table = pd.concat(parts, ignore_index=True)
    columns = [*first, "quantity", "grouping", "group", "seed"]
    return table.assign(**first)[[*columns, *(name for name in table if name not in columns)]]


_SPREAD = {"mean": "Mean", "low": "Decile 1", "median": "Median", "high": "Decile 9"}


def _tables(found: Contribution) -> list[Table]:
    title = f"{found.label}: adaptive weight w by video"
    weights = _table(found, title, found.weights(), "weight", "Videos", {})
    more = {"against_vlogger": "Vlogger against", "against_video": "Video against"}
    title = f"{found.label}: the vlogger's share of recommendations"
    return [weights, _table(found, title, found.shares(), "share", "Recommendations", more)]


def _table(
    found: Contribution, title: str, frame: pd.DataFrame, value: str, counted: str, more: Mapping[str, str]
) -> Table:
    rows = []
    for grouping in (EVERYTHING, *GROUPINGS):
        table = pd.concat([spread(of_seed, grouping, value) for _, of_seed in frame.groupby("seed")])
        for group in GROUPINGS[grouping].labels if grouping in GROUPINGS else (EVERYTHING,):
            of_group = table[table["group"] == group]
            if of_group.empty:
                continue
            label = EVERYTHING if grouping == EVERYTHING else f"{GROUPINGS[grouping].name}: {group}"
            count = of_group["count"].mean()
            cells = [Cell(f"{count:,.0f}", count), *(_cell(of_group[name]) for name in _SPREAD)]
            rows.append((label, (*cells, *(_percent(of_group[name]) for name in more))))
    n = frame["seed"].nunique()
    note = f"Means over {n} seed{'s' * (n != 1)}; of the mean ± its standard deviation over seeds."
    heads = ("Group", counted, *_SPREAD.values(), *more.values())
    return Table(found.dataset, title, heads, tuple(rows), notes=(note,))


def _cell(values: pd.Series) -> Cell:
    if values.isna().all():
        return Cell(NONE)
    spread_of_seeds = f" ± {values.std():.3f}" if values.name == "mean" and len(values) > 1 else ""
    return Cell(f"{values.mean():.3f}{spread_of_seeds}", float(values.mean()))


def _percent(values: pd.Series) -> Cell:
    return Cell(NONE) if values.isna().all() else Cell(f"{100 * values.mean():.1f} %", float(values.mean()))


# Words


def _sentences(found: Contribution) -> list[str]:
    weights, lists, users = found.weights(), found.lists, found.users
    shares = found.shares()
    name = f"{found.dataset}, {found.label}"
    unknown = 100 * (1 - len(shares) / len(lists)) if len(lists) else 0.0
    sentences = [
        f"{name}: w of videos with a known vlogger is {weights['weight'].mean():.2f} on average (deciles 1 and 9: "
        f"{weights['weight'].quantile(0.1):.2f} and {weights['weight'].quantile(0.9):.2f}).",
        f"{name}: {100 * shares['share'].mean():.1f} % of the score of a recommended video comes from its vlogger, on "
        f"average. The vlogger's part speaks against {100 * (shares['vlogger'] < 0).mean():.1f} % of them, the video's "
        f"own part against {100 * (shares['video'] < 0).mean():.1f} %.",
        f"{name}: ranked by the video's part alone, {100 * np.nanmean(users['by_video']):.0f} % of a top-{LENGTH} list "
        f"stays; by the vlogger's part alone, {100 * np.nanmean(users['by_vlogger']):.0f} %.",
    ]
    if unknown >= 0.05:  # of less, the text would print nothing
        sentences.append(
            f"{name}: {unknown:.1f} % of the recommended videos have no share, as their vlogger is unknown or both "
            "parts are negative."
        )
    return sentences


STUDY = Study(title="Contribution", settings=Settings, plans=plans, analyse=analyse)
