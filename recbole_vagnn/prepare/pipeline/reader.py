"""Streaming rows of delimited text and Parquet files, with every malformed row counted and located."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.prepare.pipeline.source import Request

KINDS = ("int", "float", "token", "datetime")
_TYPES = {"int": pa.int64(), "float": pa.float64(), "token": pa.string(), "datetime": pa.int64()}
_ERRORS = {
    "int": "is not a whole number",
    "float": "is not a number",
    "token": "has a tab, quote or line end in it",
    "datetime": "is not a date and time (ISO 8601)",
}
_BLOCK_BYTES = 16 * 2**20
_PARQUET_ROWS = 2**18
_MISSING_TOKEN = ["", "nan", "NaN"]  # what the loader of atomic files takes for a missing id
_MISSING_NUMBER = [*_MISSING_TOKEN, "NA", "N/A", "null", "NULL", "None", "none", "\\N"]
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_UNSAFE = r'[\t\r\n"]'
_DATETIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$"


@dataclass(frozen=True)
class Column:
    """How a column is read.

    Attributes:
        kind: "int" (int64; ``7.0`` is 7), "float" (float64, finite), "token" (string, trimmed) or "datetime"
            (ISO 8601, to int64 seconds since 1970, UTC unless the text says otherwise).
        required: whether an empty entry makes the row malformed; else it is null.
    """

    kind: str
    required: bool = True


def read_rows(
    request: Request,
    paths: Sequence[Path],
    columns: Mapping[str, Column],
    *,
    delimiter: str = ",",
    header: Sequence[str] | None = None,
    quoted_newlines: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Read some columns of files, one file after the other, in file order and in bounded memory.

    That every file is there and has the columns is checked at once; the rows are read when asked for. Text files may
    be compressed (``.gz``, ``.bz2``, ``.zst``); a byte order mark is skipped; blank lines are no rows. A malformed
    row is left out and counted in ``request.malformed``. Of a time, fractions of a second are cut off.

    Args:
        request: its counters are told of files, bytes and malformed rows.
        paths: ``.parquet`` files, or text.
        columns: column → how to read it.
        delimiter: of text files, one character.
        header: names of the columns of text files that have no header line.
        quoted_newlines: whether a quoted entry may hold line ends; line numbers in messages then count rows.

    Returns:
        batches with exactly ``columns``, typed by their kinds; none is empty.

    Raises:
        InputError: a file or column is missing, the text is not UTF-8, or too many rows are malformed.
    """
    for path in paths:
        names = column_names(path, delimiter)
        if header is not None and path.suffix != ".parquet":
            names = list(header)
        require_columns(path, names, list(columns))
    return _rows(request, paths, columns, delimiter, header, quoted_newlines)


def _rows(
    request: Request,
    paths: Sequence[Path],
    columns: Mapping[str, Column],
    delimiter: str,
    header: Sequence[str] | None,
    quoted_newlines: bool,
) -> Iterator[pa.RecordBatch]:
    for path in paths:
        request.touch(path)
        if path.suffix == ".parquet":
            batches = _parquet(request, path, columns)
        else:
            batches = _text(request, path, columns, delimiter, header, quoted_newlines)
        yield from (batch for batch in batches if batch.num_rows)
        request.malformed.check(path, finished=True)


def column_names(path: Path, delimiter: str = ",") -> list[str]:
    """Names in a file's header, in order.

    Raises:
        InputError: the file is missing, empty or not readable as what its suffix says.
    """
    if not path.is_file():
        raise InputError(f"File {path} does not exist.")
    if path.suffix == ".parquet":
        return list(_open_parquet(path).schema_arrow.names)
    try:
        with pa.input_stream(str(path)) as stream:
            head = stream.read(2**20).decode("utf-8-sig", errors="replace")
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    line = re.split(r"[\r\n]", head, maxsplit=1)[0]
    if not line.strip():
        raise InputError(f"{path}, line 1: the header is empty.")
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path}, line 1: the header cannot be read: {error}.") from None


def require_columns(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise InputError unless the file has every wanted column."""
    for name in wanted:
        if name not in present:
            raise InputError(
                f"{path} has no column {name!r}.{did_you_mean(name, present)} Its columns: {', '.join(present)}."
            )
        if present.count(name) > 1:
            raise InputError(f"{path} has {present.count(name)} columns {name!r}: rename all but one.")


# --- text -------------------------------------------------------------------------------------------------------


class _CountingFile:
    """A binary file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, request: Request) -> None:
        self._file, self._request = file, request
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._request.advance(len(data))
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
        self._file.close()


class _Lines:
    """Line numbers of rows: the parser counts neither blank lines nor, in what it returns, rows it left out.

    Args:
        path: the file.
        header: lines of its header.
    """

    def __init__(self, path: Path, header: int) -> None:
        self._path, self._header = path, header
        self._left_out: list[int] = []
        self._swallowed = 0

    @cached_property
    def _blank(self) -> list[int]:
        """The blank lines; looked for when the first malformed row is reported, so that clean files pay nothing."""
        with pa.input_stream(str(self._path)) as stream:
            lines = enumerate(io.BufferedReader(stream, _BLOCK_BYTES), 1)
            return [number for number, line in lines if line in (b"\n", b"\r\n")]

    def leave_out(self, row: int, lines: int) -> int:
        """Note that the parser leaves out its ``row``-th row (from 1), which takes some lines; returns its first."""
        first = row + self._swallowed
        self._left_out.extend(range(first, first + lines))
        self._swallowed += lines - 1
        return _skip(first, self._blank)

    def of_row(self, index: int) -> int:
        """Line of the ``index``-th row returned (from 0)."""
        return _skip(_skip(self._header + 1 + index, self._left_out), self._blank)


def _skip(number: int, left_out: list[int]) -> int:
    """The ``number``-th of 1, 2, 3, … without those left out (ascending)."""
    found, skipped = number, 0
    while (now := bisect_right(left_out, found)) != skipped:
        found, skipped = number + now, now
    return found


def _text(
    request: Request,
    path: Path,
    columns: Mapping[str, Column],
    delimiter: str,
    header: Sequence[str] | None,
    quoted_newlines: bool,
) -> Iterator[pa.RecordBatch]:
    names = column_names(path, delimiter) if header is None else list(header)
    lines = _Lines(path, header=int(header is None))
    batches = _parsed(request, path, columns, delimiter, names, header is None, quoted_newlines, lines)
    done = 0
    for batch in batches:
        rows = batch.num_rows
        request.malformed.read(path, rows)
        yield _typed(request, path, batch, columns, lambda index, done=done: lines.of_row(done + index))
        done += rows
        request.malformed.check(path, finished=False)


def _parsed(
    request: Request,
    path: Path,
    columns: Mapping[str, Column],
    delimiter: str,
    names: list[str],
    has_header: bool,
    quoted_newlines: bool,
    lines: _Lines,
) -> Iterator[pa.RecordBatch]:
    """Batches of text columns; rows of another number of fields are counted here."""

    def leave_out(row: Any) -> str:
        count = 1 if quoted_newlines else row.text.rstrip("\r\n").count("\n") + 1
        line = lines.leave_out(row.number, count)
        if row.text.strip():
            reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
            if count > 1:
                reason = "a quoted entry does not end on its line"
            request.malformed.read(path, count)
            request.malformed.add(path, line, reason, row.text, count)
        return "skip"

    compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(path.suffix)
    try:
        with (
            path.open("rb") as file,
            pa.input_stream(
                pa.PythonFile(_CountingFile(cast(BinaryIO, file), request), mode="r"), compression=compression
            ) as stream,
        ):
            yield from pa.csv.open_csv(
                stream,
                pa.csv.ReadOptions(
                    use_threads=False,  # with threads the parser does not know line numbers
                    block_size=_BLOCK_BYTES,
                    column_names=names,
                    skip_rows=int(has_header),
                ),
                pa.csv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=quoted_newlines,
                    invalid_row_handler=leave_out,
                ),
                pa.csv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict.fromkeys(columns, pa.string()),
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error) or "Could not skip initial" in str(error):  # no row follows the header
            return
        _refuse_text(path, error)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _refuse_text(path: Path, error: pa.ArrowInvalid) -> NoReturn:
    line = _first_line_not_utf8(path)
    if line is not None:
        raise InputError(f"{path}, line {line}: the text is not UTF-8. Save the file as UTF-8.") from None
    raise InputError(f"{path} cannot be read: {error}.") from None


def _first_line_not_utf8(path: Path) -> int | None:
    number, rest = 1, b""
    with pa.input_stream(str(path)) as stream:
        while block := stream.read(_BLOCK_BYTES):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                if not _is_utf8(line):
                    return number
                number += 1
    return None if _is_utf8(rest) else number


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# --- Parquet ----------------------------------------------------------------------------------------------------


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from None


def _parquet(request: Request, path: Path, columns: Mapping[str, Column]) -> Iterator[pa.RecordBatch]:
    file = _open_parquet(path)
    size, total, done = path.stat().st_size, max(1, file.metadata.num_rows), 0
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=list(columns)):
        rows = batch.num_rows
        request.malformed.read(path, rows)
        request.advance(size * (done + rows) // total - size * done // total)
        texts = pa.RecordBatch.from_arrays([_as_text(batch.column(name)) for name in columns], list(columns))
        yield _typed(request, path, texts, columns, lambda index, done=done: done + index + 1)
        done += rows
        request.malformed.check(path, finished=False)


def _as_text(column: pa.Array) -> pa.Array:
    """A column of any scalar type as text, null as an empty entry."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif pa.types.is_nested(column.type):
        raise InputError(f"A column of type {column.type} cannot be read: it must hold single values.")
    return pc.fill_null(column.cast(pa.string()), "")


# --- text → values ----------------------------------------------------------------------------------------------


def _typed(
    request: Request, path: Path, batch: pa.RecordBatch, columns: Mapping[str, Column], line_of: Any
) -> pa.RecordBatch:
    """Convert text columns; rows that cannot be converted are counted and left out."""
    arrays, bad = [], pa.repeat(pa.scalar(False), batch.num_rows)
    for name, column in columns.items():
        texts = batch.column(batch.schema.get_field_index(name))
        values, wrong = _convert(texts, column.kind)
        if column.required and values.null_count:
            missing = _missing(texts, column.kind)
            _count(request, path, name, texts, pc.and_(missing, pc.invert(bad)), "empty", line_of)
            bad = pc.or_(bad, missing)
        if wrong is not None:
            reason = _ERRORS[column.kind]
            _count(request, path, name, texts, pc.and_(wrong, pc.invert(bad)), reason, line_of)
            bad = pc.or_(bad, wrong)
        arrays.append(values)
    typed = pa.RecordBatch.from_arrays(arrays, list(columns))
    return typed.filter(pc.invert(bad)) if pc.any(bad).as_py() else typed


def _count(
    request: Request, path: Path, name: str, texts: pa.Array, wrong: pa.Array, reason: str, line_of: Any
) -> None:
    reason = f"`{name}` is empty" if reason == "empty" else f"`{name}` {reason}"
    positions = pc.indices_nonzero(wrong)
    for count, position in enumerate(positions.to_pylist()):
        if count == _SHOWN_SEPARATELY:
            rest = len(positions) - count
            request.malformed.add(path, line_of(position), reason, texts[position].as_py(), rest)
            break
        request.malformed.add(path, line_of(position), reason, texts[position].as_py())


_SHOWN_SEPARATELY = 5


def _missing(texts: pa.Array, kind: str) -> pa.Array:
    words = _MISSING_TOKEN if kind == "token" else _MISSING_NUMBER
    return pc.is_in(pc.utf8_trim_whitespace(texts), value_set=pa.array(words))


def _convert(texts: pa.Array, kind: str) -> tuple[pa.Array, pa.Array | None]:
    """Typed values, null where missing or wrong; and which entries are wrong, None if none is."""
    if kind == "float" or (kind == "int" and not pc.any(pc.match_substring(texts, "x")).as_py()):  # 0x1F is no number
        try:  # nearly all batches hold clean numbers, which this converts several times faster
            values = pc.cast(texts, _TYPES[kind])
            if kind == "int" or pc.all(pc.is_finite(values)).as_py() is not False:
                return values, None
        except pa.ArrowInvalid:
            pass
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(_missing(texts, kind), pa.scalar(None, pa.string()), texts)
    if kind == "token":
        wrong = pc.fill_null(pc.match_substring_regex(texts, _UNSAFE), False)
        return texts, wrong if pc.any(wrong).as_py() else None
    pattern = {"int": _WHOLE, "float": _NUMBER, "datetime": _DATETIME}[kind]
    wrong = pc.fill_null(pc.invert(pc.match_substring_regex(texts, pattern)), False)
    clean = pc.if_else(wrong, pa.scalar(None, pa.string()), texts)
    values, overflow = _parse(clean, kind)
    return values, pc.or_(wrong, overflow)


def _parse(texts: pa.Array, kind: str) -> tuple[pa.Array, pa.Array]:
    """Values of well-formed entries; and which of them do not fit the type (float: are infinite)."""
    if kind == "int":
        texts = pc.replace_substring_regex(texts, r"^\+|\.0*$", "")
    parse = _seconds if kind == "datetime" else lambda part: pc.cast(part, _TYPES[kind])
    try:
        values = parse(texts)
    except (pa.ArrowInvalid, ValueError):
        values = pa.array([_parse_one(text, parse) for text in texts], _TYPES[kind])
    if kind == "float":
        infinite = pc.fill_null(pc.invert(pc.is_finite(values)), False)
        return pc.if_else(infinite, pa.scalar(None, pa.float64()), values), infinite
    return values, pc.and_(pc.is_valid(texts), pc.is_null(values))


def _parse_one(text: pa.Scalar, parse: Any) -> Any:
    try:
        return parse(pa.array([text.as_py()], pa.string()))[0].as_py()
    except (pa.ArrowInvalid, ValueError):
        return None


_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


def _seconds(texts: pa.Array) -> pa.Array:
    """ISO date-times → int64 seconds since 1970, fractions cut off."""
    texts = pc.replace_substring_regex(texts, r"\.\d+", "")
    zoned = pc.fill_null(pc.match_substring_regex(texts, r"\d(Z|[+-]\d{2}:\d{2}|[+-]\d{4})$"), False)
    dated = pc.fill_null(pc.match_substring_regex(texts, r"^\d{4}-\d{2}-\d{2}$"), False)
    plain = pc.if_else(dated, pc.binary_join_element_wise(texts, pa.scalar("00:00:00"), " "), texts)
    no_zone = pc.if_else(pc.and_(zoned, pc.invert(dated)), pa.scalar(None, pa.string()), plain)
    utc = pc.cast(pc.cast(no_zone, pa.timestamp("s")), pa.int64())
    if not pc.any(pc.and_(zoned, pc.invert(dated))).as_py():
        return utc
    with_zone = pc.if_else(pc.and_(zoned, pc.invert(dated)), plain, pa.scalar(None, pa.string()))
    return pc.coalesce(utc, pc.cast(pc.cast(with_zone, pa.timestamp("s", tz="UTC")), pa.int64()))
