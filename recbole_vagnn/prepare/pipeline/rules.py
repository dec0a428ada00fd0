"""``--positive`` and ``--follow-from``: which rows of a log count, as text of a user and as SQL.

A rule is one or more conditions joined by ``and``; several rules are joined by or. A condition is ``NAME`` (not
zero), ``not NAME``, or ``NAME OP NUMBER`` with OP one of >=, <=, >, <, ==, !=. The rule ``all`` holds for every
row, ``none`` for none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recbole_vagnn.errors import InputError, did_you_mean

_CONDITION = re.compile(r"(?:(not)\s+)?([^\s<>=!]+)\s*(?:(>=|<=|==|!=|=|>|<)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?))?")
_SQL_OPERATORS = {"==": "=", "!=": "<>"}


@dataclass(frozen=True)
class Condition:
    """``name operator value``; with ``negated`` its opposite."""

    name: str
    operator: str
    value: float
    negated: bool = False


@dataclass(frozen=True)
class Rule:
    """Or of ands of conditions; ``((),)`` holds always, ``()`` never."""

    alternatives: tuple[tuple[Condition, ...], ...]

    @property
    def names(self) -> frozenset[str]:
        """Signals that the rule mentions."""
        return frozenset(condition.name for part in self.alternatives for condition in part)

    def sql(self, signals: Mapping[str, str]) -> str:
        """The rule as an SQL truth value that is never null.

        Args:
            signals: name → SQL expression.

        Raises:
            InputError: the source has no signal of a name.
        """
        parts = [" AND ".join(_condition_sql(c, signals) for c in part) or "true" for part in self.alternatives]
        return " OR ".join(f"({part})" for part in parts) or "false"


def parse_rule(texts: Iterable[str], option: str) -> Rule:
    """Read the values of a repeated option.

    Raises:
        InputError: a condition is not of the form above.

    Example:
        >>> parse_rule(["watch_ratio>=1 and not is_hate"], "--positive").alternatives[0][0]
        Condition(name='watch_ratio', operator='>=', value=1.0, negated=False)
    """
    texts = [text.strip() for text in texts]
    if any(text == "all" for text in texts):
        return Rule(((),))
    return Rule(tuple(_parse_one(text, option) for text in texts if text != "none"))


def _parse_one(text: str, option: str) -> tuple[Condition, ...]:
    return tuple(_parse_condition(part.strip(), text, option) for part in re.split(r"\s+and\s+|\s*&+\s*", text))


def _parse_condition(part: str, text: str, option: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    try:
        if match is None:
            raise ValueError(part)
        negation, name, operator, number = match.groups()
        value = float(number) if operator else 0.0
    except ValueError:
        raise InputError(
            f"{option} {text!r} is not understood at {part!r}. Write a column (not zero), `not column`, or `column >= "
            f"1`, joined by `and`; repeat {option} for `or`."
        ) from None
    return Condition(name, "==" if operator == "=" else operator or "!=", value, negation is not None)


def _condition_sql(condition: Condition, signals: Mapping[str, str]) -> str:
    if condition.name not in signals:
        known = sorted(signals)
        raise InputError(
            f"Unknown signal {condition.name!r}.{did_you_mean(condition.name, known)} This source has: "
            f"{', '.join(known) or 'none'}."
        )
    operator = _SQL_OPERATORS.get(condition.operator, condition.operator)
    comparison = f"coalesce(({signals[condition.name]})::DOUBLE, 0) {operator} {condition.value!r}"
    return f"NOT ({comparison})" if condition.negated else f"({comparison})"
