"""What VloggerDataset loads, how it splits, and what a split offers, against values written by hand."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import scipy.sparse as sp
import torch
from recbole.data.dataset import Dataset

from recbole_vagnn import registry
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.errors import InputError
from tests.helpers import load_splits, make_config, write_dataset, write_file

Pairs = list[tuple[str, str]]

# Users u, w; items a … e; creators: a, b of p; c of q; d unknown; e of r. Rows are not in the order of time.
INTER = [
    ("u", "d", 40),
    ("u", "a", 10),
    ("w", "b", 15),
    ("u", "c", 30),
    ("u", "b", 20),
    ("w", "c", 25),
    ("w", "a", 35),
    ("w", "e", 45),
]
ITEM = [("a", "p"), ("b", "p"), ("c", "q"), ("d", ""), ("e", "r")]
RANDOM_SPLIT = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none"}}


def pairs(split: VloggerDataset) -> Pairs:
    """(user, item) of a split in original ids, in its order."""
    users = split.id2token(split.uid_field, split.inter_feat[split.uid_field].numpy())
    items = split.id2token(split.iid_field, split.inter_feat[split.iid_field].numpy())
    return [(str(user), str(item)) for user, item in zip(users, items, strict=True)]


def by_token(matrix: sp.csr_matrix, rows: VloggerDataset, row_field: str, column_field: str) -> dict[Any, float]:
    """Non-zero entries of a matrix by original ids."""
    entries = sp.coo_matrix(matrix)
    names = zip(
        rows.id2token(row_field, entries.row), rows.id2token(column_field, entries.col), entries.data, strict=True
    )
    return {(str(row), str(column)): float(value) for row, column, value in names}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, INTER, ITEM)


# ------------------------------------------------------------------ the same as RecBole's own Dataset

_FLOATS = (np.random.default_rng(7).random(24) * 10.0 ** np.arange(-12, 12)).tolist()
_COLUMNS = {
    "inter": ["user_id", "item_id", "rating", "timestamp", "place"],
    "item": ["item_id", "vlogger_id", "tags", "vector", "length"],
    "user": ["user_id", "age", "weights", "city"],
}


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Every type of column in every file, a user and an item without interactions, empty tokens and sequences."""
    users, items = ["u1", "u2", "u3", "u4"], ["i1", "i2", "i3", "i4", "i5", "i6"]
    order = np.random.default_rng(3).permutation(24)
    rows = [
        (users[n % 4], items[n // 4], _FLOATS[n], 100 + int(order[n]), "" if n % 5 == 0 else f"place{n}")
        for n in range(24)
    ]
    item = [
        (f"i{n}", "" if n == 3 else f"v{n % 3}", "x y z"[: 2 * n % 6], " ".join(map(repr, _FLOATS[:n])), n / 3)
        for n in range(8, 0, -1)
    ]
    user = [(f"u{n}", n / 7, " ".join(map(repr, _FLOATS[: n % 3])), "" if n == 2 else "c") for n in (2, 1, 5, 3)]
    write_dataset(
        tmp_path,
        rows,
        item,
        inter_header="user_id:token item_id:token rating:float timestamp:float place:token",
        item_header="item_id:token vlogger_id:token tags:token_seq vector:float_seq length:float",
    )
    header = "user_id:token age:float weights:float_seq city:token"
    write_file(tmp_path / "toy" / "toy.user", header, user)
    return tmp_path


def _assert_same_tables(ours: Dataset, theirs: Dataset) -> None:
    assert ours.field2type == theirs.field2type
    assert ours.field2source == theirs.field2source
    assert dict(ours.field2seqlen) == dict(theirs.field2seqlen)
    assert ours.field2bucketnum == theirs.field2bucketnum
    assert ours.field2token_id == theirs.field2token_id
    for field, tokens in theirs.field2id_token.items():
        assert ours.field2id_token[field].tolist() == tokens.tolist()


def _assert_same_frame(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours.columns) == list(theirs.columns)
    for name in theirs:
        assert [np.asarray(x).tolist() for x in ours[name]] == [np.asarray(x).tolist() for x in theirs[name]], name


@pytest.mark.parametrize("seq_len", [None, {"tags": 2, "vector": 3}])
def test_tables_ids_and_contents_equal_those_of_recboles_dataset(wide: Path, seq_len: dict[str, int] | None) -> None:
    options = {"load_col": _COLUMNS, "seq_len": seq_len}
    ours, theirs = VloggerDataset(make_config(wide, options)), Dataset(make_config(wide, options))
    _assert_same_tables(ours, theirs)
    for feat in ("inter_feat", "item_feat", "user_feat"):
        _assert_same_frame(getattr(ours, feat), getattr(theirs, feat))


@pytest.mark.parametrize(
    "eval_args",
    [
        {"split": {"LS": "valid_and_test"}, "order": "TO"},
        {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "TO"},
        {"split": {"TS": [0.5, 0.25, 0.25]}, "order": "TO"},
    ],
)
def test_splits_equal_those_of_recboles_dataset(wide: Path, eval_args: dict[str, Any]) -> None:
    options = {"load_col": _COLUMNS, "eval_args": eval_args, "seq_len": {"tags": 2}}
    ours = VloggerDataset(make_config(wide, options)).build()
    theirs = Dataset(make_config(wide, options)).build()
    for our_split, their_split in zip(ours, theirs, strict=True):
        for feat in ("inter_feat", "item_feat", "user_feat"):
            got, want = getattr(our_split, feat).interaction, getattr(their_split, feat).interaction
            assert list(got) == list(want)
            for name, column in want.items():
                assert got[name].dtype == column.dtype
                assert torch.equal(got[name], column)
        assert our_split.field2type == their_split.field2type


def test_filters_and_duplicates_equal_those_of_recboles_dataset(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    rows = [(f"u{rng.integers(20)}", f"i{rng.integers(25)}", time) for time in rng.permutation(200)]
    write_dataset(tmp_path, rows, [(f"i{n}", f"v{n % 4}") for n in range(25)])
    options = {
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "vlogger_id"]},
        "user_inter_num_interval": "[5,inf)",
        "item_inter_num_interval": "[4,inf)",
        "val_interval": {"timestamp": "[0,190]"},
    }
    for keep in ("first", "last"):
        config = {**options, "rm_dup_inter": keep}
        ours, theirs = VloggerDataset(make_config(tmp_path, config)), Dataset(make_config(tmp_path, config))
        assert 0 < len(theirs) < 180
        _assert_same_tables(ours, theirs)
        _assert_same_frame(ours.inter_feat, theirs.inter_feat)
        _assert_same_frame(ours.item_feat, theirs.item_feat)


def test_automatic_columns_give_the_ids_of_all_columns(wide: Path) -> None:
    auto = VloggerDataset(make_config(wide))
    explicit = VloggerDataset(make_config(wide, {"load_col": {k: _COLUMNS[k] for k in ("inter", "item")}}))
    assert set(auto.inter_feat) == {"user_id", "item_id", "rating", "timestamp"}
    assert set(auto.item_feat) == {"item_id", "vlogger_id"}
    assert auto.user_feat is None
    for field in ("user_id", "item_id", "vlogger_id"):
        assert auto.field2token_id[field] == explicit.field2token_id[field]


def test_a_column_of_the_items_does_not_shadow_one_of_the_interactions(tmp_path: Path) -> None:
    write_dataset(
        tmp_path,
        [(*row, rating) for row, rating in zip(INTER, [5, 4, 5, 5, 1, 5, 5, 5], strict=True)],
        [(*row, 1.0, 3.0) for row in ITEM],
        inter_header="user_id:token item_id:token timestamp:float rating:float",
        item_header="item_id:token vlogger_id:token timestamp:float rating:float",
    )
    train, valid, test = load_splits(tmp_path, {"val_interval": {"rating": "[4,5]"}})[1]
    assert sorted(pairs(train) + pairs(valid) + pairs(test)) == sorted(
        (user, item) for user, item, _ in INTER if (user, item) != ("u", "b")
    )
    assert set(train.item_feat.interaction) == {"item_id", "vlogger_id"}


def test_a_filter_on_a_column_of_the_items_alone_loads_it(tmp_path: Path) -> None:
    lengths = zip(ITEM, [1, 99, 1, 1, 1], strict=True)
    header = "item_id:token vlogger_id:token length:float"
    write_dataset(tmp_path, INTER, [(*row, length) for row, length in lengths], item_header=header)
    dataset = VloggerDataset(make_config(tmp_path, {"val_interval": {"length": "[0,10]"}}))
    assert "b" not in dataset.field2token_id["item_id"]
    assert len(dataset) == 6


# ------------------------------------------------------------------ creators


@pytest.mark.parametrize("column", ["vlogger_id", "director", "Künstler", "brand id"])
def test_any_column_of_the_items_serves_as_the_vlogger(tmp_path: Path, column: str) -> None:
    write_dataset(tmp_path, INTER, None)
    lines = [f"item_id:token\t{column}:token", *("\t".join(row) for row in ITEM)]
    (tmp_path / "toy" / "toy.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    train = load_splits(tmp_path, {"VLOGGER_ID_FIELD": column})[1][0]
    assert by_token(train.creators(), train, "item_id", column) == {
        ("a", "p"): 1,
        ("b", "p"): 1,
        ("c", "q"): 1,
        ("e", "r"): 1,
    }
    assert train.vlogger_num == 4


@pytest.mark.parametrize("cell", ["", "nan", "NaN"])
def test_an_empty_vlogger_is_the_unknown_vlogger_0(tmp_path: Path, cell: str) -> None:
    write_dataset(tmp_path, INTER, [(item, vlogger or cell) for item, vlogger in ITEM])
    train = load_splits(tmp_path)[1][0]
    vlogger = dict(zip(train.field2id_token["item_id"].tolist(), train.vlogger_of_item.tolist(), strict=True))
    assert vlogger["[PAD]"] == vlogger["d"] == 0
    assert vlogger["a"] == vlogger["b"] > 0
    assert len({vlogger[item] for item in "ace"}) == 3
    assert train.vlogger_of_item.dtype == np.int64


def test_tokens_that_pandas_takes_for_missing_are_tokens(tmp_path: Path) -> None:
    inter = [("NA", "None", 1), ("NA", "null", 2), ("NA", "x", 3), ("NA", "y", 4)]
    write_dataset(tmp_path, inter, [("None", "NULL"), ("null", "N/A"), ("x", ""), ("y", "")])
    train = load_splits(tmp_path)[1][0]
    assert pairs(train) == [("NA", "None"), ("NA", "null")]
    assert train.vlogger_num == 3


def test_without_a_vlogger_field_other_models_run_and_ours_say_what_they_need(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, [(item, "t") for item, _ in ITEM], item_header="item_id:token title:token")
    train = load_splits(tmp_path, {"VLOGGER_ID_FIELD": None}, "LightGCN")[1][0]
    assert sorted(pairs(train)) == [("u", "a"), ("u", "b"), ("w", "b"), ("w", "c")]
    assert (train.vlogger_num, train.vlogger_of_item.tolist()) == (1, [0] * 6)
    assert train.creators().nnz == 0
    assert train.follow_matrix() is None
    train = load_splits(tmp_path, {"VLOGGER_ID_FIELD": None})[1][0]
    with pytest.raises(InputError, match=r"needs the vlogger of each item: set `VLOGGER_ID_FIELD`"):
        TripartiteGraph.from_dataset(train)


def test_items_whose_vloggers_are_all_unknown_are_refused_by_our_models(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, [(item, "") for item, _ in ITEM])
    train = load_splits(tmp_path)[1][0]
    with pytest.raises(InputError, match=r"No item of toy has a vlogger: column 'vlogger_id' is empty"):
        TripartiteGraph.from_dataset(train)


@pytest.mark.parametrize("suffix", [["follow"], "follow"])
def test_follow_as_an_additional_suffix_is_tolerated(tmp_path: Path, suffix: object) -> None:
    write_dataset(tmp_path, INTER, ITEM, [("u", "q")])
    train = load_splits(tmp_path, {"additional_feat_suffix": suffix})[1][0]
    assert by_token(train.follow_matrix(), train, "user_id", "vlogger_id") == {("u", "q"): 1}


# ------------------------------------------------------------------ order in time


@pytest.mark.parametrize("start", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000_000])
def test_times_one_unit_apart_are_told_though_float32_cannot(tmp_path: Path, start: int) -> None:
    assert np.float32(start) == np.float32(start + 3)
    rows = [("u", item, start + offset) for item, offset in [("d", 3), ("a", 0), ("c", 2), ("b", 1)]]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abcd"])
    train, valid, test = load_splits(tmp_path)[1]
    assert (pairs(train), pairs(valid), pairs(test)) == ([("u", "a"), ("u", "b")], [("u", "c")], [("u", "d")])
    assert train.tie_report.n_tied == 0


def test_fractions_of_a_second_are_told(tmp_path: Path) -> None:
    times = ["1700000000.75", "1700000000.25", "1700000000.5", "1700000000"]
    rows = [("u", item, time) for item, time in zip("dbca", times, strict=True)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abcd"])
    train, valid, test = load_splits(tmp_path)[1]
    assert (pairs(train), pairs(valid), pairs(test)) == ([("u", "a"), ("u", "b")], [("u", "c")], [("u", "d")])


@pytest.mark.parametrize("rm_dup_inter", ["first", None])
def test_equal_times_fall_to_file_order(tmp_path: Path, rm_dup_inter: str | None) -> None:
    # many rows of few times, which pandas' unstable sort does shuffle
    rows = [(f"u{n}", item, n * 7 % 5) for item in "dacb" for n in range(200)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abcd"])
    train, valid, test = load_splits(tmp_path, {"rm_dup_inter": rm_dup_inter})[1]
    assert train.tie_report.n_tied == 200
    assert {item for _, item in pairs(valid)} == {"c"}
    assert {item for _, item in pairs(test)} == {"b"}


_TIED = {
    "u1": [1, 2, 3, 4],  # no tie
    "u2": [1, 2, 3, 3],  # test against validation
    "u3": [1, 2, 2, 3],  # validation against training
    "u4": [1, 1, 2, 3],  # within training only
    "u5": [5, 5],  # test against training
    "u6": [9],  # nothing held out
    "u7": [1, 2],
}


@pytest.mark.parametrize(("mode", "n_tied"), [("valid_and_test", 3), ("test_only", 2)])
def test_the_tie_report_counts_users_whose_held_out_item_a_tie_decided(tmp_path: Path, mode: str, n_tied: int) -> None:
    rows = [(user, item, time) for user, times in _TIED.items() for item, time in zip("abcd", times, strict=False)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abcd"])
    train = load_splits(tmp_path, {"eval_args": {"split": {"LS": mode}}})[1][0]
    assert (train.tie_report.n_users, train.tie_report.n_tied) == (6, n_tied)
    assert f"{n_tied} of 6 users" in str(train.tie_report)


def test_other_splits_have_no_tie_report(toy: Path) -> None:
    assert load_splits(toy, RANDOM_SPLIT)[1][0].tie_report is None


def test_of_repeated_pairs_the_first_in_time_stays(tmp_path: Path) -> None:
    rows = [("u", "a", 10), ("u", "b", 5), ("u", "a", 3), ("u", "c", 7)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abc"])
    splits = load_splits(tmp_path)[1]
    assert [pairs(split) for split in splits] == [[("u", "a")], [("u", "b")], [("u", "c")]]
    splits = load_splits(tmp_path, {"rm_dup_inter": "last"})[1]
    assert [pairs(split) for split in splits] == [[("u", "b")], [("u", "c")], [("u", "a")]]
    splits = load_splits(tmp_path, {"rm_dup_inter": None})[1]
    assert [pairs(split) for split in splits] == [[("u", "a"), ("u", "b")], [("u", "c")], [("u", "a")]]


def test_of_repeated_pairs_of_equal_time_the_first_row_stays(tmp_path: Path) -> None:
    items = "abc"
    # many rows of few times, which pandas' unstable sort does shuffle
    rows = [(f"u{n}", item, n * 7 % 5, rating) for rating in (1, 2, 3) for n in range(200) for item in items]
    header = "user_id:token item_id:token timestamp:float rating:float"
    write_dataset(tmp_path, rows, [(item, "p") for item in items], inter_header=header)
    splits = load_splits(tmp_path)[1]
    assert [len(split) for split in splits] == [200, 200, 200]
    for split in splits:
        assert set(split.inter_feat["rating"].tolist()) == {1.0}


# ------------------------------------------------------------------ splits


def test_leave_one_out_holds_out_the_last_for_test_and_the_second_last_for_validation(toy: Path) -> None:
    train, valid, test = load_splits(toy)[1]
    assert sorted(pairs(train)) == [("u", "a"), ("u", "b"), ("w", "b"), ("w", "c")]
    assert sorted(pairs(valid)) == [("u", "c"), ("w", "a")]
    assert sorted(pairs(test)) == [("u", "d"), ("w", "e")]


def test_short_histories_stay_in_training_first_and_then_serve_the_test(tmp_path: Path) -> None:
    rows = [("one", "a", 1), ("two", "a", 1), ("two", "b", 2), ("three", "a", 1), ("three", "b", 2), ("three", "c", 3)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abc"])
    train, valid, test = load_splits(tmp_path)[1]
    assert sorted(pairs(train)) == [("one", "a"), ("three", "a"), ("two", "a")]
    assert pairs(valid) == [("three", "b")]
    assert sorted(pairs(test)) == [("three", "c"), ("two", "b")]


def test_a_ratio_split_in_time_cuts_each_users_history(toy: Path) -> None:
    options = {"eval_args": {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "TO", "group_by": "user"}}
    train, valid, test = load_splits(toy, options)[1]
    assert sorted(pairs(train)) == [("u", "a"), ("u", "b"), ("w", "b"), ("w", "c")]
    assert sorted(pairs(valid)) == [("u", "c"), ("w", "a")]
    assert sorted(pairs(test)) == [("u", "d"), ("w", "e")]


def test_a_time_split_tests_on_what_is_younger_than_one_moment_for_all(tmp_path: Path) -> None:
    # 75 % of the times 1 … 8 are up to 6.25; of what is left, two thirds of each history train.
    rows = [("u", "d", 7), ("w", "a", 2), ("u", "a", 1), ("w", "d", 8), ("u", "b", 3)]
    rows += [("w", "c", 6), ("u", "c", 5), ("w", "b", 4)]
    write_dataset(tmp_path, rows, [(item, "p") for item in "abcd"])
    options = {"eval_args": {"split": {"TS": [0.5, 0.25, 0.25]}, "order": "TO"}}
    train, valid, test = load_splits(tmp_path, options)[1]
    assert sorted(pairs(train)) == [("u", "a"), ("u", "b"), ("w", "a"), ("w", "b")]
    assert sorted(pairs(valid)) == [("u", "c"), ("w", "c")]
    assert sorted(pairs(test)) == [("u", "d"), ("w", "d")]


def test_a_time_split_in_random_order_is_refused(toy: Path) -> None:
    options = {"eval_args": {"split": {"TS": [0.8, 0.1, 0.1]}, "order": "RO"}}
    with pytest.raises(InputError, match=r"needs `order: TO`"):
        load_splits(toy, options)


def test_splits_carry_no_column_of_ours(toy: Path) -> None:
    dataset = VloggerDataset(make_config(toy))
    splits = dataset.build()
    for part in (dataset, *splits):
        assert list(part.inter_feat.interaction) == ["user_id", "item_id", "timestamp"]
        assert set(part.field2type) == {"user_id", "item_id", "timestamp", "vlogger_id"}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    rows = [(f"u{n % 7}", f"i{n % 11}", n) for n in range(70)]
    return write_dataset(tmp_path, rows, [(f"i{n}", f"v{n % 3}") for n in range(11)])


def test_split_seed_alone_fixes_the_random_split(many: Path) -> None:
    def split(**seeds: int) -> list[Pairs]:
        torch.manual_seed(sum(seeds.values()))  # what the model's seed does before the data are loaded
        return [pairs(part) for part in load_splits(many, {**RANDOM_SPLIT, **seeds})[1]]

    first = split(seed=1, split_seed=5)
    assert split(seed=2, split_seed=5) == first
    assert split(seed=1, split_seed=6) != first
    assert [len(part) for part in first] == [42, 14, 14]


def test_drawing_the_split_leaves_torchs_generators_as_they_were(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    dataset = VloggerDataset(make_config(many, RANDOM_SPLIT))
    torch.random.default_generator.manual_seed(99)
    before = torch.random.get_rng_state()
    dataset.build()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert seeded == []


def test_intervals_of_interaction_numbers_filter_users_and_items(tmp_path: Path) -> None:
    rows = [(user, item, n) for n, (user, item) in enumerate((u, i) for u in ("x", "y", "z") for i in "abc")]
    rows += [("lone", "a", 90), ("x", "rare", 91)]
    write_dataset(tmp_path, rows, [(item, "p") for item in ("a", "b", "c", "rare")])
    options = {"user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"}
    train, valid, test = load_splits(tmp_path, options)[1]
    assert sorted(pairs(train) + pairs(valid) + pairs(test)) == sorted(
        (user, item) for user in ("x", "y", "z") for item in "abc"
    )
    assert (train.user_num, train.item_num) == (4, 4)
    train = load_splits(tmp_path, {"user_inter_num_interval": "[3,inf)"})[1][0]
    assert (train.user_num, train.item_num) == (4, 5)


def _presplit(folder: Path, train: list[Any], valid: list[Any], test: list[Any], item: list[Any]) -> Path:
    header = "user_id:token item_id:token timestamp:float"
    for name, rows in {"train": train, "valid": valid, "test": test}.items():
        write_file(folder / "toy" / f"toy.{name}.inter", header, rows)
    write_file(folder / "toy" / "toy.item", "item_id:token vlogger_id:token", item)
    return folder


def test_presplit_files_are_the_splits(tmp_path: Path) -> None:
    # times contradict the files on purpose: the files decide
    train, valid, test = [("u", "a", 50), ("w", "b", 60), ("w", "a", 70)], [("u", "b", 1)], [("w", "c", 2)]
    _presplit(tmp_path, train, valid, test, ITEM)
    names = ["train", "valid", "test"]
    splits = load_splits(tmp_path, {"benchmark_filename": names})[1]
    assert [pairs(split) for split in splits] == [
        [("u", "a"), ("w", "b"), ("w", "a")],
        [("u", "b")],
        [("w", "c")],
    ]


def test_presplit_files_keep_their_borders_when_interactions_are_dropped(tmp_path: Path) -> None:
    train, valid, test = [("u", "x", 1), ("u", "a", 2), ("w", "b", 3)], [("u", "b", 4), ("w", "x", 5)], [("w", "c", 6)]
    _presplit(tmp_path, train, valid, test, ITEM)
    options = {"benchmark_filename": ["train", "valid", "test"], "items_without_row": "drop"}
    splits = load_splits(tmp_path, options)[1]
    assert [pairs(split) for split in splits] == [[("u", "a"), ("w", "b")], [("u", "b")], [("w", "c")]]


# ------------------------------------------------------------------ fingerprint


def _fingerprint(folder: Path, options: dict[str, Any] | None = None, model: str = "VAGNN") -> dict[str, str]:
    return fingerprint(*load_splits(folder, options, model)[1])


def test_another_model_has_the_same_fingerprint(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, ITEM, [("u", "q", 5)], follow_header=_TIMED_FOLLOW)
    ours = _fingerprint(tmp_path)
    assert _fingerprint(tmp_path, None, "LightGCN") == ours
    assert _fingerprint(tmp_path, {"seed": 1}, "BPR") == ours
    assert list(ours) == ["train", "valid", "test", "creators"]
    assert len(set(ours.values())) == 4


_TIMED_FOLLOW = "follow_user_id:token follow_vlogger_id:token follow_time:float"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., set[str]]:
    """Function that returns which parts of the fingerprint another version of the files changes."""
    follow = [("u", "q", 5), ("w", "p", 6)]
    base = write_dataset(tmp_path / "base", INTER, ITEM, follow, follow_header=_TIMED_FOLLOW)
    before = _fingerprint(base)

    def difference(
        inter: Any = INTER, item: Any = ITEM, follow: Any = follow, options: dict[str, Any] | None = None
    ) -> set[str]:
        other = write_dataset(tmp_path / "other", inter, item, follow, follow_header=_TIMED_FOLLOW)
        after = _fingerprint(other, options)
        return {part for part in before if before[part] != after[part]}

    return difference


def test_row_order_seeds_and_unused_columns_leave_the_fingerprint(changed: Callable[..., set[str]]) -> None:
    assert changed() == set()
    assert changed(inter=INTER[::-1], item=ITEM[::-1], follow=[("w", "p", 6), ("u", "q", 5)]) == set()
    assert changed(options={"seed": 3, "split_seed": 4, "embedding_size": 8}) == set()


def test_one_other_held_out_pair_changes_its_split_alone(changed: Callable[..., set[str]]) -> None:
    other_test = [("u", "e", 40) if row == ("u", "d", 40) else row for row in INTER]
    assert changed(inter=other_test) == {"test"}
    other_valid = [("w", "d", 35) if row == ("w", "a", 35) else row for row in INTER]
    assert changed(inter=other_valid) == {"valid"}


def test_one_other_vlogger_changes_the_creators_alone(changed: Callable[..., set[str]]) -> None:
    assert changed(item=[("a", "p"), ("b", "q"), ("c", "q"), ("d", ""), ("e", "r")]) == {"creators"}
    assert changed(item=[("a", "p"), ("b", "p"), ("c", "q"), ("d", "r"), ("e", "r")]) == {"creators"}


def test_one_other_follow_pair_changes_the_creators_alone(changed: Callable[..., set[str]]) -> None:
    assert changed(follow=[("u", "q", 5), ("w", "q", 6)]) == {"creators"}
    assert changed(follow=[("u", "q", 5)]) == {"creators"}
    # a pair younger than the held-out interactions is not seen in training
    assert changed(follow=[("u", "q", 5), ("w", "p", 6), ("u", "r", 40)]) == set()


def test_swapping_two_names_changes_the_fingerprint(changed: Callable[..., set[str]]) -> None:
    swap = {"u": "w", "w": "u"}
    assert changed(inter=[(swap[user], item, time) for user, item, time in INTER]) == {"train", "valid", "test"}


# ------------------------------------------------------------------ matrices


def test_matrices_of_the_training_split(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, ITEM, [("u", "q", 5), ("w", "r", 6)], follow_header=_TIMED_FOLLOW)
    train, _, test = load_splits(tmp_path)[1]
    interactions, creators, follow = train.interactions(), train.creators(), train.follow_matrix()
    assert (interactions.shape, creators.shape, follow.shape) == ((3, 6), (6, 4), (3, 4))
    assert all(matrix.dtype == np.float64 for matrix in (interactions, creators, follow))
    assert by_token(interactions, train, "user_id", "item_id") == {
        ("u", "a"): 1,
        ("u", "b"): 1,
        ("w", "b"): 1,
        ("w", "c"): 1,
    }
    assert by_token(test.interactions(), test, "user_id", "item_id") == {("u", "d"): 1, ("w", "e"): 1}
    assert by_token(creators, train, "item_id", "vlogger_id") == {
        ("a", "p"): 1,
        ("b", "p"): 1,
        ("c", "q"): 1,
        ("e", "r"): 1,
    }
    assert by_token(follow, train, "user_id", "vlogger_id") == {("u", "q"): 1, ("w", "r"): 1}


def test_repeated_interactions_count_once(tmp_path: Path) -> None:
    rows = [("u", "a", 1), ("u", "a", 2), ("u", "b", 3), ("u", "c", 4), ("u", "d", 5)]
    write_dataset(tmp_path, rows, ITEM)
    train = load_splits(tmp_path, {"rm_dup_inter": None})[1][0]
    assert by_token(train.interactions(), train, "user_id", "item_id") == {("u", "a"): 1, ("u", "b"): 1}


def test_the_pieces_of_the_tripartite_graph(toy: Path) -> None:
    train = load_splits(toy)[1][0]
    graph = TripartiteGraph.from_dataset(train)

    def tokens(matrix: sp.csr_matrix, row: str, column: str) -> dict[Any, float]:
        return by_token(matrix, train, f"{row}_id", f"{column}_id")

    # u saw a, b (both of p); w saw b (p) and c (q)
    assert tokens(graph.user_vlogger, "user", "vlogger") == {("u", "p"): 2, ("w", "p"): 1, ("w", "q"): 1}
    assert tokens(graph.mean_over_videos(), "vlogger", "item") == {
        ("p", "a"): 0.5,
        ("p", "b"): 0.5,
        ("q", "c"): 1,
        ("r", "e"): 1,
    }
    assert tokens(graph.users_of_video(), "item", "user") == {
        ("a", "u"): 0.5,
        ("b", "u"): 0.5,
        ("b", "w"): 0.5,
        ("c", "w"): 0.5,
    }
    assert graph.vlogger_of.tolist() == train.vlogger_of_item.tolist()
    walk = graph.walk_graph()
    assert tokens(walk.user_vlogger, "user", "vlogger") == {("u", "p"): 1, ("w", "p"): 1, ("w", "q"): 1}
    assert tokens(walk.vlogger_video, "vlogger", "item") == {("p", "a"): 1, ("p", "b"): 1, ("q", "c"): 1, ("r", "e"): 1}
    assert walk.vlogger_video[0].nnz == 0


def test_auxiliary_pairs_come_from_the_source_asked_for(tmp_path: Path) -> None:
    with_file = write_dataset(tmp_path / "with", INTER, ITEM, [("u", "r")])
    without = write_dataset(tmp_path / "without", INTER, ITEM)
    from_interactions = {("u", "p"): 1, ("w", "p"): 1, ("w", "q"): 1}
    for folder, source, want in (
        (with_file, "follow", {("u", "r"): 1}),
        (with_file, "auto", {("u", "r"): 1}),
        (with_file, "interactions", from_interactions),
        (without, "auto", from_interactions),
        (without, "interactions", from_interactions),
    ):
        train = load_splits(folder)[1][0]
        got = TripartiteGraph.from_dataset(train).auxiliary_pairs(train, source)
        assert by_token(got, train, "user_id", "vlogger_id") == want
    with pytest.raises(InputError, match=r"`aux_pairs: follow` needs the file toy.follow"):
        TripartiteGraph.from_dataset(train).auxiliary_pairs(train, "follow")


# ------------------------------------------------------------------ items without a row


def test_items_without_a_row_can_have_an_unknown_vlogger(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, [row for row in ITEM if row[0] != "b"])
    train = load_splits(tmp_path, {"items_without_row": "unknown"})[1][0]
    assert sorted(pairs(train)) == [("u", "a"), ("u", "b"), ("w", "b"), ("w", "c")]
    assert train.vlogger_of_item[train.token2id("item_id", "b")] == 0
    assert train.vlogger_of_item[train.token2id("item_id", "a")] > 0


def test_interactions_with_items_without_a_row_can_be_dropped(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, [row for row in ITEM if row[0] != "b"])
    train, valid, test = load_splits(tmp_path, {"items_without_row": "drop"})[1]
    assert sorted(pairs(train) + pairs(valid) + pairs(test)) == sorted(
        (user, item) for user, item, _ in INTER if item != "b"
    )
    assert "b" not in train.field2token_id["item_id"]


# ------------------------------------------------------------------ evaluation batches and RecBole's cache


@pytest.fixture
def broad(tmp_path: Path) -> Path:
    """40 users, 3,000 items."""
    rows = [(f"u{n % 40}", f"i{n // 40}", n) for n in range(160)]
    return write_dataset(tmp_path, rows, [(f"i{n}", "p") for n in range(3000)])


@pytest.mark.parametrize(
    ("memory_mb", "mode", "rows"),
    [
        (512, "full", 41 * 3001),  # everyone at once
        (1, "full", (2**20 // (16 * 3001)) * 3001),  # 21 users
        (512, "uni100", 41 * 101),
        (1, "uni100", 2**20 // (4 * 4 * 64)),  # 21 × 101 rows of 64 numbers would not fit
    ],
)
def test_an_automatic_evaluation_batch_fits_memory(broad: Path, memory_mb: int, mode: str, rows: int) -> None:
    options = {"eval_args": {"mode": mode}, "eval_memory_mb": memory_mb, "embedding_size": 64}
    config, _ = load_splits(broad, options)
    assert config["eval_batch_size"] == rows


def test_an_automatic_evaluation_batch_takes_at_most_a_quarter_of_free_memory(
    broad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4 * 2**20))
    assert load_splits(broad)[0]["eval_batch_size"] == 21 * 3001
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
    assert load_splits(broad)[0]["eval_batch_size"] == 3001


def test_a_given_evaluation_batch_size_stays(toy: Path) -> None:
    assert load_splits(toy, {"eval_batch_size": 77})[0]["eval_batch_size"] == 77


@pytest.mark.parametrize("key", ["save_dataset", "save_dataloaders", "dataset_save_path", "dataloaders_save_path"])
def test_recboles_cache_is_refused(toy: Path, key: str) -> None:
    config = make_config(toy, {key: True if key.startswith("save") else str(toy / "cache.pth")})
    with pytest.raises(InputError, match=rf"`{key}` is not supported .* Remove `{key}`"):
        registry.create_dataset(config)
