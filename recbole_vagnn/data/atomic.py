"""Reading RecBole's atomic files with checks that name file, line and field.

RecBole reads them with pandas' Python engine and passes over most mistakes in silence. The content returned
here is the same, except that integers (times, above all) keep 64 bits, and that of pandas' words for a missing
value only the empty entry, ``nan`` and ``NaN`` count: a user named ``NA`` or ``None`` is a user.

The checked reader below says what a file contains and what is wrong with it; a file in which nothing is unusual
is read several times faster, to the same content, by :mod:`~recbole_vagnn.data.arrow_reader`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_vagnn.data.arrow_reader import MISSING, read_fast
from recbole_vagnn.errors import InputError, did_you_mean

TYPES = ("token", "float", "token_seq", "float_seq")
_SHOWN = 3


def read_header(path: Path, separator: str, encoding: str) -> dict[str, str]:
    """Field → type, in file order, from the first line of an atomic file.

    Raises:
        InputError: the file is missing or empty, or a header entry is not ``name:type`` or repeated.
    """
    if not path.is_file():
        raise InputError(f"File {path} does not exist.")
    try:
        with path.open(encoding=encoding) as file:
            head = file.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        _refuse_encoding(path, encoding)
    header: dict[str, str] = {}
    for entry in head.split(separator):
        name, _, kind = entry.partition(":")
        if kind not in TYPES:
            raise InputError(
                f"{path}, line 1: header entry {entry!r} is not `name:type` with a type of {', '.join(TYPES)}. "
                f"Check the header and that fields are separated by {separator!r}."
            )
        if name in header:
            raise InputError(f"{path}, line 1: column {name!r} appears twice. Rename or remove one.")
        header[name] = kind
    return header


def require_columns(path: Path, header: Iterable[str], wanted: Mapping[str, str]) -> None:
    """Raise InputError unless every wanted column is in the header.

    Args:
        path: the file.
        header: its columns.
        wanted: column → the option that names it.
    """
    present = list(header)
    for column, option in wanted.items():
        if column not in present:
            raise InputError(
                f"{path} has no column {column!r}.{did_you_mean(column, present)} Its columns: "
                f"{', '.join(present)}. Set `{option}` to one of them, or add the column."
            )


def require_type(path: Path, header: Mapping[str, str], columns: Iterable[str], kind: str) -> None:
    """Raise InputError unless those of ``columns`` that the file has are of type ``kind``."""
    for column in columns:
        if header.get(column, kind) != kind:
            raise InputError(
                f"{path}, line 1: column {column!r} is of type {header[column]}, it must be a {kind}. "
                f"Declare it as `{column}:{kind}`, with one {kind} a row."
            )


def read_atomic(
    path: Path, columns: dict[str, str], separator: str, encoding: str, whole_header: dict[str, str]
) -> pd.DataFrame:
    """Read some columns of an atomic file.

    Args:
        path: the file.
        columns: field → type of the columns to read, in file order.
        separator: field separator.
        encoding: text encoding.
        whole_header: field → type of all columns.

    Returns:
        One row per line. ``token`` and ``*_seq`` columns hold str, or NaN where the entry is empty: as objects or,
        ``token`` columns of a regular file, as categories. ``float`` columns hold int64 if every entry is a
        whole number, else float64.

    Raises:
        InputError: there are no rows, a line has too many fields or other bytes than ``encoding``, or a ``float``
            entry is empty or not a number.
    """
    frame = read_fast(path, columns, separator, encoding, list(whole_header))
    return _read_checked(path, columns, separator, encoding, whole_header) if frame is None else frame


def _read_checked(
    path: Path, columns: dict[str, str], separator: str, encoding: str, whole_header: dict[str, str]
) -> pd.DataFrame:
    text = [name for name in columns if columns[name] != "float"]
    try:
        with warnings.catch_warnings():
            # The parser compares each line with the one before, and warns where the first has too many fields.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(  # all columns: with `usecols`, pandas cuts surplus fields off in silence
                path,
                sep=separator,
                header=0,
                names=list(whole_header),
                dtype=dict.fromkeys(text, str),
                encoding=encoding,
                keep_default_na=False,
                na_values=list(MISSING),
                skip_blank_lines=False,
                low_memory=False,
                index_col=False,
            )[list(columns)]
    except UnicodeDecodeError:
        _refuse_encoding(path, encoding)
    except pd.errors.ParserWarning:
        raise InputError(f"{path}, line 2: {_too_many(whole_header, separator)}") from None
    except pd.errors.ParserError as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise InputError(f"{path}: {reason}. {_too_many(whole_header, separator)}") from None
    if frame.empty:
        raise InputError(f"{path} has a header but no rows. Add rows, or remove the file if it is optional.")
    for name, kind in columns.items():
        if kind == "float":
            _check_numbers(path, name, frame[name])
    return frame


def _too_many(header: Mapping[str, str], separator: str) -> str:
    return (
        f"Each line must have the {len(header)} field(s) of the header, separated by {separator!r}, and a double "
        f"quote must be closed on its line."
    )


def _refuse_encoding(path: Path, encoding: str) -> NoReturn:
    bad = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                bad.append(number)
    where = f"{len(bad)} line(s), first line {bad[0]}," if bad else "the text"
    raise InputError(f"{path}: {where} cannot be read as {encoding}. Save it as {encoding}, or set `encoding`.")


def _check_numbers(path: Path, name: str, column: pd.Series) -> None:
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        bad = pd.to_numeric(column.astype(str), errors="coerce").isna().to_numpy()
        if not bad.any():  # booleans, or numbers beyond float64
            bad[:] = True
        raise InputError(f"{_rows(path, bad, column)}: `{name}` is not a number. Correct or remove them.")
    finite = np.isfinite(column.to_numpy(dtype=np.float64))
    if not finite.all():
        raise InputError(f"{_rows(path, ~finite, column)}: `{name}` is empty, NaN or infinite. Correct or remove them.")


def require_values(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError where an id is empty or NaN."""
    for name in columns:
        bad = frame[name].isna().to_numpy()
        if bad.any():
            raise InputError(f"{_rows(path, bad, frame[name])}: `{name}` is empty or NaN. Correct or remove them.")


def require_unique(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Raise InputError where an id has more than one row."""
    repeated = frame[column].duplicated(keep="first").to_numpy()
    if repeated.any():
        raise InputError(
            f"{_rows(path, repeated, frame[column])}: `{column}` has had a row before. An item has one row and "
            f"one vlogger: keep one of them."
        )


def split_sequences(
    path: Path, column: pd.Series, kind: str, separator: str, limit: int | None
) -> list[NDArray[np.generic]]:
    """The elements of each ``token_seq`` or ``float_seq`` entry, the first ``limit`` of them.

    Raises:
        InputError: an element of a ``float_seq`` is not a number.
    """
    cast = str if kind == "token_seq" else float
    parts = [[part for part in text.split(separator) if part] for text in column.fillna("")]
    try:
        return [np.array([cast(part) for part in row][:limit]) for row in parts]
    except ValueError:
        bad = np.array([not all(map(_is_number, row)) for row in parts])
        raise InputError(
            f"{_rows(path, bad, column)}: `{column.name}` is not a list of numbers separated by {separator!r}. "
            f"Correct them."
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(path: Path, bad: NDArray[np.bool_], column: pd.Series) -> str:
    """`file: 12 row(s), first at line 3 ('x'), line 9 (empty)` (the header is line 1)."""
    positions = np.flatnonzero(bad)
    values = column.iloc[positions[:_SHOWN]]
    texts = ["empty" if pd.isna(value) else repr(str(value)) for value in values]
    shown = ", ".join(f"line {p + 2} ({text})" for p, text in zip(positions, texts, strict=False))
    return f"{path}: {len(positions)} row(s), first at {shown}"
