"""Figures of the study of cold start: hits by groups of interactions, accuracy of users held down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from recbole_vagnn.experiments.drawing import Look, Picture, legend, mean_and_interval, style, to_png
from recbole_vagnn.experiments.summary import heading

Floats = NDArray[np.float64]
K = 10  # length of the lists that interactions are looked for in
UNKNOWN = "unknown"  # group of interactions for which nothing is counted, always the last


@dataclass(frozen=True)
class Breakdown:
    """Hits of held-out interactions by groups.

    Attributes:
        name: what the groups are by, in words.
        unit: what their names count.
        groups: names, from few to many.
        hits: model → for each group (n,) hits of its interactions, averaged over seeds.
    """

    name: str
    unit: str
    groups: tuple[str, ...]
    hits: Mapping[str, tuple[Floats, ...]]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Interactions of each group."""
        return tuple(len(values) for values in next(iter(self.hits.values())))

    def means(self) -> dict[str, tuple[float, ...]]:
        """Model → mean of each group."""
        return {label: tuple(float(values.mean()) for values in groups) for label, groups in self.hits.items()}

    def best(self, labels: Sequence[str], i: int) -> str:
        """The model with most hits in a group; of several the first."""
        return max(labels, key=lambda label: float(self.hits[label][i].mean()))


@dataclass(frozen=True)
class HeldDown:
    """Accuracy of users held down.

    Attributes:
        dataset, metric: which.
        lengths: training interactions that they keep; "all" last.
        values: model → for each length (users,) the metric averaged over seeds.
    """

    dataset: str
    metric: str
    lengths: tuple[str, ...]
    values: Mapping[str, tuple[Floats, ...]]

    @property
    def n_users(self) -> int:
        """How many they are."""
        return len(next(iter(self.values.values()))[0])

    def means(self) -> dict[str, tuple[float, ...]]:
        """Model → mean for each length."""
        return {label: tuple(float(values.mean()) for values in of_model) for label, of_model in self.values.items()}


def told_apart(one: Floats, other: Floats) -> bool:
    """Whether the 95 % t interval of the mean of paired differences leaves 0 out."""
    mean, half = mean_and_interval(one - other)
    return len(one) > 1 and abs(mean) > half


def draw_breakdowns(dataset: str, found: list[Breakdown], styles: Mapping[str, Look]) -> Picture:
    """A panel for each breakdown."""
    with style():
        rows = (len(found) + 1) // 2
        figure = Figure(figsize=(10, 0.6 + 2.9 * rows), layout="constrained")
        grid = figure.subplots(rows, min(2, len(found)), squeeze=False)
        for axes in list(grid.flat)[len(found) :]:
            axes.set_visible(False)
        for axes, breakdown in zip(grid.flat, found, strict=False):
            names = [f"{group}\n({size:,})" for group, size in zip(breakdown.groups, breakdown.sizes, strict=True)]
            _lines(axes, breakdown.hits, names, styles, apart=breakdown.groups[-1] == UNKNOWN)
            axes.set(xlabel=breakdown.unit, ylabel=f"Hit@{K}")
        legend(figure, list(found[0].hits), styles)
        figure.suptitle(f"{dataset}: who is served, and which videos are found", fontsize=10)
        caption = (
            f"Share of held-out interactions among the first {K} of the list, averaged over seeds, by quarters of the "
            "interactions (numbers in brackets). Bars on ours: 95 % t interval over the interactions of a group."
        )
        return Picture(dataset, "cold-start", caption, to_png(figure))


def draw_held_down(held: HeldDown, styles: Mapping[str, Look]) -> Picture:
    """Accuracy against the length of the history."""
    with style():
        figure = Figure(figsize=(7.5, 4.0), layout="constrained")
        axes = figure.subplots()
        _lines(axes, held.values, list(held.lengths), styles)
        axes.set(xlabel="training interactions of a user held down", ylabel=heading(held.metric))
        legend(figure, list(held.values), styles)
        figure.suptitle(f"{held.dataset}: {held.n_users:,} users held down to a few interactions", fontsize=10)
        caption = (
            f"{heading(held.metric)} of the same {held.n_users:,} users with short and with whole histories, averaged "
            "over seeds. Bars on ours: 95 % t interval over these users."
        )
        return Picture(held.dataset, "held-down", caption, to_png(figure))


def _lines(
    axes: Axes,
    values: Mapping[str, tuple[Floats, ...]],
    names: list[str],
    styles: Mapping[str, Look],
    apart: bool = False,
) -> None:
    """A line for each model; ``apart`` leaves the last group out of it, as it is not the next step."""
    places = np.arange(len(names))
    for label, of_model in values.items():
        look = styles[label]
        means, halves = (np.array(part) for part in zip(*map(mean_and_interval, of_model), strict=True))
        pen = {**look.pen, "markersize": 9 if look.ours else 5}
        for part in (places[:-1], places[-1:]) if apart else (places,):
            axes.errorbar(
                places[part], means[part], yerr=halves[part] if look.ours else None, capsize=3, elinewidth=1.2, **pen
            )
    axes.set_xticks(places, names)
    axes.set_ylim(bottom=0)  # an interval of few interactions may reach below what a share can be
    axes.margins(x=0.06)
