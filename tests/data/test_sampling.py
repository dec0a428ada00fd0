"""Samplers against their exact distributions, and against RecBole's own sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from recbole.sampler import Sampler
from scipy.stats import chi2_contingency, chisquare

from recbole_vagnn.data.complement import ComplementSampler
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.sampler import AuxiliarySampler, NegativeSampler, own_generator, training_sampler
from recbole_vagnn.errors import InputError
from tests.helpers import load_splits, write_dataset

P_MIN = 1e-4  # seeds are fixed, so a right sampler passes for good
N = 40_000


def matrix(rows: list[list[int]], n_columns: int) -> sp.csr_matrix:
    """Binary matrix with the given columns in each row."""
    dense = np.zeros((len(rows), n_columns))
    for i, columns in enumerate(rows):
        dense[i, columns] = 1
    return sp.csr_matrix(dense)


def assert_drawn_from(drawn: np.ndarray, weights: Any) -> None:
    """Chi-square of draws against probabilities proportional to ``weights``; weight 0 must never occur."""
    weights = np.asarray(weights, dtype=np.float64)
    counts = np.bincount(drawn.ravel(), minlength=len(weights))
    assert len(counts) == len(weights)
    possible = weights > 0
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        wanted = weights[possible] / weights.sum() * drawn.size
        assert wanted.min() >= 5
        assert chisquare(counts[possible], wanted).pvalue > P_MIN


def assert_same_distribution(one: np.ndarray, other: np.ndarray, n: int) -> None:
    table = np.stack([np.bincount(x, minlength=n) for x in (one, other)])
    assert chi2_contingency(table[:, table.sum(0) > 0]).pvalue > P_MIN


# ----------------------------------------------------------------------------------- complement

ROWS = [[], [1, 2], [5], [0, 3, 7, 9], list(range(1, 10)), [0, 1, 2, 3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize(
    "weights",
    [[1] * 10, [0, *[1] * 9], [3, 1, 4, 1, 5, 9, 2, 6, 5, 35], [0, 2, 0, 7, 1, 0, 0, 1, 3, 4]],
    ids=["uniform", "no padding", "weighted", "zeros"],
)
def test_complement_sampler_draws_in_proportion_to_the_weights_outside_the_members(weights: list[int]) -> None:
    sampler = ComplementSampler(matrix(ROWS, 10), np.array(weights))
    outside = np.array([[0 if j in row else weights[j] for j in range(10)] for row in ROWS])
    assert sampler.free.tolist() == outside.sum(1).tolist()
    rows = np.flatnonzero(sampler.free > 0)
    asked = np.random.default_rng(1).permutation(np.repeat(rows, N))  # rows mixed, as in a batch
    drawn = sampler.sample(asked, np.random.default_rng(0))
    assert len(rows) >= 5
    for row in rows:
        assert_drawn_from(drawn[asked == row], outside[row])


def test_complement_sampler_excludes_whole_groups() -> None:
    weights, groups = np.array([0, 2, 1, 1, 3, 1, 5]), np.array([3, 1, 0, 1, 2, 0, 2])
    members = [[], [1], [0, 2], [1, 2, 3]]
    sampler = ComplementSampler(matrix(members, 5), weights, groups)
    for row, cut in enumerate(members):
        outside = [0 if g in cut else w for w, g in zip(weights, groups, strict=True)]
        assert sampler.free[row] == sum(outside)
        assert_drawn_from(sampler.sample(np.full(N, row), np.random.default_rng(row)), outside)


def test_complement_sampler_serves_rows_that_hold_all_but_one_candidate_with_that_one() -> None:
    n = 300
    sampler = ComplementSampler(sp.csr_matrix(1 - np.eye(n)), np.ones(n, dtype=np.int64))
    rows = np.tile(np.arange(n), 3)
    assert sampler.sample(rows, np.random.default_rng(0)).tolist() == rows.tolist()


def test_complement_sampler_refuses_a_full_row_and_serves_the_others() -> None:
    sampler = ComplementSampler(matrix([[0, 1, 2], [0]], 3), np.array([1, 1, 1]))
    assert sampler.free.tolist() == [0, 2]
    with pytest.raises(ValueError, match="Row 0"):
        sampler.sample(np.array([1, 0]), np.random.default_rng(0))
    assert_drawn_from(sampler.sample(np.ones(N, dtype=np.int64), np.random.default_rng(0)), [0, 1, 1])


def test_complement_sampler_counts_a_row_as_full_when_only_weightless_candidates_are_left() -> None:
    sampler = ComplementSampler(matrix([[1]], 3), np.array([0, 4, 0]))
    assert sampler.free.tolist() == [0]
    with pytest.raises(ValueError, match="Row 0"):
        sampler.sample(np.array([0]), np.random.default_rng(0))


def test_complement_sampler_reads_repeated_and_unsorted_members_as_a_set() -> None:
    members = sp.csr_matrix((np.ones(4), np.array([3, 1, 3, 1]), np.array([0, 4])), shape=(1, 5))
    sampler = ComplementSampler(members, np.array([1, 1, 1, 1, 1]))
    assert_drawn_from(sampler.sample(np.zeros(N, dtype=np.int64), np.random.default_rng(0)), [1, 0, 1, 0, 1])


def test_complement_sampler_draws_independently_of_its_neighbours_in_the_batch() -> None:
    sampler = ComplementSampler(matrix([[0]], 3), np.array([1, 1, 1]))
    drawn = sampler.sample(np.zeros(N, dtype=np.int64), np.random.default_rng(0))
    pairs = drawn[:-1:2] * 3 + drawn[1::2]
    assert_drawn_from(pairs, [0, 0, 0, 0, 1, 1, 0, 1, 1])


def test_complement_sampler_serves_an_empty_request() -> None:
    sampler = ComplementSampler(matrix([[0]], 2), np.array([1, 1]))
    assert sampler.sample(np.zeros(0, dtype=np.int64), np.random.default_rng(0)).tolist() == []


@pytest.mark.parametrize(
    ("weights", "groups"), [([1, 1], [0]), ([1, 1], [0, 3]), ([1, 1, 1, 1], None)], ids=["length", "group", "columns"]
)
def test_complement_sampler_refuses_shapes_that_do_not_fit(weights: list[int], groups: list[int] | None) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ComplementSampler(matrix([[0]], 3), np.array(weights), None if groups is None else np.array(groups))


def test_complement_sampler_refuses_weights_beyond_63_bits() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        ComplementSampler(matrix([[0]] * 8, 2), np.array([2**59, 2**60]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_sample_is_never_a_member_and_never_weightless(data: st.DataObject) -> None:
    n_groups = data.draw(st.integers(1, 8))
    n_rows, n_candidates = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    groups = data.draw(st.lists(st.integers(0, n_groups - 1), min_size=n_candidates, max_size=n_candidates))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=n_candidates, max_size=n_candidates))
    rows = data.draw(st.lists(st.lists(st.integers(0, n_groups - 1), unique=True), min_size=n_rows, max_size=n_rows))
    sampler = ComplementSampler(matrix(rows, n_groups), np.array(weights), np.array(groups))
    free = [sum(w for w, g in zip(weights, groups, strict=True) if g not in row) for row in rows]
    assert sampler.free.tolist() == free
    asked = np.repeat(np.flatnonzero(np.array(free)), 20)
    drawn = sampler.sample(asked, np.random.default_rng(data.draw(st.integers(0, 99))))
    for row, candidate in zip(asked, drawn, strict=True):
        assert groups[candidate] not in rows[row]
        assert weights[candidate] > 0


# --------------------------------------------------------------------------- negatives of items

# items 1-8; vloggers: 1 → 1, 2; 2 → 3, 4; 3 → 5; unknown → 6, 7, 8
VLOGGER_OF = np.array([0, 1, 1, 2, 2, 3, 0, 0, 0])
HISTORIES = [[], [1, 6], [1, 3, 5], [2, 3, 6, 7], [1], [3, 4, 1, 2], [6]]
COUNTS = np.bincount([v for row in HISTORIES for v in row], minlength=9)  # 0 4 2 3 1 1 3 1 0


def negative_sampler(distribution: str = "uniform", alpha: float = 1.0, scope: str = "any", seed: int = 3) -> Any:
    return NegativeSampler(matrix(HISTORIES, 9), VLOGGER_OF, distribution, alpha, scope, seed)


def negatives(sampler: Any, user: int, n: int = N) -> np.ndarray:
    return sampler.sample_by_user_ids(np.full(n, user), np.zeros(n), 1).numpy()


def allowed(user: int, scope: str) -> np.ndarray:
    """Which items a user may be given, from the definition; a user who has seen every vlogger is served as any."""
    unseen_item = np.array([v > 0 and v not in HISTORIES[user] for v in range(9)])
    if scope == "any":
        return unseen_item
    seen = {int(VLOGGER_OF[v]) for v in HISTORIES[user]} - {0}
    narrow = unseen_item & np.array([a not in seen for a in VLOGGER_OF])
    return narrow if narrow.any() else unseen_item


@pytest.mark.parametrize("user", range(1, 7))
@pytest.mark.parametrize("scope", ["any", "unseen_vlogger"])
def test_uniform_negatives_are_uniform_over_the_allowed_items(user: int, scope: str) -> None:
    assert_drawn_from(negatives(negative_sampler(scope=scope), user), allowed(user, scope))


@pytest.mark.parametrize("user", range(1, 7))
@pytest.mark.parametrize("alpha", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("scope", ["any", "unseen_vlogger"])
def test_popular_negatives_are_drawn_by_training_count_to_the_alpha(user: int, alpha: float, scope: str) -> None:
    weights = np.where(COUNTS > 0, COUNTS.astype(float) ** alpha, 0) * allowed(user, scope)
    assert weights.sum() > 0
    assert_drawn_from(negatives(negative_sampler("popularity", alpha, scope), user), weights)


def test_a_video_of_unknown_vlogger_excludes_only_itself() -> None:
    drawn = set(negatives(negative_sampler(scope="unseen_vlogger"), 6).tolist())
    assert drawn == {1, 2, 3, 4, 5, 7, 8}


def test_a_user_who_has_seen_every_vlogger_is_served_from_any() -> None:
    rows = [[], [1, 3], [2]]
    sampler = NegativeSampler(matrix(rows, 5), np.array([0, 1, 1, 2, 2]), "uniform", 1.0, "unseen_vlogger", 0)
    assert_drawn_from(negatives(sampler, 1), [0, 0, 1, 0, 1])
    assert_drawn_from(negatives(sampler, 2), [0, 0, 0, 1, 1])


def test_a_user_who_knows_every_popular_item_is_served_uniformly() -> None:
    sampler = NegativeSampler(matrix([[], [1, 2], [1]], 6), np.zeros(6, dtype=np.int64), "popularity", 1.0, "any", 0)
    assert_drawn_from(negatives(sampler, 1), [0, 0, 0, 1, 1, 1])
    assert_drawn_from(negatives(sampler, 2), [0, 0, 1, 0, 0, 0])


def test_a_mixed_batch_serves_each_user_from_their_own_distribution() -> None:
    """Users that different fall-backs serve stand side by side."""
    sampler = negative_sampler("popularity", 0.5, "unseen_vlogger")
    users = np.random.default_rng(0).permutation(np.repeat(np.arange(1, 7), N))
    drawn = sampler.sample_by_user_ids(users, None, 1).numpy()
    for user in range(1, 7):
        assert_drawn_from(drawn[users == user], np.sqrt(COUNTS) * allowed(user, "unseen_vlogger"))


def test_the_k_th_negative_of_the_i_th_user_is_at_k_times_b_plus_i() -> None:
    """Each user has one item left, so the result is certain."""
    rows = [[], [2, 3, 4], [1, 3, 4], [1, 2, 4], [1, 2, 3]]
    sampler = NegativeSampler(matrix(rows, 5), np.zeros(5, dtype=np.int64), "uniform", 1.0, "any", 0)
    got = sampler.sample_by_user_ids(np.array([4, 1, 2]), np.array([1, 2, 1]), 3)
    assert got.tolist() == [4, 1, 2] * 3
    assert got.dtype.is_floating_point is False


def test_a_user_with_every_item_is_refused_and_named() -> None:
    rows = [[], [1], [1, 2, 3]]
    with pytest.raises(InputError, match=r"1 user.*internal id: 2"):
        NegativeSampler(matrix(rows, 4), np.zeros(4, dtype=np.int64), "uniform", 1.0, "any", 0)


def test_the_sampler_serves_the_training_phase_alone() -> None:
    sampler = negative_sampler()
    with pytest.raises(ValueError, match="valid"):
        sampler.set_phase("valid")
    twin = sampler.set_phase("train")
    assert [set(x) for x in twin.used_ids] == [set(row) for row in HISTORIES]


def test_a_seed_fixes_the_negatives_and_their_state_can_be_restored() -> None:
    one, two, other = (negatives(negative_sampler(seed=seed), 1, 200).tolist() for seed in (3, 3, 4))
    assert one == two
    assert one != other
    sampler, late = negative_sampler(), negative_sampler(seed=9)
    negatives(sampler, 2, 50)
    late.load_random_state(sampler.random_state())
    assert negatives(sampler, 1, 100).tolist() == negatives(late, 1, 100).tolist()


def test_streams_and_epochs_have_numbers_of_their_own() -> None:
    keys = [(5, 1), (5, 2), (5, 3), (6, 1), (5, 3, 1), (5, 3, 2)]
    drawn = [tuple(own_generator(*key).integers(0, 2**60, 4)) for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn[0] == tuple(own_generator(5, 1).integers(0, 2**60, 4))


# ------------------------------------------------------------------------- on a data set, RecBole


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[VloggerDataset]]:
    """Users see a random prefix of popular items, then ``late`` (validation) and ``last`` (test), new to training."""
    rng = np.random.default_rng(0)
    inter: list[list[object]] = []
    for u in range(12):
        # an item's chance to be seen falls with its number
        seen = rng.choice(10, size=int(rng.integers(2, 7)), replace=False, p=np.arange(10, 0, -1) / 55)
        inter += [[f"u{u}", f"v{v}", t] for t, v in enumerate(seen)]
        inter += [[f"u{u}", "late", 90], [f"u{u}", "last", 91]]
    item = [[f"v{v}", f"a{v % 3}"] for v in range(10)] + [["late", "a0"], ["last", ""], ["unseen", "a1"]]
    folder = write_dataset(tmp_path_factory.mktemp("sampling"), inter, item)
    return load_splits(folder, {"embedding_size": 4})


@pytest.mark.parametrize(("distribution", "alpha"), [("uniform", 1.0), ("popularity", 1.0), ("popularity", 0.5)])
def test_negatives_are_distributed_as_those_of_recboles_sampler(
    splits: tuple[Any, list[VloggerDataset]], distribution: str, alpha: float
) -> None:
    train = splits[1][0]
    ours = NegativeSampler(train.interactions(), train.vlogger_of_item, distribution, alpha, "any", 1)
    theirs = Sampler("train", train, distribution, alpha).set_phase("train")
    assert [set(map(int, s)) for s in theirs.used_ids] == list(ours.used_ids)
    np.random.seed(0)
    n = 4000
    users = np.repeat(np.arange(1, train.user_num), n)
    drawn = [s.sample_by_user_ids(users, users, 1).numpy() for s in (ours, theirs)]
    assert_same_distribution(*drawn, train.item_num)
    for user in (1, 2, 7):
        assert_same_distribution(*(x[users == user] for x in drawn), train.item_num)
    if distribution == "popularity":
        uniform = NegativeSampler(train.interactions(), train.vlogger_of_item, "uniform", 1.0, "any", 1)
        with pytest.raises(AssertionError):  # the comparison can tell distributions apart
            assert_same_distribution(drawn[0], uniform.sample_by_user_ids(users, users, 1).numpy(), train.item_num)


def test_popularity_counts_training_interactions_only(splits: tuple[Any, list[VloggerDataset]]) -> None:
    """``late`` and ``last`` are everybody's held-out items; RecBole's table would make them the most popular."""
    train = splits[1][0]
    sampler = NegativeSampler(train.interactions(), train.vlogger_of_item, "popularity", 1.0, "any", 1)
    users = np.repeat(np.arange(1, train.user_num), 2000)
    drawn = set(sampler.sample_by_user_ids(users, None, 1).tolist())
    assert not drawn & {train.token2id(train.iid_field, name) for name in ("late", "last", "unseen")}
    assert len(drawn) >= 8


def test_held_out_items_are_negatives_like_any_other_when_uniform(splits: tuple[Any, list[VloggerDataset]]) -> None:
    train = splits[1][0]
    sampler = NegativeSampler(train.interactions(), train.vlogger_of_item, "uniform", 1.0, "any", 1)
    free = 1.0 - train.interactions().toarray()[1]
    free[0] = 0
    assert free[train.token2id(train.iid_field, "last")] == 1
    assert_drawn_from(negatives(sampler, 1), free)


def test_the_configuration_chooses_the_sampler(splits: tuple[Any, list[VloggerDataset]]) -> None:
    config, (train, *_) = splits
    marker = object()
    assert isinstance(training_sampler(config, train, marker), NegativeSampler)
    assert training_sampler(config, train, None) is None
    folder = Path(config["data_path"]).parent  # RecBole appends the name of the data set
    other, (part, *_) = load_splits(folder, {"sampler": "recbole"})
    assert training_sampler(other, part, marker) is marker
    other, (part, *_) = load_splits(folder, {"neg_scope": "unseen_vlogger"})
    narrow = training_sampler(other, part, marker)
    owner = part.vlogger_of_item
    for user in range(1, part.user_num):
        seen = {int(owner[v]) for v in part.interactions()[user].indices} - {0}
        if len(seen) < part.vlogger_num - 1:
            assert not seen & {int(owner[v]) for v in negatives(narrow, user, 500)}


# ------------------------------------------------------------------------------- auxiliary task

# vloggers 1-4; user 2 knows them all, users 0 and 5 know none
PAIRS = [[], [1], [1, 2, 3, 4], [2, 3], [1, 3, 4], []]


def triples(by_pair: bool, n: int = 60_000, seed: int = 0) -> np.ndarray:
    return np.stack(AuxiliarySampler(matrix(PAIRS, 5), by_pair, seed).sample(n))


def assert_triples(drawn: np.ndarray, user_weight: dict[int, float]) -> None:
    """The joint distribution: user by weight, then positive and negative uniform and independent of each other."""
    weights = np.zeros((6, 5, 5))
    for user, weight in user_weight.items():
        for positive in PAIRS[user]:
            others = [a for a in range(1, 5) if a not in PAIRS[user]]
            for negative in others:
                weights[user, positive, negative] = weight / (len(PAIRS[user]) * len(others))
    assert_drawn_from(np.ravel_multi_index(tuple(drawn), weights.shape), weights.ravel())


def test_auxiliary_triples_are_uniform_over_users_then_pairs_then_negatives() -> None:
    assert_triples(triples(by_pair=False), {1: 1.0, 3: 1.0, 4: 1.0})


def test_auxiliary_triples_by_pair_are_uniform_over_pairs() -> None:
    assert_triples(triples(by_pair=True), {1: 1.0, 3: 2.0, 4: 3.0})


@pytest.mark.parametrize("by_pair", [False, True])
def test_a_user_positive_on_every_vlogger_is_never_drawn(by_pair: bool) -> None:
    assert set(triples(by_pair)[0].tolist()) == {1, 3, 4}


@pytest.mark.parametrize("by_pair", [False, True])
def test_auxiliary_positives_are_pairs_and_negatives_are_not(by_pair: bool) -> None:
    users, positives, negative = triples(by_pair)
    assert set(zip(users.tolist(), positives.tolist(), strict=True)) == {(u, a) for u in (1, 3, 4) for a in PAIRS[u]}
    assert all(a not in PAIRS[u] and a > 0 for u, a in set(zip(users.tolist(), negative.tolist(), strict=True)))


@pytest.mark.parametrize("rows", [[[], []], [[], [1, 2]], [[], [1, 2], []]], ids=["empty", "one full", "full, empty"])
def test_no_triple_to_draw_is_said_and_not_looped_on(rows: list[list[int]]) -> None:
    assert not AuxiliarySampler(matrix(rows, 3), False, 0)
    assert not AuxiliarySampler(matrix(rows, 3), True, 0)


def test_a_sampler_with_a_triple_is_true() -> None:
    sampler = AuxiliarySampler(matrix([[], [1, 2], [2]], 3), False, 0)
    assert sampler
    assert [x.tolist() for x in sampler.sample(3)] == [[2] * 3, [2] * 3, [1] * 3]


def test_a_seed_fixes_the_auxiliary_triples() -> None:
    one, two, other = (triples(False, 100, seed).tolist() for seed in (3, 3, 4))
    assert one == two
    assert one != other


def test_popularity_within_unseen_vloggers_stays_there_when_none_of_their_items_has_been_seen() -> None:
    """Items 3 and 4 are of the unseen vlogger 2 and have no training interaction: they are drawn uniformly."""
    train = sp.csr_matrix([[0] * 5, [0, 1, 0, 0, 0], [0, 1, 1, 0, 0]], dtype=np.float64)
    sampler = NegativeSampler(train, np.array([0, 1, 1, 2, 2]), "popularity", 1.0, "unseen_vlogger", 0)
    drawn = sampler.sample_by_user_ids(np.full(4000, 1), None, 1).numpy()
    counts = np.bincount(drawn, minlength=5)
    assert counts[3] + counts[4] == 4000
    assert abs(counts[3] - 2000) < 200
