"""KuaiRec: the two matrices, rows without timestamp, many rows a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.kuairec import SIGNALS, SOURCE, KuaiRecOptions
from recbole_vagnn.prepare.pipeline import reader
from tests.prepare.raw import Reading, rows, signal_values, tuples, types

HEADER = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
BIG = [
    "0,3650,13838,10867,2020-07-05 00:08:23.438,20200705,1593878903.438,1.2733965215790926",
    "0,3650,5000,10000,2020-07-05 00:08:23.438,20200705,1593878903.438,0.5",
    "7,20,10000,10000,2020-07-05 00:13:41.297,20200705.0,1593879221.297,1.0",
]
SMALL = [
    "14,148,4381,6067,2020-07-05 05:27:48.378,20200705.0,1593898068.378,0.7221032141091149",
    "14,183,11635,6100,,,,1.9073770491803278",
    "19,183,6000,6100,,,,0.98",
    "14,20,12000,6000,2020-07-05 05:28:00.057,20200705.0,1593898080.057,2.0",
]
FEATURES = [
    "20,20200705,222,NORMAL,1",
    "20,20200706,222,NORMAL,1",
    "148,20200705,333,AD,1",
    "183,20200705,,NORMAL,1",
    "183,20200706,222,NORMAL,1",
]


def write_kuairec(folder: Path, big: list[str] | None = None, small: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("big", BIG if big is None else big), ("small", SMALL if small is None else small)):
        (folder / f"{name}_matrix.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    features = ["video_id,date,author_id,video_type,show_cnt", *FEATURES]
    (folder / "item_daily_features.csv").write_text("\n".join(features) + "\n")
    return folder


def _read(folder: Path, signals: frozenset[str] = frozenset(), **options: Any) -> tuple[Any, Reading]:
    reading = Reading(folder, KuaiRecOptions(**options), signals)
    return reading.read(SOURCE), reading


@pytest.mark.parametrize("subfolder", ["", "data"])
def test_the_big_matrix(tmp_path: Path, subfolder: str) -> None:
    write_kuairec(tmp_path / subfolder)
    data, reading = _read(tmp_path)
    assert rows(data.log.batches) == [
        {"user_id": 0, "video_id": 3650, "timestamp": 1593878903.438},
        {"user_id": 0, "video_id": 3650, "timestamp": 1593878903.438},
        {"user_id": 7, "video_id": 20, "timestamp": 1593879221.297},
    ]
    assert (data.log.user, data.log.item, data.log.time) == ("user_id", "video_id", "timestamp")
    assert (data.log.time_unit, data.log.joins_items, data.has_order) == ("s", False, True)
    assert reading.touched == ["big_matrix.csv"]
    assert data.remarks == []
    assert SOURCE.follow_from == ()


def test_authors_of_every_day(tmp_path: Path) -> None:
    """The pipeline takes a video's first row with an author."""
    data, _ = _read(write_kuairec(tmp_path))
    assert tuples(data.items.batches) == [(20, 222), (20, 222), (148, 333), (183, None), (183, 222)]
    assert (data.items.item, data.items.vlogger) == ("video_id", "author_id")


def test_types(tmp_path: Path) -> None:
    data, _ = _read(write_kuairec(tmp_path))
    assert types(data.log.batches) == {"user_id": "int64", "video_id": "int64", "timestamp": "double"}
    assert types(data.items.batches) == {"video_id": "int64", "author_id": "int64"}


def test_rows_without_timestamp_are_left_out_and_told(tmp_path: Path) -> None:
    data, reading = _read(write_kuairec(tmp_path), matrix="small")
    assert tuples(data.log.batches) == [(14, 148, 1593898068.378), (14, 20, 1593898080.057)]
    assert len(data.remarks) == 1
    assert "2 rows of small_matrix.csv have no timestamp and are left out" in data.remarks[0]
    assert "--untimed first" in data.remarks[0]
    assert reading.malformed.total == 0


def test_rows_without_timestamp_as_the_oldest(tmp_path: Path) -> None:
    data, _ = _read(write_kuairec(tmp_path), matrix="small", untimed="first")
    assert tuples(data.log.batches) == [
        (14, 148, 1593898068.378),
        (14, 183, 0.0),
        (19, 183, 0.0),
        (14, 20, 1593898080.057),
    ]
    assert "2 rows of small_matrix.csv have no timestamp and are taken for the oldest" in data.remarks[0]


@pytest.mark.parametrize("untimed", ["drop", "first"])
def test_rows_without_timestamp_in_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: str) -> None:
    """A batch of nothing else disappears; types stay the same from batch to batch."""
    monkeypatch.setattr(reader, "_BLOCK_BYTES", 100)
    timed = [f"{n},1,1,1,t,20200705,{n}.5,1" for n in range(50)]
    bare = [f"{n},1,1,1,,,,1" for n in range(50, 100)]
    data, _ = _read(write_kuairec(tmp_path, big=[*bare, *timed]), untimed=untimed)
    found = [(user, time) for user, _, time in tuples(data.log.batches)]
    expected = [(n, n + 0.5) for n in range(50)]
    assert found == (expected if untimed == "drop" else [*((n, 0.0) for n in range(50, 100)), *expected])
    assert data.remarks[0].startswith("50 rows")


def test_what_the_signals_say(tmp_path: Path) -> None:
    assert {*SOURCE.positive} == {"watch_ratio>=1"}
    folder = write_kuairec(tmp_path)
    expected = {
        "watch_ratio": [1.2733965215790926, 0.5, 1.0],
        "play_duration": [13838, 5000, 10000],
        "video_duration": [10867, 10000, 10000],
    }
    assert expected.keys() == SIGNALS.keys()
    for signal, values in expected.items():
        data, _ = _read(folder, frozenset({signal}))
        assert signal_values(data.log, signal) == values


def test_names() -> None:
    assert SOURCE.dataset_name(None, KuaiRecOptions()) == "kuairec-big"
    assert SOURCE.dataset_name(None, KuaiRecOptions(matrix="small")) == "kuairec-small"


@pytest.mark.parametrize("missing", ["small_matrix.csv", "item_daily_features.csv"])
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    folder = write_kuairec(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"Looked for small_matrix\.csv, item_daily_features\.csv .* holds: "):
        _read(folder, matrix="small")


def test_a_missing_column(tmp_path: Path) -> None:
    folder = write_kuairec(tmp_path)
    features = folder / "item_daily_features.csv"
    features.write_text(features.read_text().replace("author_id", "author"))
    with pytest.raises(InputError, match=r"item_daily_features\.csv has no column 'author_id'"):
        _read(folder)


def test_malformed_rows_are_located(tmp_path: Path) -> None:
    folder = write_kuairec(tmp_path, big=[BIG[0], "1,2,3", BIG[1].replace("1593878903.438", "soon"), BIG[2]])
    data, reading = _read(folder)
    assert [user for user, *_ in tuples(data.log.batches)] == [0, 7]
    assert [(row.line, row.reason) for row in reading.malformed.first] == [
        (3, "3 fields instead of 8"),
        (4, "`timestamp` is not a number"),
    ]


@pytest.mark.parametrize("options", [{"matrix": "medium"}, {"untimed": "last"}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="choose one of"):
        KuaiRecOptions(**options)
