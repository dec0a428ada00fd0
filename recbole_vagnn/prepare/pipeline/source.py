"""What a source is, and what it hands to the pipeline.

A source knows a layout: which files there are, what their columns are called, and what a row can say about a
user, a video and its vlogger. Everything else (filters, report, writing) is the pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.malformed import Malformed

Batches = Iterable[pa.RecordBatch]


def option(default: Any, help: str, *, choices: tuple[str, ...] = (), verbatim: bool = False) -> Any:
    """A field of a source's options: a ``--flag`` of the command line, with its default and help text.

    Args:
        default: also says the type: str, int, float, bool, a tuple (the flag may be repeated), or None (text).
        help: one line.
        choices: allowed values, shown in the help; ``__post_init__`` must check them (``require_choice``).
        verbatim: never a file or folder, even if there is one of that name, as ``/``.
    """
    return field(default=default, metadata={"help": help, "choices": choices, "verbatim": verbatim})


@dataclass(frozen=True)
class Log:
    """Interactions, one row each, oldest first where rows of one user have equal times.

    Attributes:
        batches: the rows; all batches have the same schema. Read once.
        user, item: column names; int64 or string, never null.
        time: column name, int64 or float64, never null; None = the rows have no time.
        vlogger: column that names the item's vlogger, where no table of items does; null or "" = unknown.
        signals: what ``--positive`` and ``--follow-from`` may name → SQL expression over the columns of the log
            (and of the items, where ``joins_items``), a number or a truth value; null counts as 0.
        joins_items: whether a signal needs columns of the items' table. Signals then write ``log.x`` and
            ``items.x``.
        time_unit: "s" or "ms" since 1970 (UTC); None = another unit, in which no date can be given.
        keep: further columns → RecBole type, copied into the ``.inter`` file.
    """

    batches: Batches
    user: str
    item: str
    time: str | None = None
    vlogger: str | None = None
    signals: Mapping[str, str] = field(default_factory=dict)
    joins_items: bool = False
    time_unit: str | None = None
    keep: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Items:
    """Videos and their vloggers. Of several rows of a video the first with a vlogger counts, in all columns.

    Attributes:
        batches: the rows; all batches have the same schema. Read once.
        item: column name; same type as the log's.
        vlogger: column name; int64 or string, null or "" = unknown.
        keep: further columns → RecBole type, copied into the ``.item`` file.
        columns: columns that signals need, whether kept or not.
    """

    batches: Batches
    item: str
    vlogger: str
    keep: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Follows:
    """Explicit user–vlogger pairs; repeats count once, with the earliest time.

    Attributes:
        batches: the rows; all batches have the same schema. Read once.
        user, vlogger: column names; same types as the log's and the items'.
        time: column name, same unit as the log's time, null = unknown; None = no pair has a time.
    """

    batches: Batches
    user: str
    vlogger: str
    time: str | None = None


@dataclass(frozen=True)
class RawData:
    """What a source read.

    Attributes:
        log: the interactions.
        items: the videos; None where the log names the vloggers.
        follows: explicit pairs, beside those that ``--follow-from`` takes from the log.
        settings: lines for NAME.yaml beyond what the pipeline writes itself.
        remarks: sentences for the report, e.g. where redundant files disagree. Filled at the latest when all
            batches are read.
        vlogger_field: name of the vlogger's column in the files written.
        has_order: False when neither time nor position orders a user's rows: NAME.yaml then splits at random.
    """

    log: Log
    items: Items | None = None
    follows: Follows | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    vlogger_field: str = "vlogger_id"
    has_order: bool = True


@dataclass(frozen=True)
class Request:
    """What a source is asked to read.

    Attributes:
        path: the ``--input``; None for sources that make their data.
        options: an object of the source's options class.
        signals: names that ``--positive`` and ``--follow-from`` mention.
        malformed: counts the rows that cannot be read.
        advance: called with the number of input bytes read since the last call.
        touch: called with each input file before it is read; the manifest records them.
    """

    path: Path | None
    options: Any
    signals: frozenset[str]
    malformed: Malformed
    advance: Callable[[int], None]
    touch: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """The input, which must be a folder."""
        if self.path is None or not self.path.is_dir():
            raise InputError(f"--input {self.path} is not a folder. Give the folder that holds the source's files.")
        return self.path


@dataclass(frozen=True)
class Source:
    """One kind of input.

    Attributes:
        name: word on the command line.
        summary: one line of help.
        input: help text of ``--input``; None if the source makes its data.
        options: dataclass of the source's own flags, fields made by :func:`option`.
        read: turns a request into data; nothing big is read before the batches are.
        dataset_name: request's options → default of ``--name``.
        positive: default of ``--positive``.
        follow_from: default of ``--follow-from``.
        own_files: gives the folder of the files that a source without ``--input`` reads; None if it reads none.
        defaults: common options (fields of Filters) whose default differs for this source.
    """

    name: str
    summary: str
    input: str | None
    options: type[Options]
    read: Callable[[Request], RawData]
    dataset_name: Callable[[Path | None, Any], str]
    positive: tuple[str, ...] = ("all",)
    follow_from: tuple[str, ...] = ()
    own_files: Callable[[], Path] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
