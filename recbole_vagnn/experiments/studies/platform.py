"""Platform: the simulator's vlogger effect from 0 to 1, and from where on a model that knows vloggers pays.

The platforms are made by ``recbole-vagnn prepare simulate`` in the folder of the data sets and kept there. What holds
on them holds for the simulator's assumptions (docs/simulation.md), not for real platforms.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.drawing import Look, Picture, legend, looks, panels, style, to_png
from recbole_vagnn.experiments.plan import Plan, contestants
from recbole_vagnn.experiments.studies.compare import (
    Runs,
    Where,
    headline_of,
    is_significant,
    paired_tests,
    point,
    rows_of,
    runs_of,
)
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import NONE, STAR, Cell, Table, percent_text
from recbole_vagnn.options import Options

_NAME = "simulated-platforms"


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/platform.yaml``.

    Attributes:
        models: as a plan names them.
        ours: label that is compared with the others.
        effects: vlogger effects, in [0, 1].
        interactions: views of each platform.
        simulation_seed: of the platforms.
    """

    models: list[Any]
    ours: str
    effects: list[float]
    interactions: int
    simulation_seed: int

    def __post_init__(self) -> None:
        labels = [contestant.label for contestant in contestants(self.models, "`models`")]
        if self.ours not in labels:
            raise InputError(
                f"`ours` is {self.ours!r}, which is not among the models.{did_you_mean(self.ours, labels)}"
            )
        if not self.effects or not all(isinstance(e, (int, float)) and 0 <= e <= 1 for e in self.effects):
            raise InputError(f"`effects` is {self.effects!r}; it must be a list of numbers from 0 to 1.")


def dataset_of(settings: Settings, effect: float) -> str:
    """Name of a platform, which says all that it is made from."""
    return f"simulated-n{settings.interactions}-e{effect:g}-s{settings.simulation_seed}"


def datasets(settings: Settings) -> tuple[str, ...]:
    """Names of the platforms, by effect."""
    return tuple(dataset_of(settings, effect) for effect in sorted(settings.effects))


def prepare(request: Request) -> None:
    """Simulate the platforms that are not there."""
    from recbole_vagnn.prepare.pipeline.run import prepare as prepare_source

    settings: Settings = request.settings
    for effect in settings.effects:
        options = {
            "interactions": settings.interactions,
            "vlogger_effect": float(effect),
            "seed": settings.simulation_seed,
        }
        prepare_source("simulate", name=dataset_of(settings, effect), data_path=request.data_path, options=options)


def plans(request: Request) -> list[Plan]:
    """One plan: every model on every platform."""
    settings: Settings = request.settings
    return [request.plan(contestants(settings.models, "`models`"), ours=[settings.ours])]


@dataclass(frozen=True)
class Found:
    """One metric on all platforms.

    Attributes:
        metric: which.
        effects: of the platforms that have runs.
        points: model → effect → mean over users and half its 95 % interval; NaN = no run.
        tests: rival → effect → row of the tests of ours against it.
    """

    metric: str
    effects: tuple[float, ...]
    points: dict[str, dict[float, tuple[float, float]]]
    tests: dict[str, dict[float, Mapping[str, Any]]]


def analyse(findings: Findings) -> Section:
    """Accuracy and gain over each rival by effect."""
    settings: Settings = findings.settings
    labels = [contestant.label for contestant in contestants(settings.models, "`models`")]
    runs = {}
    for effect in sorted(settings.effects):
        name = dataset_of(settings, effect)
        if found := runs_of(findings.records, name, {label: Where(name, label) for label in labels}):
            runs[effect] = found
    if not runs:
        return Section(notes=_NOTES)
    metrics = headline_of(next(iter(runs.values())))
    tables = {effect: paired_tests(of_effect, settings.ours, metrics) for effect, of_effect in runs.items()}
    of_metrics = [_of_metric(metric, labels, runs, tables) for metric in metrics]
    return Section(
        words=tuple(sentence for found in of_metrics for sentence in _sentences(found, settings.ours)),
        tables=tuple(table for found in of_metrics for table in _tables(found, settings.ours)),
        pictures=_pictures(of_metrics, settings.ours, looks(labels, [settings.ours])),
        csv={"platform": pd.concat(_with_effect(tables), ignore_index=True)} if any(map(len, tables.values())) else {},
        notes=_NOTES,
    )


_NOTES = (
    "A platform's vlogger effect is the probability that a view is chosen by loyalty to a vlogger. At effect 0 "
    "vloggers still have topics, so their names are not useless even there.",
    "The platforms differ in their draws as well as in the effect: each is one simulation. Differences between models "
    "on one platform are paired over its users; differences between platforms are not tested.",
    "No claim about a real platform rests on a simulation: a model that shares the simulator's assumptions does well "
    "by construction.",
    "Every model runs at the settings named in the table of runs. Untuned, a test says whose settings happen to fit.",
)


def _of_metric(
    metric: str, labels: Sequence[str], runs: Mapping[float, Runs], tables: Mapping[float, pd.DataFrame]
) -> Found:
    points = {label: {effect: point(found, label, metric) for effect, found in runs.items()} for label in labels}
    tests: dict[str, dict[float, Mapping[str, Any]]] = {}
    for effect, table in tables.items():
        for row in rows_of(table, metric):
            tests.setdefault(row["rival"], {})[effect] = row
    return Found(metric, tuple(runs), points, {label: tests[label] for label in labels if label in tests})


def _with_effect(tables: Mapping[float, pd.DataFrame]) -> list[pd.DataFrame]:
    return [table.assign(effect=effect) for effect, table in tables.items() if len(table)]


def pays_from(effects: Sequence[float], differences: Sequence[float]) -> float | None:
    """The effect from which on differences stay above 0, between platforms by straight lines; None = not at the end."""
    if not differences or differences[-1] <= 0:
        return None
    start = effects[0]
    for (low, d), (high, e) in itertools.pairwise(zip(effects, differences, strict=True)):
        if d <= 0 < e:
            start = low + (high - low) * -d / (e - d)
    return start


def where_told_apart(rows: Mapping[float, Mapping[str, Any]]) -> str:
    """The effects at which a test tells ours and a rival apart, in words."""
    told = {effect: row["difference"] for effect, row in rows.items() if is_significant(row)}
    sides = {"ahead": [e for e, d in told.items() if d > 0], "behind": [e for e, d in told.items() if d < 0]}
    parts = [f"significantly {side} at {', '.join(f'{e:g}' for e in there)}" for side, there in sides.items() if there]
    return " and ".join(parts) or "significant nowhere"


def _sentences(found: Found, ours: str) -> list[str]:
    """Where ours is best, and ours against each rival along the effect."""
    there = {
        effect: {m: p[effect][0] for m, p in found.points.items() if not isnan(p[effect][0])}
        for effect in found.effects
    }
    best = [f"{effect:g}" for effect, means in there.items() if means.get(ours, -1.0) == max(means.values())]
    where = f"at effect {', '.join(best)}" if best else "on none of these platforms"
    sentences = [f"{heading(found.metric)}: of {len(found.points)} models, {ours} is best {where}."]
    for rival, rows in found.tests.items():
        effects = list(rows)
        start = pays_from(effects, [row["difference"] for row in rows.values()])
        gains = ", ".join(f"{_gain(row)} at {effect:g}" for effect, row in rows.items())
        if start is None:
            end = "the mean is not ahead at the largest effect"
        elif start == effects[0]:
            end = "the mean is ahead on all of these platforms"
        else:
            end = f"the mean is ahead from an effect of about {start:.2f} on"
        told = where_told_apart(rows)
        sentences.append(f"{heading(found.metric)}, {ours} against {rival}: {gains}; {end}, {told}.")
    return sentences


def _gain(row: Mapping[str, Any]) -> str:
    if isnan(row["relative"]):
        return NONE
    return percent_text(100 * row["relative"]) + "*" * is_significant(row)


def _tables(found: Found, ours: str) -> list[Table]:
    heads = tuple(f"{effect:g}" for effect in found.effects)
    best = {e: max((p[e][0] for p in found.points.values() if not isnan(p[e][0])), default=0.0) for e in found.effects}
    rows = []
    for label, points in found.points.items():
        values = [(points[effect][0], best[effect]) for effect in found.effects]
        cells = [Cell(NONE if isnan(v) else f"{v:.4f}", v, "best" if v == top else "") for v, top in values]
        rows.append((label, tuple(cells)))
    gains = [
        (rival, tuple(Cell(_gain(of[e]), 100 * of[e]["relative"]) if e in of else Cell(NONE) for e in found.effects))
        for rival, of in found.tests.items()
    ]
    name = heading(found.metric)
    return [
        Table(_NAME, f"{name} by vlogger effect", ("Model", *heads), tuple(rows), notes=("Best bold.",)),
        Table(_NAME, f"{name}: {ours} against each rival", ("Rival", *heads), tuple(gains), notes=(STAR,)),
    ]


def _pictures(found: Sequence[Found], ours: str, styles: Mapping[str, Look]) -> tuple[Picture, ...]:
    names = [of_metric.metric for of_metric in found]
    with style():
        first = Figure(figsize=(10, 4.2), layout="constrained")
        for axes, of_metric in zip(panels(first, names), found, strict=True):
            for label, points in of_metric.points.items():
                _line(axes, list(points), list(points.values()), styles[label], bars=styles[label].ours)
            axes.set(xlabel="vlogger effect of the platform", ylabel=heading(of_metric.metric), ylim=(0, None))
        legend(first, list(styles), styles)
        first.suptitle(f"{_NAME}: accuracy by vlogger effect", fontsize=10)
        second = Figure(figsize=(10, 4.2), layout="constrained")
        for axes, of_metric in zip(panels(second, names), found, strict=True):
            axes.axhline(0, color="black", linewidth=0.9, zorder=2)
            for rival, rows in of_metric.tests.items():
                ends = ("difference", "difference_low", "difference_high")
                _band(axes, list(rows), [tuple(row[end] for end in ends) for row in rows.values()], styles[rival])
            axes.set(xlabel="vlogger effect of the platform", ylabel=f"{heading(of_metric.metric)}: {ours} − rival")
        legend(second, [label for label in styles if label != ours], styles)
        second.suptitle(f"{_NAME}: where {ours} starts to pay", fontsize=10)
        return (
            Picture(
                _NAME,
                "accuracy",
                "Mean over test users and seeds on platforms of growing vlogger effect. Bars on ours: 95 % t interval "
                "over users.",
                to_png(first),
            ),
            Picture(
                _NAME,
                "gain",
                f"Difference between {ours} and each rival, with 95 % bootstrap intervals over users (bands). Above 0 "
                f"{ours} is better.",
                to_png(second),
            ),
        )


def _line(axes: Axes, x: list[float], points: list[tuple[float, float]], look: Look, bars: bool) -> None:
    means, halves = zip(*points, strict=True)
    axes.errorbar(x, means, yerr=halves if bars else None, capsize=3, elinewidth=1.2, **look.pen)


def _band(axes: Axes, x: list[float], points: list[tuple[float, ...]], look: Look) -> None:
    middle, low, high = (np.array(part) for part in zip(*points, strict=True))
    axes.fill_between(x, low, high, color=look.color, alpha=0.12, linewidth=0)
    axes.plot(x, middle, **look.pen)


STUDY = Study(
    title="Platform", settings=Settings, plans=plans, analyse=analyse, prepare=prepare, datasets=datasets, alike=True
)
