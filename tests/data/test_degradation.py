"""Option `degradation`: what is taken away is what was asked for, and nothing but training data changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbole_vagnn import InputError
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.degradation import _order, _others, _places_from_the_end
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.options import Degradation
from recbole_vagnn.models.vagnn import VAGNN
from tests.helpers import load_loaders, load_splits, write_dataset

N_USERS, N_ITEMS, N_VLOGGERS = 30, 40, 8
TIMED = "follow_user_id:token follow_vlogger_id:token follow_time:float"
Follows = set[tuple[str, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 users of 4 to 24 interactions, in the order of their times; every fifth video has no vlogger."""
    rng = np.random.default_rng(1)
    skewed = 1.0 / np.arange(1, N_ITEMS + 1)
    inter, follow = [], []
    for user in range(N_USERS):
        items = rng.choice(N_ITEMS, 4 + user % 21, replace=False, p=skewed / skewed.sum())
        inter += [(f"u{user}", f"i{item}", 100 * step + user) for step, item in enumerate(items)]
        follow += [(f"u{user}", f"v{v}", -1 - int(v)) for v in rng.choice(N_VLOGGERS, 3, replace=False)]
    inter += [(f"u{N_USERS + item % 2}", f"i{item}", item) for item in range(N_ITEMS)]  # every video occurs
    item = [(f"i{n}", f"v{n % N_VLOGGERS}" if n % 5 else "") for n in range(N_ITEMS)]
    return write_dataset(tmp_path_factory.mktemp("data"), inter, item, follow, follow_header=TIMED)


def splits(data: Path, model: str = "VAGNN", seed: int = 2020, **change: Any) -> list[VloggerDataset]:
    return load_splits(data, {"degradation": change or None, "seed": seed}, model)[1]


def links(split: VloggerDataset) -> dict[str, str]:
    """Video → vlogger, in original ids; unknown ones left out."""
    vloggers = split.id2token("vlogger_id", split.vlogger_of_item)
    items = split.id2token("item_id", np.arange(split.item_num))
    return {i: v for i, v in zip(items, vloggers, strict=True) if v != "[PAD]"}


def follows(split: VloggerDataset) -> Follows:
    assert split.follow is not None
    users = split.id2token("user_id", split.follow.users)
    return set(zip(users, split.id2token("vlogger_id", split.follow.vloggers), strict=True))


def rows(split: VloggerDataset) -> list[tuple[int, int]]:
    return list(zip(*(np.asarray(split.inter_feat[name]).tolist() for name in ("user_id", "item_id")), strict=True))


EVERYTHING = {"links_removed": 0.3, "links_corrupted": 0.3, "follows_removed": 0.4, "users_held_down": 0.5}


# --- what stays -------------------------------------------------------------------------------------------------


def test_validation_and_test_data_stay_as_they_are(data: Path) -> None:
    before, after = splits(data), splits(data, **EVERYTHING)
    for one, other in zip(before[1:], after[1:], strict=True):
        assert rows(one) == rows(other)
        assert links(one) == links(other)
    prints = fingerprint(*before), fingerprint(*after)
    assert {key for key in prints[0] if prints[0][key] != prints[1][key]} == {"train", "creators"}
    for field in ("user_id", "item_id", "vlogger_id"):
        assert before[0].field2token_id[field] == after[0].field2token_id[field]


def test_the_change_is_the_same_for_every_model_and_seed(data: Path) -> None:
    prints = [
        fingerprint(*splits(data, model, seed, **EVERYTHING)) for model, seed in (("VAGNN", 1), ("EASE", 2), ("BPR", 1))
    ]
    assert prints[0] == prints[1] == prints[2]
    assert fingerprint(*splits(data, **EVERYTHING, seed=3)) == prints[0]  # of the model
    assert fingerprint(*load_splits(data, {"degradation": {**EVERYTHING, "seed": 3}})[1]) != prints[0]


def test_without_the_option_or_with_shares_of_0_nothing_changes(data: Path) -> None:
    plain = fingerprint(*splits(data))
    assert fingerprint(*splits(data, links_removed=0.0, order="popular")) == plain
    assert splits(data)[0].withheld is None


# --- links ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random", "popular", "unpopular"])
def test_the_share_of_links_asked_for_is_removed_and_growing_shares_are_nested(data: Path, order: str) -> None:
    truth, gone_before = links(splits(data)[0]), set[str]()
    assert len(truth) == 32
    for share in (0.1, 0.25, 0.5, 0.9, 1.0):
        left = links(splits(data, links_removed=share, order=order)[0])
        assert left.items() <= truth.items()
        assert len(left) == 32 - round(32 * share)
        gone = truth.keys() - left.keys()
        assert gone_before < gone
        gone_before = gone


def test_popular_videos_lose_their_links_first_and_unpopular_ones_last(data: Path) -> None:
    train = splits(data)[0]
    counts = Counter(train.id2token("item_id", np.asarray(train.inter_feat["item_id"])).tolist())
    truth = links(train)
    for order, sign in (("popular", -1), ("unpopular", 1)):
        left = links(splits(data, links_removed=0.5, order=order)[0])
        gone = [sign * counts[item] for item in truth.keys() - left.keys()]
        assert max(gone) <= min(sign * counts[item] for item in left)


def test_corrupted_links_name_another_vlogger_and_the_others_stay(data: Path) -> None:
    truth, wrong_before = links(splits(data)[0]), dict[str, str]()
    for share in (0.25, 0.5, 1.0):
        now = links(splits(data, links_corrupted=share)[0])
        assert now.keys() == truth.keys()
        wrong = {item: vlogger for item, vlogger in now.items() if vlogger != truth[item]}
        assert len(wrong) == round(32 * share)
        assert wrong_before.items() <= wrong.items()
        wrong_before = wrong


def test_removed_and_corrupted_links_are_different_ones(data: Path) -> None:
    truth, now = links(splits(data)[0]), links(splits(data, links_removed=0.25, links_corrupted=0.5)[0])
    assert len(now) == 24
    assert sum(now[item] != truth[item] for item in now) == 16
    assert truth.keys() - now.keys() == truth.keys() - links(splits(data, links_removed=0.25)[0]).keys()


def test_wrong_vloggers_are_drawn_in_proportion_to_their_videos() -> None:
    vloggers = np.array([1] * 4 + [2] * 3 + [3] * 2 + [4])
    drawn = np.concatenate([_others(vloggers, 6, np.random.default_rng(seed)) for seed in range(2000)])
    for owner, expected in ((1, {2: 3, 3: 2, 4: 1}), (4, {1: 4, 2: 3, 3: 2})):
        found = Counter(drawn[np.tile(vloggers, 2000) == owner].tolist())
        assert found.keys() == expected.keys()
        observed = np.array([found[v] for v in expected])
        wanted = np.array(list(expected.values())) / sum(expected.values()) * observed.sum()
        assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_models_see_the_degraded_links(data: Path) -> None:
    options = {"degradation": {"links_removed": 0.5}, "embedding_size": 4}
    config, (train, _, _) = load_splits(data, options)
    known = VAGNN(config, train).vlogger_of.numpy() > 0
    assert known.sum() == 16
    assert np.array_equal(known, train.vlogger_of_item > 0)


# --- follow pairs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random", "popular", "unpopular"])
def test_follow_pairs_are_removed_by_share_and_order(data: Path, order: str) -> None:
    truth = follows(splits(data)[0])
    followers = Counter(vlogger for _, vlogger in truth)
    n = len(truth)
    left = follows(splits(data, follows_removed=0.3, order=order)[0])
    assert left < truth
    assert n - len(left) == round(0.3 * n)
    gone = [followers[vlogger] for _, vlogger in truth - left]
    stay = [followers[vlogger] for _, vlogger in left]
    if order == "popular":
        assert min(gone) >= max(stay)
    if order == "unpopular":
        assert max(gone) <= min(stay)
    assert truth - left < truth - follows(splits(data, follows_removed=0.6, order=order)[0])


def test_corrupted_follow_pairs_name_vloggers_that_the_user_does_not_follow(data: Path) -> None:
    before, after = (split[0].follow for split in (splits(data), splits(data, follows_corrupted=0.5)))
    assert before is not None
    assert after is not None
    assert np.array_equal(before.users, after.users)
    assert np.array_equal(before.times, after.times)
    changed = before.vloggers != after.vloggers
    assert changed.sum() == round(0.5 * len(before.users))
    pairs = set(zip(before.users.tolist(), before.vloggers.tolist(), strict=True))
    wrong = set(zip(after.users[changed].tolist(), after.vloggers[changed].tolist(), strict=True))
    assert not pairs & wrong
    assert 0 not in after.vloggers


# --- users held down --------------------------------------------------------------------------------------------


def test_users_held_down_keep_their_latest_interactions(data: Path) -> None:
    whole = splits(data)[0]
    history: dict[int, list[int]] = {}
    for user, item in rows(whole):
        history.setdefault(user, []).append(item)
    eligible = {user for user, items in history.items() if len(items) >= 10}
    assert 5 < len(eligible) < N_USERS
    chosen_before = None
    for n in (1, 2, 5):
        train = splits(data, users_held_down=0.5, held_down_to=n)[0]
        now: dict[int, list[int]] = {}
        for user, item in rows(train):
            now.setdefault(user, []).append(item)
        chosen = {user for user in history if now[user] != history[user]}
        assert chosen <= eligible
        assert len(chosen) == round(0.5 * len(eligible))
        assert chosen_before in (None, chosen)
        chosen_before = chosen
        assert all(now[user] == history[user][-n:] for user in chosen)
        assert train.withheld is not None
        lost = sorted((user, item) for user in chosen for item in history[user][:-n])
        assert sorted(zip(*train.withheld.tolist(), strict=True)) == lost
        names = set(train.id2token("user_id", np.array(sorted(chosen))).tolist())
        assert follows(train) == {pair for pair in follows(whole) if pair[0] not in names}


def test_rows_of_the_training_split_are_in_the_order_of_time(data: Path) -> None:
    """On which the above rests."""
    train = splits(data)[0]
    times = np.asarray(train.inter_feat["timestamp"])
    users = np.asarray(train.inter_feat["user_id"])
    for user in range(1, train.user_num):
        assert (np.diff(times[users == user]) > 0).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_places_from_the_end_count_the_rows_below(users: list[int]) -> None:
    expected = [users[i + 1 :].count(user) for i, user in enumerate(users)]
    assert _places_from_the_end(np.array(users)).tolist() == expected


def test_the_test_ranking_is_over_the_same_items_as_without(data: Path) -> None:
    left_out = []
    for change in (None, {"users_held_down": 0.5, "held_down_to": 2}):
        _, (train, _, test) = load_loaders(data, {"degradation": change})
        found = set()
        for interaction, (of_user, items), *_ in test:
            users = interaction["user_id"].numpy()[np.asarray(of_user)]
            found |= set(zip(users.tolist(), np.asarray(items).tolist(), strict=True))
        left_out.append((found, len(train._dataset)))
    assert left_out[0][0] == left_out[1][0]
    assert left_out[0][1] > left_out[1][1]


# --- order and mistakes -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 99))
def test_an_order_holds_every_position_once_by_weight(weights: list[int], seed: int) -> None:
    values, rng = np.array(weights), np.random.default_rng(seed)
    for order, sign in (("popular", -1), ("unpopular", 1), ("random", 0)):
        places = _order(values, order, rng)
        assert sorted(places.tolist()) == list(range(len(weights)))
        assert (np.diff(sign * values[places]) >= 0).all()


def test_equal_weights_come_in_random_order() -> None:
    found = {tuple(_order(np.ones(3, dtype=np.int64), "popular", np.random.default_rng(s)).tolist()) for s in range(99)}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"link_removed": 0.5}, "has no entry 'link_removed'. Did you mean 'links_removed'?"),
        ("half", "`degradation` is 'half'; it must be a mapping"),
        ({"links_removed": 1.5}, "`links_removed` is 1.5; it must be a number at least 0 and at most 1"),
        ({"links_removed": 0.7, "links_corrupted": 0.7}, "links_removed and links_corrupted are more than 1 together"),
        ({"order": "biggest"}, "`order` is 'biggest'; choose one of: random, popular, unpopular"),
        ({"users_held_down": 0.5, "held_down_to": 0}, "`held_down_to` is 0"),
        ({"held_down_to": 10}, "`held_down_from` is 10; it must be a whole number at least 11"),
        ({"users_held_down": 0.5, "held_down_from": 99}, "holds down 0.5 of 0 users of toy with at least 99 training"),
    ],
)
def test_mistakes_are_explained(data: Path, entries: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_splits(data, {"degradation": entries})
    assert message in str(caught.value)


def test_what_is_not_there_cannot_be_degraded(tmp_path: Path) -> None:
    inter = [(f"u{u}", f"i{(u + s) % 9}", s) for u in range(9) for s in range(5)]
    one = write_dataset(tmp_path / "one", inter, [(f"i{n}", "v0") for n in range(9)])
    none = write_dataset(tmp_path / "none", inter, [(f"i{n}", "") for n in range(9)])
    with pytest.raises(InputError, match="asks for follow pairs of toy, but it has none"):
        load_splits(one, {"degradation": {"follows_removed": 0.5}})
    with pytest.raises(InputError, match="wrong vlogger: there is only one"):
        load_splits(one, {"degradation": {"links_corrupted": 0.5}})
    with pytest.raises(InputError, match="asks for links of toy to vloggers, but it has none"):
        load_splits(none, {"degradation": {"links_removed": 0.5}})


def test_fields_are_the_entries() -> None:
    assert Degradation.read({"links_removed": 1}) == Degradation(links_removed=1)
    assert Degradation.read(None) is None
