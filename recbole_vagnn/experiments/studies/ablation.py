"""Ablation: every variant of a model against the full model, at the full model's settings.

A variant changes the options that its file names and nothing else; tuned settings of the full model are those of its
variants too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import tables
from recbole_vagnn.experiments.drawing import Picture, panels, style, to_png
from recbole_vagnn.experiments.plan import Contestant, Plan
from recbole_vagnn.experiments.studies.compare import (
    Where,
    change_percent,
    headline_of,
    is_significant,
    paired_tests,
    rows_of,
    runs_of,
)
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study, variant_of
from recbole_vagnn.experiments.summary import heading, summarise
from recbole_vagnn.experiments.tables import LEVEL, NONE, Cell, Table, percent_text
from recbole_vagnn.options import Options

_EVERYWHERE = "All data sets"
_COLORS = {"costs": "#D55E00", "helps": "#0072B2", "level": "#8C8C8C"}


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/ablation.yaml``.

    Attributes:
        model: the full model.
        variants: names of its variants.
    """

    model: str
    variants: list[str]

    def __post_init__(self) -> None:
        if not isinstance(self.variants, list) or not self.variants:
            raise InputError(f"`variants` is {self.variants!r}; it must be a list of variants of {self.model}.")


def plans(request: Request) -> list[Plan]:
    """One plan: the full model and its variants."""
    settings: Settings = request.settings
    full = Contestant(settings.model, settings.model)
    variants = [variant_of(settings.model, name) for name in settings.variants]
    return [request.plan([full, *variants], ours=[full.label])]


def analyse(findings: Findings) -> Section:
    """What each part adds, with intervals and paired tests over users."""
    full, *labels = findings.plans[0].labels
    per_set: dict[str, pd.DataFrame] = {}
    metrics: list[str] = []
    for dataset in findings.datasets:
        runs = runs_of(findings.records, dataset, {name: Where(dataset, name) for name in (full, *labels)})
        table = paired_tests(runs, full)
        if not table.empty:
            per_set[dataset], metrics = table, metrics or headline_of(runs)
    words, shown, pictures = [], [], []
    for summary in summarise(findings.records.runs, order=[full, *labels]):
        shown.append(tables.tables(summary)[0])
    for dataset, table in per_set.items():
        words += [_sentence(dataset, metric, rows_of(table, metric)) for metric in metrics]
        shown += [_tests(dataset, full, labels, metric, table) for metric in metrics]
        pictures.append(_picture(dataset, full, labels, metrics, table))
    if len(per_set) > 1:
        shown.insert(0, _together(full, labels, metrics[0], per_set))
    return Section(
        words=tuple(words),
        tables=tuple(shown),
        pictures=tuple(pictures),
        csv={"ablation": pd.concat(per_set.values(), ignore_index=True)} if per_set else {},
        notes=_NOTES,
    )


_NOTES = (
    "A variant runs with the full model's settings. With settings of its own it might do better, so a loss says what "
    "removing the part costs this configuration.",
    "Differences are paired over the test users, whose metric is averaged over the seeds first; intervals by "
    "bootstrap over users, p-values Holm-corrected over the variants of a data set and metric. They speak of these "
    "trained models: another seed may move a small difference.",
    "Parts overlap: the effects of two parts do not add up to that of both.",
)


def _sentence(dataset: str, metric: str, rows: Sequence[dict[str, Any]]) -> str:
    """Which changes cost accuracy, which help; the differences turned round: variant against the full model."""
    groups: dict[str, list[str]] = {"costs": [], "helps": [], "level": []}
    for row in sorted(rows, key=lambda row: -row["difference"]):
        groups[verdict(row)].append(f"{row['rival']} ({percent_text(change_percent(row))})")
    parts = [
        f"{_count(groups['costs'], 'change')} significantly lower it: {', '.join(groups['costs'])}"
        if groups["costs"]
        else "no change lowers it significantly",
        f"{_count(groups['helps'], 'change')} significantly raise it: {', '.join(groups['helps'])}"
        if groups["helps"]
        else "none raises it significantly",
    ]
    if groups["level"]:
        parts.append(f"not told apart from the full model: {', '.join(groups['level'])}")
    return f"{dataset}, {heading(metric)}: {'; '.join(parts)}."


def _count(found: Sequence[str], noun: str) -> str:
    return f"{len(found)} {noun}{'s' * (len(found) != 1)}"


def verdict(row: dict[str, Any]) -> str:
    """What a change does: "costs" or "helps" where the test is significant, else "level"."""
    if not is_significant(row) or row["difference"] == 0:
        return "level"
    return "costs" if row["difference"] > 0 else "helps"


def _tests(dataset: str, full: str, labels: Sequence[str], metric: str, table: pd.DataFrame) -> Table:
    """Each variant against the full model, the differences turned round as in words and figure."""
    rows = {row["rival"]: row for row in rows_of(table, metric)}
    return Table(
        dataset=dataset,
        title=f"{heading(metric)} of each variant against {full}",
        headings=_TEST_HEADINGS,
        rows=tuple((label, _test_cells(rows[label])) for label in labels if label in rows),
        notes=(
            f"Variant − {full}; change and interval in percent of {full}'s mean; users for whom the variant is better, "
            f"equal, worse. p two-sided, Holm-corrected; bold below {LEVEL}.",
        ),
    )


_TEST_HEADINGS = (
    *("Variant", "Difference", "Change", "95 % interval", "Users better", "equal", "worse"),
    *("p, t test", "p, Wilcoxon"),
)


def _test_cells(row: dict[str, Any]) -> tuple[Cell, ...]:
    change = change_percent(row)
    ends = [change_percent({**row, "difference": row[f"difference_{end}"]}) for end in ("high", "low")]
    interval = NONE if isnan(change) else " to ".join(map(percent_text, ends))
    return (
        Cell(_signed(-row["difference"]), -row["difference"]),
        Cell(NONE if isnan(change) else percent_text(change), change),
        Cell(interval, ends[0]),
        *(Cell(f"{row[name]:,}", row[name]) for name in ("worse", "equal", "better")),
        *(tables.p_cell(row[f"{test}_p_two_sided_holm"]) for test in ("t", "wilcoxon")),
    )


def _signed(value: float) -> str:
    """``+0.0123``, with a true minus; no sign on what prints as 0."""
    return f"{value:+.4f}".replace("-", "−") if round(value, 4) else "0.0000"


def _together(full: str, labels: Sequence[str], metric: str, per_set: dict[str, pd.DataFrame]) -> Table:
    """Change by each variant on every data set."""
    rows = []
    for label in labels:
        cells = []
        for table in per_set.values():
            found = rows_of(table, metric, rival=label)
            value = change_percent(found[0]) if found else float("nan")
            star = "*" * (bool(found) and is_significant(found[0]))
            cells.append(Cell(NONE if isnan(value) else percent_text(value) + star, value))
        rows.append((label, tuple(cells)))
    return Table(
        dataset=_EVERYWHERE,
        title=f"{heading(metric)} of each variant against {full}",
        headings=("Variant", *per_set),
        rows=tuple(rows),
        notes=(tables.STAR,),
    )


def _picture(dataset: str, full: str, labels: Sequence[str], metrics: Sequence[str], table: pd.DataFrame) -> Picture:
    """A point and an interval for each variant, its change against the full model."""
    with style():
        figure = Figure(figsize=(9, 1.3 + 0.3 * len(labels)), layout="constrained")
        for axes, metric in zip(panels(figure, metrics, sharey=True), metrics, strict=True):
            _forest(axes, labels, {row["rival"]: row for row in rows_of(table, metric)})
            axes.set_xlabel(f"{heading(metric)}: change in % of the full model")
        figure.suptitle(f"{dataset}: what a change of {full} does", fontsize=10)
        caption = (
            f"Change of the mean over test users against {full}, in percent of its mean, with 95 % bootstrap intervals "
            "over users. Orange: significantly worse than the full model; blue: significantly better (Holm-corrected "
            "paired t test); grey: not told apart."
        )
        return Picture(dataset, "ablation", caption, to_png(figure))


def _forest(axes: Axes, labels: Sequence[str], rows: dict[str, dict[str, Any]]) -> None:
    places = np.arange(len(labels))[::-1]
    for place, label in zip(places, labels, strict=True):
        if (row := rows.get(label)) is None or not row["ours_mean"] > 0:
            continue
        scale = -100 / row["ours_mean"]
        middle, *ends = (scale * row[name] for name in ("difference", "difference_low", "difference_high"))
        color = _COLORS[verdict(row)]
        axes.plot(sorted(ends), [place, place], color=color, linewidth=1.6, zorder=3)
        axes.plot(middle, place, "o", color=color, markersize=6, zorder=4)
    axes.axvline(0, color="black", linewidth=0.9, zorder=2)
    axes.set_yticks(places, labels)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)


STUDY = Study(title="Ablation", settings=Settings, plans=plans, analyse=analyse)
