"""How figures look: one look a model, one style, the same bytes for the same content.

Ours are drawn thicker than rivals, in colours that no rival has. Colours are Okabe and Ito's, which colour-blind people
tell apart; lines and markers tell more models apart than there are colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import sqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.style import context
from numpy.typing import NDArray
from scipy import stats

_OURS = ("#D55E00", "#882255", "#332288")
_RIVALS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C8C8C", "#999933")
_LINES = ("-", "--", ":", "-.")
_MARKERS = "osD^vP<>Xhp"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "text.parse_math": False,  # a label may hold a dollar sign
}


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        dataset: what it is about.
        kind: what it shows, in a word; no two figures of a report have data set and kind in common.
        caption: what is drawn, with the definition of intervals and bands.
        png: the image.
    """

    dataset: str
    kind: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Look:
    """How a model is drawn."""

    color: str
    line: str
    marker: str
    ours: bool

    @property
    def pen(self) -> dict[str, Any]:
        """Matplotlib's options of a line; ours lie above the others."""
        return {
            "color": self.color,
            "linestyle": self.line,
            "linewidth": 2.4 if self.ours else 1.2,
            "marker": self.marker,
            "markersize": 10 if self.ours else 5,
            "zorder": 4 if self.ours else 3,
        }


def looks(models: Iterable[str], ours: Sequence[str]) -> dict[str, Look]:
    """How each model is drawn, in every figure of a benchmark; the same labels get the same looks."""
    found: dict[str, Look] = {}
    for model in dict.fromkeys(models):
        own = model in ours
        i = sum(look.ours == own for look in found.values())
        colors = _OURS if own else _RIVALS
        line = "-" if own else _LINES[i // len(colors) % len(_LINES)]
        found[model] = Look(colors[i % len(colors)], line, "*" if own else _MARKERS[i % len(_MARKERS)], own)
    return found


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of our figures, whatever the user's settings are."""
    with context(["default", _STYLE]):
        yield


def mean_and_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of (users,) values, and half the width of its 95 % t interval (0 for one user)."""
    n = len(values)
    if n < 2:
        return float(values.mean()), 0.0
    return float(values.mean()), float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / sqrt(n))


def panels(figure: Figure, wanted: Sequence[str], sharey: bool = False) -> list[Axes]:
    """Panels side by side, one for each of ``wanted``."""
    return list(figure.subplots(1, len(wanted), squeeze=False, sharey=sharey)[0])


def legend(figure: Figure, models: Sequence[str], styles: Mapping[str, Look], line: bool = True) -> None:
    """The models' names beside the panels, ours bold; without ``line`` their markers alone."""
    pens = [styles[model].pen | ({} if line else {"linestyle": ""}) for model in models]
    lines = [Line2D([], [], **pen) for pen in pens]
    legend = figure.legend(lines, models, loc="outside right center", fontsize=8, handlelength=3 if line else 1)
    embolden(legend.get_texts(), styles)


def embolden(texts: Iterable[Any], styles: Mapping[str, Look]) -> None:
    """Make the names of our models bold."""
    for text in texts:
        if styles[text.get_text()].ours:
            text.set_fontweight("bold")


def to_png(figure: Figure) -> bytes:
    """The image of a figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
