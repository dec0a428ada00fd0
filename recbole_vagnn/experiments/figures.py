"""Figures of a benchmark: accuracy with intervals, learning curves, accuracy against cost, accuracy by activity.

One figure a kind and data set. A model has one look in all of them. Equal records give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from recbole_vagnn.experiments.drawing import Look as Look
from recbole_vagnn.experiments.drawing import Picture as Picture
from recbole_vagnn.experiments.drawing import embolden, legend, panels, style, to_png
from recbole_vagnn.experiments.drawing import looks as looks
from recbole_vagnn.experiments.drawing import mean_and_interval as mean_and_interval
from recbole_vagnn.experiments.records import Key
from recbole_vagnn.experiments.summary import Summary, by_cut_off, heading

_GROUPS = 4
_GAP = 19.0  # pixels from a point to its label, and the width of a point
_POINTS = 200  # of a curve by seconds
_WIDE = 200  # last / first second, above which powers of ten are ticks enough
_LEAST_SECONDS = 0.001  # a logarithmic axis has no 0


@dataclass(frozen=True)
class Users:
    """Metrics of the test users of one data set.

    Attributes:
        history: (users,) number of training interactions.
        means: model → (users, metrics), averaged over its seeds.
    """

    history: pd.Series
    means: dict[str, pd.DataFrame]


def average_seeds(runs: Mapping[Key, pd.DataFrame]) -> Users | None:
    """Each user's metrics averaged over the seeds of a model, from per_user files of one data set; None of none."""
    by_model: dict[str, list[pd.DataFrame]] = {}
    for (_, model, _), frame in runs.items():
        by_model.setdefault(model, []).append(frame.set_index("user").sort_index())
    if not by_model:
        return None
    history = next(iter(by_model.values()))[0]["history"]
    means = {model: sum(frames) / len(frames) for model, frames in by_model.items()}
    return Users(history, {model: frame.drop(columns="history") for model, frame in means.items()})


def headline(metrics: Iterable[str]) -> list[str]:
    """The two metrics that figures and words are about: Recall and NDCG at the smallest cut-off if they are there."""
    groups = by_cut_off(metrics)
    first = next(iter(groups.values()), [])
    preferred = [name for base in ("recall", "ndcg") for name in first if name.partition("@")[0] == base]
    return [*preferred, *(name for name in first if name not in preferred)][:2]


def draw(
    summary: Summary, users: Users | None, curves: Mapping[Key, pd.DataFrame], styles: Mapping[str, Look]
) -> list[Picture]:
    """All figures of a data set; one that lacks its data is left out.

    Args:
        summary: of the data set.
        users: its metrics per user.
        curves: learning curves of its runs.
        styles: see :func:`looks`.
    """
    metrics = headline(summary.metrics)
    with style():
        pictures = [_curves(summary, curves, styles), _cost(summary, metrics, styles)]
        if users is not None:
            pictures.insert(0, _means(summary, users, metrics, styles))
            pictures.append(_activity(summary, users, metrics, styles))
    return [picture for picture in pictures if picture is not None]


def activity_groups(history: NDArray[Any]) -> NDArray[np.int64]:
    """(users,) group from 0, by quartiles of the training interactions; equal users are in one group."""
    edges = np.unique(np.quantile(history, np.arange(1, _GROUPS) / _GROUPS, method="inverted_cdf"))
    return np.unique(np.searchsorted(edges, history, side="left"), return_inverse=True)[1]


# Accuracy with intervals


def _means(summary: Summary, users: Users, metrics: list[str], styles: Mapping[str, Look]) -> Picture | None:
    models = [model for model in summary.models if model in users.means]
    metrics = [name for name in metrics if all(name in users.means[model] for model in models)]
    if not metrics:
        return None
    models = best_first(users, models, metrics[0])
    figure = Figure(figsize=(9, 0.9 + 0.28 * len(models)), layout="constrained")
    for axes, metric in zip(panels(figure, metrics, sharey=True), metrics, strict=True):
        _bars(axes, {model: users.means[model][metric].to_numpy() for model in models}, styles)
        axes.set_xlabel(heading(metric))
    figure.suptitle(f"{summary.dataset}: accuracy", fontsize=10)
    caption = (
        "Mean over test users of each user's metric averaged over seeds, with its 95 % t interval over users; the best "
        f"{heading(metrics[0])} first. Models were tested on the same users: whether two differ is told by paired "
        "tests, not by overlapping intervals."
    )
    return Picture(summary.dataset, "means", caption, to_png(figure))


def best_first(users: Users, models: list[str], metric: str) -> list[str]:
    """The models by falling mean of the metric; equal ones stay in their order."""
    return sorted(models, key=lambda model: -users.means[model][metric].mean())


def _bars(axes: Axes, values: Mapping[str, NDArray[np.float64]], styles: Mapping[str, Look]) -> None:
    found = {model: mean_and_interval(of_users) for model, of_users in values.items()}
    places = np.arange(len(found))[::-1]
    means, halves = (np.array(column) for column in zip(*found.values(), strict=True))
    axes.barh(places, means, xerr=halves, height=0.7, color=[styles[model].color for model in found], capsize=2)
    right = float((means + halves).max())
    for place, mean, half in zip(places, means, halves, strict=True):
        axes.text(mean + half + 0.015 * right, place, f"{mean:.4f}", va="center", fontsize=8)
    axes.set_xlim(min(0.0, float((means - halves).min())), 1.17 * right or 1.0)
    axes.set_yticks(places, list(found))
    embolden(axes.get_yticklabels(), styles)
    axes.grid(axis="y", visible=False)


# Learning curves


def _curves(summary: Summary, curves: Mapping[Key, pd.DataFrame], styles: Mapping[str, Look]) -> Picture | None:
    before = _building(summary)
    evaluated = {
        key: curve.assign(seconds=curve["train_seconds"].cumsum() + before.get(key[1], 0.0))
        for key, curve in curves.items()
    }
    evaluated = {key: curve.dropna(subset="valid") for key, curve in evaluated.items()}
    by_model = {
        model: seeds
        for model in summary.models
        if (seeds := [curve for key, curve in evaluated.items() if key[1] == model and len(curve)])
    }
    if not by_model:
        return None
    figure = Figure(figsize=(9, max(3.6, 0.9 + 0.2 * len(by_model))), layout="constrained")
    left, right = panels(figure, ["epoch", "seconds"], sharey=True)
    for model, seeds in by_model.items():
        _curve(left, [(curve["epoch"].to_numpy() + 1.0, curve["valid"].to_numpy()) for curve in seeds], styles[model])
        timed = [
            (np.maximum(curve["seconds"].to_numpy(), _LEAST_SECONDS), curve["valid"].to_numpy()) for curve in seeds
        ]
        _curve(right, timed, styles[model], log=True)
    left.set(xlabel="epoch", ylabel=f"validation {_stopping_metric(curves, summary)}")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    _seconds_axis(right)
    legend(figure, list(by_model), styles)
    figure.suptitle(f"{summary.dataset}: learning curves", fontsize=10)
    caption = (
        "Metric of early stopping on validation data. Line: mean over seeds; band: lowest to highest seed. A line ends "
        "where fewer than half of the seeds still train; a model with one epoch is a point. Seconds: building the "
        "model, which is where linear models are fitted, and training, without evaluation."
    )
    return Picture(summary.dataset, "curves", caption, to_png(figure))


def _curve(axes: Axes, seeds: list[tuple[Any, Any]], look: Look, log: bool = False) -> None:
    """One line: (x, y) of each seed on a common grid, mean and range over the seeds that reach a point."""
    ends = np.sort([x[-1] for x, _ in seeds])
    start, end = max(x[0] for x, _ in seeds), ends[len(ends) // 2 if len(ends) % 2 else len(ends) // 2 - 1]
    if end <= start:
        x, y = (np.mean([values[i][0] for values in seeds]) for i in (0, 1))
        axes.plot(x, y, **look.pen)
        return
    grid = np.geomspace(start, end, _POINTS) if log else np.unique(np.concatenate([x for x, _ in seeds]))
    grid = grid[(grid >= start) & (grid <= end * (1 + 1e-9))]
    values = np.array([np.where(grid <= x[-1] * (1 + 1e-9), np.interp(grid, x, y), np.nan) for x, y in seeds])
    axes.fill_between(grid, np.nanmin(values, 0), np.nanmax(values, 0), color=look.color, alpha=0.15, linewidth=0)
    axes.plot(grid, np.nanmean(values, axis=0), markevery=[-1], **look.pen)


def _stopping_metric(curves: Mapping[Key, pd.DataFrame], summary: Summary) -> str:
    """Name of the metric in the curves: the one whose best values are those of runs.csv."""
    best = pd.Series({key: curve["valid"].max() for key, curve in curves.items()})
    means = best.groupby(level=1).mean()
    for column in summary.means.columns:
        if column.startswith("valid_") and np.allclose(summary.means[column].reindex(means.index), means, rtol=1e-9):
            return heading(column.removeprefix("valid_"))
    return "metric of early stopping"


# Accuracy against cost


def _cost(summary: Summary, metrics: list[str], styles: Mapping[str, Look]) -> Picture | None:
    seconds = summary.means.get("train_seconds")
    if seconds is None or not metrics:
        return None
    table = pd.DataFrame(
        {"x": (seconds + _building(summary)).clip(lower=_LEAST_SECONDS), "y": summary.means[f"test_{metrics[0]}"]}
    ).dropna()
    if table.empty:
        return None
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots()
    for model, x, y in table.itertuples(name=None):
        size = 14 if styles[model].ours else 8
        axes.plot(x, y, **{**styles[model].pen, "markersize": size}, markeredgecolor="white", markeredgewidth=0.7)
    axes.set_ylabel(heading(metrics[0]))
    _seconds_axis(axes)
    axes.margins(0.12, 0.1)
    figure.suptitle(f"{summary.dataset}: accuracy against cost", fontsize=10)
    legend(figure, list(table.index), styles, line=False)
    _label_points(figure, axes, table, styles)
    caption = (
        "Test metric and seconds of building and training (evaluation not counted), means over seeds. Upper left is "
        "better."
    )
    return Picture(summary.dataset, "cost", caption, to_png(figure))


def _label_points(figure: Figure, axes: Axes, table: pd.DataFrame, styles: Mapping[str, Look]) -> None:
    """Write names beside points that stand alone, where they hide nothing, ours first; the legend names the rest."""
    figure.draw_without_rendering()
    places = dict(zip(table.index, axes.transData.transform(table[["x", "y"]].to_numpy()), strict=True))
    taken = [_box(x, y, _GAP / 2, _GAP / 2) for x, y in places.values()]
    window = axes.get_window_extent()
    frame = (window.x0, window.y0, window.x1, window.y1)
    scale = figure.dpi / 72
    for model in sorted(places, key=lambda model: not styles[model].ours):
        size = (5.6 if styles[model].ours else 4.9) * scale * len(model), 10 * scale
        near = sum(float(np.hypot(*(places[model] - other))) < 1.2 * _GAP for other in places.values())
        found = _free_place(places[model], size, taken, frame)
        if near > 1 or found is None:  # near counts the point itself
            continue
        side, box = found
        taken.append(box)
        axes.annotate(
            model,
            (table.at[model, "x"], table.at[model, "y"]),
            xytext=(side * _GAP / scale, ((box[1] + box[3]) / 2 - places[model][1]) / scale),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[side],
            va="center",
            fontsize=8,
            fontweight="bold" if styles[model].ours else "normal",
        )


Box = tuple[float, float, float, float]


def _box(x: float, y: float, half_width: float, half_height: float) -> Box:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _free_place(point: Any, size: tuple[float, float], taken: list[Box], frame: Box) -> tuple[int, Box] | None:
    """Side (1 right, −1 left, 0 above or below) and box of a label beside its point, in pixels; None = none is free."""
    (x, y), (width, height) = point, size
    for side, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6)):
        box = _box(x + side * (width / 2 + _GAP), y + up * _GAP, width / 2, height / 2)
        inside = frame[0] < box[0] and box[2] < frame[2] and frame[1] < box[1] and box[3] < frame[3]
        if inside and not any(_overlap(box, other) for other in taken):
            return side, box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


# Accuracy by activity


def _activity(summary: Summary, users: Users, metrics: list[str], styles: Mapping[str, Look]) -> Picture | None:
    models = [model for model in summary.models if model in users.means]
    metrics = [name for name in metrics if all(name in users.means[model] for model in models)]
    if not metrics:
        return None
    history = users.history.to_numpy()
    groups = activity_groups(history)
    members = [groups == group for group in range(groups.max() + 1)]
    names = [f"{history[who].min()}–{history[who].max()}\n{who.sum():,} users" for who in members]
    figure = Figure(figsize=(9, max(3.6, 0.9 + 0.2 * len(models))), layout="constrained")
    for axes, metric in zip(panels(figure, metrics), metrics, strict=True):
        for model in models:
            values = users.means[model][metric].to_numpy()
            _line(axes, [mean_and_interval(values[who]) for who in members], styles[model])
        axes.set_xticks(range(len(names)), names)
        axes.set(xlabel="training interactions of a user", ylabel=heading(metric))
    legend(figure, models, styles)
    figure.suptitle(f"{summary.dataset}: accuracy by activity of the user", fontsize=10)
    caption = (
        "Test users in quarters by number of training interactions (equal numbers in one group); mean over the users "
        "of the metric averaged over seeds. Bars on ours: 95 % t interval over the group's users."
    )
    return Picture(summary.dataset, "activity", caption, to_png(figure))


def _line(axes: Axes, points: list[tuple[float, float]], look: Look) -> None:
    means, halves = zip(*points, strict=True)
    axes.errorbar(range(len(means)), means, yerr=halves if look.ours else None, capsize=3, elinewidth=1.2, **look.pen)


# What they share


def _building(summary: Summary) -> pd.Series:
    """Seconds before the first epoch of each model; 0 where older runs did not record them."""
    seconds = summary.means.get("build_seconds")
    return pd.Series(0.0, index=summary.means.index) if seconds is None else seconds.fillna(0.0)


def _seconds_axis(axes: Axes) -> None:
    axes.set(xlabel="seconds of building and training (logarithmic)", xscale="log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > _WIDE else (1.0, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
