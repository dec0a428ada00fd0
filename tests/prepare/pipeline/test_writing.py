"""The files that a preparation writes, and what the data side reads from them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from recbole_vagnn import registry
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.defaults import read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.run import prepare
from tests.helpers import make_config
from tests.prepare.toys import prepare_example, write_example, write_text


def _lines(data_path: Path, suffix: str, name: str = "toy") -> list[list[str]]:
    text = (data_path / name / f"{name}.{suffix}").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [line.split("\t") for line in text[:-1].split("\n")]


def _dataset(data_path: Path, **options: Any) -> VloggerDataset:
    dataset = registry.create_dataset(make_config(data_path, options))
    assert isinstance(dataset, VloggerDataset)
    return dataset


def _interactions(dataset: VloggerDataset) -> list[tuple[str, str]]:
    users, items = (np.asarray(dataset.inter_feat[field]) for field in ("user_id", "item_id"))
    names = dataset.field2id_token
    return [(names["user_id"][u], names["item_id"][i]) for u, i in zip(users, items, strict=True)]


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    prepare_example(write_example(folder / "raw"), folder)
    return folder


def test_inter_holds_the_rows_left_in_the_order_of_the_input(data_path: Path) -> None:
    assert _lines(data_path, "inter") == [
        ["user_id:token", "item_id:token", "timestamp:float"],
        ["u2", "i9", "50"],
        ["u1", "i1", "30"],
        ["u1", "i2", "10"],
        ["u1", "i3", "20"],
        ["u2", "i1", "40"],
        ["u2", "i2", "60"],
        ["u2", "i3", "70"],
        ["u1", "i4", "80"],
    ]


def test_item_holds_creators_and_kept_columns_of_every_item_left(data_path: Path) -> None:
    assert _lines(data_path, "item") == [
        ["item_id:token", "creator:token", "title:token", "year:token"],
        ["i1", "p1", "One, two", "1990"],
        ["i2", "p2", "Zwei", ""],
        ["i3", "", "Drei", "2001"],
        ["i4", "p1", "Vier", "1999"],
        ["i9", "", "", ""],
    ]


def test_follow_holds_each_pair_once_with_its_earliest_time_the_untimed_first(data_path: Path) -> None:
    assert _lines(data_path, "follow") == [
        ["follow_user_id:token", "follow_vlogger_id:token", "follow_time:float"],
        ["u2", "p2", ""],
        ["u1", "p1", "12"],
    ]


def test_yaml_names_the_fields_and_where_it_is_from(data_path: Path) -> None:
    path = data_path / "toy" / "toy.yaml"
    assert read_yaml(path) == {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "VLOGGER_ID_FIELD": "creator",
        "TIME_FIELD": "timestamp",
    }
    assert path.read_text().startswith("# Options of the data set toy, written by `recbole-vagnn prepare table`.")


def test_the_data_set_loads_with_the_ids_creators_and_pairs_of_the_files(data_path: Path) -> None:
    dataset = _dataset(data_path)
    assert sorted(_interactions(dataset)) == sorted((u, i) for u, i, _ in _lines(data_path, "inter")[1:])
    items, creators = dataset.field2id_token["item_id"], dataset.field2id_token["creator"]
    of_item = dict(zip(items[1:], creators[dataset.vlogger_of_item[1:]], strict=True))
    assert of_item == {"i1": "p1", "i2": "p2", "i3": "[PAD]", "i4": "p1", "i9": "[PAD]"}
    assert dataset.follow is not None
    users = dataset.field2id_token["user_id"]
    pairs = {(users[u], creators[p]) for u, p in zip(dataset.follow.users, dataset.follow.vloggers, strict=True)}
    assert pairs == {("u1", "p1"), ("u2", "p2")}


def test_the_split_holds_out_each_users_newest(data_path: Path) -> None:
    _, valid, test = _dataset(data_path).build()
    assert sorted(_interactions(test)) == [("u1", "i4"), ("u2", "i3")]
    assert sorted(_interactions(valid)) == [("u1", "i1"), ("u2", "i2")]


def test_cold_items_are_written_and_can_be_loaded(tmp_path: Path) -> None:
    prepare_example(write_example(tmp_path / "raw"), tmp_path, filters={"cold_items": True})
    assert ["i5", "p3", "cold", "2000"] in _lines(tmp_path, "item")
    assert ["u1", "p3", "9"] in _lines(tmp_path, "follow")
    assert "p3" in _dataset(tmp_path).field2id_token["creator"]


def _without_time(folder: Path) -> dict[str, Any]:
    rows = [f"u{u},i{i},p{i % 3},1" for u in range(5) for i in range(10)]
    write_text(folder / "log.csv", "\n".join(["user_id,item_id,creator_id,liked", *rows, ""]))
    return {"name": "toy", "data_path": folder, "follow_from": ["liked"]}


def test_data_without_a_time_have_no_timestamp_and_split_at_random(tmp_path: Path) -> None:
    given = _without_time(tmp_path)
    report = prepare("table", tmp_path / "log.csv", **given).report
    assert _lines(tmp_path, "inter")[0] == ["user_id:token", "item_id:token"]
    assert _lines(tmp_path, "follow")[0] == ["follow_user_id:token", "follow_vlogger_id:token"]
    options = read_yaml(tmp_path / "toy" / "toy.yaml")
    assert "TIME_FIELD" not in options
    assert options["eval_args"] == {
        "split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full",
    }  # fmt: skip
    train, valid, test = _dataset(tmp_path).build()
    assert (len(train), len(valid), len(test)) == (40, 5, 5)
    assert report is not None
    assert any("runs split at random" in note for note in report.notes())
    assert any(note.startswith("15 follow pairs have no time") for note in report.notes())


CARE = [
    "NA",
    "None",
    "null",
    "007",
    "7",
    "1e5",
    "0x1F",
    "Ünï 日本",
    "a|b",
    "a,b",
    "'q'",
    "\\N",
    "#1",
    "-",
    "[PAD",
    "true",
]


def test_ids_that_need_care_arrive_unchanged(tmp_path: Path) -> None:
    rows = [f"{user}\t {item} \t{n}\tby {item}" for user in CARE for n, item in enumerate(CARE)]
    write_text(tmp_path / "log.tsv", "\n".join(["user_id\titem_id\ttimestamp\tcreator_id", *rows, ""]))
    prepare("table", tmp_path / "log.tsv", name="toy", data_path=tmp_path)
    assert [row[:2] for row in _lines(tmp_path, "inter")[1:]] == [[user, item] for user in CARE for item in CARE]
    dataset = _dataset(tmp_path)
    assert sorted(_interactions(dataset)) == sorted((user, item) for user in CARE for item in CARE)
    items, creators = dataset.field2id_token["item_id"], dataset.field2id_token["creator_id"]
    for item, creator in zip(items[1:], dataset.vlogger_of_item[1:], strict=True):
        assert creators[creator] == f"by {item}"


@pytest.mark.parametrize(
    ("times", "written"),
    [
        (["1650000000123", "9007199254740993"], ["1650000000123", "9007199254740993"]),
        (["1650000000.5", "3"], ["1650000000.5", "3.0"]),
        (["-5", "0"], ["-5", "0"]),
        (["2022-04-10", "1969-12-31"], ["1649548800", "-86400"]),
    ],
)
def test_times_are_written_exactly(tmp_path: Path, times: list[str], written: list[str]) -> None:
    rows = [f"u,i{n},p,{time}" for n, time in enumerate(times)]
    write_text(tmp_path / "log.csv", "\n".join(["user_id,item_id,creator_id,timestamp", *rows, ""]))
    prepare("table", tmp_path / "log.csv", name="toy", data_path=tmp_path, filters={"min_history": 0})
    assert [row[2] for row in _lines(tmp_path, "inter")[1:]] == written


def test_kept_columns_may_be_called_like_columns_of_the_pipeline(tmp_path: Path) -> None:
    names = ("item", "vlogger", "pos", "events", "user", "time", "keep_0")
    write_text(tmp_path / "log.csv", "uid,iid,pos\nu,a,1\nu,b,1\nu,c,0\n")
    write_text(tmp_path / "items.csv", f"iid,by,{','.join(names)}\nb,p,{','.join(map(str, range(7)))}\na,q,7,8,9,,,,\n")
    options = {"user_col": "uid", "item_col": "iid", "creator_col": "by", "items": str(tmp_path / "items.csv")}
    given = {"positive": "pos>=1", "filters": {"min_history": 2}, "options": options | {"keep": names}}
    prepare("table", tmp_path / "log.csv", name="toy", data_path=tmp_path, max_malformed=0, **given)
    assert _lines(tmp_path, "item") == [
        ["item_id:token", "by:token", *(f"{name}:token" for name in names)],
        ["b", "p", *"0123456"],
        ["a", "q", "7", "8", "9", "", "", "", ""],
    ]


def test_of_several_rows_of_an_item_the_one_with_the_creator_gives_all_columns(tmp_path: Path) -> None:
    write_text(tmp_path / "log.csv", "user_id,item_id,timestamp\nu,a,1\nu,b,2\nu,c,3\n")
    write_text(
        tmp_path / "items.csv", "item_id,creator_id,title\na,,no\nb,,first\na,p,yes\na,q,late\nb,,second\nc,p,\n"
    )
    prepare(
        "table", tmp_path / "log.csv", name="toy", data_path=tmp_path,
        options={"items": str(tmp_path / "items.csv"), "keep": ("title",)},
    )  # fmt: skip
    assert _lines(tmp_path, "item")[1:] == [["a", "p", "yes"], ["b", "", "first"], ["c", "p", ""]]


def test_names_of_folders_and_data_sets_need_no_care(tmp_path: Path) -> None:
    folder, name = tmp_path / "it's [red] {a} $x$ ü", "toy's [bold] $x_1$ %d"
    prepare_example(write_example(folder / "raw"), folder, name=name, quiet=False)
    assert len(_lines(folder, "inter", name)) == 9


# --- many rows --------------------------------------------------------------------------------------------------


def test_a_database_that_spills_to_disk_gives_the_same_bytes(tmp_path: Path) -> None:
    """300,000 rows, two thirds of which are left: 2 GB hold them, 40 MB do not."""
    path = tmp_path / "log.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'user ' || (hash(range) % 15000) AS user_id, 'item ' || (hash(range + 7) % 20000) AS item_id,"
            "'by ' || (hash(range + 7) % 20000 % 900) AS creator_id, hash(range + 9) % 99999 AS timestamp, "
            f"hash(range) % 3 AS liked FROM range(300000)) TO '{path}'"
        )
    made = []
    for memory, threads in (("2GB", 1), ("40MB", 2)):
        filters = {"user_core": 10, "item_core": 5, "vlogger_core": 200, "newest": 20, "duplicates": "last"}
        prepare("table", path, name="toy", data_path=tmp_path / memory, memory=memory, threads=threads,
                filters=filters, follow_from=["liked==1"])  # fmt: skip
        folder = tmp_path / memory / "toy"
        made.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert made[0] == made[1]
    assert made[0]["toy.inter"].count(b"\n") > 100_000


def test_a_memory_limit_that_is_far_too_small_is_reported_with_the_mend(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [f"user {rng.random()},item {rng.random()},p,{n}" for n in range(20_000)]
    write_text(tmp_path / "log.csv", "\n".join(["user_id,item_id,creator_id,timestamp", *rows]))
    with pytest.raises(InputError, match="Raise --memory \\(now 1MB\\)"):
        prepare("table", tmp_path / "log.csv", name="toy", data_path=tmp_path, memory="1MB", filters={"min_history": 0})
    with pytest.raises(InputError, match="--memory much"):
        prepare_example(write_example(tmp_path), tmp_path, memory="much")
    assert not (tmp_path / "toy").exists()
