"""Tables of recommendations written to a file or a stream as they come, in bounded memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from recbole_vagnn.errors import InputError

FORMATS = ("csv", "parquet", "json")
_OF_USER = ("user", "source")  # said once for each user in JSON


class Writer(Protocol):
    """Takes tables of one schema, whole users at a time, and is closed at the end."""

    def write(self, table: pa.Table) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write what belongs at the end."""


class _Csv:
    """Comma-separated, with a header; lists as JSON text."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._nested = [i for i, field in enumerate(schema) if pa.types.is_nested(field.type)]
        for i in self._nested:
            schema = schema.set(i, pa.field(schema.field(i).name, pa.string()))
        options = pa_csv.WriteOptions(quoting_style="needed")
        self._writer = pa_csv.CSVWriter(stream, schema, write_options=options)

    def write(self, table: pa.Table) -> None:
        for i in self._nested:
            values = [None if value is None else _json(value) for value in table.column(i).to_pylist()]
            table = table.set_column(i, table.schema.field(i).name, pa.array(values, pa.string()))
        self._writer.write(table)

    def close(self) -> None:
        self._writer.close()


class _Parquet:
    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(stream, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _Json:
    """One JSON array with an object for each user, one a line: ``{"user", "source", "items": [{…}, …]}``."""

    def __init__(self, stream: BinaryIO, _schema: pa.Schema) -> None:
        self._stream = stream
        self._before = b"[\n"

    def write(self, table: pa.Table) -> None:
        users: dict[str, dict[str, Any]] = {}
        for row in _floats_as_written(table).to_pylist():
            about = {name: row.pop(name) for name in _OF_USER}
            users.setdefault(about["user"], {**about, "items": []})["items"].append(row)
        for user in users.values():
            self._stream.write(self._before + _json(user).encode())
            self._before = b",\n"

    def close(self) -> None:
        self._stream.write((b"[" if self._before == b"[\n" else b"\n") + b"]\n")


_WRITERS: dict[str, Any] = {"csv": _Csv, "parquet": _Parquet, "json": _Json}


@contextmanager
def open_writer(path: Path | None, form: str, schema: pa.Schema) -> Iterator[Writer]:
    """A writer of a format; the file is there as a whole after the block, or not at all.

    Args:
        path: the file; None = standard output.
        form: one of ``FORMATS``.
        schema: of the tables.

    Raises:
        InputError: Parquet to the standard output, or a folder that does not exist.
    """
    if path is None:
        if form == "parquet":
            raise InputError("Parquet is no text: say where to write it with --out FILE.")
        writer = _WRITERS[form](sys.stdout.buffer, schema)
        yield writer
        writer.close()
        sys.stdout.buffer.flush()
        return
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: the folder {path.parent} does not exist. Make it first.")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            writer = _WRITERS[form](stream, schema)
            try:
                yield writer
            finally:
                writer.close()  # before its stream is
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _floats_as_written(table: pa.Table) -> pa.Table:
    """float32 columns as the shortest decimal numbers that mean them: 0.1, not 0.10000000149011612."""
    for i, field in enumerate(table.schema):
        if pa.types.is_float32(field.type):
            column = table.column(i).cast(pa.string()).cast(pa.float64())
            table = table.set_column(i, field.name, column)
    return table
