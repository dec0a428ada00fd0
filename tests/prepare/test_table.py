"""The source ``table``: whose columns are named by options."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.run import Prepared, prepare
from recbole_vagnn.prepare.table import SOURCE, TableOptions
from tests.prepare.raw import Reading, tuples
from tests.prepare.toys import write_text

SHARED = Path(__file__).parents[3] / "shared" / "data"
LOG = "user_id,item_id,creator_id,timestamp\nu1,i1,p1,5\nu2,i2,p2,6\nu1,i2,p2,7\n"
ROWS = [("u1", "i1", 5, "p1"), ("u2", "i2", 6, "p2"), ("u1", "i2", 7, "p2")]


def _read(path: Path, *signals: str, max_malformed: float = 0.0, **options: Any) -> Any:
    reading = Reading(path, TableOptions(**options), frozenset(signals), Malformed(max_malformed))
    return reading.read(SOURCE)


def _log(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    return tuples(_read(path, **options).log.batches)


# --- formats ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", LOG),
        ("log.txt", LOG),
        ("log.csv", LOG.replace("\n", "\r\n")),
        ("log.csv", "\ufeff" + LOG),
        ("log.csv", LOG.replace("u1", '"u1"')),
        ("log.csv", LOG.replace(",", ";")),
        ("log.txt", LOG.replace(",", "|")),
        ("log.csv", LOG.replace(",", "\t")),
        ("log.tsv", LOG.replace(",", "\t")),
        ("log.inter", LOG.replace(",", "\t")),
        ("log.inter", LOG.replace(",", "\t").replace("_id", "_id:token").replace("timestamp", "timestamp:float")),
        ("log.csv", LOG.replace("user_id", " user_id ")),
    ],
)
def test_text_in_any_dress_gives_the_same_rows(tmp_path: Path, name: str, text: str) -> None:
    assert _log(write_text(tmp_path / name, text)) == ROWS


@pytest.mark.parametrize(("name", "text"), [("log.csv.gz", LOG), ("log.tsv.gz", LOG.replace(",", "\t"))])
def test_compressed_text_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert _log(tmp_path / name) == ROWS


def test_parquet_of_any_column_types_is_read(tmp_path: Path) -> None:
    names = ["user_id", "item_id", "timestamp", "creator_id"]
    columns = [
        pa.array([1, 2]),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([5, 6], pa.uint32()),
        pa.array([7, None]),
    ]
    pq.write_table(pa.table(columns, names), tmp_path / "log.parquet")
    assert _log(tmp_path / "log.parquet") == [("1", "a", 5, "7"), ("2", "b", 6, None)]


def test_a_delimiter_may_be_given_where_the_suffix_misleads(tmp_path: Path) -> None:
    path = write_text(tmp_path / "log.tsv", LOG.replace(",", "|"))
    assert _log(path, delimiter="bar") == ROWS
    with pytest.raises(InputError, match="no column 'user_id'"):
        _log(path)


def test_quoted_entries_may_hold_delimiters_and_line_ends(tmp_path: Path) -> None:
    log = write_text(
        tmp_path / "log.csv", 'user_id,item_id,note,timestamp\n"u,1",i1,"two\nlines, really",5\nu2,i2,,6\n'
    )
    items = write_text(tmp_path / "items.csv", 'item_id,creator_id,text\ni1,"Smith, J.","a\nb"\ni2,"",c\n')
    data = _read(log, items=str(items))
    assert tuples(data.log.batches) == [("u,1", "i1", 5), ("u2", "i2", 6)]
    assert tuples(data.items.batches) == [("i1", "Smith, J."), ("i2", None)]


# --- columns ----------------------------------------------------------------------------------------------------


def test_columns_are_those_named(tmp_path: Path) -> None:
    log = write_text(tmp_path / "log.csv", "when,who,what\n5,u1,i1\n")
    items = write_text(tmp_path / "items.csv", "by,song\np1,i1\n")
    data = _read(
        log, items=str(items), user_col="who", item_col="what", time_col="when", items_item_col="song", creator_col="by"
    )
    assert tuples(data.log.batches) == [("u1", "i1", 5)]
    assert tuples(data.items.batches) == [("i1", "p1")]
    assert (data.log.user, data.log.item, data.log.time, data.log.vlogger) == ("who", "what", "when", None)
    assert data.vlogger_field == "by"


@pytest.mark.parametrize(
    ("column", "field"),
    [("artist", "artist"), ("brand name", "vlogger_id"), ("timestamp2", "timestamp2"), ("follow_time", "vlogger_id")],
)
def test_the_creators_column_keeps_a_plain_name_of_its_own(tmp_path: Path, column: str, field: str) -> None:
    path = write_text(tmp_path / "log.csv", f"user_id,item_id,{column}\nu,i,p\n")
    assert _read(path, creator_col=column).vlogger_field == field


@pytest.mark.parametrize(
    ("times", "values", "unit"),
    [
        (["5", "1650000000123"], [5, 1650000000123], None),
        (["5.5", "1e3"], [5.5, 1000.0], None),
        (["2022-04-10", "1970-01-01 00:00:01.9"], [1649548800, 1], "s"),
        (["2022-04-10T02:00:00+02:00", "2022-04-10T00:00:00Z"], [1649548800, 1649548800], "s"),
    ],
)
def test_times_are_numbers_or_dates_by_their_first_rows(
    tmp_path: Path, times: list[str], values: list[float], unit: str | None
) -> None:
    rows = "".join(f"u,i{n},p,{time}\n" for n, time in enumerate(times))
    data = _read(write_text(tmp_path / "log.csv", f"user_id,item_id,creator_id,timestamp\n{rows}"))
    assert [row[2] for row in tuples(data.log.batches)] == values
    assert data.log.time_unit == unit
    assert data.has_order


@pytest.mark.parametrize(("good", "bad"), [("7", "late"), ("7.5", "late"), ("2022-04-10", "7"), ("7", "")])
def test_one_malformed_time_does_not_decide_how_times_are_written(tmp_path: Path, good: str, bad: str) -> None:
    text = f"user_id,item_id,creator_id,timestamp\nu,i,p,{bad}\n" + f"u,i,p,{good}\n" * 3
    path = write_text(tmp_path / "log.csv", text)
    assert len(_log(path, max_malformed=0.5)) == 3
    with pytest.raises(InputError, match=r"1 of 4 rows are malformed .*\n  log.csv, line 2: `timestamp` is"):
        _log(path)


def test_without_a_time_there_is_no_order(tmp_path: Path) -> None:
    data = _read(write_text(tmp_path / "log.csv", "user_id,item_id,creator_id\nu,i,p\n"))
    assert (data.log.time, data.has_order) == (None, False)
    assert data.remarks == ["The interactions have no time: runs split at random (RS 80/10/10 of each user)."]


@pytest.mark.parametrize(
    ("separator", "text", "first"),
    [(None, "p | q", "p | q"), ("|", "p | q", "p"), ("|", "p", "p"), (" & ", "p & q & r", "p"), ("|", "", "")],
)
def test_of_several_creators_the_first_counts(tmp_path: Path, separator: str | None, text: str, first: str) -> None:
    log = write_text(tmp_path / "log.csv", f"user_id,item_id,creator_id\nu,i,{text}\n")
    items = write_text(tmp_path / "items.csv", f"item_id,creator_id\ni,{text}\n")
    assert (_log(log, creator_separator=separator)[0][2] or "") == first
    data = _read(log, items=str(items), creator_separator=separator)
    assert (tuples(data.items.batches)[0][1] or "") == first


def test_kept_columns_of_the_items_go_with_them(tmp_path: Path) -> None:
    log = write_text(tmp_path / "log.csv", LOG)
    items = write_text(
        tmp_path / "items.item", "item_id:token\tcreator_id:token\tyear:float\ttitle\ni1\tp1\t1990\tNA\n"
    )
    data = _read(log, items=str(items), keep=("title", "year"))
    assert tuples(data.items.batches) == [("i1", "p1", "NA", "1990")]
    assert data.items.keep == {"title": "token", "year": "token"}


def test_follows_with_and_without_time(tmp_path: Path) -> None:
    log = write_text(tmp_path / "log.csv", LOG)
    follows = write_text(tmp_path / "follows.csv", "who,user_id,creator_id,at\nw1,u1,p1,5\nw2,u2,p2,\n")
    plain = _read(log, follows=str(follows)).follows
    assert (tuples(plain.batches), plain.time) == ([("u1", "p1"), ("u2", "p2")], None)
    timed = _read(log, follows=str(follows), follow_user_col="who", follow_time_col="at").follows
    assert (tuples(timed.batches), timed.time) == ([("w1", "p1", 5), ("w2", "p2", None)], "at")
    other = _read(log, follows=str(follows), follow_creator_col="who").follows
    assert tuples(other.batches) == [("u1", "w1"), ("u2", "w2")]


def test_rules_may_name_any_column_of_numbers(tmp_path: Path) -> None:
    text = (
        "user_id,item_id,creator_id,timestamp,rating:float,liked\nu,a,p,1,4.5,1\nu,b,p,2,3,\nu,c,p,3,5,0\nu,d,p,4,,1\n"
    )
    path = write_text(tmp_path / "log.csv", text)
    made = prepare(
        "table", path, name="toy", data_path=tmp_path, positive=["rating>=4", "liked"], follow_from="timestamp<=1",
        filters={"min_history": 0},
    )  # fmt: skip
    lines = (made.folder / "toy.inter").read_text().splitlines()
    assert lines[1:] == ["u\ta\t1", "u\tc\t3", "u\td\t4"]
    assert (made.folder / "toy.follow").read_text().splitlines()[1:] == ["u\tp\t1"]


# --- messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"user_col": "user"},
            r"log\.csv has no column 'user' \(--user-col\)\. Did you mean 'user_id'\? Its columns: ",
        ),
        ({"item_col": "itm_id"}, r"no column 'itm_id' \(--item-col\)\. Did you mean 'item_id'"),
        ({"time_col": "time"}, r"no column 'time' \(--time-col\)\."),
        ({"creator_col": "creator"}, r"no column 'creator' \(--creator-col\)\. Did you mean 'creator_id'"),
        ({"item_col": "user_id"}, r"--user-col and --item-col name the same column of .*log\.csv: 'user_id'"),
        ({"time_col": "user_id"}, r"--user-col and --time-col name the same column"),
        ({"creator_col": "item_id"}, r"--item-col and --creator-col name the same column"),
        ({"user_col": "item_id"}, r"--user-col and --item-col name the same column"),
        ({"items": "nowhere.csv"}, r"File nowhere\.csv does not exist"),
        ({"items": "{}/items.csv", "items_item_col": "song"}, r"items\.csv has no column 'song' \(--items-item-col\)"),
        ({"items": "{}/items.csv", "creator_col": "item_id"}, r"--item-col and --creator-col name the same column"),
        ({"items": "{}/items.csv", "keep": ("year",)}, r"items\.csv has no column 'year' \(--keep\)"),
        (
            {"items": "{}/items.csv", "keep": ("creator_id",)},
            r"--keep creator_id: the data set has a column of that name",
        ),
        (
            {"items": "{}/items.csv", "keep": ("timestamp",)},
            r"--keep timestamp: the data set has a column of that name",
        ),
        ({"items": "{}/items.csv", "keep": ("Title", "title")}, r"columns 'Title' and 'title' differ only in case"),
        ({"items": "{}/items.csv", "keep": ("creator_id:token",)}, r"no column 'creator_id:token' \(--keep\)"),
        ({"follows": "{}/log.csv", "follow_user_col": "who"}, r"log\.csv has no column 'who' \(--follow-user-col\)"),
        ({"follows": "{}/log.csv", "follow_creator_col": "who"}, r"no column 'who' \(--follow-creator-col\)"),
        (
            {"follows": "{}/log.csv", "follow_creator_col": "user_id"},
            r"--follow-user-col and --follow-creator-col name",
        ),
        ({"follows": "{}/log.csv", "follow_time_col": "user_id"}, r"--follow-user-col and --follow-time-col name the"),
        ({"items_item_col": "song"}, r"`items_item_col` needs `items`"),
        ({"keep": ("title",)}, r"`keep` needs `items`"),
        ({"follow_time_col": "at"}, r"`follow_time_col` needs `follows`"),
        ({"delimiter": ","}, r"`delimiter` is ','; choose one of: tab, comma, semicolon, bar"),
        ({"creator_separator": ""}, r"`creator_separator` is empty"),
    ],
)
def test_wrong_options_are_named_with_the_mend(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    log = write_text(tmp_path / "log.csv", LOG)
    write_text(tmp_path / "items.csv", "item_id,creator_id,timestamp,Title,title\ni1,p1,1,a,b\n")
    given = {key: text.format(tmp_path) if isinstance(text, str) else text for key, text in options.items()}
    with pytest.raises(InputError, match=message):
        _read(log, **given)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("ratng", r"no column 'ratng' \(--positive or --follow-from\)"),
        ("user_id", r"--positive or --follow-from names the column 'user_id' of .*log\.csv, which holds ids"),
        ("creator_id", r"names the column 'creator_id' .* which holds ids"),
    ],
)
def test_a_rule_on_no_column_of_numbers_is_refused(tmp_path: Path, signal: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(write_text(tmp_path / "log.csv", LOG), signal)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"log\.csv, line 1: the header is empty"),
        ("user_id,item_id,creator_id\n", "no readable row of interactions"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare("table", write_text(tmp_path / "log.csv", text), data_path=tmp_path / "data")


def test_a_folder_is_no_file_of_interactions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a file\. Give the file of interactions"):
        _read(tmp_path)


# --- real data --------------------------------------------------------------------------------------------------


def _shared(name: str, data_path: Path) -> Prepared:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return prepare(
        "table", folder / f"{name}.inter", name=name, data_path=data_path, max_malformed=0,
        options={"items": str(folder / f"{name}.item")}, filters={"min_history": 0, "cold_items": True},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "users", "items", "creators", "interactions"),
    [("amazon-brand", 6_150, 1_369, 333, 103_104), ("douban-book", 13_024, 22_347, 10_805, 792_062)],
)
def test_real_data_have_the_counts_that_are_known(
    tmp_path: Path, name: str, users: int, items: int, creators: int, interactions: int
) -> None:
    made = _shared(name, tmp_path)
    assert made.report is not None
    numbers = made.report.statistics.numbers
    found = tuple(numbers[key] for key in ("users", "items", "vloggers", "interactions"))
    assert found == (users, items, creators, interactions)
    assert made.report.loaded.conflicts == made.report.loaded.without_row == made.report.malformed.total == 0
    lines = (made.folder / f"{name}.inter").read_text().splitlines()
    source = (SHARED / name / f"{name}.inter").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines[1:]] == [line.split("\t")[:2] for line in source[1:]]
    timed = name == "amazon-brand"
    assert ("timestamp:float" in lines[0]) == timed
    if not timed:
        without = numbers["items of unknown vlogger"] / items
        assert round(1 - without, 2) == 0.98
