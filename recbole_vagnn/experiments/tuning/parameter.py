"""One searched option: which values it may take, and how Optuna and Ray Tune say so."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

KINDS = ("choice", "uniform", "loguniform", "quniform", "int")
_ROUNDING = 1e-9  # relative: how far a sampler's arithmetic may leave a bound or a step


@dataclass(frozen=True)
class Parameter:
    """An option of a model and the values that a search may give it.

    Attributes:
        name: the option, e.g. ``"learning_rate"``.
        kind: "choice" of ``values``; "uniform" or "loguniform" in [low, high]; "quniform": low, low + step, …, high;
            "int": the same in whole numbers, step 1 unless given.
        values: of a choice: numbers, text, flags, None or lists of these; at least one, none twice.
        low, high: bounds, both inside, low < high; whole numbers where ``kind`` is "int".
        step: of "quniform", and of "int" where it is not 1; leads from low to high exactly.

    Raises:
        InputError: the values, bounds or step are not of this form; the message begins with the name.
    """

    name: str
    kind: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "choice":
            self._check_values()
        elif self.kind in KINDS:
            self._check_bounds()
            self._check_step()
            self._settle_types()
        else:
            raise self._error(f"there is no kind {self.kind!r}; kinds: {', '.join(KINDS)}.")

    # --- checks ---------------------------------------------------------------------------------------------------

    def _error(self, text: str) -> InputError:
        return InputError(f"`{self.name}`: {text}")

    def _check_values(self) -> None:
        if not self.values:
            raise self._error("the list of values is empty. Name at least one.")
        for i, value in enumerate(self.values):
            if not _is_plain(value):
                raise self._error(f"{value!r} cannot be a value; numbers, text, flags and lists of them can.")
            if any(_same(value, earlier) for earlier in self.values[:i]):
                raise self._error(f"{value!r} is listed twice. Remove one.")

    def _check_bounds(self) -> None:
        whole = self.kind == "int"
        for bound in (self.low, self.high):
            if not _is_number(bound) or (whole and not isinstance(bound, Integral)):
                kind = "a whole number" if whole else "a number"
                raise self._error(f"the bound {bound!r} must be {kind}.")
        low, high = self._bounds()
        if low >= high:
            mend = f"Write the smaller one first: {high!r}, {low!r}." if low > high else "They allow one value only."
            raise self._error(f"the bounds {low!r} and {high!r} enclose nothing. {mend}")
        if self.kind == "loguniform" and low <= 0:
            raise self._error(f"the lower bound of a logarithmic range is {low!r}; it must be above 0.")

    def _check_step(self) -> None:
        if self.step is None:
            if self.kind == "quniform":
                raise self._error("the step is missing.")
            return
        low, high = self._bounds()
        whole = self.kind == "int"
        if self.kind not in ("quniform", "int"):
            raise self._error(f"a range of kind {self.kind} has no step.")
        if not _is_number(self.step) or self.step <= 0 or (whole and not isinstance(self.step, Integral)):
            raise self._error(f"the step {self.step!r} must be a {'whole ' if whole else ''}number above 0.")
        if (_exact(high) - _exact(low)) % _exact(self.step):
            last = self._point(self.count() - 1)  # type: ignore[operator]
            raise self._error(f"steps of {self.step!r} from {low!r} do not reach {high!r}. The last is {last!r}.")

    def _settle_types(self) -> None:
        """Bounds and step in the type of the values: 1 is 1.0 where fractions are meant."""
        kind = int if self.kind == "int" else float
        for name in ("low", "high", "step"):
            if (number := getattr(self, name)) is not None:
                object.__setattr__(self, name, kind(number))

    def _bounds(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    # --- values ---------------------------------------------------------------------------------------------------

    @property
    def _stride(self) -> float:
        return 1 if self.step is None else self.step

    def count(self) -> int | None:
        """How many values there are; None where they are continuous."""
        if self.kind == "choice":
            return len(self.values)
        if self.kind in ("uniform", "loguniform"):
            return None
        low, high = self._bounds()
        return int((_exact(high) - _exact(low)) // _exact(self._stride)) + 1

    def _point(self, k: int) -> Any:
        """Value k of a stepped range, free of the rounding of ``low + k * step``."""
        value = _exact(self._bounds()[0]) + k * _exact(self._stride)
        return int(value) if self.kind == "int" else float(value)

    def points(self) -> list[Any]:
        """Every value, in order.

        Raises:
            InputError: they are continuous.
        """
        count = self.count()
        if count is None:
            raise self._error("a continuous range has no list of all values, which a grid needs. List values: [a, b].")
        if self.kind == "choice":
            return list(self.values)
        return [self._point(k) for k in range(count)]

    def extremes(self) -> list[Any]:
        """The values at which a mistake in the space shows: all of a choice, both bounds of a range."""
        return list(self.values) if self.kind == "choice" else list(self._bounds())

    def canonical(self, value: Any) -> Any:
        """The parameter's own form of a value: of its type, without the rounding errors of a sampler.

        Raises:
            InputError: the value is not one of the parameter's.
        """
        if self.kind == "choice":
            for own in self.values:
                if _same(own, value):
                    return own
        elif _is_number(value):
            low, high = self._bounds()
            if self.count() is not None:
                k = round((float(value) - low) / self._stride)
                nearest = self._point(k)
                if low <= nearest <= high and _near(value, nearest, self._stride):
                    return nearest
            elif low <= value <= high or _near(value, low, low) or _near(value, high, high):
                return min(max(float(value), low), high)
        raise self._error(f"{value!r} is not {self.describe()}.")

    def contains(self, value: Any) -> bool:
        """Whether a value is one of the parameter's."""
        try:
            self.canonical(value)
        except InputError:
            return False
        return True

    def describe(self) -> str:
        """The values in words, e.g. ``between 0.0001 and 0.01``."""
        if self.kind == "choice":
            return f"one of {', '.join(map(repr, self.values))}"
        steps = "" if self.step is None else f" in steps of {self.step!r}"
        whole = "a whole number " if self.kind == "int" else ""
        return f"{whole}between {self.low!r} and {self.high!r}{steps}"

    # --- other libraries' forms -----------------------------------------------------------------------------------

    def distribution(self) -> BaseDistribution:
        """The values as Optuna's distribution; a stepped range keeps its order, unlike :meth:`domain`."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # lists cannot be stored in a database; none is used
                return CategoricalDistribution(self.values)
        low, high = self._bounds()
        if self.kind == "int":
            return IntDistribution(int(low), int(high), step=int(self._stride))
        return FloatDistribution(low, high, log=self.kind == "loguniform", step=self.step)

    def domain(self) -> Any:
        """The values as Ray Tune's domain; all values of a choice or a stepped range are equally likely."""
        from ray import tune

        if self.kind == "uniform":
            return tune.uniform(*self._bounds())
        if self.kind == "loguniform":
            return tune.loguniform(*self._bounds())
        if self.kind == "int" and self.step is None:
            low, high = self._bounds()
            return tune.randint(low, high + 1)
        # tune.quniform gives both bounds half the others' probability, and wants them to be multiples of the step.
        return tune.choice(self.points())


def _exact(number: float) -> Decimal:
    """A number as it is written: 0.1 is a tenth."""
    return Decimal(repr(number))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, str)) or _is_number(value)


def _same(one: Any, other: Any) -> bool:
    """Equality that tells True from 1, unlike Python's."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _near(value: float, target: float, scale: float) -> bool:
    return abs(value - target) <= _ROUNDING * abs(scale)
