"""ICME 2019: two layouts told from the first line, author −1, a time that is the video's."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.icme2019 import SIGNALS, SOURCE, ICME2019Options
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from tests.prepare.raw import FORMATS, Reading, rows, signal_values, tuples, types

# uid, user_city, item_id, author_id, item_city, channel, finish, like, music_id, device, time, duration_time
OFFICIAL = [
    "11\t99\t640\t754\t112\t0\t1\t0\t-1\t5\t53087123508\t10",
    "12\t-1\t640\t754\t-1\t3\t0\t0\t-1\t6\t53087123508\t10",
    "11\t99\t641\t-1\t217\t0\t1\t1\t7\t5\t53087135138\t15",
    "13\t4\t642\t0\t217\t1\t0\t0\t7\t8\t53086717097\t9",
]
CSV = [
    "Unnamed: 0,uid,user_city,item_id,author_id,item_city,channel,finish,like,music_id,duration_time,real_time,H,date",
    "3,15692,109.0,691661,18212,213.0,0,0,0,11513.0,10,2019-10-28 21:55:10,21,2019-10-28",
    "5,44071,80.0,1243212,-1,68.0,2,1,0,1274.0,9,2019-10-21 22:27:03,22,2019-10-21",
]


def write_official(path: Path, lines: list[str] | None = None) -> Path:
    path.write_text("\n".join(OFFICIAL if lines is None else lines) + "\n")
    return path


def write_csv(path: Path, lines: list[str] | None = None) -> Path:
    path.write_text("\n".join(CSV if lines is None else lines) + "\n")
    return path


def _read(path: Path, *signals: str, **options: Any) -> tuple[Any, Reading]:
    reading = Reading(path, ICME2019Options(**options), frozenset(signals))
    return reading.read(SOURCE), reading


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# --- layouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [False, True])
def test_the_official_file(tmp_path: Path, folder: bool) -> None:
    path = write_official(tmp_path / "final_track2_train.txt")
    (tmp_path / "track2_title.txt").write_text('{"item_id": 640, "title_features": {"1": 2, "3": 4}}\n')
    data, reading = _read(tmp_path if folder else path)
    assert rows(data.log.batches) == [
        {"uid": 11, "item_id": 640, "author_id": 754},
        {"uid": 12, "item_id": 640, "author_id": 754},
        {"uid": 11, "item_id": 641, "author_id": None},
        {"uid": 13, "item_id": 642, "author_id": 0},
    ]
    assert (data.log.user, data.log.item, data.log.vlogger) == ("uid", "item_id", "author_id")
    assert data.items is None
    assert reading.touched == ["final_track2_train.txt"]
    assert reading.malformed.rows == {"final_track2_train.txt": 4}


@pytest.mark.parametrize("folder", [False, True])
def test_the_csv_with_a_header(tmp_path: Path, folder: bool) -> None:
    path = write_csv(tmp_path / "sample.csv")
    data, _ = _read(tmp_path if folder else path)
    assert tuples(data.log.batches) == [(15692, 691661, 18212), (44071, 1243212, None)]


def test_tabs_with_a_header(tmp_path: Path) -> None:
    header = (
        "uid\tuser_city\titem_id\tauthor_id\titem_city\tchannel\tfinish\tlike\tmusic_id\tdevice\ttime\tduration_time"
    )
    path = write_official(tmp_path / "train.tsv", [header, *OFFICIAL])
    data, reading = _read(path, time="published")
    assert tuples(data.log.batches)[2] == (11, 641, None, 53087135138)
    assert reading.malformed.rows == {"train.tsv": 4}


def test_compressed_and_parquet_files(tmp_path: Path) -> None:
    packed = tmp_path / "train.txt.gz"
    packed.write_bytes(gzip.compress(write_official(tmp_path / "train.txt").read_bytes()))
    (tmp_path / "train.txt").unlink()
    assert len(tuples(_read(tmp_path)[0].log.batches)) == 4
    packed.unlink()
    pq.write_table(pa.table({"uid": [1, 2], "item_id": [3, 4], "author_id": [-1, 5]}), tmp_path / "train.parquet")
    assert tuples(_read(tmp_path)[0].log.batches) == [(1, 3, None), (2, 4, 5)]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(OFFICIAL).encode())
    assert [user for user, *_ in tuples(_read(path)[0].log.batches)] == [11, 12, 11, 13]


def test_types(tmp_path: Path) -> None:
    data, _ = _read(write_official(tmp_path / "train.txt"), "finish", time="published")
    assert types(data.log.batches) == {
        "uid": "int64",
        "item_id": "int64",
        "author_id": "int64",
        "time": "int64",
        "finish": "double",
    }


# --- time ---------------------------------------------------------------------------------------------------------


def test_by_default_the_rows_have_no_order(tmp_path: Path) -> None:
    """The file's time is the same for everybody who watched a video: it is the video's."""
    for path in (write_official(tmp_path / "train.txt"), write_csv(tmp_path / "sample.csv")):
        data, _ = _read(path)
        assert data.log.time is None
        assert data.log.time_unit is None
        assert not data.has_order
        assert "split at random" in data.remarks[0]


def test_the_masked_time_of_publication_on_demand(tmp_path: Path) -> None:
    data, _ = _read(write_official(tmp_path / "train.txt"), time="published")
    assert (data.log.time, data.log.time_unit, data.has_order) == ("time", None, True)
    assert [row["time"] for row in rows(data.log.batches)] == [53087123508, 53087123508, 53087135138, 53086717097]
    assert "publication" in data.remarks[0]


def test_the_date_of_publication_on_demand(tmp_path: Path) -> None:
    data, _ = _read(write_csv(tmp_path / "sample.csv"), time="published")
    assert (data.log.time, data.log.time_unit, data.has_order) == ("real_time", "s", True)
    times = [row["real_time"] for row in rows(data.log.batches)]
    assert times == [_seconds("2019-10-28 21:55:10"), _seconds("2019-10-21 22:27:03")]


def test_a_table_without_time(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bare.csv", ["uid,item_id,author_id,finish", "1,2,3,1"])
    assert tuples(_read(path, "finish")[0].log.batches) == [(1, 2, 3, 1.0)]
    with pytest.raises(InputError, match="has no column 'real_time'"):
        _read(path, time="published")


# --- signals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "official", "table"),
    [
        ("finish", [1, 0, 1, 0], [0, 1]),
        ("like", [0, 0, 1, 0], [0, 0]),
        ("channel", [0, 3, 0, 1], [0, 2]),
        ("duration_time", [10, 10, 15, 9], [10, 9]),
    ],
)
def test_what_the_signals_say(tmp_path: Path, signal: str, official: list[int], table: list[int]) -> None:
    assert signal in SIGNALS
    assert signal_values(_read(write_official(tmp_path / "train.txt"), signal)[0].log, signal) == official
    assert signal_values(_read(write_csv(tmp_path / "sample.csv"), signal)[0].log, signal) == table


def test_defaults() -> None:
    assert (SOURCE.positive, SOURCE.follow_from) == (("finish",), ())
    assert SOURCE.dataset_name(None, ICME2019Options()) == "icme2019"


# --- mistakes -----------------------------------------------------------------------------------------------------


def test_several_files_in_the_folder(tmp_path: Path) -> None:
    write_official(tmp_path / "final_track2_train.txt")
    write_official(tmp_path / "final_track2_test_no_answer.txt")
    with pytest.raises(InputError, match=r"holds 2 files .*test_no_answer\.txt, final_track2_train\.txt\. Give one"):
        _read(tmp_path)


def test_no_such_file_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing with such an ending"):
        _read(tmp_path)
    (tmp_path / "other.csv").write_text("user,item\n1,2\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "notes.md").write_text("\n".join(OFFICIAL))
    with pytest.raises(InputError, match=r"\(empty\.txt, other\.csv\) is neither the official file"):
        _read(tmp_path)


@pytest.mark.parametrize("first", ["user,item\n1,2\n", "1,2,3,4,5,6,7,8,9,10,11,12\n", "1\t2\t3\n", "x\t" * 11 + "x\n"])
def test_a_file_of_another_layout(tmp_path: Path, first: str) -> None:
    path = tmp_path / "train.txt"
    path.write_text(first)
    with pytest.raises(InputError, match=r"train\.txt is neither the official file of track 2 \(no header, 12 whole"):
        _read(path)


def test_no_input_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        _read(tmp_path / "absent.txt")


def test_a_missing_signal(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "sample.csv", [line.replace(",finish,", ",done,") for line in CSV])
    with pytest.raises(InputError, match="has no column 'finish'"):
        _read(path, "finish")
    assert len(tuples(_read(path, "like")[0].log.batches)) == 2


def test_malformed_rows_of_the_official_file(tmp_path: Path) -> None:
    lines = [
        OFFICIAL[0],
        "11\t99\t640",
        OFFICIAL[1].replace("12\t", "u\t", 1),
        "",
        OFFICIAL[2].replace("\t-1\t217", "\tx\t217"),
        OFFICIAL[3],
    ]
    data, reading = _read(write_official(tmp_path / "train.txt", lines))
    assert [user for user, *_ in tuples(data.log.batches)] == [11, 13]
    assert [(row.line, row.reason) for row in reading.malformed.first] == [
        (2, "3 fields instead of 12"),
        (3, "`uid` is not a whole number"),
        (5, "`author_id` is not a whole number"),
    ]


def test_malformed_dates(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "sample.csv", [*CSV, CSV[1].replace("2019-10-28 21:55:10", "yesterday")])
    data, reading = _read(path, time="published")
    assert len(tuples(data.log.batches)) == 2
    assert str(reading.malformed.first[0]).startswith("sample.csv, line 4: `real_time` is not a date and time")


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="choose one of: none, published"):
        ICME2019Options(time="watched")


# --- the sample that people pass around ---------------------------------------------------------------------------


@pytest.fixture
def sample() -> Path:
    path = FORMATS / "icme2019_sample_5000.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def test_the_sample(sample: Path) -> None:
    reading = Reading(sample, ICME2019Options(time="published"), frozenset({"finish"}), Malformed(0.0))
    found = tuples(reading.read(SOURCE).log.batches)
    assert len(found) == 5000
    assert found[0] == (15692, 691661, 18212, _seconds("2019-10-28 21:55:10"), 0.0)
    assert len({item for _, item, *_ in found}) == 4544


def test_the_time_of_the_sample_is_the_video_s(sample: Path) -> None:
    """Of 334 videos that several users watched, every one has a single time: when it was published."""
    data, _ = _read(sample, time="published")
    times: dict[int, list[int]] = {}
    for _, item, _, time in tuples(data.log.batches):
        times.setdefault(item, []).append(time)
    watched_twice = [values for values in times.values() if len(values) > 1]
    assert len(watched_twice) == 334
    assert all(len({*values}) == 1 for values in watched_twice)
