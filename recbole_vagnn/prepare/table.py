"""``table``: any CSV, TSV or Parquet files of interactions and items, with columns named by options.

The way in for music, books, films and shops: whoever made an item is its creator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.database import quoted
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.reader import Column, column_names, read_rows
from recbole_vagnn.prepare.pipeline.source import Batches, Follows, Items, Log, RawData, Request, Source, option
from recbole_vagnn.prepare.pipeline.writing import RESERVED

_TAB_SUFFIXES = (".tsv", ".tab", ".inter", ".item", ".follow")
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
_SNIFFED_ROWS = 10_000


@dataclass(frozen=True)
class TableOptions(Options):
    """Options of the source; columns are given by their name in the header, without a RecBole type behind it."""

    items: str | None = option(None, "File of items and their creators; default: --input names the creators too.")
    user_col: str = option("user_id", "Column of users.")
    item_col: str = option("item_id", "Column of items, in both files.")
    time_col: str | None = option(None, "Column of times: numbers or ISO dates; default timestamp, if there is one.")
    creator_col: str = option("creator_id", "Column of creators.")
    items_item_col: str | None = option(None, "Column of items in --items, where it is called otherwise.")
    creator_separator: str | None = option(
        None, "Separates several creators of an item, of whom the first counts.", verbatim=True
    )
    keep: tuple[str, ...] = option((), "Column of --items to copy into the .item file as text; may be repeated.")
    follows: str | None = option(None, "File of user-creator pairs (who follows whom).")
    follow_user_col: str = option("user_id", "Column of users in --follows.")
    follow_creator_col: str | None = option(None, "Column of creators in --follows; default: that of --creator-col.")
    follow_time_col: str | None = option(None, "Column of times in --follows.")
    delimiter: str | None = option(None, "Of text files; default: by suffix and header.", choices=tuple(_DELIMITERS))

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            self.require_choice("delimiter", tuple(_DELIMITERS))
        for name in ("items_item_col", "keep"):
            if getattr(self, name) and self.items is None:
                raise InputError(f"`{name}` needs `items`, the file that it is a column of.")
        if self.creator_separator == "":
            raise InputError("`creator_separator` is empty; give the text that separates creators, or leave it out.")
        if self.follow_time_col and self.follows is None:
            raise InputError("`follow_time_col` needs `follows`, the file that it is a column of.")


@dataclass(frozen=True)
class _File:
    """A file, its delimiter and its header."""

    path: Path
    delimiter: str
    header: list[str]

    @classmethod
    def open(cls, path: str | Path, delimiter: str | None) -> _File:
        path = Path(path).expanduser()
        chosen = _DELIMITERS[delimiter] if delimiter else _guess_delimiter(path)
        return cls(path, chosen, column_names(path, chosen))

    def find(self, column: str, option_name: str) -> str:
        """The header entry of a column; RecBole's ``name:type`` counts as ``name``."""
        plain = {entry.partition(":")[0].strip(): entry for entry in reversed(self.header)}
        plain |= {entry: entry for entry in self.header}
        if column not in plain:
            raise InputError(
                f"{self.path} has no column {column!r} ({_flag(option_name)})."
                f"{did_you_mean(column, plain)} Its columns: {', '.join(self.header)}."
            )
        return plain[column]

    def find_different(self, columns: dict[str, str]) -> list[str]:
        """The header entries of columns given by option, each of which must be another."""
        found: dict[str, str] = {}
        for option_name, column in columns.items():
            entry = self.find(column, option_name)
            if entry in found:
                raise InputError(
                    f"{_flag(found[entry])} and {_flag(option_name)} name the same column of {self.path}: {column!r}."
                )
            found[entry] = option_name
        return list(found)

    def has(self, column: str) -> bool:
        """Whether a column is there."""
        return any(column in (entry, entry.partition(":")[0].strip()) for entry in self.header)

    def rows(self, request: Request, columns: dict[str, Column]) -> Iterator[pa.RecordBatch]:
        """Stream columns given by header entry."""
        by_lower: dict[str, str] = {}
        for entry in columns:
            if (other := by_lower.setdefault(entry.lower(), entry)) != entry:  # they are one to the database
                raise InputError(f"{self.path}: columns {other!r} and {entry!r} differ only in case: rename one.")
        return read_rows(request, [self.path], columns, delimiter=self.delimiter, quoted_newlines=True)


def _flag(option_name: str) -> str:
    return f"--{option_name.replace('_', '-')}"


def _guess_delimiter(path: Path) -> str:
    """Tab where the suffix says so, else what separates most columns of the header."""
    if path.suffix == ".parquet":
        return ","
    if path.with_suffix("" if path.suffix in (".gz", ".bz2", ".zst") else path.suffix).suffix in _TAB_SUFFIXES:
        return "\t"
    return max(_DELIMITERS.values(), key=lambda delimiter: (len(column_names(path, delimiter)), delimiter == ","))


def _read(request: Request) -> RawData:
    options: TableOptions = request.options
    if request.path is None or not request.path.is_file():
        raise InputError(f"--input {request.path} is not a file. Give the file of interactions; --items is apart.")
    log_file = _File.open(request.path, options.delimiter)
    items_file = _File.open(options.items, options.delimiter) if options.items else None
    remarks: list[str] = []
    log = _log(request, log_file, options, in_log=items_file is None)
    if log.time is None:
        remarks.append("The interactions have no time: runs split at random (RS 80/10/10 of each user).")
    return RawData(
        log,
        _items(request, items_file, options) if items_file else None,
        _follows(request, options) if options.follows else None,
        remarks=remarks,
        vlogger_field=_field_name(options.creator_col),
        has_order=log.time is not None,
    )


def _field_name(column: str) -> str:
    """The creators' column keeps its name where that is a plain word of its own."""
    plain = column.partition(":")[0]
    return plain if plain.isidentifier() and plain not in RESERVED else "vlogger_id"


def _log(request: Request, file: _File, options: TableOptions, in_log: bool) -> Log:
    wanted = {"user_col": options.user_col, "item_col": options.item_col}
    if options.time_col is not None or file.has("timestamp"):
        wanted["time_col"] = options.time_col or "timestamp"
    if in_log:
        wanted["creator_col"] = options.creator_col
    entries = dict(zip(wanted, file.find_different(wanted), strict=True))
    user, item = entries["user_col"], entries["item_col"]
    time, creator = entries.get("time_col"), entries.get("creator_col")
    columns = {user: Column("token"), item: Column("token")}
    if time is not None:
        columns[time] = Column(time_kind := _time_kind(file, time))
    if creator is not None:
        columns[creator] = Column("token", required=False)
    signals = _signals(request, file, columns)
    columns |= {entry: Column("float", required=False) for entry in signals.values() if entry not in columns}
    batches: Batches = file.rows(request, columns)
    if creator is not None:
        batches = _first_creators(batches, creator, options.creator_separator)
    return Log(
        batches,
        user,
        item,
        time,
        vlogger=creator,
        signals={name: f"log.{quoted(entry)}" for name, entry in signals.items()},
        time_unit="s" if time and time_kind == "datetime" else None,
    )


def _signals(request: Request, file: _File, columns: dict[str, Column]) -> dict[str, str]:
    """The columns that rules name, which must hold numbers."""
    signals = {name: file.find(name, "positive or --follow-from") for name in sorted(request.signals)}
    for name, entry in signals.items():
        if entry in columns and columns[entry].kind == "token":
            raise InputError(
                f"--positive or --follow-from names the column {name!r} of {file.path}, which holds ids: name one of "
                f"numbers."
            )
    return signals


def _items(request: Request, file: _File, options: TableOptions) -> Items:
    item_flag = "items_item_col" if options.items_item_col else "item_col"
    wanted = {item_flag: options.items_item_col or options.item_col, "creator_col": options.creator_col}
    item, creator = file.find_different(wanted)
    kept = {name: file.find(name, "keep") for name in options.keep}
    taken = {*RESERVED, _field_name(options.creator_col), item, creator}
    if bad := sorted(name for name, entry in kept.items() if {name.partition(":")[0], entry} & taken):
        raise InputError(
            f"--keep {bad[0]}: the data set has a column of that name, or holds that column, anyway. Leave it out, or "
            f"rename it in {file.path}."
        )
    columns = {item: Column("token"), creator: Column("token", required=False)}
    columns |= {entry: Column("token", required=False) for entry in kept.values() if entry not in columns}
    batches = _first_creators(file.rows(request, columns), creator, options.creator_separator)
    return Items(_renamed(batches, kept), item, creator, keep=dict.fromkeys(kept, "token"))


def _follows(request: Request, options: TableOptions) -> Follows:
    assert options.follows is not None
    file = _File.open(options.follows, options.delimiter)
    wanted = {
        "follow_user_col": options.follow_user_col,
        "follow_creator_col" if options.follow_creator_col else "creator_col": (
            options.follow_creator_col or options.creator_col
        ),
    }
    if options.follow_time_col is not None:
        wanted["follow_time_col"] = options.follow_time_col
    user, creator, *times = file.find_different(wanted)
    columns = {user: Column("token"), creator: Column("token")}
    columns |= {time: Column(_time_kind(file, time), required=False) for time in times}
    time = times[0] if times else None
    return Follows(file.rows(request, columns), user, creator, time)


def _first_creators(batches: Batches, creator: str, separator: str | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if separator is None:
            yield batch
            continue
        place = batch.schema.get_field_index(creator)
        first = pc.list_element(pc.split_pattern(pc.fill_null(batch.column(place), ""), separator), 0)
        yield batch.set_column(place, creator, pc.utf8_trim_whitespace(first))


def _renamed(batches: Batches, kept: dict[str, str]) -> Iterator[pa.RecordBatch]:
    names = {entry: name for name, entry in kept.items()}
    for batch in batches:
        yield batch.rename_columns([names.get(name, name) for name in batch.schema.names])


def _time_kind(file: _File, column: str) -> str:
    """How a column of times is written, by its first rows: "int", "float" or "datetime"."""
    aside = Request(None, None, frozenset(), Malformed(1.0), lambda _: None, lambda _: None)
    texts: Sequence[str | None] = []
    for batch in file.rows(aside, {column: Column("token", required=False)}):
        texts = batch.column(0).slice(0, _SNIFFED_ROWS).to_pylist()
        break
    kinds = Counter(_kind_of(text) for text in texts if text)
    if not kinds or kinds["datetime"] <= kinds["int"] + kinds["float"]:  # a few malformed entries decide nothing
        return "float" if kinds["float"] else "int"
    return "datetime"


def _kind_of(text: str) -> str:
    for kind, parse in (("int", int), ("float", float)):
        try:
            parse(text)
        except ValueError:
            continue
        return kind
    return "datetime"


SOURCE = Source(
    name="table",
    summary="Any CSV, TSV or Parquet files of interactions and items; music, books, shops.",
    input="file of interactions, one row each (.csv, .tsv, .parquet; text may be .gz)",
    options=TableOptions,
    read=_read,
    dataset_name=lambda path, _options: path.name.partition(".")[0] if path else "table",
)
