"""The fast reader: what it reads, and what is computed from it, equals what the checked reader and RecBole give."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recbole.data.dataset import Dataset

from recbole_vagnn.data import arrow_reader, atomic
from recbole_vagnn.data.arrow_reader import read_fast
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.order import repeated_pairs, stable_argsort
from recbole_vagnn.data.reading import is_among, number_tokens
from recbole_vagnn.errors import InputError
from tests.helpers import make_config, write_dataset, write_file

# ------------------------------------------------------------------ one file, both readers

Kinds = dict[str, str]

_WORDS = ["a", "NA", "None", "nan", "NaN", "NAN", "null", "007", "7", "1.0", "0x1F", "é", "日本", "#", "True", "", " "]
_NUMBERS = ["0", "1", "-5", "007", "-0", "1.5", ".5", "5.", "-0.25", "1e3", "+5", "+0.5", " 5", "5 ", "0x1F", "0X1f"]
_NUMBERS += ["1700000000.123456", "0.12345678901234567", "123456789012345678", "9223372036854775807", "12345678.5"]
_NUMBERS += ["9223372036854775808", "99999999999999999999", "1e400", "inf", "-inf", "nan", "NaN", "NAN", "", "-", "."]
_NUMBERS += ["True", "2020-01-01", "12:30", "1,5", "1_0", "٣", "1.2.3", "5\x0b", "1" * 40, "0" * 30 + "7", "--1"]
_characters = st.characters(codec="utf-8", exclude_characters="\t\n\r")


def _read_both(path: Path, columns: Kinds, header: Kinds, separator: str = "\t") -> tuple[Any, Any]:
    """The fast reader's answer, and the checked reader's frame or error."""
    fast = read_fast(path, columns, separator, "utf-8", list(header))
    try:
        return fast, atomic._read_checked(path, columns, separator, "utf-8", header)
    except InputError as error:
        return fast, error


def _assert_same_content(fast: pd.DataFrame, checked: pd.DataFrame, columns: Kinds) -> None:
    """Same names, rows, texts, missing entries and numbers to the last bit."""
    assert list(fast.columns) == list(checked.columns) == list(columns)
    assert fast.index.equals(checked.index)
    for name, kind in columns.items():
        if kind == "float":
            assert fast[name].dtype == checked[name].dtype
            assert fast[name].to_numpy().tobytes() == checked[name].to_numpy().tobytes()
        else:
            assert isinstance(fast[name].dtype, pd.CategoricalDtype)
            assert fast[name].astype(object).equals(checked[name])
            assert {type(token) for token in fast[name].dtype.categories} <= {str}


@st.composite
def _files(draw: st.DrawFn) -> tuple[bytes, str, Kinds, Kinds]:
    """Bytes, separator, header, and the columns to read; entries regular or not, most lines of the right length."""
    header = {f"c{n}": draw(st.sampled_from(["token", "float"])) for n in range(draw(st.integers(1, 3)))}
    separator = draw(st.sampled_from(["\t", "\t", ",", " ", "|", ";"]))
    token = st.sampled_from(_WORDS) | st.text(_characters, max_size=5)
    plain = draw(st.booleans())
    number = st.integers(-9, 99).map(str) if plain else st.sampled_from(_NUMBERS) | st.floats().map(repr)
    number |= st.floats(0, 9).map(lambda value: f"{value:.2f}")
    line = st.tuples(*(number if kind == "float" else token for kind in header.values())).map(separator.join)
    irregular = st.sampled_from(["", separator, '"', "x" + separator * 3, "a\0b", "x\ry"])
    lines = draw(st.lists(line | irregular if draw(st.booleans()) else line, min_size=0, max_size=6))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    head = separator.join(f"{name}:{kind}" for name, kind in header.items())
    text = end.join([head, *lines]) + draw(st.sampled_from([end, end, "", end * 2]))
    wanted = draw(st.sets(st.sampled_from(sorted(header)), min_size=1))
    data = text.encode()
    if draw(st.integers(0, 9)) == 0:
        data += b"\xff" + end.encode()
    return data, separator, header, {name: kind for name, kind in header.items() if name in wanted}


@settings(max_examples=600, deadline=None)
@given(_files(), st.sampled_from([12, 20, 40, 2**20]))
@example((b"c0:float\n1\n0x1F\n", "\t", {"c0": "float"}, {"c0": "float"}), 2**20)
@example((b"c0:float\n1.0\n2.0\n", "\t", {"c0": "float"}, {"c0": "float"}), 2**20)
@example((b"c0:float\n+5\n6\n", "\t", {"c0": "float"}, {"c0": "float"}), 2**20)
@example((b"c0:float\n0.1\n21530869.82355989\n", "\t", {"c0": "float"}, {"c0": "float"}), 2**20)
@example((b"c0:token\n\na\n\n", "\t", {"c0": "token"}, {"c0": "token"}), 2**20)
@example((b"c0:token\tc1:token\na\tb\xff\n", "\t", {"c0": "token", "c1": "token"}, {"c0": "token"}), 2**20)
def test_the_fast_reader_gives_what_the_checked_reader_gives_or_nothing(
    case: tuple[bytes, str, Kinds, Kinds], chunk: int
) -> None:
    data, separator, header, columns = case
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(arrow_reader, "_CHUNK", chunk):
        path = Path(folder, "x.inter")
        path.write_bytes(data)
        fast, checked = _read_both(path, columns, header, separator)
    if fast is not None:
        assert not isinstance(checked, InputError), checked
        _assert_same_content(fast, checked, columns)


_HEADER = "user_id:token item_id:token timestamp:float"
_KINDS = {"user_id": "token", "item_id": "token", "timestamp": "float"}


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (["1", "2", "3"], np.int64),
        (["-1", "007", "1700000000000000000"], np.int64),
        (["1", "2.5", "3"], np.float64),
        (["5.0", "4.0", "3.0"], np.float64),
        (["1700000000.123456", "0.1", ".5"], np.float64),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_regular_files_are_read_fast(
    tmp_path: Path, times: list[str], kind: type[np.number[Any]], end: str, last: bool
) -> None:
    lines = [
        f"{user}\t{item}\t{time}" for user, item, time in zip(["NA", "é", "NA"], ["0x1", "1.0", ""], times, strict=True)
    ]
    path = tmp_path / "x.inter"
    path.write_bytes((end.join([_HEADER.replace(" ", "\t"), *lines]) + (end if last else "")).encode())
    fast, checked = _read_both(path, _KINDS, _KINDS)
    assert fast["timestamp"].dtype == kind
    assert fast["user_id"].dtype.categories.tolist() == ["NA", "é"]
    _assert_same_content(fast, checked, _KINDS)


@pytest.mark.parametrize("late", ["0.5", "1e3", "x", "", "0x1F", "99999999999999999999"])
@pytest.mark.parametrize("first", ["7", "7.5"])
def test_a_number_of_another_kind_far_below_the_first_lines(tmp_path: Path, first: str, late: str) -> None:
    rows = [(f"u{n % 100}", f"i{n}", first) for n in range(100_000)]
    path = write_file(tmp_path / "x.inter", _HEADER, [*rows, ("w", "j", late)])
    assert path.stat().st_size > arrow_reader._CHUNK  # pyarrow does not see the last line with the first ones
    fast, checked = _read_both(path, _KINDS, _KINDS)
    assert (fast is None) == (late != "0.5")
    if fast is not None:
        _assert_same_content(fast, checked, _KINDS)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_characters_cut_between_chunks_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(arrow_reader, "_CHUNK", chunk)
    path = write_file(tmp_path / "x.inter", "user_id:token", [("日本é",), ("a",)])
    assert arrow_reader._scan(path) is False
    path.write_bytes(path.read_bytes() + "é".encode()[:1])
    with pytest.raises(UnicodeDecodeError):
        arrow_reader._scan(path)


@pytest.mark.parametrize(
    ("kind", "separator", "encoding"),
    [("token_seq", "\t", "utf-8"), ("token", "::", "utf-8"), ("token", "§", "utf-8"), ("token", "\t", "latin-1")],
)
def test_what_is_not_for_the_fast_reader(tmp_path: Path, kind: str, separator: str, encoding: str) -> None:
    path = tmp_path / "x.inter"
    path.write_text(separator.join(["a:token", f"b:{kind}"]) + "\n" + separator.join("xy") + "\n", encoding=encoding)
    columns = {"a": "token", "b": kind}
    assert read_fast(path, columns, separator, encoding, list(columns)) is None
    assert read_fast(path, {}, separator, encoding, list(columns)) is None


# ------------------------------------------------------------------ the data set, with and without the fast reader


def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "read_fast", lambda *_: None)


def _assert_same_interaction(ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None)
    if ours is None:
        return
    assert list(ours.interaction) == list(theirs.interaction)
    for name, column in theirs.interaction.items():
        assert ours[name].dtype == column.dtype
        assert torch.equal(ours[name], column), name


def _assert_same_tables(ours: Any, theirs: Any) -> None:
    for name in ("field2type", "field2source", "field2seqlen", "field2bucketnum", "field2token_id"):
        assert getattr(ours, name) == getattr(theirs, name), name
        assert list(getattr(ours, name)) == list(getattr(theirs, name)), name
    assert list(ours.field2id_token) == list(theirs.field2id_token)
    for field, tokens in theirs.field2id_token.items():
        assert ours.field2id_token[field].dtype == tokens.dtype
        assert np.array_equal(ours.field2id_token[field], tokens)
        assert tokens[0] == "[PAD]"
        assert list(ours.field2token_id[field].items()) == list(theirs.field2token_id[field].items())


def _assert_same_frames(ours: Any, theirs: Any, same_kinds: bool = True) -> None:
    for feat in ("inter_feat", "user_feat", "item_feat"):
        mine, other = getattr(ours, feat), getattr(theirs, feat)
        assert (mine is None) == (other is None)
        if mine is not None:  # RecBole has float64 where we have whole numbers
            pd.testing.assert_frame_equal(mine, other, check_dtype=same_kinds, check_exact=True)


def _assert_same_dataset(folder: Path, options: Mapping[str, Any], compare_splits: bool = True) -> VloggerDataset:
    """Load with both readers, with and without build(); returns the fast one before build()."""
    with pytest.MonkeyPatch.context() as patch:
        _slow(patch)
        slow = VloggerDataset(make_config(folder, options))
        slow_splits = VloggerDataset(make_config(folder, options)).build() if compare_splits else []
    fast = VloggerDataset(make_config(folder, options))
    _assert_same_tables(fast, slow)
    _assert_same_frames(fast, slow)
    if compare_splits:
        fast_splits = VloggerDataset(make_config(folder, options)).build()
        assert fingerprint(*fast_splits) == fingerprint(*slow_splits)
        for ours, theirs in zip(fast_splits, slow_splits, strict=True):
            _assert_same_tables(ours, theirs)
            _assert_same_split(ours, theirs)
    return fast


def _assert_same_split(ours: VloggerDataset, theirs: VloggerDataset) -> None:
    for feat in ("inter_feat", "user_feat", "item_feat"):
        _assert_same_interaction(getattr(ours, feat), getattr(theirs, feat))
    assert ours.tie_report == theirs.tie_report
    assert (ours.follow is None) == (theirs.follow is None)
    if ours.follow is not None and theirs.follow is not None:
        assert np.array_equal(ours.follow.users, theirs.follow.users)
        assert np.array_equal(ours.follow.vloggers, theirs.follow.vloggers)
        assert (ours.follow.times is None) == (theirs.follow.times is None)
        assert ours.follow.times is None or np.array_equal(ours.follow.times, theirs.follow.times)


_ITEM_KINDS = {"item_id": "token", "vlogger_id": "token", "genre": "token", "length": "float"}
_USER_KINDS = {"user_id": "token", "city": "token", "age": "float"}
_INTER_KINDS = {**_KINDS, "rating": "float", "place": "token"}


def _header(kinds: Kinds) -> str:
    return " ".join(f"{name}:{kind}" for name, kind in kinds.items())


def _rows(seed: int, n_rows: int = 120, n_users: int = 9, n_items: int = 14) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    times = rng.permutation(10 * n_rows)[:n_rows] + 1_700_000_000
    return [
        (f"u{rng.integers(n_users)}", f"0{rng.integers(n_items)}", time, rng.integers(1, 6) / 2, f"p{rng.integers(4)}")
        for time in times.tolist()
    ]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Tokens and numbers in every file, users and items without interactions, empty tokens, follow pairs."""
    rows = [(*row[:4], "" if n % 7 == 0 else row[4]) for n, row in enumerate(_rows(1))]
    items = [(f"0{n}", "" if n == 3 else f"v{n % 4}", f"g{n % 3}", n / 4) for n in range(16, -1, -1)]
    users = [(f"u{n}", "" if n == 2 else f"c{n % 2}", 20 + n) for n in (3, 1, 11, 0, 2, 4, 5, 6, 7, 8)]
    follow = [("u1", "v2", 5), ("u99", "v1", 6), ("u2", "v9", 7), ("u3", "v1", ""), ("u1", "v1", 1_700_000_900)]
    write_dataset(
        tmp_path,
        rows,
        items,
        follow,
        inter_header=_header(_INTER_KINDS),
        item_header=_header(_ITEM_KINDS),
        follow_header="follow_user_id:token follow_vlogger_id:token follow_time:float",
    )
    write_file(tmp_path / "toy" / "toy.user", _header(_USER_KINDS), users)
    return tmp_path


_ALL = {"load_col": {"inter": list(_INTER_KINDS), "item": list(_ITEM_KINDS), "user": list(_USER_KINDS)}}
_RANDOM = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none"}}
_OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "all columns": _ALL,
    "RecBole's default columns": {"load_col": None},
    "last of repeated pairs": {"rm_dup_inter": "last"},
    "repeated pairs": {"rm_dup_inter": None},
    "random": _RANDOM,
    "k-core": {**_ALL, "user_inter_num_interval": "[7,inf)", "item_inter_num_interval": "[4,9]"},
    "two intervals": {"user_inter_num_interval": "[0,9];[12,20)", "item_inter_num_interval": "(2,inf)"},
    "tokens of an interaction": {**_ALL, "val_interval": {"place": ["p1", "p2", 3, "none"]}},
    "tokens of an item": {**_ALL, "val_interval": {"genre": ["g1", "g2"], "vlogger_id": ["v1", "v2", "v3"]}},
    "users": {**_ALL, "val_interval": {"user_id": ["u1", "u3", "u4", "u11"], "age": "[0,40]"}},
    "no filter by rows": {**_ALL, "val_interval": {"length": "[1,3]"}, "filter_inter_by_user_or_item": False},
    "alias of users": {**_ALL, "alias_of_user_id": ["place"]},
    "alias of items": {**_ALL, "alias_of_item_id": ["genre"]},
    "another creator": {"VLOGGER_ID_FIELD": "genre"},
    "no creator": {**_ALL, "VLOGGER_ID_FIELD": None},
    "label": {**_ALL, "threshold": {"rating": 2}, "normalize_field": ["length"]},
}


@pytest.mark.parametrize("name", list(_OPTIONS))
def test_loading_and_splitting_do_not_depend_on_the_reader(wide: Path, name: str) -> None:
    _assert_same_dataset(wide, _OPTIONS[name])


def test_the_readers_can_meet(wide: Path) -> None:
    """A quote in one file sends that file alone to the checked reader."""
    item = wide / "toy" / "toy.item"
    item.write_text(item.read_text().replace("g1", '"g""1"'))
    for options in (_ALL, _OPTIONS["k-core"], {**_ALL, "alias_of_item_id": ["genre"]}):
        fast = _assert_same_dataset(wide, options)
        assert 'g"1' in fast.field2token_id["genre"]


@pytest.mark.parametrize("policy", ["unknown", "drop"])
@pytest.mark.parametrize("split", ["presplit", "one file"])
def test_items_without_a_row_do_not_depend_on_the_reader(tmp_path: Path, policy: str, split: str) -> None:
    options: dict[str, Any] = {"items_without_row": policy}
    rows = [row[:3] for row in _rows(2)]
    write_dataset(tmp_path, rows, [(f"0{n}", f"v{n % 3}") for n in range(0, 14, 2)])
    if split == "presplit":
        options["benchmark_filename"] = ["train", "valid", "test"]
        for name, part in zip(options["benchmark_filename"], (rows[:80], rows[80:90], rows[90:]), strict=True):
            write_file(tmp_path / "toy" / f"toy.{name}.inter", _HEADER, part)
    _assert_same_dataset(tmp_path, options)


def test_presplit_files_keep_their_ids_as_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row[:3] for row in _rows(3)]
    write_dataset(tmp_path, rows, [(f"0{n}", f"v{n % 3}") for n in range(14)])
    for name, part in (("train", rows[:70]), ("valid", rows[70:95]), ("test", rows[95:])):
        write_file(tmp_path / "toy" / f"toy.{name}.inter", _HEADER, part)
    seen = []
    original = VloggerDataset._remap_ID_all
    monkeypatch.setattr(
        VloggerDataset, "_remap_ID_all", lambda self: (seen.append(self.inter_feat.dtypes), original(self))
    )
    options = {"benchmark_filename": ["train", "valid", "test"]}
    dataset = VloggerDataset(make_config(tmp_path, options))
    assert isinstance(seen[0]["user_id"], pd.CategoricalDtype)
    assert dataset.file_size_list == [70, 25, 25]
    theirs = Dataset(make_config(tmp_path, {**options, "load_col": _LOADED}))
    _assert_same_tables_of_recbole(VloggerDataset(make_config(tmp_path, {**options, "load_col": _LOADED})), theirs)


def test_a_column_that_recbole_does_not_remap_stays_text(tmp_path: Path) -> None:
    """``place`` of the items hides that of the interactions in RecBole's tables: it is never remapped."""
    write_dataset(
        tmp_path,
        [("u", "a", 1, "x"), ("u", "b", 2, "y"), ("w", "a", 3, "x")],
        [("a", "p", "k"), ("b", "q", "l")],
        inter_header=f"{_HEADER} place:token",
        item_header="item_id:token vlogger_id:token place:token",
    )
    options = {"load_col": {"inter": [*_KINDS, "place"], "item": ["item_id", "vlogger_id", "place"]}}
    fast = _assert_same_dataset(tmp_path, options, compare_splits=False)
    assert fast.inter_feat["place"].tolist() == ["x", "y", "x"]


_tokens = st.one_of(
    st.sampled_from(["NA", "None", "007", "7", "1.0", "[PAD]", "é", "日本", " a", "#", "0x1"]),
    st.text(_characters, min_size=1, max_size=4).filter(lambda text: "\0" not in text and text not in ("nan", "NaN")),
)


def _quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"' if '"' in token else token


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(_tokens, _tokens), min_size=4, max_size=25),
    st.sampled_from([int, float, lambda value: value / 8]),
    st.integers(0, 2**32 - 1),
)
def test_any_tokens_and_times(pairs: list[tuple[str, str]], kind: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = [kind(time) for time in rng.integers(0, 12, len(pairs)).tolist()]
    items = sorted({item for _, item in pairs})
    vloggers = rng.choice([*items, "", "nan"], len(items)).tolist()
    split = {"eval_args": {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "TO", "group_by": "none"}}
    with tempfile.TemporaryDirectory() as folder:
        rows = [(*map(_quoted, pair), time) for pair, time in zip(pairs, times, strict=True)]
        write_dataset(Path(folder), rows, [tuple(map(_quoted, row)) for row in zip(items, vloggers, strict=True)])
        _assert_same_dataset(Path(folder), {**split, "rm_dup_inter": None})


# ------------------------------------------------------------------ the same as RecBole's own reader and filters

_LOADED = {"inter": list(_KINDS), "item": ["item_id", "vlogger_id"]}


def _assert_same_tables_of_recbole(ours: VloggerDataset, theirs: Dataset) -> None:
    _assert_same_tables(ours, theirs)
    _assert_same_frames(ours, theirs, same_kinds=False)


@pytest.mark.parametrize("name", [name for name in _OPTIONS if _OPTIONS[name].get("load_col") is not None])
def test_tables_and_rows_equal_those_of_recboles_dataset(wide: Path, name: str) -> None:
    options = _OPTIONS[name]
    ours, theirs = VloggerDataset(make_config(wide, options)), Dataset(make_config(wide, options))
    _assert_same_tables_of_recbole(ours, theirs)


_intervals = st.sampled_from([None, "[0,inf)", "[2,inf)", "(2,5]", "[3,4];[6,inf)", "[1,3)", "[9,1]"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), _intervals, _intervals, st.booleans(), st.booleans())
def test_filters_by_number_equal_those_of_recboles_dataset(
    seed: int, users: str | None, items: str | None, with_users: bool, rows_missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = [row[:3] for row in _rows(seed, n_rows=40)]
    load = {**_LOADED, **({"user": ["user_id", "age"]} if with_users else {})}
    options = {"load_col": load, "user_inter_num_interval": users, "item_inter_num_interval": items}
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), rows, [(f"0{n}", f"v{n % 3}") for n in rng.permutation(16)])
        if with_users:
            numbers = rng.permutation(11)[: 6 if rows_missing else 11]
            write_file(Path(folder, "toy", "toy.user"), "user_id:token age:float", [(f"u{n}", n) for n in numbers])
        try:
            theirs = Dataset(make_config(Path(folder), options))
        except (ValueError, IndexError) as error:  # nothing is left
            with pytest.raises((InputError, type(error))):
                VloggerDataset(make_config(Path(folder), options))
            return
        _assert_same_tables_of_recbole(VloggerDataset(make_config(Path(folder), options)), theirs)


@pytest.mark.parametrize("keep", ["frist", True, False, ""])
def test_repeated_pairs_kept_in_an_unknown_way(wide: Path, keep: object) -> None:
    with pytest.raises(InputError, match=r"`rm_dup_inter` is .*; it must be one of first, last"):
        VloggerDataset(make_config(wide, {"rm_dup_inter": keep}))


# ------------------------------------------------------------------ numbers of tokens, order, repeated pairs

_column = st.lists(st.sampled_from(["a", "b", "c", "é", "10", "9", np.nan]), max_size=12)


def _as(values: list[Any], categorical: bool, extra: str) -> pd.Series:
    column = pd.Series(values, dtype=object)
    if not categorical:
        return column
    known = [extra, *sorted({value for value in values if isinstance(value, str)} - {extra}, reverse=True)]
    return column.astype(pd.CategoricalDtype(known))


@given(st.lists(st.tuples(_column, st.booleans(), st.sampled_from(["a", "z"])), min_size=1, max_size=4))
def test_tokens_are_numbered_as_by_pandas_factorize(parts: list[tuple[list[Any], bool, str]]) -> None:
    columns = [_as(*part) for part in parts]
    codes, tokens = pd.factorize(np.array([value for values, _, _ in parts for value in values], dtype=object))
    numbers, ours = number_tokens(columns)
    assert [len(part) for part in numbers] == [len(column) for column in columns]
    assert np.concatenate(numbers).tolist() == (codes + 1).tolist()
    assert ours.tolist() == list(tokens)
    for column in columns:
        assert is_among(columns[0], column).tolist() == columns[0].isin(column.astype(object)).tolist()


_whole = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | st.integers(2**62, 2**62 + 2)


@given(st.lists(_whole, max_size=40) | st.lists(st.floats(allow_nan=False), max_size=40))
def test_a_stable_order(values: list[float]) -> None:
    array = np.array(values)
    assert stable_argsort(array).tolist() == sorted(range(len(values)), key=lambda n: array[n])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30), st.sampled_from(["first", "last"]))
def test_repeated_pairs_are_those_of_pandas(pairs: list[tuple[int, int]], keep: Any) -> None:
    frame = pd.DataFrame(pairs, columns=["a", "b"], dtype=np.int64)
    ours = repeated_pairs(frame["a"].to_numpy(), frame["b"].to_numpy(), keep)
    assert ours.tolist() == frame.duplicated(keep=keep).tolist()
