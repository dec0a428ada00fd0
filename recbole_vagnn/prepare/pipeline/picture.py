"""The report's picture: who interacts with what, how large vloggers are, and how loyal users are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from recbole_vagnn.prepare.pipeline.statistics import KNOWN_SHARE, SHARES, Distribution, Statistics

_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#6b4e9b")


def draw(name: str, statistics: Statistics, path: Path) -> None:
    """Draw NAME.report.png: four panels.

    A distribution is drawn as the share of users, items or vloggers that have at least x: a power law is then a
    straight line, and no choice of bins can hide or make a feature.
    """
    figure = Figure(figsize=(10, 7.2), dpi=120, layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    _tail(panels[0], {"user": statistics.history}, "interactions", "users with at least x", _COLOURS[0])
    tails = {"item": statistics.audience, "vlogger": statistics.reach}
    _tail(panels[1], tails, "interactions", "items, vloggers with at least x", _COLOURS[1])
    _tail(panels[2], {"vlogger": statistics.catalogue}, "items of the vlogger", "vloggers with at least x", _COLOURS[2])
    _shares(panels[3], statistics)
    numbers = statistics.numbers
    figure.suptitle(
        f"{name}: {numbers['users']:,} users, {numbers['items']:,} items, {numbers['vloggers']:,} vloggers, "
        f"{numbers['interactions']:,} interactions, {numbers['follow pairs']:,} follow pairs",
        fontsize=11,
        parse_math=False,  # a name may have dollar signs
    )
    # Without the version of matplotlib, which it would write: the same data give the same bytes.
    figure.savefig(path, metadata={"Software": None})


def _tail(axes: Axes, distributions: dict[str, Distribution], count: str, share: str, colour: str) -> None:
    """Share of all that have at least x, both axes logarithmic."""
    colours = (colour, _COLOURS[3])
    for (label, distribution), line in zip(distributions.items(), colours, strict=False):
        if not len(distribution.values):
            continue
        at_least = np.cumsum(distribution.frequencies[::-1])[::-1] / distribution.frequencies.sum()
        axes.plot(distribution.values, at_least, color=line, label=label, marker=".", markersize=3, linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlabel=count, ylabel=share)
    _label_plainly(axes.xaxis)
    _label_plainly(axes.yaxis)
    axes.grid(alpha=0.3, which="major")
    if len(distributions) > 1:
        axes.legend(frameon=False)
    if not any(len(distribution.values) for distribution in distributions.values()):
        axes.text(0.5, 0.5, "no known vlogger", transform=axes.transAxes, ha="center", color="grey")


def _label_plainly(axis: Axis) -> None:
    """Plain numbers at 1, 10, 100, …; on a short axis also at 2, 5, 20, 50, …."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _shares(axes: Axes, statistics: Statistics) -> None:
    users = statistics.known_vlogger
    edges = np.linspace(0, 1, SHARES + 1)
    axes.bar(edges[:-1], users, width=1 / SHARES, align="edge", color=_COLOURS[3], edgecolor="white", linewidth=0.5)
    mean = statistics.numbers[KNOWN_SHARE]
    axes.axvline(mean, color="black", linewidth=1, linestyle="--")
    left = mean > 0.8  # there is no room to the right
    axes.annotate(f"mean {mean:.2f}", (mean, 1), (-4 if left else 4, -4), xycoords=("data", "axes fraction"),
                  textcoords="offset points", va="top", ha="right" if left else "left")  # fmt: skip
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.12 * max(1, users.max())),
        xlabel="share of a user's interactions with a vlogger met before",
        ylabel="users",
    )
    axes.grid(alpha=0.3, axis="y")
