"""Quality of vlogger data: accuracy against the completeness and the noise of links and follow pairs.

A growing share of the video→vlogger links, or of the follow pairs, is removed or made wrong in the training data
(option ``degradation``), and the models are trained again. The floor is a variant that uses no vlogger; it does not
depend on the links and is trained once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Condition, Plan, contestants, data_label
from recbole_vagnn.experiments.studies.compare import (
    Where,
    headline_of,
    is_significant,
    paired_interval,
    paired_tests,
    point,
    rows_of,
    runs_of,
)
from recbole_vagnn.experiments.studies.quality_figures import Quality, Series, draw_quality, name_of
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study, variant_of
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import NONE, STAR, Cell, Table
from recbole_vagnn.options import Options

_CHANGES = ("links_removed", "links_corrupted", "follows_removed", "follows_corrupted")


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/vlogger-quality.yaml``.

    Attributes:
        models: models that use vloggers, as a plan names them.
        floor: ``model`` and its ``variant`` that uses none.
        changes: entries of ``degradation``.
        orders: who is changed first.
        shares: above 0 and below 1: without any link there is nothing to train on.
        change_seed: of the changes.
    """

    models: list[Any]
    floor: dict[str, str]
    changes: list[str]
    orders: list[str]
    shares: list[float]
    change_seed: int

    def __post_init__(self) -> None:
        for change in self.changes:
            if change not in _CHANGES:
                raise InputError(f"`changes` has {change!r}; choose among: {', '.join(_CHANGES)}.")
        if not isinstance(self.floor, dict) or {*self.floor} != {"model", "variant"}:
            raise InputError(f"`floor` is {self.floor!r}; it must be {{model: NAME, variant: NAME}}.")
        if not self.shares or not all(isinstance(s, (int, float)) and 0 < s < 1 for s in self.shares):
            raise InputError(f"`shares` is {self.shares!r}; it must be a list of numbers above 0 and below 1.")


def plans(request: Request) -> list[Plan]:
    """The unchanged data with the floor, and a plan for each change, order and share that a data set allows."""
    settings: Settings = request.settings
    models = contestants(settings.models, "`models`")
    floor = variant_of(settings.floor["model"], settings.floor["variant"])
    found = [request.plan([*models, floor], ours=[models[0].label])]
    for change, order, share in itertools.product(settings.changes, settings.orders, sorted(settings.shares)):
        datasets = [name for name in request.datasets if applies(change, name, request.data_path)]
        if datasets:
            entries = {change: share, "order": order, "seed": settings.change_seed}
            condition = Condition(condition_label(change, order, share), {"degradation": entries})
            found.append(request.plan(models, datasets=datasets, condition=condition))
    return found


def applies(change: str, dataset: str, data_path: Path) -> bool:
    """Follow pairs can only be changed where there are any."""
    return not change.startswith("follows") or Path(data_path, dataset, f"{dataset}.follow").is_file()


def condition_label(change: str, order: str, share: float) -> str:
    """``links-removed-0.5``, ``links-removed-0.5-popular``."""
    return f"{change.replace('_', '-')}-{share:g}" + ("" if order == "random" else f"-{order}")


def analyse(findings: Findings) -> Section:
    """Accuracy along each change, and where it meets the floor."""
    found = [quality for name in findings.datasets if (quality := _measured(findings, name)) is not None]
    rows = [row for quality in found for row in _rows(quality)]
    return Section(
        words=tuple(sentence for quality in found for sentence in _sentences(quality)),
        tables=tuple(table for quality in found for table in _tables(quality)),
        pictures=tuple(draw_quality(quality) for quality in found),
        csv={"vlogger_quality": pd.DataFrame(rows)} if rows else {},
        notes=_NOTES,
    )


_NOTES = (
    "A removed link makes the vlogger of a video unknown in training; a wrong one names another vlogger, drawn in "
    "proportion to their numbers of videos. A larger share changes the links of a smaller one and more. Random: links "
    "chosen uniformly; popular: of the videos with most training interactions first (of follow pairs, of the vloggers "
    "with most followers first).",
    "The models are trained anew on the changed data with the settings of the unchanged ones.",
    "Intervals and stars compare with the floor, user by user (each user's metric averaged over the seeds first; "
    "two-sided paired t test, Holm-corrected over all points of a model on a data set).",
)


def _measured(findings: Findings, dataset: str) -> Quality | None:
    """All points of a data set; None while the floor or the unchanged data have no run."""
    settings: Settings = findings.settings
    floor = variant_of(settings.floor["model"], settings.floor["variant"]).label
    labels = [contestant.label for contestant in contestants(settings.models, "`models`")]
    series = []
    metric = ""
    floor_mean = float("nan")
    for label in labels:
        wanted = {floor: Where(dataset, floor), label: Where(dataset, label)}
        for change, order, share in itertools.product(settings.changes, settings.orders, settings.shares):
            condition = condition_label(change, order, share)
            wanted[condition] = Where(data_label(dataset, condition), label)
        runs = runs_of(findings.records, dataset, wanted)
        names = {key[1] for key in runs}
        if not {floor, label} <= names:
            continue
        metric = headline_of(runs)[0]
        floor_mean = point(runs, floor, metric)[0]
        better = {row["rival"]: row for row in rows_of(paired_tests(runs, floor, [metric]), metric)}
        for change, order in itertools.product(settings.changes, settings.orders):
            points = [(0.0, label)] + [(s, condition_label(change, order, s)) for s in sorted(settings.shares)]
            there = [(share, name) for share, name in points if name in names]
            if len(there) > 1:
                series.append(
                    Series(
                        label,
                        change,
                        order,
                        tuple(share for share, _ in there),
                        tuple(point(runs, name, metric)[0] for _, name in there),
                        tuple(paired_interval(runs, name, floor, metric) for _, name in there),
                        tuple(is_significant(better[name]) for _, name in there),
                    )
                )
    return Quality(dataset, metric, floor, floor_mean, tuple(series)) if series else None


def _sentences(quality: Quality) -> list[str]:
    """What each change does to each model, and where it meets the floor."""
    found = [f"{quality.dataset}: the floor ({quality.floor}) has {heading(quality.metric)} {quality.floor_mean:.4f}."]
    for line in quality.series:
        shares, means = line.shares, line.means
        of = f"{quality.dataset}, {name_of(line.change)} ({line.order}), {line.label}"
        levels = ", ".join(f"{mean:.4f} at {100 * share:g} %" for share, mean in zip(shares, means, strict=True))
        above = sum(s and m > quality.floor_mean for s, m in zip(line.significant, means, strict=True))
        end = f"{above} of {len(means)} points are significantly above the floor"
        found.append(f"{of}: {levels}. {meeting_text(shares, means, quality.floor_mean)}; {end}.")
    return found


def meeting(shares: Sequence[float], means: Sequence[float], floor: float) -> float | None:
    """The share at which a line first falls below the floor, between points by straight lines; None = never."""
    if means[0] < floor:
        return shares[0]
    for (s, m), (t, n) in itertools.pairwise(zip(shares, means, strict=True)):
        if n < floor:
            return s + (t - s) * (m - floor) / (m - n)
    return None


def meeting_text(shares: Sequence[float], means: Sequence[float], floor: float) -> str:
    """:func:`meeting` in words."""
    share = meeting(shares, means, floor)
    if share is None:
        return f"The mean stays above the floor up to {100 * shares[-1]:g} %"
    if share == shares[0]:
        return "The mean is below the floor even with unchanged data"
    return f"The mean falls below the floor at about {100 * share:.0f} %"


def _tables(quality: Quality) -> list[Table]:
    """A table a change: a row for each model and order, a column for each share."""
    found = []
    for change in dict.fromkeys(line.change for line in quality.series):
        lines = [line for line in quality.series if line.change == change]
        shares = sorted({share for line in lines for share in line.shares})
        rows = tuple((f"{line.label}, {line.order}", _cells(line, shares)) for line in lines)
        floor = Cell(f"{quality.floor_mean:.4f}", quality.floor_mean)
        rows += ((f"{quality.floor} (floor)", (floor, *(Cell(NONE) for _ in shares[1:]))),)
        found.append(
            Table(
                dataset=quality.dataset,
                title=f"{heading(quality.metric)} by share of {name_of(change)}",
                headings=("Model", *(f"{100 * share:g} %" for share in shares)),
                rows=rows,
                notes=(STAR.replace("* significant", "* differs from the floor"),),
            )
        )
    return found


def _cells(line: Series, shares: Sequence[float]) -> tuple[Cell, ...]:
    by_share = {s: (m, star) for s, m, star in zip(line.shares, line.means, line.significant, strict=True)}
    cells = []
    for share in shares:
        mean, star = by_share.get(share, (float("nan"), False))
        cells.append(Cell(NONE if isnan(mean) else f"{mean:.4f}" + "*" * star, mean))
    return tuple(cells)


def _rows(quality: Quality) -> list[dict[str, Any]]:
    return [
        {
            "dataset": quality.dataset,
            "model": line.label,
            "change": line.change,
            "order": line.order,
            "share": share,
            f"test_{quality.metric}": mean,
            "floor": quality.floor_mean,
            "half_interval_of_difference": half,
            "differs": differs,
        }
        for line in quality.series
        for share, mean, half, differs in zip(line.shares, line.means, line.halves, line.significant, strict=True)
    ]


STUDY = Study(title="Quality of vlogger data", settings=Settings, plans=plans, analyse=analyse)
