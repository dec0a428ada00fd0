"""From raw logs to the graph: what training sees does not depend on the users' held-out rows.

Each test writes a raw log in a source's own layout, prepares it, loads the training split, and does so again after
changing rows of the raw log: other videos of other vloggers, other feedback, other follows. Only that these rows are
interactions, and when, stays the same, for that decides what is held out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.prepare.pipeline.run import prepare
from tests.helpers import load_splits
from tests.prepare.test_kuairand import VIDEO_HEADER, log_row, write_log
from tests.prepare.test_wechat2021 import write_wechat

N_USERS, N_VIDEOS, N_VLOGGERS = 12, 24, 6
N_TRAIN, N_HELD_OUT, N_IGNORED = 6, 2, 5


@dataclass(frozen=True)
class Shown:
    """A video shown to a user.

    Attributes:
        held_out: whether it is the user's first held-out interaction or anything that comes after, or at the same
            time without being an older interaction.
        positive: whether it is an interaction.
        follow, visit: whether the user followed the vlogger, or looked at the vlogger's page.
        noise: any other feedback.
    """

    user: int
    video: int
    time: int
    held_out: bool
    positive: bool
    follow: bool
    visit: bool
    noise: int


Log = list[Shown]


def vlogger(video: int) -> int | None:
    """Vlogger of a video; of some it is unknown."""
    return None if video % 8 == 7 else 100 + video % N_VLOGGERS


def make_log(seed: int) -> Log:
    """Some users' rows, mixed with each other, each user's in order; equal times are frequent."""
    rng = np.random.default_rng(seed)
    waiting = [_rows_of(user, rng) for user in range(N_USERS)]
    log: Log = []
    while any(waiting):
        user = int(rng.choice([user for user, rows in enumerate(waiting) if rows]))
        log.append(waiting[user].pop(0))
    return log


def _rows_of(user: int, rng: np.random.Generator) -> Log:
    others = [video for video in range(N_VIDEOS) if video // 2 != user]
    liked = [2 * user, 2 * user + 1, *rng.permutation(others)[: N_TRAIN - 2 + N_HELD_OUT].tolist()]
    early = [(video, True) for video in liked[:N_TRAIN]]
    early += [(int(rng.integers(N_VIDEOS)), False) for _ in range(N_IGNORED)]
    late = [(int(rng.integers(N_VIDEOS)), False), (liked[-2], True), (int(rng.integers(N_VIDEOS)), False)]
    late += [(liked[-1], True), (int(rng.integers(N_VIDEOS)), False)]
    time, rows = int(rng.integers(1, 10)), []
    for position in range(len(early)):
        video, positive = early.pop(int(rng.integers(len(early))))
        rows.append(_shown(user, video, time, False, positive, rng))
        time += int(rng.integers(0, 3)) if position else 1
    for position, (video, positive) in enumerate(late):
        rows.append(_shown(user, video, time + (position + 1) // 3, True, positive, rng))
    return rows


def _shown(user: int, video: int, time: int, held_out: bool, positive: bool, rng: np.random.Generator) -> Shown:
    follow, visit = rng.random(2) < 0.3
    return Shown(user, video, time, held_out, positive, bool(follow), bool(visit), int(rng.integers(100)))


def change(log: Log, seed: int, chosen: Callable[[Shown], bool]) -> Log:
    """Other videos and other feedback in some rows; no user gets an interaction with a video twice."""
    rng = np.random.default_rng(seed)
    taken = {(row.user, row.video) for row in log if row.positive}
    changed = []
    for row in log:
        if chosen(row):
            free = [v for v in range(N_VIDEOS) if (row.user, v) not in taken and vlogger(v) != vlogger(row.video)]
            row = _shown(row.user, int(rng.choice(free)), row.time, row.held_out, row.positive, rng)
            row = replace(row, follow=True) if rng.random() < 0.5 else row
            taken |= {(row.user, row.video)} if row.positive else set()
        changed.append(row)
    return changed


def write_kuairand(folder: Path, log: Log) -> str:
    """KuaiRand-Pure: two logs by date; is_click makes an interaction."""
    middle = sorted(row.time for row in log)[len(log) // 2]
    for name, part in (("4_08_to_4_21", 0), ("4_22_to_5_08", 1)):
        rows = [row for row in log if (row.time >= middle) == part]
        assert rows
        write_log(folder, f"log_standard_{name}_pure.csv", *map(_kuairand_row, rows))
    authors = [
        f"{v},{vlogger(v) or ''},NORMAL,2022-04-10,Web,0.0,9000.0,720.0,1280.0,1,9.0,{v}" for v in range(N_VIDEOS)
    ]
    (folder / "video_features_basic_pure.csv").write_text("\n".join([VIDEO_HEADER, *authors]) + "\n")
    return "kuairand"


def _kuairand_row(row: Shown) -> str:
    signals = {"is_click": row.positive, "is_follow": row.follow, "is_profile_enter": row.visit}
    noise = {
        "is_like": row.noise % 2,
        "long_view": row.noise % 3 % 2,
        "play_time_ms": 500 * row.noise,
        "tab": row.noise,
    }
    return log_row(row.user, row.video, 1650485801301 + row.time, **{k: int(v) for k, v in signals.items()}, **noise)


def write_wechat2021(folder: Path, log: Log) -> str:
    """WeChat: days as time, so ties abound; a video watched to its end is an interaction."""
    actions = [_wechat_row(row) for row in log]
    write_wechat(folder, actions, [f"{v},{'' if vlogger(v) is None else vlogger(v)},9,,,," for v in range(N_VIDEOS)])
    return "wechat2021"


def _wechat_row(row: Shown) -> str:
    play = 9000 if row.positive else 89 * row.noise
    noise = f"{row.noise % 2},0,{row.noise % 3 % 2},{play},{row.noise}"
    return f"{row.user},{row.video},{row.time},1,{noise},{row.visit:d},0,{row.follow:d},0"


Writer = Callable[[Path, Log], str]
WRITERS: Sequence[Writer] = (write_kuairand, write_wechat2021)


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report's picture takes most of the time of so small a preparation."""
    monkeypatch.setattr("recbole_vagnn.prepare.pipeline.run.draw", lambda _name, _figures, path: path.touch())


def load(folder: Path, write: Writer, log: Log, **options: Any) -> list[VloggerDataset]:
    """Raw log → atomic files → [training, validation, test]."""
    prepare(write(folder / "raw", log), folder / "raw", name="toy", data_path=folder, **options)
    return load_splits(folder)[1]


def interactions(split: VloggerDataset) -> list[tuple[str, str, float]]:
    """(user, video, time) in tokens, in the split's own order."""
    users, items = (split.id2token(name, split.inter_feat[name]).tolist() for name in ("user_id", "item_id"))
    return list(zip(users, items, split.inter_feat["timestamp"].tolist(), strict=True))


def follow_pairs(split: VloggerDataset) -> set[tuple[str, str, int]]:
    """(user, vlogger, time) in tokens."""
    pairs = split.follow
    assert pairs is not None
    assert pairs.times is not None
    users, vloggers = split.id2token("user_id", pairs.users), split.id2token("vlogger_id", pairs.vloggers)
    found = list(zip(users.tolist(), vloggers.tolist(), pairs.times.tolist(), strict=True))
    assert len(found) == len(set(found))
    return set(found)


def edges(matrix: sp.spmatrix, split: VloggerDataset, row: str, column: str) -> dict[tuple[str, str], float]:
    """Entries of a matrix by the tokens of their row and column."""
    entries = matrix.tocoo()
    names = split.id2token(row, entries.row), split.id2token(column, entries.col)
    return {(r, c): value for r, c, value in zip(*(n.tolist() for n in names), entries.data.tolist(), strict=True)}


def graph(split: VloggerDataset) -> dict[str, dict[tuple[str, str], float]]:
    """All relations that the model propagates along or draws auxiliary pairs from."""
    tripartite = TripartiteGraph.from_dataset(split)
    user, item, creator = "user_id", "item_id", "vlogger_id"
    follow = tripartite.auxiliary_pairs(split, "follow")
    return {
        "user-video": edges(tripartite.user_video, split, user, item),
        "video-vlogger": edges(tripartite.video_vlogger, split, item, creator),
        "user-vlogger": edges(tripartite.user_vlogger, split, user, creator),
        "follow": edges(follow, split, user, creator),
    }


def seen(split: VloggerDataset) -> dict[str, Any]:
    """All that is compared."""
    return {"interactions": interactions(split), "follow pairs": follow_pairs(split)} | graph(split)


def expected_pairs(log: Log) -> dict[tuple[str, str], int]:
    """(user, vlogger) → earliest time, of rows older than the user's first held-out interaction."""
    first = {row.user: row.time for row in reversed(log) if row.held_out and row.positive}
    pairs: dict[tuple[str, str], int] = {}
    for row in log:
        if (row.follow or row.visit) and row.time < first[row.user] and (creator := vlogger(row.video)) is not None:
            key = str(row.user), str(creator)
            pairs[key] = min(row.time, pairs.get(key, row.time))
    return pairs


# --- the tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
def test_the_log_becomes_what_it_says(tmp_path: Path, write: Writer) -> None:
    """Computed once more in plain Python; the training rows are the older ones, the follow pairs theirs."""
    log = make_log(1)
    train, valid, test = load(tmp_path, write, log)
    liked = {user: [row for row in log if row.user == user and row.positive] for user in range(N_USERS)}
    for split, part in ((train, slice(-2)), (valid, slice(-2, -1)), (test, slice(-1, None))):
        pairs = {(str(user), str(row.video)) for user, rows in liked.items() for row in rows[part]}
        assert {pair[:2] for pair in interactions(split)} == pairs
    pairs = expected_pairs(log)
    assert {pair[:2] for pair in follow_pairs(train)} == pairs.keys()
    zero = {time - pairs[user, creator] for user, creator, time in follow_pairs(train)}
    assert zero == ({1650485801301} if write is write_kuairand else {0})
    late = [row for row in log if row.held_out and (row.follow or row.visit) and vlogger(row.video)]
    assert any((str(row.user), str(vlogger(row.video))) not in pairs for row in late)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_training_does_not_depend_on_held_out_rows(tmp_path: Path, write: Writer, seed: int) -> None:
    log = make_log(seed)
    other = change(log, seed, lambda row: row.held_out)
    train, *held_out = load(tmp_path / "one", write, log)
    train2, *held_out2 = load(tmp_path / "other", write, other)
    for split, split2 in zip(held_out, held_out2, strict=True):
        assert len(split) == len(split2) == N_USERS
        assert not {pair[:2] for pair in interactions(split)} & {pair[:2] for pair in interactions(split2)}
    one, two = seen(train), seen(train2)
    for part in one:
        assert one[part] == two[part], part
        assert one[part], part


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("rule", ["follow_from", "positive"])
def test_nor_with_other_rules(tmp_path: Path, write: Writer, rule: str) -> None:
    log = make_log(4)
    follow = "is_follow" if write is write_kuairand else "follow"
    both = ["is_click and tab>=0"] if write is write_kuairand else ["watch_ratio>=1 and play<=9000"]
    options = {"follow_from": [follow]} if rule == "follow_from" else {"positive": both}
    splits = [
        load(tmp_path / str(n), write, version, **options)[0]
        for n, version in enumerate([log, change(log, 5, lambda row: row.held_out)])
    ]
    assert seen(splits[0]) == seen(splits[1])
    if rule == "follow_from":
        only = expected_pairs([replace(row, visit=False) for row in log])
        assert {pair[:2] for pair in follow_pairs(splits[0])} == only.keys()


@pytest.mark.parametrize("write", WRITERS)
def test_the_same_change_of_training_rows_is_seen(tmp_path: Path, write: Writer) -> None:
    """Otherwise the tests above could not fail."""
    log = make_log(1)
    one = seen(load(tmp_path / "one", write, log)[0])
    two = seen(load(tmp_path / "other", write, change(log, 1, lambda row: not row.held_out and row.user == 3))[0])
    assert {part for part in one if one[part] != two[part]} == {*one} - {"video-vlogger"}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("positive", [True, False])
def test_a_follow_in_one_training_row_is_seen(tmp_path: Path, write: Writer, positive: bool) -> None:
    """Also where the row is no interaction."""
    log = [replace(row, follow=False, visit=row.user != 3 and row.visit) for row in make_log(1)]
    number, row = next(
        (n, r) for n, r in enumerate(log) if r.user == 3 and r.positive == positive and vlogger(r.video) is not None
    )
    other = [*log[:number], replace(row, follow=True), *log[number + 1 :]]
    one, two = (seen(load(tmp_path / str(n), write, version)[0]) for n, version in enumerate([log, other]))
    assert {part for part in one if one[part] != two[part]} == {"follow pairs", "follow"}
    assert {pair[:2] for pair in two["follow pairs"] - one["follow pairs"]} == {("3", str(vlogger(row.video)))}


@pytest.mark.parametrize("write", WRITERS)
def test_keeping_late_follow_pairs_would_be_noticed(
    tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a loader that keeps them, training depends on the held-out rows."""
    monkeypatch.setattr("recbole_vagnn.data.follow.FollowPairs.before", lambda pairs, _: (pairs, 0))
    log = make_log(1)
    splits = [
        load(tmp_path / str(n), write, version)[0]
        for n, version in enumerate([log, change(log, 1, lambda row: row.held_out)])
    ]
    one, two = map(seen, splits)
    assert {part for part in one if one[part] != two[part]} == {"follow pairs", "follow"}
