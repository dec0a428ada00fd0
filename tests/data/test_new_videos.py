"""Videos held out of training: who is drawn, and that nothing of them is left outside the test data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.data.new_videos import draw_new_videos, first_times
from recbole_vagnn.errors import InputError
from tests.helpers import load_loaders, load_splits, write_dataset

TIMED = "follow_user_id:token follow_vlogger_id:token follow_time:float"
Pairs = set[tuple[str, str]]


def pairs(split: VloggerDataset) -> Pairs:
    """(user, video) of a split in original ids."""
    columns = [(split.uid_field, "user"), (split.iid_field, "item")]
    users, items = (split.id2token(field, split.inter_feat[field].numpy()).tolist() for field, _ in columns)
    assert len(set(zip(users, items, strict=True))) == len(users)
    return set(zip(users, items, strict=True))


def new_tokens(split: VloggerDataset) -> set[str]:
    assert split.new_videos is not None
    return set(split.id2token(split.iid_field, np.flatnonzero(split.new_videos)).tolist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 videos of 8 vloggers, every fifth video of unknown vlogger, 30 users with 12 videos each."""
    rng = np.random.default_rng(0)
    inter = [
        [f"u{u}", f"v{v}", 100 * t + u] for u in range(30) for t, v in enumerate(rng.choice(40, 12, replace=False))
    ]
    item = [[f"v{v}", "" if v % 5 == 4 else f"a{v % 8}"] for v in range(40)]
    return write_dataset(tmp_path, inter, item)


# ------------------------------------------------------------------------------------------- the draw


@given(
    videos=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=2, max_size=40),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 5),
)
def test_a_share_of_the_pool_is_drawn_and_every_vlogger_keeps_a_trained_video(
    videos: list[tuple[int, int]], share: float, seed: int
) -> None:
    counts, owner = (np.array([0, *column]) for column in zip(*videos, strict=True))
    trained = Counter(o for c, o in zip(counts, owner, strict=True) if c and o)
    pool = [v for v, (c, o) in enumerate(zip(counts, owner, strict=True)) if c and o and trained[o] > 1]
    if not pool:
        with pytest.raises(InputError, match="`new_video_share`"):
            draw_new_videos(counts, owner, share, np.random.default_rng(seed))
        return
    new = np.flatnonzero(draw_new_videos(counts, owner, share, np.random.default_rng(seed)))
    assert set(new) <= set(pool)
    assert len(new) == max(1, round(share * len(pool)))
    kept = Counter(owner[v] for v in pool if v not in set(new))
    assert all(kept[owner[v]] > 0 for v in pool)


def test_every_video_of_a_vlogger_is_drawn_as_often() -> None:
    counts, owner = np.array([0, 9, 1, 5, 1, 1, 1]), np.array([0, 1, 1, 1, 2, 2, 0])
    rng = np.random.default_rng(3)
    drawn = sum(draw_new_videos(counts, owner, 0.4, rng).astype(int) for _ in range(3000))
    assert drawn[[0, 6]].tolist() == [0, 0]
    assert stats.chisquare(drawn[1:4]).pvalue > 1e-3
    assert stats.chisquare(drawn[4:6]).pvalue > 1e-3


# ---------------------------------------------------------------------------------------- the splits


def test_test_data_are_all_interactions_with_new_videos_and_the_rest_stays(folder: Path) -> None:
    plain = load_splits(folder)[1]
    held = load_splits(folder, {"new_video_share": 0.3})[1]
    new = new_tokens(held[0])
    assert len(new) > 3
    everything = set().union(*map(pairs, plain))
    assert pairs(held[2]) == {pair for pair in everything if pair[1] in new}
    for before, after in zip(plain[:2], held[:2], strict=True):
        assert pairs(after) == {pair for pair in pairs(before) if pair[1] not in new}
    assert all(np.array_equal(split.new_videos, held[0].new_videos) for split in held)


def test_training_loaders_and_graphs_hold_nothing_of_new_videos(folder: Path) -> None:
    _, (train, _, test) = load_loaders(folder, {"new_video_share": 0.3, "train_batch_size": 64})
    new = train._dataset.new_videos
    assert train._dataset.interactions()[:, new].nnz == 0
    positives = np.concatenate([batch["item_id"].numpy() for batch in train])
    assert not new[positives].any()
    for _, (_, history), _, positives in test:
        assert new[positives.numpy()].all()
        assert not new[history.numpy()].any()


@pytest.mark.parametrize("other", [{"seed": 7}, {"model": "LightGCN"}, {"model": "VloggerPop"}])
def test_every_model_and_seed_gets_the_same_videos(folder: Path, other: dict[str, Any]) -> None:
    model = other.pop("model", "VAGNN")
    share = {"new_video_share": 0.3}
    one, two = load_splits(folder, share)[1], load_splits(folder, {**share, **other}, model)[1]
    assert fingerprint(*one) == fingerprint(*two)


def test_another_seed_draws_other_videos(folder: Path) -> None:
    one, two = (load_splits(folder, {"new_video_share": 0.3, "new_video_seed": seed})[1][0] for seed in (1, 2))
    assert new_tokens(one) != new_tokens(two)


def test_without_a_share_nothing_changes(folder: Path) -> None:
    plain, none = (load_splits(folder, options)[1] for options in ({}, {"new_video_share": 0.0}))
    assert fingerprint(*plain) == fingerprint(*none)
    assert all(split.new_videos is None for split in none)


def test_follow_pairs_that_a_new_video_may_have_led_to_are_dropped(tmp_path: Path) -> None:
    """Users meet a and b of p at 0 and 10 or the other way round; e and f, at 40 and 50, are held out anyway."""
    orders = {"u1": "abcdef", "u2": "bacdef"}
    inter = [[u, v, 10 * t] for u, videos in orders.items() for t, v in enumerate(videos)]
    item = [[v, "p"] for v in "ab"] + [[v, v] for v in "cdef"]
    follow = [["u1", "p", 5], ["u2", "p", 5], ["u1", "c", 25], ["u2", "d", 500], ["u1", "d", ""]]
    folder = write_dataset(tmp_path, inter, item, follow, follow_header=TIMED)

    def follows(options: dict[str, Any]) -> tuple[Pairs, set[str]]:
        train = load_splits(folder, options)[1][0]
        fields = ((train.uid_field, train.follow.users), ("vlogger_id", train.follow.vloggers))
        names = [train.id2token(field, ids).tolist() for field, ids in fields]
        return set(zip(*names, strict=True)), new_tokens(train) if options else set()

    anyway = {("u1", "c"), ("u1", "d")}  # before the validation item, and without a time
    assert follows({}) == (anyway | {("u1", "p"), ("u2", "p")}, set())
    found = {}
    for seed in range(8):
        kept, new = follows({"new_video_share": 0.5, "new_video_seed": seed})
        found[new.pop()] = kept
    assert found == {"a": anyway | {("u2", "p")}, "b": anyway | {("u1", "p")}}


def test_first_times_of_follow_pairs_by_hand() -> None:
    pairs_of = FollowPairs(np.array([1, 1, 2, 3, 0]), np.array([1, 2, 1, 9, 0]), np.zeros(5, dtype=np.int64))
    users, vloggers, times = np.array([1, 1, 1, 2]), np.array([1, 1, 3, 1]), np.array([7, 4, 1, 2**62 + 1])
    largest = np.iinfo(np.int64).max
    assert first_times(pairs_of, users, vloggers, times).tolist() == [4, largest, 2**62 + 1, largest, largest]


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("share", [-0.1, 0.6, True, "a"])
def test_a_share_out_of_range_is_refused(folder: Path, share: object) -> None:
    with pytest.raises(InputError, match="`new_video_share`"):
        load_splits(folder, {"new_video_share": share})


def test_data_in_which_no_video_can_be_spared_are_refused(tmp_path: Path) -> None:
    inter = [[u, v, t] for u in ("u1", "u2") for t, v in enumerate("abcd")]
    folder = write_dataset(tmp_path, inter, [["a", "p"], ["b", "q"], ["c", ""], ["d", "p"]])
    with pytest.raises(InputError, match=r"none of the 2 videos .* second such video"):
        load_splits(folder, {"new_video_share": 0.2})
