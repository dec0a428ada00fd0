"""Figures of the study of alignment: agreement over the epochs, alignment against uniformity, a map of both views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from recbole_vagnn.experiments.drawing import Look, Picture, legend, looks, panels, style, to_png
from recbole_vagnn.experiments.studies.alignment_measures import NEIGHBOURS, NODES, PROJECTIONS, VIEWS

_VIEW_COLORS = {"video": "#0072B2", "vlogger": "#E69F00"}
_LINKED = 40  # nodes of a map whose two places are joined


@dataclass(frozen=True)
class Aligned:
    """What was measured on a data set.

    Attributes:
        dataset: its name.
        models: in the order of the tables.
        values: rows of ``alignment_measures.measure`` with ``model`` and ``seed``.
        maps: model → the map of its first seed.
    """

    dataset: str
    models: Sequence[str]
    values: pd.DataFrame
    maps: Mapping[str, pd.DataFrame]

    def tested(self, model: str, node: str, space: str, column: str) -> pd.Series:
        """A measure at the tested epoch of each seed."""
        return self._rows(model, node, space, best=True).set_index("seed")[column]

    def course(self, model: str, node: str, space: str, column: str) -> pd.DataFrame:
        """``mean``, ``low`` and ``high`` over seeds by epoch, at the epochs that all seeds of the model reached."""
        rows = self._rows(model, node, space, best=False)
        groups = rows.groupby("epoch")[column]
        found = pd.DataFrame({"mean": groups.mean(), "low": groups.min(), "high": groups.max(), "seeds": groups.size()})
        return found[found["seeds"] == found["seeds"].max()]

    def _rows(self, model: str, node: str, space: str, best: bool) -> pd.DataFrame:
        table = self.values
        wanted = (table["model"] == model) & (table["node"] == node) & (table["space"] == space)
        return table[wanted & (table["best"] == best)]

    def table(self) -> pd.DataFrame:
        """The values with the name of the data set, as the study's CSV has them."""
        first = ["dataset", "model", "seed"]
        table = self.values.assign(dataset=self.dataset)
        return table[[*first, *(name for name in table if name not in first)]]


def draw_alignment(aligned: Aligned) -> list[Picture]:
    """The three figures; the map only where there is one."""
    styles = looks(aligned.models, aligned.models[:1])
    with style():
        pictures = [_courses(aligned, styles), _plane(aligned, styles)]
        if aligned.maps:
            pictures.append(_maps(aligned))
    return pictures


# Over the epochs


def _courses(aligned: Aligned, styles: Mapping[str, Look]) -> Picture:
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    rows = figure.subplots(2, len(NODES), sharex=True, sharey="row")
    for column, node in enumerate(NODES):
        cosine, neighbours = rows[0][column], rows[1][column]
        for model in aligned.models:
            _course(cosine, aligned, model, node, "cosine", styles[model])
            _course(neighbours, aligned, model, node, "neighbours", styles[model])
        chance = aligned.values.loc[aligned.values["node"] == node, "chance"].mean()
        neighbours.axhline(chance, color="black", linewidth=0.9, linestyle=":")
        cosine.axhline(0, color="black", linewidth=0.9, zorder=1)
        cosine.set_title(node, fontsize=9)
        neighbours.set_xlabel("epochs trained")
        _epochs_axis(neighbours, aligned)
    rows[0][0].set_ylabel("cosine between the views\n(thin: their projections)")
    rows[1][0].set_ylabel(f"common {NEIGHBOURS} neighbours")
    rows[1][0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend(figure, list(aligned.models), styles)
    figure.suptitle(f"{aligned.dataset}: do the two views agree?", fontsize=10)
    caption = (
        "Above: mean cosine between the two views of a node (lines with markers) and between their projections, "
        f"which the contrast sees (thin lines). Below: share of the {NEIGHBOURS} nearest neighbours that both views "
        "have in common; dotted: by chance. Mean over seeds; band: lowest to highest."
    )
    return Picture(aligned.dataset, "alignment", caption, to_png(figure))


def _course(axes: Axes, aligned: Aligned, model: str, node: str, column: str, look: Look) -> None:
    found = aligned.course(model, node, VIEWS, column)
    axes.fill_between(found.index, found["low"], found["high"], color=look.color, alpha=0.15, linewidth=0)
    axes.plot(found.index, found["mean"], **{**look.pen, "markersize": 7 if look.ours else 4})
    projected = aligned.course(model, node, PROJECTIONS, column)
    if column == "cosine" and len(projected):
        axes.fill_between(
            projected.index, projected["low"], projected["high"], color=look.color, alpha=0.07, linewidth=0
        )
        axes.plot(projected.index, projected["mean"], color=look.color, linewidth=0.9, linestyle=look.line, zorder=2)


def _epochs_axis(axes: Axes, aligned: Aligned) -> None:
    """0 and then by powers of ten."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= aligned.values["epoch"].max()]
    axes.set_xticks(ticks, minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:g}"))
    axes.set_xlim(left=0)


# Alignment against uniformity


def _plane(aligned: Aligned, styles: Mapping[str, Look]) -> Picture:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, node in zip(panels(figure, NODES, sharey=True), NODES, strict=True):
        for model in aligned.models:
            _path(axes, aligned, model, node, styles[model])
        axes.set_title(node, fontsize=9)
        axes.set_xlabel("uniformity (mean of both views)")
        axes.margins(0.08)
    figure.axes[0].set_ylabel("alignment (0 = the views agree)")
    legend(figure, list(aligned.models), styles)
    figure.suptitle(f"{aligned.dataset}: alignment and uniformity", fontsize=10)
    caption = (
        "From the untrained model (ring) over the epochs to the last one compared (marker), means over seeds. Lower "
        "left is better: views of a node near each other, nodes spread evenly."
    )
    return Picture(aligned.dataset, "uniformity", caption, to_png(figure))


def _path(axes: Axes, aligned: Aligned, model: str, node: str, look: Look) -> None:
    views = [aligned.course(model, node, VIEWS, f"uniformity_{view}")["mean"] for view in ("video", "vlogger")]
    x, y = sum(views) / 2, aligned.course(model, node, VIEWS, "alignment")["mean"]
    if len(y):
        axes.plot(x, y, **{**look.pen, "markersize": 10 if look.ours else 6}, markevery=[-1])
        axes.plot(x.iloc[0], y.iloc[0], "o", color=look.color, markerfacecolor="white", markersize=6, zorder=5)


# The map


def _maps(aligned: Aligned) -> Picture:
    models = [model for model in aligned.models if model in aligned.maps]
    figure = Figure(figsize=(3.1 * len(models) + 0.6, 9), layout="constrained")
    grid = figure.subplots(len(NODES), len(models), squeeze=False)
    for row, node in zip(grid, NODES, strict=True):
        for axes, model in zip(row, models, strict=True):
            table = aligned.maps[model]
            _map(axes, table[table["node"] == node])
    for axes, model in zip(grid[0], models, strict=True):
        axes.set_title(f"{model}\n{axes.get_title()}", fontsize=9)
    for row, node in zip(grid, NODES, strict=True):
        row[0].set_ylabel(node)
    handles = [
        Line2D([], [], color=color, linestyle="", marker="o", label=f"{view} view")
        for view, color in _VIEW_COLORS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(f"{aligned.dataset}: both views in one plane", fontsize=10)
    caption = (
        "Directions of both views in the plane of their two principal components, each panel with its own plane "
        "(percent: variance that it shows), at the tested epoch of the first seed. Lines join the two places of "
        f"{_LINKED} nodes."
    )
    return Picture(aligned.dataset, "views-map", caption, to_png(figure))


def _map(axes: Axes, table: pd.DataFrame) -> None:
    places = {view: part[["x", "y"]].to_numpy() for view, part in table.groupby("view")}
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if not places:
        return
    every = np.linspace(0, len(places["video"]) - 1, min(_LINKED, len(places["video"]))).round().astype(int)
    lines = np.stack([places["video"][every], places["vlogger"][every]], axis=1)
    axes.add_collection(LineCollection(list(lines), colors="#b0b0b0", linewidths=0.6, zorder=1))
    for view, points in places.items():
        axes.scatter(points[:, 0], points[:, 1], s=6, color=_VIEW_COLORS[str(view)], linewidths=0, zorder=2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(f"{100 * table['explained'].iloc[0]:.0f} % of the variance", fontsize=8)
