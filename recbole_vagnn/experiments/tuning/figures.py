"""Figures of a search: its history, its learning curves, the space as parallel axes, slices, and importance.

A search that gives a figure nothing to show has no such figure: with one trial there is no history, without parameters
no space. Failed trials are in none but the history, where ticks at its foot say when they failed.
"""

from __future__ import annotations

from math import ceil, isnan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recbole_vagnn.experiments.drawing import Picture, style, to_png
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tuning.importance import Importance
from recbole_vagnn.experiments.tuning.scale import Scale, scale_of
from recbole_vagnn.experiments.tuning.store import STATES, SearchRecord, TrialRecord

_WINNER, _START, _PLAIN, _PALE = "#D55E00", "#0072B2", "#4a4a4a", "#b8b8b8"
_MARKERS = {"finished": "o", "plateau": "s", "stopped": "v", "failed": "|"}
_COLUMNS = 3  # of slices
_COLORS = "viridis"


def draw(record: SearchRecord, found: Importance) -> list[Picture]:
    """All figures of a search; equal records give equal bytes.

    Args:
        record: the search.
        found: its importances.
    """
    enough, space = len(record.scored) >= 2, bool(record.space.parameters)
    pictures = []
    with style():
        if enough:
            pictures.append(_history(record))
        if enough and int(record.budget["epochs"]) > 1 and len(record.epochs):
            pictures.append(_curves(record))
        if enough and space:
            pictures += [_parallel(record), _slices(record)]
        if found.method != "none":
            pictures.append(_importance(record, found))
    return pictures


def _picture(record: SearchRecord, kind: str, caption: str, figure: Figure, title: str) -> Picture:
    about = f"{record.name} on {record.dataset}"
    figure.suptitle(f"{about}: {title}", fontsize=10)
    return Picture(about, kind, caption, to_png(figure))


def _score_name(record: SearchRecord) -> str:
    return f"validation {heading(record.metric.lower())}"


def _score(trial: TrialRecord) -> float:
    assert trial.score is not None  # only trials that count are drawn
    return trial.score


def _best(record: SearchRecord) -> TrialRecord:
    assert record.best is not None  # of two trials with a score one is best
    return record.best


# History


def _history(record: SearchRecord) -> Picture:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    trials = record.scored
    numbers, scores = [trial.number for trial in trials], np.array([_score(trial) for trial in trials])
    so_far = (np.maximum if record.bigger else np.minimum).accumulate(scores)
    axes.step([*numbers, len(record.trials) - 1], [*so_far, so_far[-1]], where="post", color=_WINNER, linewidth=1.8)
    _mark_trials(axes, record)
    handles = [Line2D([], [], color=_WINNER, linewidth=1.8, label="best so far"), *_state_handles(record)]
    if record.start is not None and record.start.counts:
        handles.append(_start_line(axes, record, record.start))
    axes.set(xlabel="trial", ylabel=_score_name(record))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.03)
    figure.legend(handles=handles, loc="outside right center", fontsize=8)
    caption = (
        "Best validation score of each trial, in the order of their start, and the best so far. A trial that was "
        "stopped early would perhaps have come further. The winner is the star."
    )
    return _picture(record, "history", caption, figure, "optimisation history")


def _mark_trials(axes: Axes, record: SearchRecord) -> None:
    best = _best(record)
    for trial in record.scored:
        pen: dict[str, Any] = {"color": _PLAIN, "mfc": "white" if trial.state == "stopped" else _PLAIN, "markersize": 5}
        axes.plot(trial.number, _score(trial), linestyle="", marker=_MARKERS[trial.state], **pen)
    axes.plot(best.number, _score(best), linestyle="", marker="*", markersize=14, color=_WINNER, zorder=5)
    failed = [trial.number for trial in record.trials if not trial.counts]
    tick: dict[str, Any] = {"color": _PLAIN, "markersize": 9, "mew": 1.5, "clip_on": False}
    axes.plot(failed, [0.0] * len(failed), "|", transform=axes.get_xaxis_transform(), **tick)


def _state_handles(record: SearchRecord) -> list[Line2D]:
    there = {trial.state for trial in record.trials}
    return [
        Line2D([], [], color=_PLAIN, mfc="white" if state == "stopped" else _PLAIN, marker=marker, ls="", label=label)
        for state, marker in _MARKERS.items()
        if state in there
        for label in [STATES[state].replace(" for being worse than others", "")]
    ]


def _start_line(axes: Axes, record: SearchRecord, start: TrialRecord) -> Line2D:
    pen: dict[str, Any] = {"color": _START, "linestyle": "--", "linewidth": 1.2}
    axes.axhline(_score(start), **pen)
    return Line2D([], [], label=record.start_name, **pen)


# Learning curves


def _curves(record: SearchRecord) -> Picture:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    best, start = _best(record), record.start
    by_trial = dict(list(record.epochs.groupby("number")))
    for trial in record.scored:
        if trial.number in by_trial:
            curve = by_trial[trial.number]
            axes.plot(curve["epoch"] + 1, curve["score"], **_curve_pen(trial, best, start))
    whole = Line2D([], [], color=_PLAIN, linewidth=1.0, label="other trials")
    cut = Line2D([], [], color=_PALE, linewidth=0.8, marker="v", mfc="white", markersize=4, label="stopped early")
    handles = [Line2D([], [], color=_WINNER, linewidth=2.4, label="winner"), whole]
    handles += [cut] * any(trial.state == "stopped" for trial in record.scored)
    if start is not None and start.counts and start is not best:
        handles.insert(1, Line2D([], [], color=_START, linewidth=1.8, linestyle="--", label=record.start_name))
    axes.set(xlabel="epoch", ylabel=_score_name(record))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.02)
    figure.legend(handles=handles, loc="outside right center", fontsize=8)
    caption = "Validation score of every trial by epoch. A trial's score is the best point of its curve."
    return _picture(record, "curves", caption, figure, "learning curves of the trials")


def _curve_pen(trial: TrialRecord, best: TrialRecord, start: TrialRecord | None) -> dict[str, Any]:
    if trial is best:
        return {"color": _WINNER, "linewidth": 2.4, "zorder": 5}
    ended: dict[str, Any] = {"marker": "v", "mfc": "white", "markersize": 4, "markevery": [-1]}
    ended = ended if trial.state == "stopped" else {}
    if trial is start:
        return {"color": _START, "linewidth": 1.8, "linestyle": "--", "zorder": 4, **ended}
    if trial.state == "stopped":
        return {"color": _PALE, "linewidth": 0.8, "zorder": 2, **ended}
    return {"color": _PLAIN, "linewidth": 1.0, "zorder": 3}


# Parallel axes


def _parallel(record: SearchRecord) -> Picture:
    scales = [scale_of(parameter) for parameter in record.space.parameters]
    figure = Figure(figsize=(min(12.0, max(5.0, 1.7 * (len(scales) + 1) + 1.0)), 4.2), layout="constrained")
    axes = figure.subplots()
    low, high = _range(record)
    trials = sorted(record.scored, key=lambda trial: _score(trial) * (1 if record.bigger else -1))
    colors = _color_map()(np.linspace(0, 1, len(trials)) if record.bigger else np.linspace(1, 0, len(trials)))
    for trial, color in zip(trials, colors, strict=True):
        heights = [_height(scale, scale.place(trial.config.get(scale.name))) for scale in scales]
        heights.append((_score(trial) - low) / (high - low))
        best = trial is _best(record)
        axes.plot(heights, color=_WINNER if best else color, linewidth=2.6 if best else 1.1, zorder=5 if best else 3)
    for i, scale in enumerate(scales):
        _axis(axes, i, [(_height(scale, place), text) for place, text in scale.ticks()])
    ticks = [tick for tick in MaxNLocator(nbins=6).tick_values(low, high) if low <= tick <= high]
    _axis(axes, len(scales), [((tick - low) / (high - low), f"{tick:g}") for tick in ticks], left=False)
    axes.set_xticks(range(len(scales) + 1), [*(scale.name for scale in scales), _score_name(record).replace(" ", "\n")])
    axes.set(yticks=[], ylim=(-0.04, 1.04), xlim=(-0.3, len(scales) + 0.45))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0, pad=8)
    caption = (
        "A line is a trial: its value on every axis and its best validation score on the last one. Lighter lines are "
        "better trials, by rank; the thick one is the winner. Logarithmic axes are drawn by powers of ten."
    )
    return _picture(record, "parallel", caption, figure, "parallel coordinates")


def _color_map() -> Any:
    from matplotlib import colormaps

    return colormaps[_COLORS]


def _range(record: SearchRecord) -> tuple[float, float]:
    """Ends of the axis of scores."""
    scores = [_score(trial) for trial in record.scored]
    low, high = min(scores), max(scores)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def _height(scale: Scale, place: float) -> float:
    """Where a coordinate stands on its axis, 0 to 1; a choice has room on both sides."""
    width = scale.high - scale.low + 2 * scale.half
    return (place - scale.low + scale.half) / width if width else 0.5


def _axis(axes: Axes, x: int, ticks: list[tuple[float, str]], left: bool = True) -> None:
    axes.axvline(x, ymin=0.04 / 1.08, ymax=1.04 / 1.08, color="#1b1b1b", linewidth=1.0, zorder=6)
    halo = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    for height, text in ticks:
        axes.plot([x - 0.02, x + 0.02], [height, height], color="#1b1b1b", linewidth=1.0, zorder=6)
        shift, side = (-0.05, "right") if left else (0.05, "left")
        axes.text(x + shift, height, text, ha=side, va="center", fontsize=8, bbox=halo, zorder=7)


# Slices


def _slices(record: SearchRecord) -> Picture:
    scales = [scale_of(parameter) for parameter in record.space.parameters]
    columns = min(_COLUMNS, len(scales))
    rows = ceil(len(scales) / columns)
    figure = Figure(figsize=(max(4.5, 3.0 * columns) + 0.8, 2.5 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    points: Any = None
    for axes, scale in zip(grid.flat, scales, strict=False):
        points = _slice(axes, scale, record)
    for axes in list(grid.flat)[len(scales) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(_score_name(record))
    bar = figure.colorbar(points, ax=list(grid.flat), label="trial", pad=0.02, aspect=30)
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    caption = (
        "Best validation score of every trial against each parameter; the others vary too. Later trials are lighter, "
        "the star is the winner, triangles were stopped early."
    )
    return _picture(record, "slices", caption, figure, "slices")


def _slice(axes: Axes, scale: Scale, record: SearchRecord) -> Any:
    limits: dict[str, Any] = {"cmap": _COLORS, "vmin": 0, "vmax": max(1, len(record.trials) - 1), "zorder": 3}
    best, points = _best(record), None
    for stopped in (True, False):
        trials = [trial for trial in record.scored if (trial.state == "stopped") == stopped and trial is not best]
        places = [scale.place(trial.config.get(scale.name)) for trial in trials]
        numbers = [trial.number for trial in trials]
        marker = "v" if stopped else "o"
        points = axes.scatter(places, [_score(trial) for trial in trials], c=numbers, marker=marker, s=26, **limits)
    place = scale.place(best.config.get(scale.name))
    axes.plot(place, _score(best), marker="*", markersize=15, color=_WINNER, mec="white", zorder=5)
    pad = scale.half or 0.04 * (scale.high - scale.low)
    axes.set_xlim(scale.low - pad, scale.high + pad)
    ticks = scale.ticks()
    long = sum(len(text) for _, text in ticks) > _LONG_TICKS
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    if long:
        axes.tick_params(axis="x", rotation=30)
    axes.set_xlabel(f"{scale.name} (logarithmic)" if scale.log else scale.name)
    return points


_LONG_TICKS = 34  # characters that stand side by side under a panel


# Importance


def _importance(record: SearchRecord, found: Importance) -> Picture:
    table = found.table[::-1]
    shares = found.method == "fanova"
    values = table["importance" if shares else "correlation"].to_numpy(dtype=float)
    spread = table["spread"].to_numpy(dtype=float) if shares else np.full(len(table), np.nan)
    figure = Figure(figsize=(9, 1.1 + 0.36 * len(table)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))
    clear = [_is_clear(row) for row in table.to_dict("records")]
    colors = [_START if flag or not shares else _PALE for flag in clear]
    axes.barh(places, np.nan_to_num(values), xerr=np.nan_to_num(spread) if shares else None, color=colors, capsize=3)
    if shares:
        axes.plot(table["chance"], places, linestyle="", marker="|", markersize=16, mew=2, color=_WINNER)
    for place, value in zip(places, values, strict=True):
        if isnan(value):
            axes.text(0.01, float(place), "no order", va="center", fontsize=8, color=_PLAIN)
    axes.set_yticks(places, list(table["parameter"]))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of variance" if shares else "rank correlation with better scores")
    axes.set_xlim(0.0 if shares else -1.0, 1.0)
    caption = f"{found.note} {_MARKS}" if shares else found.note
    return _picture(record, "importance", caption, figure, "importance of the parameters")


_MARKS = "Bars with standard deviations; the upright marks are what chance reaches, pale bars stay below it."


def _is_clear(row: dict[Any, Any]) -> bool:
    """Whether a share is more than chance gives."""
    return bool(row["importance"] > row["chance"])
