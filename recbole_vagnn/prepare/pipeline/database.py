"""The database that filters more rows than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from recbole_vagnn.errors import InputError

Connection = duckdb.DuckDBPyConnection


@contextmanager
def database(folder: Path, memory: str, threads: int | None) -> Iterator[Connection]:
    """An empty database in ``folder``; it spills to disk beyond ``memory``.

    Args:
        folder: for its files; the caller removes it.
        memory: limit, e.g. ``"2GB"``.
        threads: None = all cores.

    Raises:
        InputError: ``memory`` is not a size, or the disk is full.
    """
    connection = duckdb.connect(str(folder / "work.duckdb"))
    try:
        run(connection, f"SET memory_limit = {quoted(memory, chr(39))}")
        run(connection, f"SET temp_directory = {quoted(str(folder / 'spill'), chr(39))}")
        # Every table has a `pos` column; keeping rows in order besides would cost memory.
        run(connection, "SET preserve_insertion_order = false")
        run(connection, "SET enable_progress_bar = false")
        if threads is not None:
            run(connection, f"SET threads = {threads:d}")
    except duckdb.Error as error:
        connection.close()
        raise InputError(f"--memory {memory}: {_first_line(error)}") from None
    try:
        yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise InputError(
            f"The database ran out of room: {_first_line(error)} Raise --memory (now {memory}), or free disk space "
            f"where the data set is written."
        ) from None
    finally:
        connection.close()


def quoted(name: str, mark: str = '"') -> str:
    """An identifier (or, with ``'``, a text) as SQL."""
    return mark + name.replace(mark, mark * 2) + mark


def run(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """Run a statement to its end; all its rows (of INSERT and DELETE: their number).

    It runs beside the caller's thread, which can so be interrupted: on its own the database notices Ctrl-C only
    when the statement has ended.
    """
    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(lambda: connection.execute(query).fetchall())
        try:
            return future.result()
        except KeyboardInterrupt:
            while not future.done():  # again and again, in case the statement has not begun
                connection.interrupt()
                wait([future], 0.1)
            raise


def one(connection: Connection, query: str) -> tuple[Any, ...]:
    """The only row of a query."""
    (row,) = run(connection, query)
    return row


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
