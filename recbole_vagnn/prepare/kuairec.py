"""``kuairec``: KuaiRec 2.0 (Gao et al., CIKM 2022, https://kuairec.com).

Read are ``big_matrix.csv`` or ``small_matrix.csv`` (one row a video watched) and ``item_daily_features.csv`` (many
rows a video, one a day, with its author). Some rows of the small matrix have neither timestamp nor date.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.find_files import find_files
from recbole_vagnn.prepare.pipeline.reader import Column, read_rows
from recbole_vagnn.prepare.pipeline.signals import columns_as_signals, expressions, log_columns
from recbole_vagnn.prepare.pipeline.source import Items, Log, RawData, Request, Source, option

SIGNALS = columns_as_signals("watch_ratio", "play_duration", "video_duration")
_MATRICES = ("big", "small")
_UNTIMED = ("drop", "first")


@dataclass(frozen=True)
class KuaiRecOptions(Options):
    """Which part of KuaiRec is read.

    Attributes:
        matrix: "big" (7,176 users, sparse) or "small" (1,411 users, nearly every pair observed).
        untimed: what becomes of rows without timestamp: left out, or taken for their user's oldest (time 0).
    """

    matrix: str = option("big", "Which of the two matrices is read.", choices=_MATRICES)
    untimed: str = option(
        "drop", "Rows without timestamp: leave them out, or take them for their user's first.", choices=_UNTIMED
    )

    def __post_init__(self) -> None:
        self.require_choice("matrix", _MATRICES)
        self.require_choice("untimed", _UNTIMED)


def read(request: Request) -> RawData:
    """One matrix and the authors.

    Raises:
        InputError: a file or column is missing.
    """
    options: KuaiRecOptions = request.options
    (matrix,), (features,) = find_files(request.folder, [f"{options.matrix}_matrix", "item_daily_features"])
    remarks: list[str] = []
    columns = {"user_id": Column("int"), "video_id": Column("int"), "timestamp": Column("float", required=False)}
    rows = read_rows(request, [matrix], columns | log_columns(SIGNALS, request.signals))
    log = Log(
        _timed(rows, options.untimed, matrix.name, remarks),
        user="user_id",
        item="video_id",
        time="timestamp",
        time_unit="s",
        signals=expressions(SIGNALS),
    )
    authors = {"video_id": Column("int"), "author_id": Column("int", required=False)}
    items = Items(read_rows(request, [features], authors), item="video_id", vlogger="author_id")
    return RawData(log=log, items=items, remarks=remarks)


def _timed(batches: Iterator[pa.RecordBatch], untimed: str, file: str, remarks: list[str]) -> Iterator[pa.RecordBatch]:
    """Leave rows without time out, or give them time 0; the number goes into the report."""
    count = 0
    for batch in batches:
        position = batch.schema.get_field_index("timestamp")
        times = batch.column(position)
        count += times.null_count
        if untimed == "first":
            yield batch.set_column(position, "timestamp", pc.fill_null(times, 0.0))
        elif times.null_count < batch.num_rows:
            yield batch.filter(pc.is_valid(times)) if times.null_count else batch
    if count and untimed == "first":
        remarks.append(f"{count:,} rows of {file} have no timestamp and are taken for the oldest (time 0).")
    elif count:
        remarks.append(
            f"{count:,} rows of {file} have no timestamp and are left out; `--untimed first` takes them for the oldest."
        )


def dataset_name(path: Path | None, options: KuaiRecOptions) -> str:  # noqa: ARG001 (the interface of a source)
    """``kuairec-big`` or ``kuairec-small``."""
    return f"kuairec-{options.matrix}"


SOURCE = Source(
    name="kuairec",
    summary="KuaiRec: short videos of Kuaishou and their authors (Gao et al., CIKM 2022).",
    input="folder with big_matrix.csv (or small_matrix.csv) and item_daily_features.csv, or the one above data/",
    options=KuaiRecOptions,
    read=read,
    dataset_name=dataset_name,
    positive=("watch_ratio>=1",),
)
