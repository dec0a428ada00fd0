"""The fast way to read an atomic file: pyarrow's multi-threaded parser, for files in which nothing is irregular.

What is returned equals what the checked reader of :mod:`recbole_vagnn.data.atomic` returns for the same file, ids
as categories in place of one Python string a row. Whatever the two parsers could understand differently, and
whatever the checked reader refuses with a message, is left to it: then the answer here is None.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

MISSING = ("", "nan", "NaN")  # the words for a missing entry, for both readers

_CHUNK = 2**20  # bytes looked at, and parsed by one thread, at once
_IRREGULAR = (b'"', b"\0")  # quotes hide separators and line ends, and pandas ends an entry at a zero byte
_HEXADECIMAL = (b"0x", b"0X")  # whole numbers for pyarrow, no numbers for pandas
_WHOLE = r"^-?[0-9]{1,19}$"
# Of digits below 2^53, pandas' own conversion too gives the nearest float64: 15 digits, or a time in microseconds.
_FRACTION = r"^-?([0-9.]{1,16}|[0-8][0-9]{9}\.[0-9]{6})$"


def read_fast(
    path: Path, columns: Mapping[str, str], separator: str, encoding: str, header: Sequence[str]
) -> pd.DataFrame | None:
    """Read some columns of a regular atomic file.

    Args:
        path: the file; its first line is the header.
        columns: field → type of the columns to read, in file order.
        separator: field separator.
        encoding: text encoding.
        header: all fields, in file order.

    Returns:
        One row per line: ``token`` columns are categorical with categories of str, in order of first occurrence,
        and no category where the entry is missing; ``float`` columns hold int64 if every entry is a whole number,
        else float64, all of them finite. None if the file is not regular: its text is not UTF-8 or has double
        quotes or zero bytes, a line has not as many fields as the header, a number is missing or written in an
        unusual way, a fraction has more digits than float64, there are no rows, a column is a sequence, or the
        separator is not one ASCII character.
    """
    if not columns or not set(columns.values()) <= {"token", "float"} or not _is_plain_format(separator, encoding):
        return None
    try:
        hexadecimal = _scan(path)
        parsed = _parse(path, columns, _options(separator, header), not hexadecimal)
        parsed.update({name: _numbers(parsed[name]) for name, kind in columns.items() if kind == "float"})
        return _to_frame(parsed)
    except (_IrregularFileError, UnicodeDecodeError, pa.ArrowException):
        return None


class _IrregularFileError(Exception):
    """The file is for the checked reader."""


def _is_plain_format(separator: str, encoding: str) -> bool:
    try:
        utf8 = codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False
    return utf8 and len(separator) == 1 and separator.isascii() and separator not in '"\r\n\0'


def _scan(path: Path) -> bool:
    """Look at all bytes, those of columns that are not read as well, as the checked reader does.

    Returns:
        whether some number may be hexadecimal.

    Raises:
        _IrregularFileError: the text has double quotes or zero bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    hexadecimal = False
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if any(mark in chunk for mark in _IRREGULAR):
                raise _IrregularFileError
            # Single bytes and ASCII text are told many times faster than pairs of bytes and other text.
            hexadecimal = hexadecimal or any(mark[1:] in chunk and mark in chunk for mark in _HEXADECIMAL)
            inside_character = bool(decoder.getstate()[0])
            if inside_character or not chunk.isascii():
                decoder.decode(chunk)
    decoder.decode(b"", final=True)
    return hexadecimal


def _options(separator: str, header: Sequence[str]) -> dict[str, Any]:
    return {
        "read_options": pa_csv.ReadOptions(column_names=list(header), skip_rows=1, block_size=_CHUNK),
        # An empty line is a line with too few fields, unless the header has but one.
        "parse_options": pa_csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
    }


def _conversion(columns: Iterable[str], types: Mapping[str, pa.DataType]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        include_columns=list(columns),
        column_types=types,
        null_values=list(MISSING),
        strings_can_be_null=True,
        check_utf8=False,  # _scan has decoded every byte
    )


def _parse(
    path: Path, columns: Mapping[str, str], options: dict[str, Any], guess_whole: bool
) -> dict[str, pa.ChunkedArray]:
    """Columns of strings and, if the first lines are whole numbers and ``guess_whole``, of int64.

    All types are given, since pyarrow needs twice the memory where it infers them from the whole column.
    """
    text = dict.fromkeys(columns, pa.string())
    with pa_csv.open_csv(str(path), convert_options=_conversion(columns, {}), **options) as first_lines:
        inferred = {field.name: field.type for field in first_lines.schema}
    whole = {name for name, kind in columns.items() if kind == "float" and pa.types.is_int64(inferred[name])}
    types = text | (dict.fromkeys(whole, pa.int64()) if guess_whole else {})
    try:
        table = pa_csv.read_csv(str(path), convert_options=_conversion(columns, types), **options)
    except pa.ArrowInvalid:  # a later line has a fraction, or is irregular indeed
        table = pa_csv.read_csv(str(path), convert_options=_conversion(columns, text), **options)
    if len(table) == 0:
        raise _IrregularFileError
    return dict(zip(table.column_names, table.columns, strict=True))


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 or float64 numbers of a column, those that pandas would read.

    Raises:
        _IrregularFileError: an entry is missing, or not a number that both parsers are sure to read alike.
    """
    if column.null_count:
        raise _IrregularFileError
    if pa.types.is_int64(column.type):
        return column
    for pattern, kind in ((_WHOLE, pa.int64()), (_FRACTION, pa.float64())):
        if pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return column.cast(kind)
    raise _IrregularFileError


def _to_frame(columns: dict[str, pa.ChunkedArray]) -> pd.DataFrame:
    """The columns as pandas has them; each is taken out of ``columns``, so that its text is given back at once."""
    converted: dict[str, Any] = {}
    for name in list(columns):
        column = columns.pop(name)
        converted[name] = _categorical(column) if pa.types.is_string(column.type) else _writable(column)
    return pd.DataFrame(converted, copy=False)


def _categorical(column: pa.ChunkedArray) -> pd.Categorical:
    encoded = column.dictionary_encode().combine_chunks()
    tokens = pd.Index(encoded.dictionary.to_numpy(zero_copy_only=False), dtype=object)
    return pd.Categorical.from_codes(_writable(encoded.indices.fill_null(-1)), tokens, validate=False)


def _writable(numbers: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """As numpy's own array: what pyarrow lends may not be written to, which RecBole does."""
    return np.require(numbers.to_numpy(), requirements="W")
