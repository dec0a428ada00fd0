"""A parameter of a search as a coordinate: what its axis in a figure and its column in an analysis have in common.

A logarithmic parameter is placed by its power of ten, a choice by its rank. Lengths on an axis are then probabilities
of the space: what a search draws evenly lies evenly, and a choice of k values takes 1/k of its axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log10, nan
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.values import short
from recbole_vagnn.result import plain

_NEAR = 1e-9  # of an axis: a tick at its very end, but for rounding
_FEW_POWERS = 2  # with fewer powers of ten on an axis, 2 and 5 are ticks too


@dataclass(frozen=True)
class Scale:
    """Where the values of a parameter lie.

    Attributes:
        name: of the parameter.
        kind: as in the space: "choice", "uniform", "loguniform", "quniform" or "int".
        low, high: coordinates of its lowest and highest value.
        half: half of what a value takes on the axis; 0 where values are continuous.
        choices: of a choice, in the order of the axis: by size if all are numbers, else as in the space.
    """

    name: str
    kind: str
    low: float
    high: float
    half: float = 0.0
    choices: tuple[Any, ...] = ()

    @property
    def log(self) -> bool:
        """Is it logarithmic?"""
        return self.kind == "loguniform"

    @property
    def ordered(self) -> bool:
        """Does "larger" mean something: is it a number?"""
        return self.kind != "choice" or all(map(_is_number, self.choices))

    def place(self, value: Any) -> float:
        """Coordinate of a value; NaN for none, and for one that the axis does not have."""
        if self.kind == "choice":
            return _rank(plain(value), self.choices)
        if not _is_number(value) or (self.log and value <= 0):
            return nan
        return log10(value) if self.log else float(value)

    def ticks(self) -> list[tuple[float, str]]:
        """Coordinates and texts of what is written at the axis."""
        if self.kind == "choice":
            return [(float(i), short(choice)) for i, choice in enumerate(self.choices)]
        return self._log_ticks() if self.log else self._linear_ticks()

    def _log_ticks(self) -> list[tuple[float, str]]:
        powers = np.floor(self.high + _NEAR) - np.ceil(self.low - _NEAR) + 1
        subs = (1.0,) if powers > _FEW_POWERS else (1.0, 2.0, 5.0)
        found = LogLocator(subs=subs, numticks=8).tick_values(10**self.low, 10**self.high)
        return [(log10(tick), f"{tick:g}") for tick in found if self._inside(log10(tick))]

    def _linear_ticks(self) -> list[tuple[float, str]]:
        whole = self.kind == "int"
        found = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(self.low, self.high)
        return [(float(tick), f"{tick:g}") for tick in found if self._inside(tick)]

    def _inside(self, coordinate: float) -> bool:
        near = _NEAR * (self.high - self.low)
        return self.low - near <= coordinate <= self.high + near


def scale_of(parameter: Parameter) -> Scale:
    """The scale of a parameter."""
    name, kind = parameter.name, parameter.kind
    if kind == "choice":
        choices = tuple(map(plain, parameter.values))
        if all(map(_is_number, choices)):
            choices = tuple(sorted(choices))
        return Scale(name, kind, 0.0, float(max(len(choices) - 1, 0)), 0.5, choices)
    assert parameter.low is not None  # a space has checked its own
    assert parameter.high is not None
    if kind == "loguniform":
        return Scale(name, kind, log10(parameter.low), log10(parameter.high))
    step = parameter.step or (1 if kind == "int" else 0)
    return Scale(name, kind, float(parameter.low), float(parameter.high), step / 2)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _rank(value: Any, choices: tuple[Any, ...]) -> float:
    """Position of a value; one of equal type comes first, for ``True == 1``."""
    same = [i for i, choice in enumerate(choices) if choice == value]
    exact = [i for i in same if type(choices[i]) is type(value)]
    return float(next(iter(exact or same), nan))
