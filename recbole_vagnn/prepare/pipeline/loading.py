"""From a source's streams to tables of the database.

Tables made here, ids of the source's own type:

- ``events``: user, item, time, vlogger (null = unknown), pos (row number in the input, from 0) and the columns the
  log keeps (see ``kept_columns``); the rows that ``--positive`` calls interactions;
- ``items``: item, vlogger, pos and the columns the items keep; one row each;
- ``pairs``: user, vlogger, time (null = unknown), of rows that ``--follow-from`` names and of explicit pairs; a
  pair's time is the earliest known. Where nothing orders the interactions no pair has a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.database import Connection, one, quoted, run
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.rules import parse_rule
from recbole_vagnn.prepare.pipeline.source import Batches, Follows, Items, Log, RawData

_PER_SECOND = {"s": 1, "ms": 1000}
_POSITION = "__position__"  # unlike any column of a source


@dataclass
class Loaded:
    """What was counted while loading.

    Attributes:
        rows: rows of the log that could be read.
        outside: of these, rows outside the time window.
        negative: rows inside that are no interaction by ``--positive``.
        conflicts: items named with two different vloggers; the first counts.
        without_row: items of the log that the table of items lacks; their vlogger is unknown.
    """

    rows: int = 0
    outside: int = 0
    negative: int = 0
    conflicts: int = 0
    without_row: int = 0


def load(connection: Connection, data: RawData, filters: Filters) -> Loaded:
    """Fill the tables.

    Raises:
        InputError: a rule names an unknown signal, the time window does not fit the data's time, or no row is an
            interaction.
    """
    loaded = Loaded()
    if data.items is not None:
        _load_items(connection, data.items, loaded)
    _load_log(connection, data.log, filters, loaded)
    if data.items is None:
        _items_of_log(connection, loaded)
    _join_vloggers(connection, data, loaded)
    if one(connection, "SELECT count(*) FROM events")[0] == 0:
        raise InputError(
            f"No row of the input is an interaction: of {loaded.rows:,} readable rows, {loaded.outside:,} are outside "
            f"the time window (--start {filters.start}, --until {filters.until}) and {loaded.negative:,} are no "
            f"interaction by --positive {' or '.join(map(repr, filters.positive)) or 'none'}. Relax them."
        )
    return loaded


def kept_columns(names: Iterable[str]) -> dict[str, str]:
    """Column of a source → its name in our tables, where it cannot meet a name of ours."""
    return {name: f"keep_{place}" for place, name in enumerate(names)}


def _append(connection: Connection, batch: pa.RecordBatch, offset: int, view: str) -> None:
    """Offer a batch to SQL as ``view``, with the row number as ``_POSITION``."""
    positions = pa.array(np.arange(offset, offset + batch.num_rows))
    connection.register(view, pa.Table.from_batches([batch]).append_column(_POSITION, positions))


def _fill(connection: Connection, table: str, batches: Batches, view: str, select: str, counts: str = "") -> list[int]:
    """Append ``select`` over every batch to ``table``; returns the sums of the ``counts`` over the batches."""
    offset, sums = 0, np.zeros(0, dtype=np.int64)
    for batch in batches:
        _append(connection, batch, offset, view)
        if offset == 0:
            run(connection, f"CREATE TABLE {table} AS {select} LIMIT 0")
        run(connection, f"INSERT INTO {table} {select}")
        if counts:
            now = np.array(one(connection, counts), dtype=np.int64)
            sums = now if offset == 0 else sums + now
        offset += batch.num_rows
    if offset == 0:
        raise InputError(
            f"The input has no readable row of {'interactions' if view == 'log' else view}. Check that --input names "
            f"the right files."
        )
    connection.unregister(view)
    return [offset, *map(int, sums)]


def _known(vlogger: str) -> str:
    return f"nullif({vlogger}::VARCHAR, '') IS NOT NULL"


def _load_items(connection: Connection, items: Items, loaded: Loaded) -> None:
    extra = kept_columns(items.keep) | {name: name for name in items.columns}
    columns = "".join(f", {quoted(name)} AS {quoted(column)}" for name, column in extra.items())
    select = f"SELECT {quoted(items.item)} AS item, {quoted(items.vlogger)} AS vlogger, {_POSITION} AS pos{columns}"
    _fill(connection, "item_rows", items.batches, "items", f"{select} FROM items")
    if one(connection, "SELECT count(*) = count(DISTINCT item) FROM item_rows")[0]:
        run(connection, "ALTER TABLE item_rows RENAME TO items")
        run(connection, f"UPDATE items SET vlogger = NULL WHERE vlogger IS NOT NULL AND NOT {_known('vlogger')}")
        return
    loaded.conflicts = _vlogger_conflicts(connection, "item_rows")
    order = f"{_known('vlogger')} DESC, pos"
    firsts = "".join(f", first({quoted(name)} ORDER BY {order}) AS {quoted(name)}" for name in extra.values())
    run(
        connection,
        f"CREATE TABLE items AS SELECT item, arg_min(vlogger, pos) FILTER ({_known('vlogger')}) AS vlogger, "
        f"min(pos) AS pos{firsts} FROM item_rows GROUP BY item",
    )
    run(connection, "DROP TABLE item_rows")


def _vlogger_conflicts(connection: Connection, table: str) -> int:
    query = (
        f"SELECT count(*) FROM (SELECT item FROM {table} WHERE {_known('vlogger')} GROUP BY item "
        f"HAVING min(vlogger) <> max(vlogger))"
    )
    return int(one(connection, query)[0])


def _load_log(connection: Connection, log: Log, filters: Filters, loaded: Loaded) -> None:
    positive = parse_rule(filters.positive, "--positive").sql(log.signals)
    follow = parse_rule(filters.follow_from, "--follow-from").sql(log.signals)
    inside = _window(log, filters)
    columns = {
        "user": f"log.{quoted(log.user)}",
        "item": f"log.{quoted(log.item)}",
        "time": f"log.{quoted(log.time)}" if log.time else f"log.{_POSITION}",
        "vlogger": f"log.{quoted(log.vlogger)}" if log.vlogger else "NULL",
        "positive": positive,
        "follow": follow,
        "pos": f"log.{_POSITION}",
        **{column: f"log.{quoted(name)}" for name, column in kept_columns(log.keep).items()},
    }
    selected = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in columns.items())
    join = f" LEFT JOIN items ON items.item = log.{quoted(log.item)}" if log.joins_items else ""
    source = f"FROM log{join}"
    loaded.rows, loaded.outside, loaded.negative = _fill(
        connection,
        "log_rows",
        log.batches,
        "log",
        f"SELECT {selected} {source} WHERE {inside} AND ({positive} OR {follow})",
        f"SELECT count(*) FILTER (NOT ({inside})), count(*) FILTER ({inside} AND NOT ({positive})) {source}",
    )


def _window(log: Log, filters: Filters) -> str:
    """The time window as an SQL truth value."""
    if filters.start is None and filters.until is None:
        return "true"
    if log.time is None:
        raise InputError("--start and --until need a time, which this input does not have. Leave them out.")
    time = f"log.{quoted(log.time)}"
    lower = "true" if filters.start is None else f"{time} >= {_moment(filters.start, '--start', log)}"
    upper = "true" if filters.until is None else f"{time} < {_moment(filters.until, '--until', log)}"
    return f"({lower} AND {upper})"


def _moment(text: str, option: str, log: Log) -> str:
    for parse in (int, float):
        try:
            number = parse(text)
        except ValueError:
            continue
        if not math.isfinite(number):
            raise InputError(f"{option} {text!r} is not finite. Give a number or a date, or leave {option} out.")
        return repr(number)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r} is neither a number nor a date such as 2022-04-10.") from None
    if log.time_unit is None:
        raise InputError(f"{option} {text!r}: the time of this input is not a date; give a number in its unit.")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return repr(int(moment.timestamp() * _PER_SECOND[log.time_unit]))


def _items_of_log(connection: Connection, loaded: Loaded) -> None:
    """The videos that the log names, with the first vlogger it gives each."""
    loaded.conflicts = _vlogger_conflicts(connection, "log_rows")
    run(
        connection,
        f"CREATE TABLE items AS SELECT item, arg_min(vlogger, pos) FILTER ({_known('vlogger')}) AS vlogger, "
        f"min(pos) AS pos FROM log_rows GROUP BY item",
    )


def _join_vloggers(connection: Connection, data: RawData, loaded: Loaded) -> None:
    """Split the rows of the log into interactions and follow pairs, both with the item's vlogger."""
    keep = "".join(f", r.{column}" for column in kept_columns(data.log.keep).values())
    # The narrow side of the join in memory: only items that somebody met.
    run(
        connection,
        "CREATE TABLE met AS SELECT item, vlogger FROM items WHERE item IN (SELECT DISTINCT item FROM log_rows)",
    )
    query = "SELECT count(DISTINCT item) FROM log_rows ANTI JOIN met USING (item)"
    loaded.without_row = int(one(connection, query)[0])
    pairs = (
        'SELECT r."user", met.vlogger, r.time FROM log_rows r JOIN met USING (item) '
        "WHERE r.follow AND met.vlogger IS NOT NULL"
    )
    if data.follows is not None:
        pairs += f" UNION ALL {_explicit_pairs(connection, data.follows)}"
    time = "min(time)" if data.has_order else "NULL::BIGINT"
    run(
        connection,
        f'CREATE TABLE pairs AS SELECT "user", vlogger, {time} AS time FROM ({pairs}) GROUP BY "user", vlogger',
    )
    run(
        connection,
        f'CREATE TABLE events AS SELECT r."user", r.item, r.time, met.vlogger, r.pos{keep} FROM log_rows r '
        f"LEFT JOIN met ON met.item = r.item WHERE r.positive",
    )
    for table in ("log_rows", "met", "follow_rows"):
        run(connection, f"DROP TABLE IF EXISTS {table}")


def _explicit_pairs(connection: Connection, follows: Follows) -> str:
    time = quoted(follows.time) if follows.time else "NULL::BIGINT"
    select = f'SELECT {quoted(follows.user)} AS "user", {quoted(follows.vlogger)} AS vlogger, {time} AS time'
    _fill(connection, "follow_rows", follows.batches, "follows", f"{select} FROM follows")
    return 'SELECT "user", vlogger, time FROM follow_rows'
