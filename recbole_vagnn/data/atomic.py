"""Reading RecBole's atomic files with checks that name file, line and field.

RecBole reads them with pandas' Python engine and passes over most mistakes in silence. The content returned
here is the same, except that integers (times, above all) keep 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError, did_you_mean

TYPES = ("token", "float", "token_seq", "float_seq")
_MISSING = ["", "nan", "NaN"]
_SHOWN = 3


def read_header(path: Path, separator: str, encoding: str) -> dict[str, str]:
    """Field → type, in file order, from the first line of an atomic file.

    Raises:
        InputError: the file is missing or empty, or a header entry is not ``name:type``.
    """
    if not path.is_file():
        raise InputError(f"File {path} does not exist.")
    with path.open(encoding=encoding) as file:
        head = file.readline().rstrip("\r\n")
    header: dict[str, str] = {}
    for entry in head.split(separator):
        name, _, kind = entry.partition(":")
        if kind not in TYPES:
            raise InputError(
                f"{path}, line 1: header entry {entry!r} is not `name:type` with a type of {', '.join(TYPES)}. "
                f"Check the header and that fields are separated by {separator!r}."
            )
        header[name] = kind
    return header


def require_columns(path: Path, header: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise InputError unless every wanted column is in the header."""
    present = list(header)
    for column in wanted:
        if column not in present:
            raise InputError(
                f"{path} has no column {column!r}.{did_you_mean(column, present)} "
                f"Its columns: {', '.join(present)}."
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
        One row per line. ``token`` and ``*_seq`` columns hold str, or NaN where the entry is empty;
        ``float`` columns hold int64 if every entry is a whole number, else float64.

    Raises:
        InputError: a line has too many fields, or a ``float`` entry is empty or not a number.
    """
    text = [name for name in columns if columns[name] != "float"]
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            header=0,
            names=list(whole_header),
            usecols=list(columns),
            dtype=dict.fromkeys(text, str),
            encoding=encoding,
            keep_default_na=False,
            na_values=_MISSING,
            skip_blank_lines=False,
            low_memory=False,
            index_col=False,
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise InputError(f"{path} cannot be read: {reason}") from None
    for name, kind in columns.items():
        if kind == "float":
            _check_numbers(path, name, frame[name])
    return frame


def _check_numbers(path: Path, name: str, column: pd.Series) -> None:
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        bad = pd.to_numeric(column.astype(str), errors="coerce").isna().to_numpy()
        if not bad.any():  # booleans, or numbers beyond float64
            bad[:] = True
        raise InputError(f"{_rows(path, bad, column)}: `{name}` is not a number. Correct or remove them.")
    finite = np.isfinite(column.to_numpy(dtype=np.float64))
    if not finite.all():
        raise InputError(
            f"{_rows(path, ~finite, column)}: `{name}` is empty, NaN or infinite. Correct or remove them."
        )


def require_values(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError where an id is empty or NaN."""
    for name in columns:
        bad = frame[name].isna().to_numpy()
        if bad.any():
            raise InputError(
                f"{_rows(path, bad, frame[name])}: `{name}` is empty or NaN. Correct or remove them."
            )


def require_unique(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Raise InputError where an id has more than one row."""
    repeated = frame[column].duplicated(keep="first").to_numpy()
    if repeated.any():
        raise InputError(
            f"{_rows(path, repeated, frame[column])}: `{column}` has had a row before. An item has one row and "
            f"one vlogger: keep one of them."
        )


def _rows(path: Path, bad: NDArray[np.bool_], column: pd.Series) -> str:
    """`file: 12 row(s), first at line 3 ('x'), line 9 ('y')` (the header is line 1)."""
    positions = np.flatnonzero(bad)
    values = column.to_numpy()
    shown = ", ".join(f"line {p + 2} ({values[p]!r})" for p in positions[:_SHOWN])
    return f"{path}: {len(positions)} row(s), first at {shown}"
