"""WeChat Big Data Challenge 2021: days as time, the watch ratio over two tables, two kinds of follow pairs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.wechat2021 import SIGNALS, SOURCE
from tests.prepare.raw import Reading, rows, signal_values, tuples, types

ACTION_HEADER = "userid,feedid,date_,device,read_comment,comment,like,play,stay,click_avatar,forward,follow,favorite"
ACTIONS = [
    "8,71474,1,1,1,0,0,500,5366,0,0,0,0",
    "8,73916,1,2,0,0,1,60000,0,1,0,0,0",
    "9,71474,2,2,0,0,0,29999,0,0,0,1,0",
    "9,5,2,2,0,1,0,7000,0,0,1,0,1",
    "9,6,14,2,0,0,0,7000,0,0,0,0,0",
]
FEED_HEADER = "feedid,authorid,videoplayseconds,description,ocr,asr,bgm_song_id"
FEEDS = ["71474,0,30,10 2 3,5 6,,1.0", "73916,1,60,,,7 8,", "5,,0,1,2,3,", "77,1,12,,,,"]


def write_wechat(folder: Path, actions: list[str] | None = None, feeds: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "user_action.csv").write_text("\n".join([ACTION_HEADER, *(actions or ACTIONS)]) + "\n")
    (folder / "feed_info.csv").write_text("\n".join([FEED_HEADER, *(feeds or FEEDS)]) + "\n")
    return folder


def _read(folder: Path, *signals: str) -> tuple[Any, Reading]:
    reading = Reading(folder, signals=frozenset(signals))
    return reading.read(SOURCE), reading


@pytest.mark.parametrize("subfolder", ["", "data", "wechat_algo_data1", "data/wechat_algo_data1"])
def test_rows_in_file_order_with_the_day_as_time(tmp_path: Path, subfolder: str) -> None:
    write_wechat(tmp_path / subfolder)
    data, _ = _read(tmp_path)
    assert rows(data.log.batches) == [
        {"userid": 8, "feedid": 71474, "date_": 1},
        {"userid": 8, "feedid": 73916, "date_": 1},
        {"userid": 9, "feedid": 71474, "date_": 2},
        {"userid": 9, "feedid": 5, "date_": 2},
        {"userid": 9, "feedid": 6, "date_": 14},
    ]
    assert (data.log.user, data.log.item, data.log.time) == ("userid", "feedid", "date_")
    assert data.log.time_unit is None
    assert data.has_order
    assert "day" in data.remarks[0]


def test_authors(tmp_path: Path) -> None:
    """Author 0 is an author; an empty entry is none."""
    data, _ = _read(write_wechat(tmp_path))
    assert rows(data.items.batches) == [
        {"feedid": 71474, "authorid": 0},
        {"feedid": 73916, "authorid": 1},
        {"feedid": 5, "authorid": None},
        {"feedid": 77, "authorid": 1},
    ]
    assert (data.items.item, data.items.vlogger, data.items.columns) == ("feedid", "authorid", ())


def test_types(tmp_path: Path) -> None:
    data, _ = _read(write_wechat(tmp_path), "watch_ratio")
    assert types(data.log.batches) == {"userid": "int64", "feedid": "int64", "date_": "int64", "play": "double"}
    assert types(data.items.batches) == {"feedid": "int64", "authorid": "int64", "videoplayseconds": "double"}


def test_the_watch_ratio_needs_the_length_of_the_video(tmp_path: Path) -> None:
    """play is in ms, videoplayseconds in s; no row or length 0: unknown."""
    data, _ = _read(write_wechat(tmp_path), "watch_ratio")
    assert data.log.joins_items
    assert data.items.columns == ("videoplayseconds",)
    assert data.items.keep == {}
    values = signal_values(data.log, "watch_ratio", data.items)
    assert values == [500 / 30000, 1.0, 29999 / 30000, None, None]


@pytest.mark.parametrize(
    ("signal", "values"),
    [
        ("read_comment", [1, 0, 0, 0, 0]),
        ("comment", [0, 0, 0, 1, 0]),
        ("like", [0, 1, 0, 0, 0]),
        ("click_avatar", [0, 1, 0, 0, 0]),
        ("forward", [0, 0, 0, 1, 0]),
        ("follow", [0, 0, 1, 0, 0]),
        ("favorite", [0, 0, 0, 1, 0]),
        ("play", [500, 60000, 29999, 7000, 7000]),
        ("stay", [5366, 0, 0, 0, 0]),
    ],
)
def test_what_the_other_signals_say(tmp_path: Path, signal: str, values: list[float]) -> None:
    data, _ = _read(write_wechat(tmp_path), signal)
    assert not data.log.joins_items
    assert data.items.columns == ()
    assert signal_values(data.log, signal) == values


def test_defaults() -> None:
    assert SOURCE.positive == ("watch_ratio>=1",)
    assert SOURCE.follow_from == ("follow", "click_avatar")
    assert {"watch_ratio", *SOURCE.follow_from} <= SIGNALS.keys()
    assert SOURCE.dataset_name(None, SOURCE.options()) == "wechat2021"


def test_compressed_files(tmp_path: Path) -> None:
    folder = write_wechat(tmp_path)
    for path in folder.glob("*.csv"):
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    data, _ = _read(folder)
    assert len(tuples(data.log.batches)) == 5


@pytest.mark.parametrize("missing", ["user_action.csv", "feed_info.csv"])
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    folder = write_wechat(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"Looked for user_action\.csv, feed_info\.csv") as error:
        _read(folder)
    assert str(folder / "wechat_algo_data1") in str(error.value)


def test_the_test_file_of_the_challenge_is_no_log(tmp_path: Path) -> None:
    """It lacks what the users did."""
    folder = write_wechat(tmp_path)
    (folder / "user_action.csv").write_text("userid,feedid,device\n8,5,1\n")
    with pytest.raises(InputError, match=r"user_action\.csv has no column 'date_'"):
        _read(folder)


def test_malformed_rows_are_located(tmp_path: Path) -> None:
    actions = [ACTIONS[0], "8,5,1", ACTIONS[1].replace("8,", "u8,", 1), ACTIONS[2]]
    feeds = [FEEDS[0], ",1,12,,,,", "9,x,12,,,,", "10,1,long,,,,"]
    data, reading = _read(write_wechat(tmp_path, actions, feeds), "watch_ratio")
    assert [user for user, *_ in tuples(data.log.batches)] == [8, 9]
    assert tuples(data.items.batches) == [(71474, 0, 30.0)]
    assert {(row.file, row.line, row.reason) for row in reading.malformed.first} == {
        ("user_action.csv", 3, "3 fields instead of 13"),
        ("user_action.csv", 4, "`userid` is not a whole number"),
        ("feed_info.csv", 3, "`feedid` is empty"),
        ("feed_info.csv", 4, "`authorid` is not a whole number"),
        ("feed_info.csv", 5, "`videoplayseconds` is not a number"),
    }
