"""``kuairand``: KuaiRand-Pure, -1K and -27K (Gao et al., CIKM 2022, https://kuairand.com).

Read are ``log_standard_*.csv`` and ``log_random_*.csv`` (one row a video shown, with twelve kinds of feedback) and
``video_features_basic_*.csv`` (one row a video, with its author).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.find_files import by_numbers, find_files
from recbole_vagnn.prepare.pipeline.reader import Column, read_rows
from recbole_vagnn.prepare.pipeline.signals import Signal, columns_as_signals, expressions, log_columns
from recbole_vagnn.prepare.pipeline.source import Items, Log, RawData, Request, Source, option

SIGNALS = {
    **columns_as_signals(
        *("is_click", "long_view", "is_like", "is_follow", "is_profile_enter", "is_comment", "is_forward", "is_hate"),
        *("play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time", "is_rand", "tab"),
    ),
    "watch_ratio": Signal('log."play_time_ms" / nullif(log."duration_ms", 0)', ("play_time_ms", "duration_ms")),
}
_ITEM_COLUMNS = {
    "video_type": "token",
    "upload_dt": "token",
    "upload_type": "token",
    "visible_status": "token",
    "video_duration": "float",
    "server_width": "float",
    "server_height": "float",
    "music_id": "token",
    "music_type": "token",
    "tag": "token_seq",
}
_LOGS = {"standard": ("log_standard_*",), "random": ("log_random_*",), "all": ("log_standard_*", "log_random_*")}
_VIDEOS = "video_features_basic_*"


@dataclass(frozen=True)
class KuaiRandOptions(Options):
    """Which part of KuaiRand is read.

    Attributes:
        log: the logs of the recommender's choices, of random videos, or both.
        item_column: columns of the video table beside the author that the ``.item`` file gets.
    """

    log: str = option(
        "standard", "Videos that the recommender chose, that chance chose, or both.", choices=tuple(_LOGS)
    )
    item_column: tuple[str, ...] = option(
        (), "A column of the video table to keep in the .item file; may be repeated.", choices=tuple(_ITEM_COLUMNS)
    )

    def __post_init__(self) -> None:
        self.require_choice("log", tuple(_LOGS))
        for name in self.item_column:
            if name not in _ITEM_COLUMNS:
                raise InputError(f"`item_column` is {name!r}; choose from: {', '.join(_ITEM_COLUMNS)}.")


def read(request: Request) -> RawData:
    """Files of one version of KuaiRand, the logs in the order of the dates in their names.

    Raises:
        InputError: a file or column is missing, or the folder mixes two versions.
    """
    logs, videos = _files(request.folder, request.options)
    keep = request.options.item_column
    return RawData(log=_log(request, logs), items=_items(request, videos, keep))


def _files(folder: Path, options: KuaiRandOptions) -> tuple[list[Path], list[Path]]:
    """Logs and video tables."""
    *logs, videos = find_files(folder, [*_LOGS[options.log], _VIDEOS])
    files = sorted((path for part in logs for path in part), key=by_numbers)
    versions = {_version(path) for path in [*files, *videos]}
    if len(versions) > 1:
        raise InputError(
            f"{files[0].parent} mixes files of {len(versions)} versions of KuaiRand: "
            f"{', '.join(path.name for path in [*files, *videos])}. Give a folder with the files of one version."
        )
    return files, videos


def _version(path: Path) -> str:
    """``-pure``, ``-1k``, ``-27k``; empty if the name has none."""
    match = re.search(r"_(pure|1k|27k)(?=[_.])", path.name.lower())
    return f"-{match[1]}" if match else ""


def _log(request: Request, paths: Sequence[Path]) -> Log:
    columns = {"user_id": Column("int"), "video_id": Column("int"), "time_ms": Column("int")}
    return Log(
        read_rows(request, paths, columns | log_columns(SIGNALS, request.signals)),
        user="user_id",
        item="video_id",
        time="time_ms",
        time_unit="ms",
        signals=expressions(SIGNALS),
    )


def _items(request: Request, paths: Sequence[Path], keep: Sequence[str]) -> Items:
    kinds = {name: _ITEM_COLUMNS[name] for name in keep}
    columns = {"video_id": Column("int"), "author_id": Column("int", required=False)}
    columns |= {name: Column(kind.removesuffix("_seq"), required=False) for name, kind in kinds.items()}
    batches = read_rows(request, paths, columns)
    return Items(_split_tags(batches) if "tag" in kinds else batches, item="video_id", vlogger="author_id", keep=kinds)


def _split_tags(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Tags as RecBole separates them: by a space instead of a comma."""
    for batch in batches:
        position = batch.schema.get_field_index("tag")
        yield batch.set_column(position, "tag", pc.replace_substring(batch.column(position), ",", " "))


def dataset_name(path: Path | None, options: KuaiRandOptions) -> str:
    """``kuairand-pure``, ``kuairand-1k`` or ``kuairand-27k``, as the files are called; else ``kuairand``."""
    if path is None or not path.is_dir():
        return "kuairand"
    return f"kuairand{_version(_files(path, options)[0][0])}"


SOURCE = Source(
    name="kuairand",
    summary="KuaiRand-Pure, -1K or -27K: short videos of Kuaishou and their authors (Gao et al., CIKM 2022).",
    input="folder with log_standard_*.csv and video_features_basic_*.csv, or the one above data/",
    options=KuaiRandOptions,
    read=read,
    dataset_name=dataset_name,
    positive=("is_click",),
    follow_from=("is_follow", "is_profile_enter"),
)
