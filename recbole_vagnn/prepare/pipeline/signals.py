"""The signals of a log: what ``--positive`` and ``--follow-from`` may name, and the columns that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recbole_vagnn.prepare.pipeline.reader import Column


@dataclass(frozen=True)
class Signal:
    """An SQL expression over columns of the log, written ``log."x"``, and of the items, ``items."x"``.

    Attributes:
        sql: a number or a truth value; null counts as 0.
        columns: columns of the log in it.
        item_columns: columns of the items in it.
    """

    sql: str
    columns: tuple[str, ...] = ()
    item_columns: tuple[str, ...] = ()


def columns_as_signals(*names: str) -> dict[str, Signal]:
    """Signals that are columns of the log."""
    return {name: Signal(f'log."{name}"', (name,)) for name in names}


def expressions(signals: Mapping[str, Signal]) -> dict[str, str]:
    """Name → SQL, as :class:`~recbole_vagnn.prepare.pipeline.source.Log` wants it."""
    return {name: signal.sql for name, signal in signals.items()}


def log_columns(signals: Mapping[str, Signal], wanted: Iterable[str]) -> dict[str, Column]:
    """Columns of the log that the wanted signals need; unknown names are left to the rules' own check."""
    return _optional(column for name in sorted(wanted) if name in signals for column in signals[name].columns)


def item_columns(signals: Mapping[str, Signal], wanted: Iterable[str]) -> dict[str, Column]:
    """Columns of the items that the wanted signals need."""
    return _optional(column for name in sorted(wanted) if name in signals for column in signals[name].item_columns)


def _optional(names: Iterable[str]) -> dict[str, Column]:
    return dict.fromkeys(names, Column("float", required=False))
