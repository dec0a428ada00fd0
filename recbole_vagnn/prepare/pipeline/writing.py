"""From the database to RecBole's atomic files and the data set's option file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recbole_vagnn.prepare.pipeline.database import Connection, one, quoted, run
from recbole_vagnn.prepare.pipeline.loading import kept_columns
from recbole_vagnn.prepare.pipeline.source import RawData

FOLLOW_FIELDS = ("follow_user_id", "follow_vlogger_id", "follow_time")
# The pipeline's own columns; one of these names is not free for a column that is kept or for the vlogger.
RESERVED = ("user_id", "item_id", "timestamp", *FOLLOW_FIELDS)


def write_files(connection: Connection, data: RawData, folder: Path, name: str) -> list[Path]:
    """Write NAME.inter, NAME.item and, where there are pairs, NAME.follow; rows in the order of the input.

    Returns:
        the files written.
    """
    inter = {"user": "user_id:token", "item": "item_id:token"} | _kept(data.log.keep)
    if data.has_order:
        inter["time"] = "timestamp:float"
    items = {"item": "item_id:token", "vlogger": f"{data.vlogger_field}:token"}
    items |= _kept(data.items.keep if data.items else {})
    files = [folder / f"{name}.inter", folder / f"{name}.item"]
    _copy(connection, "events", inter, "pos", files[0])
    _copy(connection, "items", items, "pos", files[1])
    pairs, timed = one(connection, "SELECT count(*), count(time) FROM pairs")
    if pairs:
        columns = dict(zip(("user", "vlogger", "time"), FOLLOW_FIELDS, strict=True))
        follow = {column: f"{field}:token" for column, field in columns.items()}
        follow["time"] = "follow_time:float"
        if not timed:
            del follow["time"]
        files.append(folder / f"{name}.follow")
        _copy(connection, "pairs", follow, 'time NULLS FIRST, "user", vlogger', files[2])
    return files


def _kept(columns: Mapping[str, str]) -> dict[str, str]:
    return {column: f"{name}:{columns[name]}" for name, column in kept_columns(columns).items()}


def _copy(connection: Connection, table: str, columns: Mapping[str, str], order: str, path: Path) -> None:
    selected = ", ".join(f"{quoted(column)} AS {quoted(header)}" for column, header in columns.items())
    run(
        connection,
        f"COPY (SELECT {selected} FROM {table} ORDER BY {order}) TO {quoted(str(path), chr(39))} "
        f"(FORMAT csv, DELIMITER '\t', QUOTE '', ESCAPE '', HEADER true)",
    )


def write_options(data: RawData, path: Path, name: str, source: str) -> None:
    """Write NAME.yaml, which every run on the data set reads (docs/data.md)."""
    options: dict[str, Any] = {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "VLOGGER_ID_FIELD": data.vlogger_field,
    }
    if data.has_order:
        options["TIME_FIELD"] = "timestamp"
    else:  # nothing orders a user's interactions: hold out a random fifth of them
        options["eval_args"] = {
            "split": {"RS": [0.8, 0.1, 0.1]},
            "order": "RO",
            "group_by": "user",
            "mode": "full",
        }
    options |= data.settings
    head = (
        f"# Options of the data set {name}, written by `recbole-vagnn prepare {source}`. Every run on it reads them;\n"
        f"# --config_files and --key=value override them.\n"
    )
    path.write_text(head + yaml.safe_dump(options, sort_keys=False, allow_unicode=True), encoding="utf-8")
