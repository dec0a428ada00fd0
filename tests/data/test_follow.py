"""The .follow file: which pairs count, and that none younger than the held-out interactions is seen."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.data.order import first_time_per_user
from recbole_vagnn.errors import InputError
from tests.helpers import Rows, load_splits, write_dataset

# By time: training a, b; validation c; test d. First held-out times: u 130, w 230.
INTER = [
    ("u", "a", 110),
    ("u", "b", 120),
    ("u", "c", 130),
    ("u", "d", 140),
    ("w", "a", 210),
    ("w", "b", 220),
    ("w", "c", 230),
    ("w", "d", 240),
]
ITEM = [("a", "p"), ("b", "q"), ("c", "r"), ("d", "s")]
TIMED = "follow_user_id:token follow_vlogger_id:token follow_time:float"
Pairs = set[tuple[str, str]]


def seen_pairs(dataset: VloggerDataset) -> Pairs:
    """Follow pairs of a split in original ids; every entry of the matrix must be 1."""
    matrix = sp.coo_matrix(dataset.follow_matrix())
    assert set(matrix.data.tolist()) <= {1.0}
    users, vloggers = dataset.id2token("user_id", matrix.row), dataset.id2token("vlogger_id", matrix.col)
    return {(str(user), str(vlogger)) for user, vlogger in zip(users, vloggers, strict=True)}


def train_of(folder: Path, follow: Rows, header: str = TIMED, **options: Any) -> VloggerDataset:
    write_dataset(folder, INTER, ITEM, follow, follow_header=header)
    return load_splits(folder, options)[1][0]


def test_users_and_vloggers_of_the_follow_file_alone_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without = load_splits(write_dataset(tmp_path / "without", INTER, ITEM))[1][0]
    rows = [("u", "p", 1), ("stranger", "p", 1), ("u", "nobody", 1), ("stranger", "nobody", 1), ("u", "other", 1)]
    with caplog.at_level(logging.INFO):
        train = train_of(tmp_path / "with", rows)
    assert seen_pairs(train) == {("u", "p")}
    assert (train.user_num, train.vlogger_num) == (without.user_num, without.vlogger_num) == (3, 5)
    assert train.follow_matrix().shape == (3, 5)
    assert "of 5 pairs, 2 have a user without interactions and 3 a vlogger without videos" in caplog.text


def test_users_and_vloggers_that_filters_removed_are_left_out(tmp_path: Path) -> None:
    inter = [*INTER, ("lone", "e", 300)]
    write_dataset(tmp_path, inter, [*ITEM, ("e", "t")], [("lone", "p"), ("u", "t"), ("u", "p")])
    options = {"user_inter_num_interval": "[2,inf)", "item_inter_num_interval": "[2,inf)"}
    assert seen_pairs(load_splits(tmp_path, options)[1][0]) == {("u", "p")}


def test_a_repeated_pair_counts_once(tmp_path: Path) -> None:
    train = train_of(tmp_path, [("u", "p", 1), ("u", "p", 2), ("u", "p", 1)])
    assert seen_pairs(train) == {("u", "p")}
    assert train.follow_matrix().nnz == 1


def test_pairs_not_older_than_the_users_first_held_out_interaction_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        ("u", "p", 129),  # older: kept
        ("u", "q", 130),  # as old as the validation item
        ("u", "r", 131),
        ("u", "s", 999),
        ("w", "p", 131),  # w's held-out time is later
        ("w", "q", 229),
        ("w", "r", 230),
        ("w", "s", -5),
    ]
    with caplog.at_level(logging.INFO):
        train = train_of(tmp_path, rows)
    assert seen_pairs(train) == {("u", "p"), ("w", "p"), ("w", "q"), ("w", "s")}
    assert "4 follow pairs are not older than their user's first held-out interaction" in caplog.text


def test_every_split_offers_the_same_pairs(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, ITEM, [("u", "p", 129), ("u", "q", 130)], follow_header=TIMED)
    for split in load_splits(tmp_path)[1]:
        assert seen_pairs(split) == {("u", "p")}


def test_a_repeated_pair_is_kept_for_its_older_time(tmp_path: Path) -> None:
    assert seen_pairs(train_of(tmp_path, [("u", "p", 500), ("u", "p", 100)])) == {("u", "p")}


def test_a_user_with_nothing_held_out_keeps_every_pair(tmp_path: Path) -> None:
    write_dataset(tmp_path, [*INTER, ("lone", "a", 5)], ITEM, [("lone", "p", 10**6)], follow_header=TIMED)
    assert seen_pairs(load_splits(tmp_path)[1][0]) == {("lone", "p")}


def test_in_a_random_split_the_oldest_held_out_interaction_counts(tmp_path: Path) -> None:
    follow = [("u", "p", time) for time in range(100, 150, 5)] + [("w", "q", time) for time in range(200, 250, 5)]
    write_dataset(tmp_path, INTER, ITEM, follow, follow_header=TIMED)
    options = {"eval_args": {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "RO", "group_by": "user"}, "split_seed": 4}
    train, valid, test = load_splits(tmp_path, options)[1]
    held_out: dict[int, float] = {}
    for split in (valid, test):
        rows = split.inter_feat
        for user, time in zip(rows["user_id"].tolist(), rows["timestamp"].tolist(), strict=True):
            held_out[user] = min(time, held_out.get(user, time))
    first = {str(train.id2token("user_id", user)): time for user, time in held_out.items()}
    assert sorted(first) == ["u", "w"]
    assert first != {"u": 130, "w": 230}  # another split than leave-one-out
    kept = zip(train.id2token("user_id", train.follow.users), train.follow.times.tolist(), strict=True)
    want = [(user, time) for user, _, time in follow if time < first[user]]
    assert [(str(user), time) for user, time in kept] == want


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("follow_user_id:token follow_vlogger_id:token", [("u", "p"), ("w", "q")]),
        (TIMED, [("u", "p", ""), ("w", "q", "")]),
        (TIMED, [("u", "p", "nan"), ("w", "q", "NaN")]),
    ],
)
def test_pairs_without_a_time_are_kept_with_a_warning(
    tmp_path: Path, header: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    train = train_of(tmp_path, rows, header)
    assert seen_pairs(train) == {("u", "p"), ("w", "q")}
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "toy.follow: 2 of 2 pairs have no time" in record.getMessage()
    assert "`aux_pairs: interactions`" in record.getMessage()


def test_of_partly_timed_pairs_the_timed_ones_are_filtered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = train_of(tmp_path, [("u", "p", 130), ("u", "q", ""), ("w", "p", 229), ("w", "q", 230)])
    assert seen_pairs(train) == {("u", "q"), ("w", "p")}
    assert "toy.follow: 1 of 4 pairs have no time" in caplog.text


def test_timed_pairs_give_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train_of(tmp_path, [("u", "p", 1)])
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_timed_pairs_with_untimed_interactions_are_kept_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inter = [row[:2] for row in INTER]
    write_dataset(
        tmp_path,
        inter,
        ITEM,
        [("u", "p", 10**9)],
        inter_header="user_id:token item_id:token",
        follow_header=TIMED,
    )
    options = {"eval_args": {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "RO"}}
    assert seen_pairs(load_splits(tmp_path, options)[1][0]) == {("u", "p")}
    assert "Follow pairs have a time but interactions have none" in caplog.text


@pytest.mark.parametrize("start", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000_000])
@pytest.mark.parametrize("empty", [False, True])
def test_times_one_unit_apart_are_told_at_64_bits(tmp_path: Path, start: int, empty: bool) -> None:
    inter = [(user, item, start + time) for user, item, time in INTER]
    follow: list[tuple[str, str, object]] = [
        ("u", "p", start + 129),
        ("u", "q", start + 130),
        ("u", "r", start + 131),
        *([("w", "p", "")] if empty else []),
    ]
    write_dataset(tmp_path, inter, ITEM, follow, follow_header=TIMED)
    kept = seen_pairs(load_splits(tmp_path)[1][0])
    assert kept == {("u", "p")} | ({("w", "p")} if empty else set())


@pytest.mark.parametrize("whole", ["inter", "follow", "none"])
def test_whole_and_fractional_times_compare_alike(tmp_path: Path, whole: str) -> None:
    start = 1_700_000_000
    first = start + (0 if whole == "inter" else 0.25)
    held = [(f"u{n}", "b", first) for n in range(3)] + [(f"u{n}", "c", start + 9) for n in range(3)]
    inter = [*((f"u{n}", "a", start - 9) for n in range(3)), *held]
    step = 1 if whole == "follow" else 0.125
    base = start if whole != "none" else first
    follow = [("u0", "p", base - step), ("u1", "p", base), ("u2", "p", base + step)]
    write_dataset(tmp_path, inter, ITEM, follow, follow_header=TIMED)
    kept = {user for user, _ in seen_pairs(load_splits(tmp_path)[1][0])}
    assert kept == {f"u{n}" for n, (_, _, time) in enumerate(follow) if time < first}
    assert 0 < len(kept) < 3


def test_the_same_text_is_the_same_time_in_both_files(tmp_path: Path) -> None:
    """Fractions are rounded when read: if both files did not round alike, an equal time could pass as older."""
    times = [repr(time) for time in (1.7e9 + 1e6 * np.random.default_rng(5).random(300)).tolist()]
    inter = [(f"u{n}", "a", 0.5) for n in range(300)]
    inter += [(f"u{n}", "b", time) for n, time in enumerate(times)]  # type: ignore[misc]
    inter += [(f"u{n}", "c", 2e9) for n in range(300)]
    follow = [(f"u{n}", "p", time) for n, time in enumerate(times)]
    write_dataset(tmp_path, inter, ITEM, follow, follow_header=TIMED)
    assert seen_pairs(load_splits(tmp_path)[1][0]) == set()


@pytest.mark.parametrize(("follow_kind", "inter_kind"), [(int, int), (float, int), (int, float), (float, float)])
def test_before_keeps_what_is_strictly_older_and_what_has_no_time(follow_kind: type, inter_kind: type) -> None:
    times = np.array([9, 10, 11, 11, 12], dtype=follow_kind)
    users = np.array([1, 1, 1, 2, 3])
    first = first_time_per_user(np.array([1, 1, 2]), np.array([10, 30, 12], dtype=inter_kind), 4)
    pairs, dropped = FollowPairs(users, np.arange(1, 6), times).before(first)
    assert (pairs.users.tolist(), pairs.vloggers.tolist(), dropped) == ([1, 2, 3], [1, 4, 5], 2)
    smallest = np.iinfo(np.int64).min if follow_kind is int else -np.inf
    pairs, dropped = FollowPairs(users, np.arange(1, 6), np.full(5, smallest, dtype=follow_kind)).before(first)
    assert (len(pairs.users), dropped) == (5, 0)


def test_other_names_of_its_columns_can_be_set(tmp_path: Path) -> None:
    options = {"FOLLOW_USER_ID_FIELD": "who", "FOLLOW_VLOGGER_ID_FIELD": "whom", "FOLLOW_TIME_FIELD": "when"}
    header = "note:token whom:token when:float who:token"
    train = train_of(tmp_path, [("x", "p", 1, "u"), ("y", "q", 130, "u")], header, **options)
    assert seen_pairs(train) == {("u", "p")}


def test_a_follow_file_is_ignored_without_a_vlogger_field(tmp_path: Path) -> None:
    write_dataset(tmp_path, INTER, ITEM, [("u", "p", "wrong")], follow_header=TIMED)
    assert load_splits(tmp_path, {"VLOGGER_ID_FIELD": None}, "LightGCN")[1][0].follow_matrix() is None


@pytest.mark.parametrize(
    ("header", "rows", "parts"),
    [
        (TIMED, [("u", "p", 1), ("u", "q", "soon"), ("w", "p", "")], ["1 row(s)", "line 3 ('soon')", "`follow_time`"]),
        (
            "follow_usr_id:token follow_vlogger_id:token",
            [("u", "p")],
            ["no column 'follow_user_id'", "Did you mean 'follow_usr_id'?", "`FOLLOW_USER_ID_FIELD`"],
        ),
        (
            "follow_user_id:token vlogger_id:token",
            [("u", "p")],
            ["no column 'follow_vlogger_id'", "`FOLLOW_VLOGGER_ID_FIELD`"],
        ),
        ("follow_user_id:float follow_vlogger_id:token", [(1, "p")], ["line 1", "'follow_user_id'", "must be a token"]),
        (
            "follow_user_id:token follow_vlogger_id:token_seq",
            [("u", "p q")],
            ["line 1", "'follow_vlogger_id' is of type token_seq", "must be a token"],
        ),
        (TIMED, [("u", "p", 1), ("", "p", 2), ("", "q", 3)], ["2 row(s)", "line 3 (empty)", "`follow_user_id`"]),
        (TIMED, [("u", "nan", 1)], ["1 row(s)", "line 2 (empty)", "`follow_vlogger_id`"]),
        (TIMED, [("u", "p", 1), ("u", "p", 1, "x")], ["line 3", "3 field(s)"]),
        (TIMED, [], ["header but no rows", "remove the file"]),
        ("follow_user_id follow_vlogger_id:token", [("u", "p")], ["line 1", "'follow_user_id' is not `name:type`"]),
    ],
)
def test_a_bad_file_is_named_with_line_field_and_mend(
    tmp_path: Path, header: str, rows: Rows, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        train_of(tmp_path, rows, header)
    message = str(caught.value)
    assert str(tmp_path / "toy" / "toy.follow") in message
    assert [part for part in parts if part not in message] == []
