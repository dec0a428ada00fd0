"""Figure of the study of vlogger quality: accuracy against completeness and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recbole_vagnn.experiments.drawing import Look, Picture, looks, style, to_png
from recbole_vagnn.experiments.summary import heading

_LINES = {"random": "-", "popular": "--", "unpopular": ":"}
_NAMES = {  # change → what it is called, and its axis
    "links_removed": ("links removed", "known video→vlogger links, %"),
    "links_corrupted": ("links made wrong", "wrong video→vlogger links, %"),
    "follows_removed": ("follow pairs removed", "known follow pairs, %"),
    "follows_corrupted": ("follow pairs made wrong", "wrong follow pairs, %"),
}


@dataclass(frozen=True)
class Series:
    """A model along a change.

    Attributes:
        label: of the model.
        change, order: what is changed, and who first.
        shares: changed, from 0.
        means: over test users.
        halves: half the 95 % interval of the paired difference from the floor.
        significant: whether a test tells it apart from the floor.
    """

    label: str
    change: str
    order: str
    shares: tuple[float, ...]
    means: tuple[float, ...]
    halves: tuple[float, ...]
    significant: tuple[bool, ...]


@dataclass(frozen=True)
class Quality:
    """What was found on a data set.

    Attributes:
        dataset, metric: which.
        floor, floor_mean: label and mean of the model without vloggers.
        series: the lines.
    """

    dataset: str
    metric: str
    floor: str
    floor_mean: float
    series: tuple[Series, ...]


def name_of(change: str) -> str:
    """A change in words."""
    return _NAMES[change][0]


def draw_quality(quality: Quality) -> Picture:
    """A panel for each change; the data get worse to the right."""
    changes = list(dict.fromkeys(line.change for line in quality.series))
    models = list(dict.fromkeys(line.label for line in quality.series))
    orders = list(dict.fromkeys(line.order for line in quality.series))
    styles = looks(models, models[:1])
    with style():
        rows, columns = (len(changes) + 1) // 2, min(2, len(changes))
        figure = Figure(figsize=(9.5, 0.8 + 3.0 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in list(grid.flat)[len(changes) :]:
            axes.set_visible(False)
        for axes, change in zip(grid.flat, changes, strict=False):
            axes.axhline(quality.floor_mean, color="black", linestyle="-.", linewidth=1.1, zorder=2)
            for line in quality.series:
                if line.change == change:
                    _line(axes, line, styles[line.label], shift=1.2 * orders.index(line.order))
            axes.set_xlabel(_NAMES[change][1])
            if change.endswith("removed"):
                axes.invert_xaxis()
        for row in grid:
            row[0].set_ylabel(heading(quality.metric))
        figure.legend(handles=_handles(quality, styles, orders), loc="outside right center", fontsize=8)
        figure.suptitle(f"{quality.dataset}: accuracy with poorer vlogger data", fontsize=10)
        caption = (
            f"{heading(quality.metric)}, mean over test users and seeds; the data get worse from left to right. Line: "
            f"the model without vloggers ({quality.floor}). Bars on {models[0]}: 95 % t interval over users of the "
            "paired difference from it; a bar that does not reach the line differs from it, one comparison alone."
        )
        return Picture(quality.dataset, "quality", caption, to_png(figure))


def _line(axes: Axes, line: Series, look: Look, shift: float) -> None:
    percent = 100 * np.array(line.shares)
    x = 100 - percent - shift if line.change.endswith("removed") else percent + shift  # or bars would hide each other
    pen = {**look.pen, "linestyle": _LINES[line.order], "markersize": 8 if look.ours else 5}
    axes.errorbar(x, line.means, yerr=line.halves if look.ours else None, capsize=2, elinewidth=0.9, **pen)


def _handles(quality: Quality, styles: dict[str, Look], orders: list[str]) -> list[Line2D]:
    models = [Line2D([], [], label=label, **{**look.pen, "linestyle": "-"}) for label, look in styles.items()]
    first = []
    for order in orders:
        pen: dict[str, Any] = {"linestyle": _LINES[order], "color": "#555555"}
        first.append(Line2D([], [], label=f"{order} first" if order != "random" else order, **pen))
    floor = Line2D([], [], color="black", linestyle="-.", linewidth=1.1, label=f"{quality.floor} (floor)")
    return [*models, floor, *first]
