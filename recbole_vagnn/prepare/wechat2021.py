"""``wechat2021``: WeChat Big Data Challenge 2021 (https://algo.weixin.qq.com).

Read are ``user_action.csv`` (one row a video shown: a day, what the user did) and ``feed_info.csv`` (one row a
video: author, length). ``play`` and ``stay`` are milliseconds, ``videoplayseconds`` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline.find_files import find_files
from recbole_vagnn.prepare.pipeline.reader import Column, read_rows
from recbole_vagnn.prepare.pipeline.signals import (
    Signal,
    columns_as_signals,
    expressions,
    item_columns,
    log_columns,
)
from recbole_vagnn.prepare.pipeline.source import Items, Log, RawData, Request, Source

SIGNALS = {
    **columns_as_signals("read_comment", "comment", "like", "click_avatar", "forward", "follow", "favorite"),
    **columns_as_signals("play", "stay"),
    "watch_ratio": Signal(
        'log."play" / nullif(1000 * items."videoplayseconds", 0)', ("play",), item_columns=("videoplayseconds",)
    ),
}
_SUBFOLDERS = ("data", "wechat_algo_data1", "data/wechat_algo_data1")


@dataclass(frozen=True)
class WeChat2021Options(Options):
    """This source has no options of its own."""


def read(request: Request) -> RawData:
    """The two tables; a video's length is read only where a rule needs it.

    Raises:
        InputError: a file or column is missing.
    """
    (actions,), (feeds,) = find_files(request.folder, ["user_action", "feed_info"], _SUBFOLDERS)
    columns = {"userid": Column("int"), "feedid": Column("int"), "date_": Column("int")}
    lengths = item_columns(SIGNALS, request.signals)
    log = Log(
        read_rows(request, [actions], columns | log_columns(SIGNALS, request.signals)),
        user="userid",
        item="feedid",
        time="date_",
        signals=expressions(SIGNALS),
        joins_items=bool(lengths),
    )
    authors = {"feedid": Column("int"), "authorid": Column("int", required=False)}
    items = Items(
        read_rows(request, [feeds], authors | lengths), item="feedid", vlogger="authorid", columns=tuple(lengths)
    )
    remark = "The time is the number of a day (`date_`); rows of one user and day keep the order of the file."
    return RawData(log=log, items=items, remarks=[remark])


def dataset_name(path: Path | None, options: WeChat2021Options) -> str:  # noqa: ARG001 (the interface of a source)
    """``wechat2021``."""
    return "wechat2021"


SOURCE = Source(
    name="wechat2021",
    summary="WeChat Big Data Challenge 2021: short videos of WeChat Channels and their authors.",
    input="folder with user_action.csv and feed_info.csv",
    options=WeChat2021Options,
    read=read,
    dataset_name=dataset_name,
    positive=("watch_ratio>=1",),
    follow_from=("follow", "click_avatar"),
)
