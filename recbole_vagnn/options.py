"""Base of the typed option objects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Self

from recbole_vagnn.errors import InputError


class Options:
    """Base of the typed option objects: a dataclass whose field names are configuration keys."""

    @classmethod
    def from_config(cls, read: Callable[[str], Any]) -> Self:
        """Read every field; a key that is absent (None) takes the field's default.

        Args:
            read: returns the value of a key, or None.

        Raises:
            InputError: a key without a default is missing, or ``__post_init__`` refuses a value.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):  # type: ignore[arg-type]
            value = read(field.name)
            if value is not None:
                values[field.name] = value
            elif field.default is MISSING:
                raise InputError(f"`{field.name}` is missing from the configuration of {cls.__name__}.")
        return cls(**values)

    def require_choice(self, name: str, choices: tuple[str, ...]) -> None:
        """Raise InputError unless field ``name`` is one of ``choices``."""
        value = getattr(self, name)
        if value not in choices:
            raise InputError(f"`{name}` is {value!r}; choose one of: {', '.join(choices)}.")

    def require_number(
        self, name: str, low: float, high: float = float("inf"), *, above: bool = False, whole: bool = False
    ) -> None:
        """Raise InputError unless field ``name`` is a number in [low, high] (or (low, high] with ``above``)."""
        value = getattr(self, name)
        right_type = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        right_type = right_type and math.isfinite(value)
        if not right_type or not (low < value if above else low <= value) or not value <= high:
            kind = "a whole number" if whole else "a number"
            bound = f"above {low}" if above else f"at least {low}"
            ceiling = "" if high == float("inf") else f" and at most {high}"
            raise InputError(f"`{name}` is {value!r}; it must be {kind} {bound}{ceiling}.")

    def require_flag(self, name: str) -> None:
        """Raise InputError unless field ``name`` is True or False."""
        if not isinstance(getattr(self, name), bool):
            raise InputError(f"`{name}` is {getattr(self, name)!r}; it must be True or False.")
