"""Bad files and options: one InputError each, which names file, line or field, count and mend, and writes nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn import registry
from recbole_vagnn.data.options import DataOptions
from recbole_vagnn.errors import InputError
from tests.helpers import Rows, make_config, write_dataset

HEADER = "user_id:token item_id:token timestamp:float"
INTER = [(user, item, time) for user in ("u", "w") for time, item in enumerate("abcd", start=1)]
ITEM = [("a", "p"), ("b", "p"), ("c", "q"), ("d", "")]
PRESPLIT = ["train", "valid", "test"]


def _snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Function that loads the data, expects an InputError and returns its message; nothing may be written."""

    def load(options: Mapping[str, Any] | None = None) -> str:
        monkeypatch.chdir(tmp_path)
        before = _snapshot(tmp_path)
        with pytest.raises(InputError) as caught:
            registry.create_dataset(make_config(tmp_path, options)).build()
        assert _snapshot(tmp_path) == before
        message = str(caught.value)
        assert "\n" not in message
        assert message.endswith(".")
        assert "np." not in message
        return message

    return load


def _assert_says(message: str, *parts: str) -> None:
    assert [part for part in parts if part not in message] == [], message


# ------------------------------------------------------------------ files and columns


def test_a_missing_folder(tmp_path: Path, refused: Callable[..., str]) -> None:
    _assert_says(refused(), f"{tmp_path}/toy does not exist", "toy.inter and toy.item", "`data_path`")


def test_a_file_in_place_of_the_folder(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "toy").write_text("x")
    _assert_says(refused(), f"{tmp_path}/toy does not exist")


def test_a_missing_interaction_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    (tmp_path / "toy" / "toy.inter").unlink()
    _assert_says(refused(), "toy/toy.inter does not exist", "Put it there", "`data_path`")


def test_a_missing_item_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, None)
    _assert_says(refused(), "toy/toy.item does not exist", "'vlogger_id' (`VLOGGER_ID_FIELD`)")


def test_an_item_file_that_is_not_loaded(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    message = refused({"load_col": {"inter": ["user_id", "item_id", "timestamp"]}})
    _assert_says(message, "toy.item", "is not loaded", "'vlogger_id'")


def test_a_missing_presplit_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    (tmp_path / "toy" / "toy.inter").rename(tmp_path / "toy" / "toy.train.inter")
    _assert_says(refused({"benchmark_filename": PRESPLIT}), "toy/toy.valid.inter does not exist")


def test_two_presplit_files(tmp_path: Path, refused: Callable[..., str]) -> None:
    for name in ("train", "test"):
        write_dataset(tmp_path, INTER, ITEM)
        (tmp_path / "toy" / "toy.inter").rename(tmp_path / "toy" / f"toy.{name}.inter")
    message = refused({"benchmark_filename": ["train", "test"]})
    _assert_says(message, "`benchmark_filename` is ['train', 'test']", "three files")


@pytest.mark.parametrize(
    ("inter_header", "parts"),
    [
        ("usr_id:token item_id:token timestamp:float", ["'user_id'", "Did you mean 'usr_id'?", "`USER_ID_FIELD`"]),
        ("user_id:token iid:token timestamp:float", ["'item_id'", "user_id, iid, timestamp", "`ITEM_ID_FIELD`"]),
    ],
)
def test_a_missing_user_or_item_column(
    tmp_path: Path, refused: Callable[..., str], inter_header: str, parts: list[str]
) -> None:
    write_dataset(tmp_path, INTER, ITEM, inter_header=inter_header)
    _assert_says(refused(), "toy.inter has no column", *parts)


def test_a_missing_vlogger_column(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM, item_header="item_id:token vloger_id:token")
    message = refused()
    _assert_says(message, "toy.item has no column 'vlogger_id'", "Did you mean 'vloger_id'?", "item_id, vloger_id")
    _assert_says(message, "Set `VLOGGER_ID_FIELD`")


def test_a_missing_column_of_an_explicit_list(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    message = refused({"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "title"]}})
    _assert_says(message, "toy.item has no column 'title'", "`load_col`")


@pytest.mark.parametrize("kind", ["float", "token_seq", "float_seq"])
def test_a_vlogger_column_that_is_not_a_token(tmp_path: Path, refused: Callable[..., str], kind: str) -> None:
    rows = [(item, number) for number, (item, _) in enumerate(ITEM)]
    write_dataset(tmp_path, INTER, rows, item_header=f"item_id:token vlogger_id:{kind}")
    message = refused()
    _assert_says(message, "toy.item, line 1", f"'vlogger_id' is of type {kind}", "must be a token", "vlogger_id:token")


@pytest.mark.parametrize(
    ("inter_header", "parts"),
    [
        ("user_id:float item_id:token timestamp:float", ["'user_id' is of type float", "must be a token"]),
        ("user_id:token item_id:token_seq timestamp:float", ["'item_id' is of type token_seq", "must be a token"]),
        ("user_id:token item_id:token timestamp:token", ["'timestamp' is of type token", "must be a float"]),
    ],
)
def test_an_id_or_time_column_of_the_wrong_type(
    tmp_path: Path, refused: Callable[..., str], inter_header: str, parts: list[str]
) -> None:
    rows = [(number, item, time) for number, (_, item, time) in enumerate(INTER)]
    write_dataset(tmp_path, rows, ITEM, inter_header=inter_header)
    _assert_says(refused(), "toy.inter, line 1", *parts)


@pytest.mark.parametrize("field", ["user_id", "item_id"])
def test_the_users_or_items_own_column_as_vlogger(tmp_path: Path, refused: Callable[..., str], field: str) -> None:
    write_dataset(tmp_path, INTER, [(*row, "x") for row in ITEM], item_header="item_id:token v:token user_id:token")
    _assert_says(refused({"VLOGGER_ID_FIELD": field}), f"`VLOGGER_ID_FIELD` is '{field}'", "column of its own")


@pytest.mark.parametrize(
    ("header", "entry"),
    [
        ("user_id item_id:token timestamp:float", "'user_id'"),
        ("user_id:token item_id:str timestamp:float", "'item_id:str'"),
        ("user_id:token,item_id:token,timestamp:float", "'user_id:token,item_id:token,timestamp:float'"),
        ("", "''"),
    ],
)
def test_a_header_entry_without_a_type(tmp_path: Path, refused: Callable[..., str], header: str, entry: str) -> None:
    write_dataset(tmp_path, INTER, ITEM, inter_header=header)
    _assert_says(refused(), "toy.inter, line 1", f"{entry} is not `name:type`", "token, float", "Check the header")


def test_a_column_named_twice(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM, inter_header="user_id:token user_id:token timestamp:float")
    _assert_says(refused(), "toy.inter, line 1", "'user_id' appears twice", "Rename or remove one")


@pytest.mark.parametrize("suffix", ["inter", "item"])
def test_a_file_with_a_header_alone(tmp_path: Path, refused: Callable[..., str], suffix: str) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    path = tmp_path / "toy" / f"toy.{suffix}"
    path.write_text(path.read_text().partition("\n")[0] + "\n")
    _assert_says(refused(), f"toy.{suffix} has a header but no rows", "Add rows")


def test_an_empty_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    (tmp_path / "toy" / "toy.inter").write_bytes(b"")
    _assert_says(refused(), "toy.inter, line 1", "is not `name:type`")


# ------------------------------------------------------------------ rows


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([*INTER, ("", "a", 5), ("nan", "b", 6)], ["2 row(s), first at line 10 (empty), line 11 (empty)", "`user_id`"]),
        ([("u", "", 1), *INTER], ["1 row(s), first at line 2 (empty)", "`item_id` is empty or NaN"]),
        ([*INTER, ("u", "e", "nan")], ["1 row(s), first at line 10 (empty)", "`timestamp` is empty, NaN or infinite"]),
        ([*INTER, ("u", "e", "")], ["1 row(s), first at line 10 (empty)", "`timestamp` is empty, NaN or infinite"]),
        ([*INTER, ("u", "e", "inf")], ["line 10 ('inf')", "`timestamp` is empty, NaN or infinite"]),
        ([*INTER, ("u", "e", "2020-01-01")], ["line 10 ('2020-01-01')", "`timestamp` is not a number"]),
        ([("u", "a", "True"), ("u", "b", "False")], ["2 row(s), first at line 2 ('True')", "is not a number"]),
        ([*INTER, ("u", "e")], ["1 row(s), first at line 10 (empty)", "`timestamp`"]),
        ([*INTER, ()], ["1 row(s), first at line 10 (empty)"]),
    ],
)
def test_an_empty_or_wrong_entry(tmp_path: Path, refused: Callable[..., str], rows: Rows, parts: list[str]) -> None:
    write_dataset(tmp_path, rows, [*ITEM, ("e", "p")])
    _assert_says(refused(), "toy.inter", "Correct or remove them", *parts)


def test_many_wrong_entries_are_counted_and_the_first_ones_shown(tmp_path: Path, refused: Callable[..., str]) -> None:
    rows = [*INTER, *((f"u{n}", "a", "x" if n % 2 else 1) for n in range(100))]
    write_dataset(tmp_path, rows, ITEM)
    message = refused()
    _assert_says(message, "50 row(s), first at line 11 ('x'), line 13 ('x'), line 15 ('x'): `timestamp`")
    assert "line 17" not in message


def test_a_rating_that_is_not_a_number(tmp_path: Path, refused: Callable[..., str]) -> None:
    rows = [(*row, "good" if n == 3 else 1) for n, row in enumerate(INTER)]
    write_dataset(tmp_path, rows, ITEM, inter_header=f"{HEADER} rating:float")
    _assert_says(refused(), "toy.inter", "1 row(s), first at line 5 ('good')", "`rating` is not a number")


def test_a_sequence_of_floats_that_holds_something_else(tmp_path: Path, refused: Callable[..., str]) -> None:
    rows = [(*row, "1 two" if n == 1 else "1 2") for n, row in enumerate(ITEM)]
    write_dataset(tmp_path, INTER, rows, item_header="item_id:token vlogger_id:token v:float_seq")
    load = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "v"]}
    _assert_says(refused({"load_col": load}), "toy.item", "1 row(s), first at line 3 ('1 two')", "`v`", "Correct them")


@pytest.mark.parametrize("line", [2, 4, 9])
@pytest.mark.parametrize("load_col", ["auto", {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]}])
def test_a_line_with_too_many_fields(tmp_path: Path, refused: Callable[..., str], line: int, load_col: object) -> None:
    rows = [(*row, "r", "x") if n + 2 == line else (*row, "r") for n, row in enumerate(INTER)]
    write_dataset(tmp_path, rows, ITEM, inter_header=f"{HEADER} remark:token")
    _assert_says(refused({"load_col": load_col}), "toy.inter", f"line {line}", "4 field(s) of the header", "'\\t'")


def test_a_quote_that_is_never_closed(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, [("a", '"p'), *ITEM[1:]])
    _assert_says(refused(), "toy.item", "EOF inside string starting at row 1", "quote must be closed")


@pytest.mark.parametrize("line", [1, 3, 5000])
def test_bytes_that_are_not_the_encoding(tmp_path: Path, refused: Callable[..., str], line: int) -> None:
    write_dataset(tmp_path, INTER * 700, ITEM)
    path = tmp_path / "toy" / "toy.inter"
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = b"M\xfcller" + lines[line - 1]
    path.write_bytes(b"\n".join(lines))
    message = refused()
    _assert_says(message, "toy.inter: 1 line(s)", f"first line {line},", "cannot be read as utf-8", "set `encoding`")


def test_an_item_with_two_rows(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, [*ITEM, ("a", "q"), ("b", "p")])
    _assert_says(refused(), "toy.item", "2 row(s), first at line 6 ('a'), line 7 ('b')", "`item_id`", "keep one")


def test_an_item_row_without_an_id(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, [*ITEM, ("", "q")])
    _assert_says(refused(), "toy.item", "1 row(s), first at line 6 (empty)", "`item_id`")


def test_items_without_a_row(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, [row for row in ITEM if row[0] in "ab"])
    message = refused()
    _assert_says(message, "toy.item", "2 item(s) of 4 interaction(s) have no row", "first 'c'", "(interaction row 3)")
    _assert_says(message, "Add rows", "`items_without_row: unknown`", "`drop`")


# ------------------------------------------------------------------ filters and splits


def test_everything_filtered_away(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    message = refused({"user_inter_num_interval": "[9,inf)"})
    _assert_says(message, "No interaction of toy is left", "user_inter_num_interval='[9,inf)'", "Relax them")


def test_every_interaction_dropped(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, [("z", "p")])
    _assert_says(refused({"items_without_row": "drop"}), "No interaction of toy is left", "items_without_row='drop'")


def test_order_in_time_without_a_time_column(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, [row[:2] for row in INTER], ITEM, inter_header="user_id:token item_id:token")
    message = refused()
    _assert_says(message, "toy.inter has no column 'timestamp' (`TIME_FIELD`)", "`order: TO`", "'order': 'RO'")


def test_order_in_time_with_a_time_column_that_is_not_loaded(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    message = refused({"load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]}})
    _assert_says(message, "'timestamp'", "not loaded (`load_col`)")


def test_a_split_that_leaves_no_test(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, [("u", "a", 1), ("w", "b", 2)], ITEM)
    message = refused()
    _assert_says(message, "2 training, 0 validation and 0 test interactions of toy", "more interactions", "`eval_args`")


def test_a_split_that_leaves_no_training(tmp_path: Path, refused: Callable[..., str]) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    split = {"split": {"RS": [0.0, 0.5, 0.5]}, "order": "RO", "group_by": "none"}
    _assert_says(refused({"eval_args": split}), "leaves 0 training, 4 validation and 4 test")


# ------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"items_without_row": "ignore"}, ["`items_without_row` is 'ignore'", "error, unknown, drop"]),
        ({"sampler": "fast"}, ["`sampler` is 'fast'", "vectorised, recbole"]),
        ({"neg_scope": "all"}, ["`neg_scope` is 'all'", "any, unseen_vlogger"]),
        ({"split_seed": -1}, ["`split_seed` is -1", "at least 0"]),
        ({"split_seed": 1.5}, ["`split_seed` is 1.5", "a whole number"]),
        ({"eval_memory_mb": 0}, ["`eval_memory_mb` is 0", "a whole number at least 1"]),
        ({"eval_memory_mb": True}, ["`eval_memory_mb` is True", "a whole number"]),
    ],
)
def test_a_wrong_option_value(
    tmp_path: Path, refused: Callable[..., str], options: dict[str, Any], parts: list[str]
) -> None:
    write_dataset(tmp_path, INTER, ITEM)
    _assert_says(refused(options), *parts)


def test_data_options_take_defaults_for_absent_keys_and_refuse_what_they_do_not_know() -> None:
    assert DataOptions.from_config({"neg_scope": "unseen_vlogger"}.get) == DataOptions(neg_scope="unseen_vlogger")
    assert DataOptions.from_config(lambda _: None).VLOGGER_ID_FIELD is None
    for name, value in (("sampler", "x"), ("split_seed", "1"), ("split_seed", True), ("eval_memory_mb", 0.5)):
        with pytest.raises(InputError, match=f"`{name}` is {value!r}"):
            DataOptions.from_config({name: value}.get)
