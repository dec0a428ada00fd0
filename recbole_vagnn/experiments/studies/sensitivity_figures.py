"""Figures of the study of sensitivity: a curve for each option, a heat map of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isnan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from recbole_vagnn.experiments.drawing import Picture, style, to_png
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import NONE

_COLUMNS = 3  # panels side by side
_TEST, _VALID = "#0072B2", "#8C8C8C"


@dataclass(frozen=True)
class Point:
    """A setting of an option; NaN = no run.

    Attributes:
        value: of the option.
        mean: over test users.
        half: half the 95 % interval of the paired difference from the usual setting.
        valid: mean validation score.
        differs: whether a test tells it apart from the usual setting.
    """

    value: Any
    mean: float
    half: float
    valid: float
    differs: bool


@dataclass(frozen=True)
class Curves:
    """What was found on a data set.

    Attributes:
        dataset, metric: which.
        usual: option → its value without a change.
        base: test mean of the model as it is.
        lines: option → a point for each value.
        crossed: (values of the first option, values of the second) test means of the grid; empty without one.
    """

    dataset: str
    metric: str
    usual: Mapping[str, Any]
    base: float
    lines: dict[str, list[Point]]
    crossed: NDArray[np.float64]


def text_of(value: Any) -> str:
    """A value as figures and labels have it; different values differ."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def draw_curves(curves: Curves, model: str) -> Picture:
    """A panel for each option: its values against test and validation accuracy."""
    metric, lines = heading(curves.metric), curves.lines
    with style():
        rows = ceil(len(lines) / _COLUMNS)
        figure = Figure(figsize=(9.5, 0.9 + 2.3 * rows), layout="constrained")
        grid = figure.subplots(rows, min(_COLUMNS, len(lines)), squeeze=False, sharey=True)
        every = list(grid.flat)
        for axes, (option, line) in zip(every, lines.items(), strict=False):
            _curve(axes, option, line, curves.usual[option], curves.base)
        for axes in every[len(lines) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel(metric)
        figure.legend(handles=_handles(), loc="outside lower center", ncols=3, fontsize=8)
        figure.suptitle(f"{curves.dataset}: {model} by its options", fontsize=10)
        caption = (
            f"{metric} over the values of one option, the others unchanged (values equally spaced, in the order asked "
            "for), means over test users and seeds. Bars: 95 % t interval over users of the paired difference from the "
            "usual setting: where a bar reaches the thin line, the height of the usual setting, the difference may be "
            "chance. Dashed: the metric of early stopping on validation data, by which a value would be chosen."
        )
        return Picture(curves.dataset, "sensitivity", caption, to_png(figure))


def _curve(axes: Axes, option: str, line: Sequence[Point], usual: Any, base: float) -> None:
    places = np.arange(len(line))
    means, halves, valid = (np.array([getattr(found, name) for found in line]) for name in ("mean", "half", "valid"))
    axes.plot(places, valid, color=_VALID, marker=".", linestyle="--", linewidth=1.0, zorder=2)
    axes.errorbar(
        places, means, yerr=halves, color=_TEST, marker="o", markersize=4, capsize=2, elinewidth=0.9, zorder=3
    )
    axes.axhline(base, color=_TEST, linewidth=0.7, alpha=0.5, zorder=1)  # also where the usual value is not among them
    for place, found in zip(places, line, strict=True):
        if found.value == usual:
            axes.plot(place, found.mean, "*", color=_TEST, markersize=13, zorder=4)
    axes.set_xticks(places, [text_of(found.value) for found in line])
    axes.set_xlabel(option)
    axes.margins(x=0.08)


def _handles() -> list[Line2D]:
    return [
        Line2D([], [], color=_TEST, marker="o", linewidth=1.8, label="test"),
        Line2D([], [], color=_VALID, marker=".", linestyle="--", linewidth=1.0, label="validation"),
        Line2D([], [], color=_TEST, marker="*", markersize=12, linestyle="", label="usual value"),
    ]


def draw_heat(curves: Curves, grid: Mapping[str, Sequence[Any]]) -> Picture:
    """Test accuracy of two options crossed."""
    (one, ones), (two, twos) = grid.items()
    values = curves.crossed
    low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.0, 1.0)
    with style():
        figure = Figure(figsize=(2.6 + 0.9 * len(twos), 1.6 + 0.55 * len(ones)), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(values, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            usual = ones[i] == curves.usual[one] and twos[j] == curves.usual[two]
            text = (NONE if isnan(value) else f"{value:.4f}") + "★" * usual
            color = "white" if value < low + 0.6 * (high - low) else "black"
            axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
        axes.set_xticks(range(len(twos)), [text_of(value) for value in twos])
        axes.set_yticks(range(len(ones)), [text_of(value) for value in ones])
        axes.set(xlabel=two, ylabel=one)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label=f"test {heading(curves.metric)}")
        figure.suptitle(f"{curves.dataset}: {one} × {two}", fontsize=10)
        caption = f"Test {heading(curves.metric)}, mean over seeds, by {one} and {two}; ★ = the usual setting."
        return Picture(curves.dataset, "heat", caption, to_png(figure))
