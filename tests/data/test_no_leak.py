"""What training sees does not depend on what is held out.

Each test loads two versions of the same files, which differ only in their validation and test rows (other items,
all of which occur in training), and compares bit by bit.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.data.interaction import Interaction
from recbole.utils import init_seed

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.sampler import AuxiliarySampler, NegativeSampler, training_sampler
from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.data.walks import meta_path_edges
from tests.helpers import load_loaders, load_splits, write_dataset

N_USERS, N_ITEMS, N_TRAIN = 30, 24, 6
HELD_OUT_FROM = 1_000_000  # every training interaction is older
TIMED = "follow_user_id:token follow_vlogger_id:token follow_time:float"
Versions = tuple[Path, Path]


def _write(folder: Path, seed: int, version: int) -> Path:
    """``seed`` makes the training rows and the follow pairs of their time, ``version`` what is held out."""
    rng, other = np.random.default_rng(seed), np.random.default_rng([seed, version])
    inter, follow = [], []
    for user in range(N_USERS):
        first = user % N_ITEMS  # so that every item occurs in training, and ids are the same in both versions
        items = [first, *rng.permutation(np.delete(np.arange(N_ITEMS), first))[: N_TRAIN - 1].tolist()]
        times = np.sort(rng.choice(HELD_OUT_FROM, N_TRAIN, replace=False)).tolist()
        inter += [(f"u{user}", f"i{item}", time) for item, time in zip(items, times, strict=True)]
        held_out = other.permutation(np.setdiff1d(np.arange(N_ITEMS), items))[:2].tolist()
        start = HELD_OUT_FROM + 10 * user
        inter += [(f"u{user}", f"i{item}", start + n) for n, item in enumerate(held_out)]
        follow.append((f"u{user}", f"v{rng.integers(5)}", start - 1))
        follow.append((f"u{user}", f"v{other.integers(5)}", start))
        follow.append((f"u{user}", f"v{other.integers(5)}", start + 5))
    item = [(f"i{n}", f"v{n % 5}" if n % 6 else "") for n in range(N_ITEMS)]
    return write_dataset(folder / str(version), inter, item, follow, follow_header=TIMED)


@pytest.fixture(params=[1, 2])
def versions(tmp_path: Path, request: pytest.FixtureRequest) -> Versions:
    return _write(tmp_path, request.param, 1), _write(tmp_path, request.param, 2)


def _training(folder: Path, options: dict[str, Any] | None = None) -> VloggerDataset:
    return load_splits(folder, options)[1][0]


def _assert_same_matrix(one: sp.csr_matrix, other: sp.csr_matrix) -> None:
    assert one.nnz > 0
    assert one.shape == other.shape
    for part in ("indptr", "indices", "data"):
        assert getattr(one, part).tobytes() == getattr(other, part).tobytes(), part


def _assert_same_rows(one: Interaction, other: Interaction) -> None:
    assert list(one.interaction) == list(other.interaction)
    for name, column in one.interaction.items():
        assert torch.equal(column, other[name]), name


def test_the_two_versions_hold_out_other_items(versions: Versions) -> None:
    """Otherwise the tests below could not fail."""
    (train, valid, test), (train2, valid2, test2) = (load_splits(folder)[1] for folder in versions)
    for field in ("user_id", "item_id", "vlogger_id"):
        assert train.field2token_id[field] == train2.field2token_id[field]
    for one, other in ((valid, valid2), (test, test2)):
        assert len(one) == len(other) == N_USERS
        assert (one.inter_feat["item_id"] != other.inter_feat["item_id"]).sum() > N_USERS // 2
    prints = fingerprint(train, valid, test), fingerprint(train2, valid2, test2)
    assert {key for key in prints[0] if prints[0][key] != prints[1][key]} == {"valid", "test"}


def test_training_interactions_are_the_same(versions: Versions) -> None:
    one, other = (_training(folder) for folder in versions)
    assert len(one) == N_USERS * N_TRAIN
    _assert_same_rows(one.inter_feat, other.inter_feat)
    _assert_same_rows(one.item_feat, other.item_feat)
    _assert_same_matrix(one.interactions(), other.interactions())


def test_the_graph_is_the_same(versions: Versions) -> None:
    one, other = (TripartiteGraph.from_dataset(_training(folder)) for folder in versions)
    for name in ("user_video", "video_vlogger", "user_vlogger"):
        _assert_same_matrix(getattr(one, name), getattr(other, name))
    assert one.user_vlogger.data.max() > 1
    _assert_same_matrix(one.mean_over_videos(), other.mean_over_videos())
    _assert_same_matrix(one.users_of_video(), other.users_of_video())


def test_meta_path_walks_are_the_same(versions: Versions) -> None:
    one, other = (TripartiteGraph.from_dataset(_training(folder)).walk_graph() for folder in versions)
    for seed in range(5):
        edges = meta_path_edges(one, 0.9, 0.5, np.random.default_rng(seed))
        edges2 = meta_path_edges(other, 0.9, 0.5, np.random.default_rng(seed))
        for matrix, matrix2 in zip(edges, edges2, strict=True):
            _assert_same_matrix(matrix, matrix2)


def test_follow_pairs_seen_in_training_are_the_same(versions: Versions) -> None:
    one, other = (_training(folder) for folder in versions)
    assert one.follow.users.tolist() == other.follow.users.tolist()
    assert one.id2token("user_id", one.follow.users).tolist() == [f"u{n}" for n in range(N_USERS)]
    assert one.follow.vloggers.tolist() == other.follow.vloggers.tolist()
    assert one.follow.times.tolist() == other.follow.times.tolist()
    _assert_same_matrix(one.follow_matrix(), other.follow_matrix())


@pytest.mark.parametrize("source", ["interactions", "follow", "auto"])
@pytest.mark.parametrize("by_pair", [False, True])
def test_auxiliary_pairs_and_their_draws_are_the_same(versions: Versions, source: str, by_pair: bool) -> None:
    trains = [_training(folder) for folder in versions]
    one, other = (TripartiteGraph.from_dataset(train).auxiliary_pairs(train, source) for train in trains)
    _assert_same_matrix(one, other)
    draws, draws2 = (AuxiliarySampler(pairs, by_pair, seed=3).sample(500) for pairs in (one, other))
    for drawn, drawn2 in zip(draws, draws2, strict=True):
        assert drawn.tolist() == drawn2.tolist()


@pytest.mark.parametrize("neg_scope", ["any", "unseen_vlogger"])
@pytest.mark.parametrize(("distribution", "alpha"), [("uniform", 1.0), ("popularity", 1.0), ("popularity", 0.75)])
def test_negatives_are_the_same(versions: Versions, neg_scope: str, distribution: str, alpha: float) -> None:
    options = {"neg_scope": neg_scope, "train_neg_sample_args": {"distribution": distribution, "alpha": alpha}}
    draws = []
    for folder in versions:
        config, (train, _, _) = load_splits(folder, options)
        sampler = training_sampler(config, train, object())
        assert isinstance(sampler, NegativeSampler)
        users = np.tile(np.arange(1, train.user_num), 40)
        draws.append(sampler.sample_by_user_ids(users, None, 2))
        assert len(set(draws[-1].tolist())) > N_ITEMS // 2
    assert torch.equal(*draws)


def test_a_held_out_item_can_be_drawn_as_a_negative(versions: Versions) -> None:
    """Leaving held-out items out of the negatives would tell the model which they are."""
    config, (train, _, test) = load_splits(versions[0])
    sampler = training_sampler(config, train, object())
    users, items = test.inter_feat["user_id"], test.inter_feat["item_id"]
    drawn = sampler.sample_by_user_ids(users, None, 400).reshape(400, -1)
    assert (drawn == items).any(dim=0).all()


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_batches_of_the_training_loader_are_the_same(versions: Versions, distribution: str) -> None:
    batches = []
    for folder in versions:
        init_seed(7, True)
        options = {"train_neg_sample_args": {"distribution": distribution}, "train_batch_size": 64}
        loader = load_loaders(folder, options)[1][0]
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 3
    for one, other in zip(*batches, strict=True):
        _assert_same_rows(one, other)


def test_recboles_popularity_sampler_sees_held_out_items_and_ours_replaces_it(versions: Versions) -> None:
    """The comparison above does notice a leak: RecBole counts popularity over all splits."""
    batches = []
    for folder in versions:
        init_seed(7, True)
        options = {"train_neg_sample_args": {"distribution": "popularity"}, "sampler": "recbole"}
        loader = load_loaders(folder, options)[1][0]
        batches.append(torch.cat([batch["neg_item_id"] for batch in loader]))
    assert not torch.equal(*batches)
