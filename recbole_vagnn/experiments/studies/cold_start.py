"""Cold start: accuracy by what is known of user, video and vlogger, and for users held down to a few interactions.

The probe :mod:`~recbole_vagnn.experiments.studies.positions` says of every held-out interaction where it stands and
how much training data there was about it. Users held down keep their latest interactions (option ``degradation``); the
same users with their whole histories are the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.drawing import looks
from recbole_vagnn.experiments.figures import activity_groups
from recbole_vagnn.experiments.plan import Condition, Plan, contestants, data_label
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.cold_start_figures import (
    UNKNOWN,
    Breakdown,
    HeldDown,
    K,
    draw_breakdowns,
    draw_held_down,
)
from recbole_vagnn.experiments.studies.cold_start_words import group_sentence, held_sentences, in_short
from recbole_vagnn.experiments.studies.compare import Where, headline_of, runs_of
from recbole_vagnn.experiments.studies.positions import REFERENCE, TABLE
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import Cell, Table
from recbole_vagnn.options import Options

_BREAKDOWNS = {  # column of the probe → what it is called, and its unit
    "history": ("activity of the user", "training interactions of the user"),
    "popularity": ("popularity of the video", "training interactions of the video"),
    "age": ("age of the video", "age of the video, % of the time span"),
    "vlogger_videos": ("size of the vlogger", "videos of the vlogger"),
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/cold-start.yaml``.

    Attributes:
        models: as a plan names them.
        ours: label that is compared with the others.
        held_down_to: numbers of training interactions.
        users_held_down, held_down_from: see ``degradation``.
        change_seed: of the choice of these users.
    """

    models: list[Any]
    ours: str
    held_down_to: list[int]
    users_held_down: float
    held_down_from: int
    change_seed: int

    def __post_init__(self) -> None:
        labels = [contestant.label for contestant in contestants(self.models, "`models`")]
        if self.ours not in labels:
            raise InputError(
                f"`ours` is {self.ours!r}, which is not among the models.{did_you_mean(self.ours, labels)}"
            )
        if not all(isinstance(n, int) and 0 < n < self.held_down_from for n in self.held_down_to):
            raise InputError(
                f"`held_down_to` is {self.held_down_to!r}; it must be a list of whole numbers above 0 and below "
                f"`held_down_from` ({self.held_down_from})."
            )


def plans(request: Request) -> list[Plan]:
    """The unchanged data, and a plan for each length that histories are cut to; all are probed."""
    settings: Settings = request.settings
    models, probe = contestants(settings.models, "`models`"), Probe(REFERENCE)
    found = [request.plan(models, ours=[settings.ours], probe=probe)]
    for length in settings.held_down_to:
        entries = {
            "users_held_down": settings.users_held_down,
            "held_down_to": length,
            "held_down_from": settings.held_down_from,
            "seed": settings.change_seed,
        }
        condition = Condition(condition_label(length), {"degradation": entries})
        found.append(request.plan(models, condition=condition, probe=probe))
    return found


def condition_label(length: int) -> str:
    """``held-down-2``."""
    return f"held-down-{length}"


def analyse(findings: Findings) -> Section:
    """Accuracy by groups of interactions, and of the users held down."""
    settings: Settings = findings.settings
    labels = [contestant.label for contestant in contestants(settings.models, "`models`")]
    styles = looks(labels, [settings.ours])
    words, shown, pictures, rows = [], [], [], []
    for dataset in findings.datasets:
        broken = breakdowns(findings.records, dataset, labels)
        if broken:
            words += in_short(dataset, broken, settings.ours)
            words += [group_sentence(dataset, breakdown, settings.ours) for breakdown in broken]
            shown += [_group_table(dataset, breakdown) for breakdown in broken]
            pictures.append(draw_breakdowns(dataset, broken, styles))
            rows += [row for breakdown in broken for row in _group_rows(dataset, breakdown)]
        held = held_down(findings.records, dataset, labels, settings)
        if held is not None:
            words += held_sentences(held, settings.ours)
            shown.append(_held_table(held))
            pictures.append(draw_held_down(held, styles))
            rows += _held_rows(held)
    return Section(
        words=tuple(words),
        tables=tuple(shown),
        pictures=tuple(pictures),
        csv={"cold_start": pd.DataFrame(rows)} if rows else {},
        notes=_NOTES,
    )


_NOTES = (
    f"Hit@{K} of a held-out interaction: 1 if it is among the {K} first of its user's list, averaged over the seeds. "
    "Groups are quarters of the held-out interactions by what was known in training; equal ones are in one group.",
    "The age of a video at a held-out interaction counts from its first training interaction (0 where others met it "
    "later only), in percent of the time that the training data span; videos without training interactions have none.",
    "Users held down lose all but their latest training interactions, and their follow pairs. Items that they lose "
    "stay left out of their test lists, so the candidates are the same for every length; early stopping sees the "
    "validation data of all users.",
    "Groups differ in more than what names them: popular videos are easier to find for every model. Compare models "
    "within a group, not groups with each other. The best rival of a group is chosen by these very test data, which "
    "favours the rivals.",
    "* in words: the 95 % t interval of the paired difference, over the interactions of a group or over users held "
    "down, leaves 0 out; each comparison alone, so of twenty without a difference one gets a star.",
)


# By groups of held-out interactions


def breakdowns(records: Records, dataset: str, labels: Sequence[str]) -> list[Breakdown]:
    """Hits by activity, popularity, age and size of the vlogger; those that the data do not tell are left out."""
    by_label: dict[str, list[pd.DataFrame]] = {}
    for (_, label, _), table in records.measured(TABLE, dataset):
        by_label.setdefault(label, []).append(table.set_index(["user", "item"]).sort_index())
    hits = {
        label: np.mean([_hits(table) for table in by_label[label]], axis=0) for label in labels if label in by_label
    }
    if not hits:
        return []
    known = by_label[next(iter(hits))][0]
    found = []
    for column, (name, unit) in _BREAKDOWNS.items():
        values = known[column].to_numpy(dtype=np.float64) * (100.0 if column == "age" else 1.0)
        there = ~np.isnan(values)
        if column == "vlogger_videos":
            there &= (known["vlogger"] != "").to_numpy()
        if len(np.unique(values[there])) > 1:
            found.append(_breakdown(name, unit, values, there, hits))
    return found


def _hits(table: pd.DataFrame) -> Floats:
    return table["position"].between(1, K).to_numpy(dtype=np.float64)


def _breakdown(name: str, unit: str, values: Floats, there: NDArray[np.bool_], hits: Mapping[str, Floats]) -> Breakdown:
    group = activity_groups(values[there])
    members = [np.flatnonzero(there)[group == g] for g in range(int(group.max()) + 1)]
    names = [_range_text(values[who]) for who in members]
    if not there.all():
        members, names = [*members, np.flatnonzero(~there)], [*names, UNKNOWN]
    found = {label: tuple(of_model[who] for who in members) for label, of_model in hits.items()}
    return Breakdown(name, unit, tuple(names), found)


def _range_text(values: Floats) -> str:
    low, high = (f"{value:,.0f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low}–{high}"


def _group_table(dataset: str, breakdown: Breakdown) -> Table:
    names = [f"{group} ({n:,})" for group, n in zip(breakdown.groups, breakdown.sizes, strict=True)]
    note = f"Groups: {breakdown.unit}; in brackets the number of held-out interactions."
    return _table(dataset, f"Hit@{K} by {breakdown.name}", names, breakdown.means(), note)


def _table(dataset: str, title: str, names: Sequence[str], means: Mapping[str, Sequence[float]], note: str) -> Table:
    """A row a model, a column a group; the best of each group bold."""
    best = [max(of_group) for of_group in zip(*means.values(), strict=True)]
    rows = tuple(
        (label, tuple(Cell(f"{v:.4f}", v, "best" if v == b else "") for v, b in zip(values, best, strict=True)))
        for label, values in means.items()
    )
    return Table(dataset=dataset, title=title, headings=("Model", *names), rows=rows, notes=(f"{note} Best bold.",))


def _group_rows(dataset: str, breakdown: Breakdown) -> list[dict[str, Any]]:
    return [
        {"dataset": dataset, "by": breakdown.name, "group": group, "interactions": size, "model": label,
         f"hit@{K}": value}
        for label, values in breakdown.means().items()
        for group, size, value in zip(breakdown.groups, breakdown.sizes, values, strict=True)
    ]  # fmt: skip


# Users held down


def held_down(records: Records, dataset: str, labels: Sequence[str], settings: Settings) -> HeldDown | None:
    """Accuracy of the users held down, by the length of their histories; None while no model has all lengths."""
    lengths = sorted(settings.held_down_to)
    chosen = _chosen_users(records, dataset, lengths)
    values: dict[str, tuple[Floats, ...]] = {}
    metric = ""
    for label in labels:
        wanted = {condition_label(n): Where(data_label(dataset, condition_label(n)), label) for n in lengths}
        runs = runs_of(records, dataset, {**wanted, "all": Where(dataset, label)})
        names = [*wanted, "all"]
        if chosen is None or {key[1] for key in runs} != {*names}:
            continue
        metric = headline_of(runs)[0]
        frames = {name: [frame for key, frame in runs.items() if key[1] == name] for name in names}
        values[label] = tuple(
            np.mean([frame.loc[chosen, metric].to_numpy() for frame in frames[name]], axis=0) for name in names
        )
    if not values:
        return None
    return HeldDown(dataset, metric, (*map(str, lengths), "all"), values)


def _chosen_users(records: Records, dataset: str, lengths: Sequence[int]) -> pd.Index | None:
    """The users whose history differs from that of the unchanged data; None without runs."""
    before = _histories(records, dataset)
    for length in lengths:
        after = _histories(records, data_label(dataset, condition_label(length)))
        if before is not None and after is not None:
            return before.index[before != after.reindex(before.index)]
    return None


def _histories(records: Records, data: str) -> pd.Series | None:
    found = next(iter(records.per_user(data)), None)
    return None if found is None else found[1].set_index("user")["history"].sort_index()


def _held_table(held: HeldDown) -> Table:
    note = f"The same {held.n_users:,} users in all columns; the other users keep their histories."
    title = f"{heading(held.metric)} of users held down, by training interactions"
    return _table(held.dataset, title, held.lengths, held.means(), note)


def _held_rows(held: HeldDown) -> list[dict[str, Any]]:
    return [
        {"dataset": held.dataset, "by": "users held down", "group": length, "interactions": held.n_users,
         "model": label, held.metric: value}
        for label, values in held.means().items()
        for length, value in zip(held.lengths, values, strict=True)
    ]  # fmt: skip


STUDY = Study(title="Cold start", settings=Settings, plans=plans, analyse=analyse)
