"""Figure of the study of new videos: each ranking among new videos, among all, and what becomes of the known ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from recbole_vagnn.experiments.drawing import Picture, panels, style, to_png
from recbole_vagnn.experiments.studies.new_video_findings import MEAN_NAME, OWN_NAME, Measured
from recbole_vagnn.experiments.studies.new_video_rankings import (
    KNOWN_AMONG_ALL,
    KNOWN_AMONG_KNOWN,
    NEW_AMONG_ALL,
    NEW_AMONG_NEW,
    POPULARITY,
    RANDOM,
)
from recbole_vagnn.experiments.summary import heading

_MEAN, _OWN, _OTHER, _FLOOR = "#D55E00", "#0072B2", "#56B4E9", "#8C8C8C"
_TITLES = ("new videos among new ones", "new videos among all", "known videos")


def draw_new_videos(found: Measured) -> Picture:
    """Three panels with a row for each ranking."""
    metric = found.main_metric
    with style():
        figure = Figure(figsize=(10, 1.7 + 0.27 * len(found.rankings)), layout="constrained")
        alone, together, known = panels(figure, _TITLES, sharey=True)
        _bars(alone, found, NEW_AMONG_NEW, metric)
        _bars(together, found, NEW_AMONG_ALL, metric)
        _dumbbells(known, found, metric)
        for axes, title in zip((alone, together, known), _TITLES, strict=True):
            axes.set_title(title, fontsize=9)
            axes.set_xlabel(heading(metric))
        alone.set_yticks(_places(found), found.rankings)
        alone.set_ylim(-0.7, len(found.rankings) - 0.3)
        figure.legend(handles=_handles(), loc="outside lower center", ncols=4, fontsize=8)
        figure.suptitle(f"{found.dataset}: videos without training interactions", fontsize=10)
        caption = (
            f"{heading(metric)} of interactions with new videos, ranked among new videos alone and among all; and of "
            "validation interactions with known videos, ranked with the new ones (dot) and without (ring). Means over "
            f"{len(found.sizes)} draws of new videos; small dots: each draw. Dotted line: random order."
        )
        return Picture(found.dataset, "new-videos", caption, to_png(figure))


def _places(found: Measured) -> NDArray[np.int64]:
    return np.arange(len(found.rankings))[::-1]


def _color(ranking: str) -> str:
    if ranking in (RANDOM, POPULARITY):
        return _FLOOR
    if ranking.endswith(MEAN_NAME):
        return _MEAN
    return _OWN if ranking.endswith(OWN_NAME) else _OTHER


def _bars(axes: Axes, found: Measured, question: str, metric: str) -> None:
    for place, ranking in zip(_places(found), found.rankings, strict=True):
        draws = found.by_draw(question, ranking, metric)
        axes.barh(place, draws.mean(), height=0.7, color=_color(ranking))
        axes.plot(draws, [place] * len(draws), "o", color="black", markersize=2.5, zorder=4)
    if RANDOM in found.rankings:
        axes.axvline(found.mean(question, RANDOM, metric), color="black", linewidth=0.9, linestyle=":", zorder=5)
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)


def _dumbbells(axes: Axes, found: Measured, metric: str) -> None:
    for place, ranking in zip(_places(found), found.rankings, strict=True):
        with_new, without = (found.mean(question, ranking, metric) for question in (KNOWN_AMONG_ALL, KNOWN_AMONG_KNOWN))
        color = _color(ranking)
        axes.plot([with_new, without], [place, place], color=color, linewidth=1.6, zorder=3)
        axes.plot(without, place, "o", color=color, markerfacecolor="white", markersize=6, zorder=4)
        axes.plot(with_new, place, "o", color=color, markersize=6, zorder=5)
    axes.margins(x=0.06)
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)


def _handles() -> list[Patch | Line2D]:
    names = {_MEAN: MEAN_NAME, _OWN: OWN_NAME, _OTHER: "model with one rule", _FLOOR: "no model"}
    circles = {"black": "with new videos", "white": "without new videos"}
    return [
        *(Patch(color=color, label=name) for color, name in names.items()),
        *(
            Line2D([], [], color="black", linestyle="", marker="o", markerfacecolor=filling, label=name)
            for filling, name in circles.items()
        ),
    ]
