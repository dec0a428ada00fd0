"""RecBole's own format of search spaces (``hyper.test``), one parameter a line: ``NAME TYPE VALUES``.

Types as in ``recbole/trainer/hyper_tuning.py``: ``choice [a, b]``, ``uniform low,high``, ``loguniform low,high``
(exponents of e) and ``quniform low,high,q`` (multiples of q). RecBole evaluates choices as Python; here they are read
as literals and nothing is evaluated.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.tuning.parameter import Parameter

_HALF = Decimal("0.5")


def read_hyper_test(path: Path) -> tuple[Parameter, ...]:
    """The parameters of a file in RecBole's format; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        InputError: the file cannot be read, or a line is not of the format; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Search space {path} cannot be read: {error}.") from None
    parameters: dict[str, Parameter] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            parameter = _parse(line)
            if parameter.name in parameters:
                raise InputError(f"`{parameter.name}` is given a second time. Remove one of the lines.")
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        parameters[parameter.name] = parameter
    return tuple(parameters.values())


def _parse(line: str) -> Parameter:
    parts = line.split(maxsplit=2)
    if len(parts) < 3:
        raise InputError(f"{line.strip()!r} is not NAME TYPE VALUES. (A file in YAML has a name that ends with .yaml.)")
    name, kind, values = parts
    if kind not in _READERS:
        raise InputError(
            f"`{name}`: unknown type {kind!r}.{did_you_mean(kind, _READERS)} Types: {', '.join(_READERS)}."
        )
    return _READERS[kind](name, values)


def _choice(name: str, text: str) -> Parameter:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        values = None
    if not isinstance(values, (list, tuple)):
        raise InputError(f"`{name}`: {text!r} is not a list such as [0.1, 0.2] or ['a', 'b'].")
    return Parameter(name, "choice", tuple(map(_value, values)))


def _value(value: Any) -> Any:
    """RecBole reads text such as ``'[64, 64]'`` as Python where it can."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple) else value
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(value.lower(), value)
    return list(read) if isinstance(read, tuple) else read


def _numbers(name: str, text: str, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in "".join(text.split()).split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(form.split(",")) or not all(map(math.isfinite, numbers)):
        raise InputError(f"`{name}`: {text!r} is not {form}, numbers with commas between them.")
    return numbers


def _uniform(name: str, text: str) -> Parameter:
    low, high = _numbers(name, text, "low,high")
    return Parameter(name, "uniform", low=low, high=high)


def _loguniform(name: str, text: str) -> Parameter:
    low, high = _numbers(name, text, "low,high")
    try:
        return Parameter(name, "loguniform", low=math.exp(low), high=math.exp(high))
    except OverflowError:
        raise InputError(f"`{name}`: the bounds {text!r} are exponents of e; these are too large.") from None


def _quniform(name: str, text: str) -> Parameter:
    """The multiples of q that ``round(x / q) · q`` takes for x between the bounds; the ends may lie outside them."""
    low, high, step = _numbers(name, text, "low,high,q")
    if step <= 0 or low >= high:  # refused with the parameter's own message
        return Parameter(name, "quniform", low=low, high=high, step=step)
    q = Decimal(repr(step))
    first = (Decimal(repr(low)) / q + _HALF).to_integral_value(ROUND_FLOOR)
    last = (Decimal(repr(high)) / q - _HALF).to_integral_value(ROUND_CEILING)
    return Parameter(name, "quniform", low=float(first * q), high=float(last * q), step=step)


_READERS: dict[str, Callable[[str, str], Parameter]] = {
    "choice": _choice,
    "uniform": _uniform,
    "loguniform": _loguniform,
    "quniform": _quniform,
}
