"""KuaiRand: which files are read in which order, what a row says, and what is refused."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.kuairand import SIGNALS, SOURCE, KuaiRandOptions
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from tests.prepare.raw import FORMATS, Reading, rows, signal_values, tuples, types

LOG_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
VIDEO_HEADER = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)
VIDEOS = [
    "7,70,NORMAL,2022-04-10,LongImport,0.0,10000.0,720.0,1280.0,9155697141,9.0,39",
    '8,80,AD,2022-04-09,UNKNOWN,,,720.0,1280.0,0,,"20,43"',
    "9,,NORMAL,2022-04-09,Web,0.0,3000.0,,,0,,",
]


def log_row(user: int, video: int, time: int, **signals: int) -> str:
    """One line of a log."""
    values = dict.fromkeys(LOG_HEADER.split(","), 0) | {"user_id": user, "video_id": video, "time_ms": time}
    assert signals.keys() <= values.keys()
    values |= {"date": 20220421, "hourmin": 400, "duration_ms": 10_000} | signals
    return ",".join(map(str, values.values()))


def write_log(folder: Path, name: str, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    text = "\n".join([LOG_HEADER, *lines]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def write_videos(folder: Path, name: str = "video_features_basic_pure.csv", lines: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join([VIDEO_HEADER, *(VIDEOS if lines is None else lines)]) + "\n", encoding="utf-8")
    return path


def write_pure(folder: Path) -> Path:
    """KuaiRand-Pure in small: two standard logs and a random one."""
    write_log(folder, "log_standard_4_22_to_5_08_pure.csv", log_row(2, 8, 1650600000000), log_row(1, 9, 1650600000001))
    write_log(
        folder,
        "log_standard_4_08_to_4_21_pure.csv",
        log_row(1, 7, 1650485801301, is_click=1, is_follow=1, play_time_ms=12_000),
        log_row(1, 8, 1650485801301, is_profile_enter=1, play_time_ms=5_000, duration_ms=0, tab=4),
    )
    write_log(folder, "log_random_4_22_to_5_08_pure.csv", log_row(3, 7, 1650700000000, is_rand=1))
    write_videos(folder)
    (folder / "user_features_pure.csv").write_text("user_id\n1\n")
    (folder / "video_features_statistic_pure.csv").write_text("video_id,counts\n7,3\n")
    return folder


def _read(folder: Path, signals: frozenset[str] = frozenset(), **options: Any) -> tuple[Any, Reading]:
    reading = Reading(folder, KuaiRandOptions(**options), signals)
    return reading.read(SOURCE), reading


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subfolder", ["", "data"])
def test_the_logs_are_read_in_the_order_of_their_dates(tmp_path: Path, subfolder: str) -> None:
    write_pure(tmp_path / subfolder)
    data, reading = _read(tmp_path)
    assert rows(data.log.batches) == [
        {"user_id": 1, "video_id": 7, "time_ms": 1650485801301},
        {"user_id": 1, "video_id": 8, "time_ms": 1650485801301},
        {"user_id": 2, "video_id": 8, "time_ms": 1650600000000},
        {"user_id": 1, "video_id": 9, "time_ms": 1650600000001},
    ]
    assert (data.log.user, data.log.item, data.log.time) == ("user_id", "video_id", "time_ms")
    assert (data.log.time_unit, data.log.vlogger, data.log.joins_items) == ("ms", None, False)
    assert reading.touched == ["log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv"]
    assert data.has_order
    assert data.follows is None


def test_authors(tmp_path: Path) -> None:
    data, reading = _read(write_pure(tmp_path))
    assert rows(data.items.batches) == [
        {"video_id": 7, "author_id": 70},
        {"video_id": 8, "author_id": 80},
        {"video_id": 9, "author_id": None},
    ]
    assert (data.items.item, data.items.vlogger, data.items.keep, data.items.columns) == (
        "video_id",
        "author_id",
        {},
        (),
    )
    assert reading.touched == ["video_features_basic_pure.csv"]
    assert reading.malformed.total == 0


def test_ids_of_logs_and_videos_have_the_same_type(tmp_path: Path) -> None:
    data, _ = _read(write_pure(tmp_path), frozenset({"is_click"}))
    assert types(data.log.batches) == {
        "user_id": "int64",
        "video_id": "int64",
        "time_ms": "int64",
        "is_click": "double",
    }
    assert types(data.items.batches) == {"video_id": "int64", "author_id": "int64"}


@pytest.mark.parametrize(
    ("log", "expected"), [("random", [(3, 7)]), ("standard", [(1, 7), (1, 8), (2, 8), (1, 9)]), ("all", None)]
)
def test_which_logs(tmp_path: Path, log: str, expected: list[tuple[int, int]] | None) -> None:
    data, reading = _read(write_pure(tmp_path), log=log)
    pairs = [(user, video) for user, video, _ in tuples(data.log.batches)]
    assert pairs == (expected or [(1, 7), (1, 8), (3, 7), (2, 8), (1, 9)])
    if log == "all":
        assert [name.rpartition("_pure")[0] for name in reading.touched] == [
            "log_standard_4_08_to_4_21",
            "log_random_4_22_to_5_08",
            "log_standard_4_22_to_5_08",
        ]


def test_parts_of_a_log_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_log(tmp_path, f"log_standard_4_08_to_4_21_27k_part{number}.csv", log_row(number, 7, 5))
    write_log(tmp_path, "log_standard_4_22_to_5_08_27k_part1.csv", log_row(99, 7, 5))
    write_videos(tmp_path, "video_features_basic_27k.csv")
    data, _ = _read(tmp_path)
    assert [user for user, _, _ in tuples(data.log.batches)] == [1, 2, 10, 99]


def test_compressed_and_parquet_files(tmp_path: Path) -> None:
    write_log(tmp_path, "log_standard_4_08_to_4_21_1k.csv.gz", log_row(1, 7, 5))
    table = pa.table({"user_id": [2], "video_id": [8], "time_ms": [6]})
    pq.write_table(table, tmp_path / "log_standard_4_22_to_5_08_1k.parquet")
    write_videos(tmp_path, "video_features_basic_1k.csv")
    data, reading = _read(tmp_path)
    assert tuples(data.log.batches) == [(1, 7, 5), (2, 8, 6)]
    assert reading.malformed.rows == {
        "log_standard_4_08_to_4_21_1k.csv.gz": 1,
        "log_standard_4_22_to_5_08_1k.parquet": 1,
    }


def test_columns_of_videos_on_demand(tmp_path: Path) -> None:
    data, _ = _read(write_pure(tmp_path), item_column=("tag", "video_duration", "music_id", "visible_status"))
    assert data.items.keep == {
        "tag": "token_seq",
        "video_duration": "float",
        "music_id": "token",
        "visible_status": "token",
    }
    assert tuples(data.items.batches) == [
        (7, 70, "39", 10000.0, "9155697141", "0.0"),
        (8, 80, "20 43", None, "0", None),
        (9, None, None, 3000.0, "0", "0.0"),
    ]


# --- signals ------------------------------------------------------------------------------------------------------


def test_the_defaults_are_signals() -> None:
    assert SOURCE.positive == ("is_click",)
    assert SOURCE.follow_from == ("is_follow", "is_profile_enter")
    assert {*SOURCE.positive, *SOURCE.follow_from} <= SIGNALS.keys()


def test_every_kind_of_feedback_is_a_signal() -> None:
    assert SIGNALS.keys() == {*LOG_HEADER.split(","), "watch_ratio"} - {
        "user_id",
        "video_id",
        "date",
        "hourmin",
        "time_ms",
    }


@pytest.mark.parametrize(
    ("signal", "values"),
    [
        ("is_click", [1, 0, 0, 0]),
        ("is_follow", [1, 0, 0, 0]),
        ("is_profile_enter", [0, 1, 0, 0]),
        ("tab", [0, 4, 0, 0]),
        ("play_time_ms", [12_000, 5_000, 0, 0]),
        ("watch_ratio", [1.2, None, 0, 0]),
    ],
)
def test_what_a_signal_says(tmp_path: Path, signal: str, values: list[float | None]) -> None:
    data, _ = _read(write_pure(tmp_path), frozenset({signal}))
    assert signal_values(data.log, signal) == values


def test_only_the_columns_of_the_signals_asked_for_are_read(tmp_path: Path) -> None:
    folder = write_pure(tmp_path)
    data, _ = _read(folder, frozenset({"is_follow", "watch_ratio"}))
    assert [*rows(data.log.batches)[0]] == [
        "user_id",
        "video_id",
        "time_ms",
        "is_follow",
        "play_time_ms",
        "duration_ms",
    ]
    assert data.log.signals.keys() == SIGNALS.keys()


def test_an_unknown_signal_is_left_to_the_rules(tmp_path: Path) -> None:
    data, _ = _read(write_pure(tmp_path), frozenset({"is_clik"}))
    assert [*rows(data.log.batches)[0]] == ["user_id", "video_id", "time_ms"]


def test_a_missing_entry_of_a_signal_is_null(tmp_path: Path) -> None:
    write_log(tmp_path, "log_standard_pure.csv", log_row(1, 7, 5, is_click=1), log_row(1, 8, 6).replace(",0", ","))
    write_videos(tmp_path)
    data, reading = _read(tmp_path, frozenset({"is_click"}))
    assert tuples(data.log.batches) == [(1, 7, 5, 1.0), (1, 8, 6, None)]
    assert reading.malformed.total == 0


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["pure", "1k", "27k"])
@pytest.mark.parametrize("subfolder", ["", "data"])
def test_the_data_set_is_called_after_the_version(tmp_path: Path, version: str, subfolder: str) -> None:
    write_log(tmp_path / subfolder, f"log_standard_4_08_to_4_21_{version}.csv", log_row(1, 7, 5))
    write_videos(tmp_path / subfolder, f"video_features_basic_{version}.csv")
    assert SOURCE.dataset_name(tmp_path, KuaiRandOptions()) == f"kuairand-{version}"


def test_a_version_of_another_name(tmp_path: Path) -> None:
    write_log(tmp_path, "log_standard_4_08_to_4_21.csv", log_row(1, 7, 5))
    write_videos(tmp_path, "video_features_basic.csv")
    with pytest.raises(InputError, match="Looked for"):
        _read(tmp_path)
    write_videos(tmp_path, "video_features_basic_mine.csv")
    assert SOURCE.dataset_name(tmp_path, KuaiRandOptions()) == "kuairand"


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["log_standard_*", "video_features_basic_*"])
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    folder = write_pure(tmp_path)
    for path in folder.glob(missing):
        path.unlink()
    with pytest.raises(InputError) as error:
        _read(folder)
    message = str(error.value)
    assert message.startswith("Looked for log_standard_*.csv, video_features_basic_*.csv (or .csv.gz, ")
    assert str(folder / "data") in message
    assert "user_features_pure.csv" in message
    if missing.startswith("log"):
        _read(folder, log="random")


def test_an_empty_folder_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds: nothing"):
        _read(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        _read(tmp_path / "absent")
    assert SOURCE.dataset_name(tmp_path / "absent", KuaiRandOptions()) == "kuairand"
    assert SOURCE.dataset_name(None, KuaiRandOptions()) == "kuairand"


def test_a_mixture_of_versions(tmp_path: Path) -> None:
    folder = write_pure(tmp_path)
    write_log(folder, "log_standard_4_08_to_4_21_1k.csv", log_row(1, 7, 5))
    with pytest.raises(InputError, match=r"mixes files of 2 versions .*_1k\.csv"):
        _read(folder)


def test_the_authors_of_another_version(tmp_path: Path) -> None:
    """Its video ids mean other videos."""
    folder = write_pure(tmp_path)
    (folder / "video_features_basic_pure.csv").rename(folder / "video_features_basic_1k.csv")
    with pytest.raises(InputError, match="mixes files of 2 versions"):
        _read(folder)


def test_a_file_in_two_formats(tmp_path: Path) -> None:
    folder = write_pure(tmp_path)
    write_log(folder, "log_standard_4_08_to_4_21_pure.csv.gz", log_row(1, 7, 5))
    with pytest.raises(InputError, match=r"holds both .*4_21_pure\.csv.*4_21_pure\.csv\.gz: remove one"):
        _read(folder)


def test_a_missing_column_is_named_before_anything_is_read(tmp_path: Path) -> None:
    folder = write_pure(tmp_path)
    log = folder / "log_standard_4_22_to_5_08_pure.csv"
    log.write_text(log.read_text().replace("is_click", "click"))
    with pytest.raises(InputError, match=r"4_22_to_5_08_pure\.csv has no column 'is_click'"):
        _read(folder, frozenset({"is_click"}))
    _read(folder, frozenset({"is_follow"}))
    write_videos(folder, lines=[]).write_text("video_id,author\n")
    with pytest.raises(InputError, match=r"video_features_basic_pure\.csv has no column 'author_id'"):
        _read(folder)


def test_malformed_rows_are_located(tmp_path: Path) -> None:
    write_log(
        tmp_path,
        "log_standard_4_08_to_4_21_pure.csv",
        log_row(1, 7, 5),
        "",
        log_row(1, 7, 6) + ",1",
        log_row(1, 7, 7).replace("1,7", "one,7"),
        log_row(1, 7, 8).replace(",8,", ",,"),
        log_row(1, 7, 9),
    )
    write_videos(tmp_path, lines=[VIDEOS[0], VIDEOS[1].replace("80", "eighty")])
    data, reading = _read(tmp_path)
    assert tuples(data.log.batches) == [(1, 7, 5), (1, 7, 9)]
    assert tuples(data.items.batches) == [(7, 70)]
    assert {(row.file.partition("_")[0], row.line, row.reason) for row in reading.malformed.first} == {
        ("log", 4, "20 fields instead of 19"),
        ("log", 5, "`user_id` is not a whole number"),
        ("log", 6, "`time_ms` is empty"),
        ("video", 3, "`author_id` is not a whole number"),
    }
    data, reading = _read(tmp_path)
    reading.malformed.max_share = 0.2
    with pytest.raises(InputError, match="3 of 5 rows are malformed"):
        rows(data.log.batches)


@pytest.mark.parametrize(
    "options", [{"log": "both"}, {"item_column": ("author_id",)}, {"item_column": ("tag", "tags")}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="choose"):
        KuaiRandOptions(**options)


# --- the published video table ------------------------------------------------------------------------------------


def test_the_published_table_of_videos(tmp_path: Path) -> None:
    """KuaiRand-Pure has 7,583 videos (Gao et al., CIKM 2022, table 1)."""
    published = FORMATS / "kuairand_video_features_basic_pure.csv"
    if not published.is_file():
        pytest.skip(f"{published} is not here")
    shutil.copy(published, tmp_path / "video_features_basic_pure.csv")
    write_log(tmp_path, "log_standard_4_08_to_4_21_pure.csv", log_row(1, 7, 5))
    reading = Reading(tmp_path, KuaiRandOptions(item_column=("tag", "video_duration")), malformed=Malformed(0.0))
    found = tuples(reading.read(SOURCE).items.batches)
    assert len(found) == 7583
    assert [video for video, *_ in found] == list(range(7583))
    assert len({author for _, author, *_ in found}) == 6510
    assert found[0] == (0, 7349781, "39", 87433.0)
    assert found[7] == (7, 7676925, "20 67", None)
