"""Reading raw files as the pipeline does, for the tests of the sources and the reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.source import Items, Log, RawData, Request, Source

FORMATS = Path(__file__).parents[3] / "shared" / "data" / "formats"


@dataclass
class Reading:
    """A request that records what it is told."""

    path: Path | None = None
    options: Any = None
    signals: frozenset[str] = frozenset()
    malformed: Malformed = field(default_factory=lambda: Malformed(max_share=1.0))
    bytes_read: int = 0
    touched: list[str] = field(default_factory=list)

    @property
    def request(self) -> Request:
        def advance(count: int) -> None:
            self.bytes_read += count

        return Request(
            self.path, self.options, self.signals, self.malformed, advance, lambda path: self.touched.append(path.name)
        )

    def read(self, source: Source) -> RawData:
        if self.options is None:
            self.options = source.options()
        return source.read(self.request)


def rows(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """All rows; fails if the batches differ in their schema or one is empty."""
    batches = list(batches)
    assert len({str(batch.schema) for batch in batches}) <= 1
    assert all(batch.num_rows for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def tuples(batches: Iterable[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    """All rows without the names of their columns."""
    return [tuple(row.values()) for row in rows(batches)]


def types(batches: Iterable[pa.RecordBatch]) -> dict[str, str]:
    """Column → type of the first batch."""
    schema = next(iter(batches)).schema
    return dict(zip(schema.names, map(str, schema.types), strict=True))


def signal_values(log: Log, signal: str, items: Items | None = None) -> list[Any]:
    """What a signal is in every row of a log, by the database that the pipeline uses."""
    tables = {"log": pa.Table.from_batches(log.batches)}
    join = ""
    if log.joins_items:
        assert items is not None
        tables["items"] = pa.Table.from_batches(items.batches)
        join = f' LEFT JOIN items ON items."{items.item}" = log."{log.item}"'
    with duckdb.connect() as connection:
        for name, table in tables.items():
            if name == "log":
                table = table.append_column("pos", pa.array(range(table.num_rows)))
            connection.register(name, table)
        query = f"SELECT {log.signals[signal]} FROM log{join} ORDER BY log.pos"
        return [value for (value,) in connection.execute(query).fetchall()]
