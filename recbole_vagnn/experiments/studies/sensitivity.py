"""Sensitivity: accuracy over the values of an option, the others unchanged, and over two options crossed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Contestant, Plan, configuration
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
from recbole_vagnn.experiments.studies.sensitivity_figures import Curves, Point, draw_curves, draw_heat, text_of
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import NONE, Cell, Table, percent_text
from recbole_vagnn.options import Options


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/sensitivity.yaml``.

    Attributes:
        model: the model.
        vary: option → values, one option at a time.
        grid: two options → values, crossed; empty = none.
    """

    model: str
    vary: dict[str, list[Any]]
    grid: dict[str, list[Any]]

    def __post_init__(self) -> None:
        for name in ("vary", "grid"):
            options = getattr(self, name)
            if not isinstance(options, Mapping) or not all(isinstance(v, list) and v for v in options.values()):
                raise InputError(f"`{name}` is {options!r}; it must be a mapping {{option: [value, …]}}.")
            for option, values in options.items():
                if any(value in values[:i] for i, value in enumerate(values)):
                    raise InputError(f"`{name}` has a value of `{option}` twice: {values}. Remove one.")
        if len(self.grid) not in (0, 2):
            raise InputError(f"`grid` has {len(self.grid)} options ({', '.join(self.grid)}); give two, or {{}}.")
        if not self.vary and not self.grid:
            raise InputError("`vary` and `grid` are empty: name at least one option and its values.")

    def points(self) -> list[dict[str, Any]]:
        """Every setting, as the options that it changes."""
        single = [{option: value} for option, values in self.vary.items() for value in values]
        crossed = [dict(zip(self.grid, pair, strict=True)) for pair in itertools.product(*self.grid.values())]
        return [*single, *(crossed if self.grid else [])]


def plans(request: Request) -> list[Plan]:
    """One plan: the model as it is, and each setting that differs from it on some data set."""
    settings: Settings = request.settings
    base = Contestant(settings.model, settings.model)
    usual = _usual(request.plan([base]), settings, request.data_path)
    changes = {label_of(settings.model, change): change for change in reduced(settings.points(), usual)}
    varied = [Contestant(label, settings.model, change, tuned_as=base.label) for label, change in changes.items()]
    return [request.plan([base, *varied])]


def _usual(base: Plan, settings: Settings, data_path: Path) -> dict[str, dict[str, Any]]:
    """Data set → what the options are without a change."""
    options = {*settings.vary, *settings.grid}
    found = {}
    for job in base.jobs():
        config = configuration(job, data_path).as_begun
        found[job.dataset] = {option: config.get(option) for option in options}  # unknown ones: the plan's check
    return found


def reduced(points: Sequence[dict[str, Any]], usual: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings without the entries that are usual on every data set; those that change nothing are left out."""
    of_sets = list(usual.values())
    short = [{k: v for k, v in point.items() if any(v != own[k] for own in of_sets)} for point in points]
    return [change for change in short if change]


def label_of(model: str, change: Mapping[str, Any]) -> str:
    """What tables call a setting: the model's name where nothing is changed."""
    return ", ".join(f"{option}={text_of(change[option])}" for option in sorted(change)) or model


def analyse(findings: Findings) -> Section:
    """Curves, heat map, and how far each option moves accuracy."""
    settings: Settings = findings.settings
    (plan,) = findings.plans
    base = replace(plan, contestants=plan.contestants[:1], seeds=plan.seeds[:1])
    usual = _usual(base, settings, findings.data_path)
    found = [curves for name in findings.datasets if (curves := _measured(findings, name, usual)) is not None]
    pictures = [draw_curves(curves, settings.model) for curves in found if curves.lines]
    pictures += [draw_heat(curves, settings.grid) for curves in found if settings.grid]
    rows = [row for curves in found for row in (*_rows(curves), *_grid_rows(curves, settings))]
    return Section(
        words=tuple(sentence for curves in found for sentence in _sentences(curves)),
        tables=tuple(_table(curves) for curves in found if curves.lines),
        pictures=tuple(pictures),
        csv={"sensitivity": pd.DataFrame(rows)} if rows else {},
        notes=_NOTES,
    )


_NOTES = (
    "Each option alone is changed; the others stay as they are, so the best values of several curves together need not "
    "be the best setting: that is what `recbole-vagnn tune` searches.",
    "Test values show how sensitive the model is. Who wants to choose a value chooses it by the validation line, or "
    "the test data are no longer unseen.",
    "Intervals and tests are paired with the usual setting, user by user, each user's metric averaged over the seeds "
    "first. A seed moves a model too: with one seed, small differences say nothing.",
)


def _measured(findings: Findings, dataset: str, usual: Mapping[str, Mapping[str, Any]]) -> Curves | None:
    """The points of a data set; None without a run."""
    settings: Settings = findings.settings
    (plan,) = findings.plans
    runs = runs_of(findings.records, dataset, {label: Where(dataset, label) for label in plan.labels})
    if not runs:
        return None
    metric, valid = headline_of(runs)[0], _valid_means(findings, dataset)
    tested = {row["rival"]: row for row in rows_of(paired_tests(runs, settings.model, [metric]), metric)}

    def measured(change: dict[str, Any], value: Any = None) -> Point:
        label = label_of(settings.model, next(iter(reduced([change], usual)), {}))
        return Point(
            value,
            point(runs, label, metric)[0],
            paired_interval(runs, label, settings.model, metric),
            valid.get(label, float("nan")),
            label in tested and is_significant(tested[label]),
        )

    lines = {name: [measured({name: value}, value) for value in values] for name, values in settings.vary.items()}
    sizes = [len(values) for values in settings.grid.values()]
    pairs = itertools.product(*settings.grid.values()) if settings.grid else ()
    crossed = [measured(dict(zip(settings.grid, pair, strict=True))).mean for pair in pairs]
    base = point(runs, settings.model, metric)[0]
    return Curves(dataset, metric, usual[dataset], base, lines, np.array(crossed).reshape(sizes or [0]))


def _valid_means(findings: Findings, dataset: str) -> dict[str, float]:
    """Label → mean over seeds of the best validation score."""
    runs = findings.records.runs[findings.records.runs["dataset"] == dataset]
    metric = str(findings.plans[0].options.get("valid_metric", "Recall@10")).lower()
    means = runs.groupby("model")[f"valid_{metric}"].mean()
    return {str(label): float(value) for label, value in means.items()}


def _sentences(curves: Curves) -> list[str]:
    """The options in the order of how far they move accuracy."""
    there = {name: [found for found in line if not isnan(found.mean)] for name, line in curves.lines.items()}
    spread = {
        name: max(point.mean for point in line) - min(point.mean for point in line)
        for name, line in there.items()
        if len(line) > 1
    }
    found = []
    for option in sorted(spread, key=lambda name: -spread[name]):
        line = there[option]
        best, worst = max(line, key=lambda point: point.mean), min(line, key=lambda point: point.mean)
        by_valid = max(line, key=lambda point: -inf if isnan(point.valid) else point.valid)
        share = f" ({100 * spread[option] / curves.base:.1f} % of the usual setting's)" if curves.base > 0 else ""
        found.append(
            f"{curves.dataset}, {option} from {text_of(line[0].value)} to {text_of(line[-1].value)}: "
            f"{heading(curves.metric)} moves by {spread[option]:.4f}{share}, from {worst.mean:.4f} at "
            f"{text_of(worst.value)} to {best.mean:.4f} at {text_of(best.value)}; validation prefers "
            f"{text_of(by_valid.value)}, usual is {text_of(curves.usual[option])}; "
            f"{sum(point.differs for point in line)} of {len(line)} values differ significantly from the usual setting."
        )
    return found


def _table(curves: Curves) -> Table:
    """Change against the usual setting, a row an option and value."""
    rows = []
    for option, line in curves.lines.items():
        for found in line:
            change = 100 * (found.mean / curves.base - 1) if curves.base > 0 else float("nan")
            cells = (
                Cell(NONE if isnan(found.mean) else f"{found.mean:.4f}", found.mean),
                Cell(NONE if isnan(change) else percent_text(change) + "*" * found.differs, change),
                Cell(NONE if isnan(found.valid) else f"{found.valid:.4f}", found.valid),
            )
            rows.append((f"{option} = {text_of(found.value)}", cells))
    return Table(
        dataset=curves.dataset,
        title=f"{heading(curves.metric)} by option",
        headings=("Setting", f"Test {heading(curves.metric)}", "Against the usual setting", "Validation"),
        rows=tuple(rows),
        notes=("* differs from the usual setting: Holm-corrected p < 0.05 of the two-sided paired t test over users.",),
    )


def _rows(curves: Curves) -> list[dict[str, Any]]:
    return [
        {
            "dataset": curves.dataset,
            "option": option,
            "value": found.value,
            "usual": found.value == curves.usual[option],
            f"test_{curves.metric}": found.mean,
            "paired_half_interval": found.half,
            "differs": found.differs,
            "valid": found.valid,
        }
        for option, line in curves.lines.items()
        for found in line
    ]


def _grid_rows(curves: Curves, settings: Settings) -> list[dict[str, Any]]:
    pairs = itertools.product(*settings.grid.values()) if settings.grid else ()
    return [
        {
            "dataset": curves.dataset,
            "option": " × ".join(settings.grid),
            "value": " × ".join(map(text_of, pair)),
            f"test_{curves.metric}": mean,
        }
        for pair, mean in zip(pairs, curves.crossed.flat, strict=True)
    ]


STUDY = Study(title="Sensitivity", settings=Settings, plans=plans, analyse=analyse)
