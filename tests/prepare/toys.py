"""Small raw data for the tests of the pipeline, and the tables that it makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from recbole_vagnn.prepare.pipeline.database import Connection, database, run
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.loading import Loaded, load
from recbole_vagnn.prepare.pipeline.run import Prepared, prepare
from recbole_vagnn.prepare.pipeline.selection import PairCounts, Step, restrict, select
from recbole_vagnn.prepare.pipeline.source import Follows, Items, Log, RawData
from tests.prepare.reference import Row


def batches(columns: dict[str, list[Any]], size: int = 5) -> list[pa.RecordBatch]:
    """Columns in batches of a few rows; a column of nothing but None is of strings."""
    arrays = {name: pa.array(values) for name, values in columns.items()}
    strings = {name: array.cast(pa.string()) for name, array in arrays.items() if pa.types.is_null(array.type)}
    return pa.table(arrays | strings).to_batches(max_chunksize=size)


def raw_data(
    log: Sequence[Row],
    items: Sequence[tuple[Any, Any]] | None = None,
    follows: Sequence[tuple[Any, Any, float | None]] = (),
    *,
    time_unit: str | None = None,
    timed: bool = True,
    has_order: bool = True,
) -> RawData:
    """Rows as a source hands them over; the vloggers are the log's unless there are items."""
    columns: dict[str, list[Any]] = {"u": [row.user for row in log], "i": [row.item for row in log]}
    columns |= {"t": [row.time for row in log], "value": [row.value for row in log]}
    if items is None:
        columns["p"] = [row.vlogger for row in log]
    own = Log(
        batches(columns),
        "u",
        "i",
        "t" if timed else None,
        vlogger="p" if items is None else None,
        signals={"value": 'log."value"'},
        time_unit=time_unit,
    )
    table = None
    if items is not None:
        table = Items(batches({"i": [i for i, _ in items], "p": [p for _, p in items]}, 3), "i", "p")
    pairs = None
    if follows:
        users, vloggers, times = map(list, zip(*follows, strict=True))
        moments = pa.array(times, pa.float64() if any(isinstance(t, float) for t in times) else pa.int64())
        pairs = Follows(pa.table({"u": users, "p": vloggers, "t": moments}).to_batches(max_chunksize=2), "u", "p", "t")
    return RawData(own, table, pairs, has_order=has_order)


@dataclass
class Made:
    """What loading and filtering made."""

    connection: Connection
    loaded: Loaded
    steps: list[Step]
    counts: PairCounts

    @property
    def events(self) -> list[Row]:
        query = 'SELECT "user", item, time, vlogger, pos FROM events ORDER BY pos'
        return [Row(u, i, t, vlogger=p, pos=pos) for u, i, t, p, pos in run(self.connection, query)]

    @property
    def items(self) -> list[tuple[Any, Any]]:
        return run(self.connection, "SELECT item, vlogger FROM items ORDER BY pos")

    @property
    def pairs(self) -> dict[tuple[Any, Any], Any]:
        rows = run(self.connection, 'SELECT "user", vlogger, time FROM pairs')
        assert len({row[:2] for row in rows}) == len(rows)
        return {(user, vlogger): time for user, vlogger, time in rows}


@contextmanager
def connected(memory: str = "500MB", threads: int | None = 2) -> Iterator[Connection]:
    with tempfile.TemporaryDirectory() as folder, database(Path(folder), memory, threads) as connection:
        yield connection


@contextmanager
def made(data: RawData, filters: Filters | None = None, **options: Any) -> Iterator[Made]:
    """Load and filter; ``min_history`` is off unless given."""
    filters = filters or Filters(**({"min_history": 0} | options))
    with connected() as connection:
        loaded = load(connection, data, filters)
        steps = select(connection, filters)
        yield Made(connection, loaded, steps, restrict(connection, filters))


# --- a hand-worked example --------------------------------------------------------------------------------------

LOG = """user,item,time,rating
u2,i9,50,5
u1,i1,30,4
u1,i2,10,5
u1,i3,20,1
u2,i1,40,3
u2,i2,60,2
u1,i1,35,5
u2,i3,70,4
u3,i1,5,5
u1,i4,80,5
"""
ITEMS = """item,creator,title,year
i1,p1,"One, two",1990
i2,p2,Zwei,
i3,,Drei,2001
i4,p1,Vier,1999
i5,p3,cold,2000
"""
FOLLOWS = """user,creator,time
u1,p1,15
u1,p1,12
u2,p2,
u3,p1,1
u1,p3,9
"""
COLUMNS = {"user_col": "user", "item_col": "item", "time_col": "time", "creator_col": "creator"}
EXAMPLE_FILES = [f"toy.{end}" for end in ("follow", "inter", "item", "prepare.json", "report.json", "report.md",
                                          "report.png", "yaml")]  # fmt: skip


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_example(folder: Path, log: str = LOG) -> Path:
    """Write log.csv, items.csv and follows.csv; returns the folder."""
    write_text(folder / "log.csv", log)
    write_text(folder / "items.csv", ITEMS)
    write_text(folder / "follows.csv", FOLLOWS)
    return folder


def prepare_example(source: Path, data_path: Path, **more: Any) -> Prepared:
    """Prepare the example as ``data_path/toy``; u3 has too few interactions and i9 no row of its own."""
    options = COLUMNS | {"items": str(source / "items.csv"), "keep": ("title", "year")}
    options |= {"follows": str(source / "follows.csv"), "follow_user_col": "user", "follow_time_col": "time"}
    given: dict[str, Any] = {"name": "toy", "data_path": data_path, "options": options} | more
    return prepare("table", source / "log.csv", **given)


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path → bytes of everything below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
