"""``icme2019``: ICME 2019 Short Video Understanding Challenge, track 2 (ByteDance, biendata.xyz).

Read is one table, one row a video shown: the official ``final_track2_train.txt`` (tab-separated, no header), or the
same with a header, e.g. the CSV with ``real_time`` that people pass around. Its time is when the *video* was
published: it is the same for all who watched the video, so it says nothing about the order of a user's rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.reader import Column, column_names, read_rows
from recbole_vagnn.prepare.pipeline.signals import columns_as_signals, expressions, log_columns
from recbole_vagnn.prepare.pipeline.source import Log, RawData, Request, Source, option

SIGNALS = columns_as_signals("finish", "like", "channel", "duration_time")
OFFICIAL = (
    *("uid", "user_city", "item_id", "author_id", "item_city", "channel", "finish", "like", "music_id", "device"),
    *("time", "duration_time"),
)
_NEEDED = ("uid", "item_id", "author_id")
_ENDINGS = re.compile(r"\.((txt|csv|tsv)(\.(gz|bz2|zst))?|parquet)$")
_TIMES = ("none", "published")


@dataclass(frozen=True)
class ICME2019Options(Options):
    """How the table is read.

    Attributes:
        time: "none": the rows have no order and are split at random; "published": when the video was published
            stands for the time of the row.
    """

    time: str = option(
        "none", "The only time is that of the video's publication: ignore it, or order rows by it.", choices=_TIMES
    )

    def __post_init__(self) -> None:
        self.require_choice("time", _TIMES)


@dataclass(frozen=True)
class _Layout:
    """How a file is laid out; ``header`` is None where the file has one."""

    delimiter: str
    names: tuple[str, ...]
    header: tuple[str, ...] | None

    @property
    def time(self) -> tuple[str, str]:
        """Column of the time and its kind: masked whole numbers, or dates."""
        return ("time", "int") if "time" in self.names else ("real_time", "datetime")


def read(request: Request) -> RawData:
    """The table; an author below 0 is unknown.

    Raises:
        InputError: there is no such file or there are several, or a column is missing.
    """
    path, layout = _find(request.path)
    published = request.options.time == "published"
    columns = {"uid": Column("int"), "item_id": Column("int"), "author_id": Column("int", required=False)}
    time, kind = layout.time
    if published:
        columns[time] = Column(kind)
    columns |= log_columns(SIGNALS, request.signals)
    rows = read_rows(request, [path], columns, delimiter=layout.delimiter, header=layout.header)
    log = Log(
        _unknown_authors(rows),
        user="uid",
        item="item_id",
        time=time if published else None,
        time_unit="s" if published and kind == "datetime" else None,
        vlogger="author_id",
        signals=expressions(SIGNALS),
    )
    return RawData(log=log, remarks=[_REMARKS[request.options.time]], has_order=published)


_REMARKS = {
    "none": (
        "This data set does not say when a user watched a video, only when the video was published: the rows are split "
        "at random (`--time published` orders them by publication)."
    ),
    "published": "The time is that of the video's publication, not of its being watched.",
}


def _unknown_authors(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        position = batch.schema.get_field_index("author_id")
        authors = batch.column(position)
        known = pc.if_else(pc.less(authors, 0), pa.scalar(None, pa.int64()), authors)
        yield batch.set_column(position, "author_id", known)


# --- which file, and how it is laid out ---------------------------------------------------------------------------


def _find(path: Path | None) -> tuple[Path, _Layout]:
    """The file and its layout."""
    if path is not None and path.is_file():
        layout = _layout(path)
        if layout is None:
            raise InputError(f"{path} is {_neither()}")
        return path, layout
    if path is None or not path.is_dir():
        raise InputError(f"--input {path} does not exist. Give the file of the challenge, or the folder it lies in.")
    found = [(file, layout) for file in _candidates(path) if (layout := _layout_or_none(file))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file, _ in found)
        raise InputError(f"{path} holds {len(found)} files of the challenge: {names}. Give one of them as --input.")
    names = ", ".join(file.name for file in _candidates(path)[:10]) or "nothing with such an ending"
    raise InputError(f"Every .txt, .csv, .tsv or .parquet file in {path} ({names}) is {_neither()}")


def _candidates(folder: Path) -> list[Path]:
    files = (file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return sorted(file for file in files if _ENDINGS.search(file.name))


def _neither() -> str:
    return (
        f"neither the official file of track 2 (no header, 12 whole numbers a line, separated by tabs: "
        f"{', '.join(OFFICIAL)}) nor a table whose header names {', '.join(_NEEDED)}."
    )


def _layout_or_none(path: Path) -> _Layout | None:
    try:
        return _layout(path)
    except InputError:  # some other file of the challenge
        return None


def _layout(path: Path) -> _Layout | None:
    """Told from the first line; None if it is neither layout."""
    for delimiter in ("\t", ","):
        names = tuple(column_names(path, delimiter))
        if delimiter == "\t" and len(names) == len(OFFICIAL) and all(re.fullmatch(r"-?\d+", name) for name in names):
            return _Layout(delimiter, OFFICIAL, OFFICIAL)
        if {*_NEEDED} <= {*names}:
            return _Layout(delimiter, names, None)
    return None


def dataset_name(path: Path | None, options: ICME2019Options) -> str:  # noqa: ARG001 (the interface of a source)
    """``icme2019``."""
    return "icme2019"


SOURCE = Source(
    name="icme2019",
    summary="ICME 2019 Short Video Understanding Challenge, track 2: short videos of TikTok and their authors.",
    input="file final_track2_train.txt, the same as a table with a header, or the folder it lies in",
    options=ICME2019Options,
    read=read,
    dataset_name=dataset_name,
    positive=("finish",),
)
