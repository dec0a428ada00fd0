"""Figures of the study of contribution: the adaptive weight, and where recommendations come from."""

from __future__ import annotations

from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recbole_vagnn.experiments.drawing import Picture, style, to_png
from recbole_vagnn.experiments.studies.contribution_findings import GROUPINGS, Contribution, spread

_VIDEO, _VLOGGER = "#0072B2", "#D55E00"
_BINS: list[float] = np.linspace(0, 1, 41).tolist()


def draw_contribution(found: Contribution) -> list[Picture]:
    """The figure of weights and that of shares."""
    with style():
        return [_weights(found), _shares(found)]


def _weights(found: Contribution) -> Picture:
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=[1, 1, 1.4])
    weights = found.weights()
    _histogram(left, weights["weight"], _VIDEO, "videos")
    left.hist(
        found.vlogger_weights(),
        bins=_BINS,
        weights=_equal(found.vlogger_weights()),
        histtype="step",
        color=_VLOGGER,
        linewidth=1.6,
        label="vloggers (mean of their videos)",
    )
    left.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    left.set(xlabel="w (1 = the video alone)", ylabel="share of videos, of vloggers")
    for axes, grouping in zip(others, GROUPINGS, strict=True):
        _by_group(axes, weights, grouping, "weight", _VIDEO)
        axes.set_ylabel("w")
    figure.suptitle(f"{found.dataset}: adaptive weight of {found.label}", fontsize=10)
    caption = (
        "w of the videos of known vlogger, all seeds together; by groups: mean (dot), median (dash) and deciles 1 to 9 "
        "(bar). Below each group: its number of videos."
    )
    return Picture(found.dataset, f"weight-{found.label}", caption, to_png(figure))


def _shares(found: Contribution) -> Picture:
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    (parts, histogram), others = figure.subplots(2, 2)
    shares = found.shares()
    _parts(parts, shares)
    _histogram(histogram, shares["share"], _VLOGGER, "recommendations")
    histogram.set(xlabel="vlogger's share", ylabel="share of recommendations")
    for axes, grouping in zip(others, GROUPINGS, strict=True):
        _by_group(axes, shares, grouping, "share", _VLOGGER)
        axes.set_ylabel("vlogger's share")
    figure.suptitle(f"{found.dataset}: where recommendations of {found.label} come from", fontsize=10)
    caption = (
        "Upper left: the two parts of the score of each recommended video (darker = more, logarithmic); beyond a "
        "coloured line a part speaks against the video. Upper right: the vlogger's share of the positive parts. "
        "Below: the share by groups: mean (dot), median (dash), deciles 1 to 9 (bar), with the number of "
        "recommendations. All seeds together."
    )
    return Picture(found.dataset, f"contribution-{found.label}", caption, to_png(figure))


def _equal(values: pd.Series) -> np.ndarray:
    return np.full(len(values), 1 / max(len(values), 1))


def _histogram(axes: Axes, values: pd.Series, color: str, label: str) -> None:
    axes.hist(values, bins=_BINS, weights=_equal(values), color=color, alpha=0.75, label=label)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(0, 1)


def _parts(axes: Axes, shares: pd.DataFrame) -> None:
    """Parts of video and vlogger; the outermost hundredth at each end is beyond the frame."""
    axes.set(xlabel="part of the video", ylabel="part of the vlogger")
    if shares.empty:
        return
    limits = [_limits(shares[name]) for name in ("video", "vlogger")]
    extent = (*limits[0], *limits[1])
    axes.hexbin(shares["video"], shares["vlogger"], gridsize=45, extent=extent, bins="log", cmap="Greys", mincnt=1)
    axes.axhline(0, color=_VLOGGER, linewidth=1)
    axes.axvline(0, color=_VIDEO, linewidth=1)
    axes.set(xlim=limits[0], ylim=limits[1])


def _limits(values: pd.Series) -> tuple[float, float]:
    low, high = values.quantile([0.01, 0.99])
    margin = 0.05 * (max(high, 0) - min(low, 0)) or 1.0
    return float(min(low, 0) - margin), float(max(high, 0) + margin)


def _by_group(axes: Axes, frame: pd.DataFrame, grouping: str, value: str, color: str) -> None:
    table = spread(frame, grouping, value)
    places = np.arange(len(table))
    axes.vlines(places, table["low"], table["high"], color=color, linewidth=6, alpha=0.3)
    axes.plot(places, table["median"], "_", color=color, markersize=14, markeredgewidth=2)
    axes.plot(places, table["mean"], "o", color=color, markersize=5)
    seeds = max(frame["seed"].nunique(), 1)
    names = [
        f"{group.replace(' or more', '+')}\n{ceil(count / seeds):,}"
        for group, count in table[["group", "count"]].values
    ]
    axes.set_xticks(places, names, fontsize=7.5)
    axes.set_xlim(-0.6, len(table) - 0.4)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(GROUPINGS[grouping].name)
    axes.grid(axis="x", visible=False)
