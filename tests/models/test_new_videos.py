"""New videos as their vlogger's others: against explicit averages, and without any effect on the rest."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.new_videos import NewVideoOptions, VloggerMeans
from recbole_vagnn.models.vagnn import VAGNN
from tests.helpers import load_splits, write_dataset
from tests.models import dense
from tests.models.cases import (
    SMALL,
    bundle_of,
    random_batch,
    random_rows,
    spread_parameters,
    tensors,
    training_edges,
)
from tests.models.cases import build as build_vagnn
from tests.reference import compute_views, score_matrix, weights

RIVALS = ("SimGCL", "XSimGCL", "SimGCLVlogger", "TripartiteLightGCN", "TripartiteSimGCL", "GTN")
Data = tuple[Path, VloggerDataset]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The random data with three new videos of vloggers with trained ones, two of the same.

    ``v_late`` is new although it was seen: its only interaction is held out for the test.
    """
    inter, item = random_rows(1, 9, 14, 4, (4, 7))
    inter = [*inter, ["u3", "v_late", 99]]
    item = [*item, ["v_new", "a0"], ["v_newer", "a0"], ["v_late", "a1"]]
    folder = write_dataset(tmp_path_factory.mktemp("data"), inter, item)
    return folder, load_splits(folder, SMALL)[1][0]


def vagnn(data: Data, new_videos: str, **options: Any) -> VAGNN:
    return spread_parameters(build_vagnn(*data, {"new_videos": new_videos, **options}))


def siblings(train: VloggerDataset) -> dict[int, list[int]]:
    """New video → its vlogger's videos with training interactions, read off the interactions one by one."""
    owner, seen = train.vlogger_of_item.tolist(), {v for _, v in training_edges(train)}
    found = {}
    for video in range(1, train.item_num):
        others = [v for v in seen if owner[v] == owner[video]]
        if video not in seen and owner[video] and others:
            found[video] = others
    return found


def averaged(table: np.ndarray, train: VloggerDataset) -> np.ndarray:
    """A (…, n_items) table with the columns of new videos averaged over those of their siblings."""
    filled = table.copy()
    for video, others in siblings(train).items():
        filled[..., video] = sum(table[..., v] for v in others) / len(others)
    return filled


def scores(model: Any) -> np.ndarray:
    return dense.all_scores(model).view(model.n_users, -1).numpy()


def test_the_data_hold_new_videos_of_every_kind(data: Data) -> None:
    train = data[1]
    tokens = {token: number for number, token in enumerate(train.field2id_token[train.iid_field])}
    found = siblings(train)
    assert set(found) >= {tokens[name] for name in ("v_new", "v_newer", "v_late")}
    assert max(map(len, found.values())) > 1
    unseen = set(range(1, train.item_num)) - {v for _, v in training_edges(train)}
    assert {tokens["v_cold"], tokens["v_nobody"]} <= unseen - set(found)  # no trained video, no vlogger


@pytest.mark.parametrize("mix", ["adaptive", "equal", "video", "vlogger"])
@pytest.mark.parametrize("views", ["both", "video", "vlogger"])
def test_scores_of_new_videos_are_the_mean_of_the_references_scores(data: Data, views: str, mix: str) -> None:
    model = vagnn(data, "vlogger", views=views, mix=mix)
    want = averaged(np.array(score_matrix(bundle_of(model, data[1]))), data[1])
    np.testing.assert_allclose(scores(model), want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", RIVALS)
def test_scores_of_a_rivals_new_videos_are_the_mean_over_their_vloggers_others(data: Data, name: str) -> None:
    plain, filled = (
        dense.spread(dense.build(name, *data, {"new_videos": new_videos})).eval()
        for new_videos in ("embedding", "vlogger")
    )
    want = averaged(scores(plain), data[1])
    np.testing.assert_allclose(scores(filled), want, rtol=1e-9, atol=1e-10)
    assert np.abs(want - scores(plain)).max() > 0.01


def test_every_other_video_keeps_its_vector_to_the_last_bit(data: Data) -> None:
    plain, filled = (vagnn(data, new_videos) for new_videos in ("embedding", "vlogger"))
    new = torch.zeros(plain.n_items, dtype=torch.bool)
    new[list(siblings(data[1]))] = True
    for one, other in zip(plain.vectors(), filled.vectors(), strict=True):
        rows = ~new if len(one) == len(new) else torch.ones(len(one), dtype=torch.bool)
        assert torch.equal(one[rows], other[rows])
    changed = (plain.vectors()[1] != filled.vectors()[1]).any(dim=1)
    assert torch.equal(changed, new)


def test_what_is_filled_stays_as_it_is(data: Data) -> None:
    """The table may be the embedding itself."""
    train = data[1]
    values = torch.randn(train.item_num, 3)
    before = values.clone()
    filled = VloggerMeans(train.interactions(), train.vlogger_of_item).fill(values)
    assert torch.equal(values, before)
    assert not torch.equal(filled, before)


def test_a_new_video_of_a_vlogger_with_one_trained_video_has_its_vector(tmp_path: Path) -> None:
    inter = [[u, v, t] for u in ("u1", "u2") for t, v in enumerate(("a", "b", "c", "d"))]
    item = [["a", "p"], ["b", "q"], ["c", "q"], ["d", "r"], ["n", "p"]]
    folder = write_dataset(tmp_path, inter, item)
    train = load_splits(folder, SMALL)[1][0]
    model = vagnn((folder, train), "vlogger")
    one, new = (train.token2id(train.iid_field, token) for token in "an")
    items = model.vectors()[1]
    assert torch.equal(items[one], items[new])


def test_every_way_to_predict_has_the_new_vectors(data: Data) -> None:
    model = vagnn(data, "vlogger")
    users, items = model.vectors()
    new = sorted(siblings(data[1]))
    u, v = (x.ravel() for x in torch.meshgrid(torch.arange(model.n_users), torch.tensor(new), indexing="ij"))
    want = (users @ items.T)[u, v]
    torch.testing.assert_close(model.predict(Interaction({model.USER_ID: u, model.ITEM_ID: v})), want)
    full = model.full_sort_predict(Interaction({model.USER_ID: torch.arange(model.n_users)}))
    torch.testing.assert_close(full.view(model.n_users, -1)[u, v], want)


def test_training_does_not_know_of_the_option(data: Data) -> None:
    losses, gradients = [], []
    batch = tensors(random_batch(data[1], 0))
    for new_videos in ("embedding", "vlogger"):
        model = vagnn(data, new_videos)
        terms = model.loss_terms(*batch)
        sum(terms).backward()
        losses.append([term.item() for term in terms])
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert losses[0] == losses[1]
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_vectors_follow_the_parameters(data: Data) -> None:
    model = vagnn(data, "vlogger")
    before = scores(model)
    with torch.no_grad():
        model.item_embedding.weight.mul_(2)
    want = averaged(np.array(score_matrix(bundle_of(model, data[1]))), data[1])
    np.testing.assert_allclose(scores(model), want, rtol=1e-9, atol=1e-10)
    assert np.abs(want - before).max() > 0.01


def test_copies_and_pickles_rank_alike(data: Data) -> None:
    model = vagnn(data, "vlogger")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(scores(other), scores(model))


# ------------------------------------------------------------------------------- the parts of a score


@pytest.mark.parametrize("mix", ["adaptive", "equal", "video", "vlogger"])
@pytest.mark.parametrize("views", ["both", "video", "vlogger"])
@pytest.mark.parametrize("new_videos", ["embedding", "vlogger"])
def test_parts_of_scores_equal_the_reference(data: Data, views: str, mix: str, new_videos: str) -> None:
    """w (u₁·v₁ + u₂·v₂) and (1 − w)(u₁·p₁ + u₂·p₂), each from the plain-Python views."""
    model = vagnn(data, new_videos, views=views, mix=mix)
    bundle = bundle_of(model, data[1])
    x, w = compute_views(bundle), np.array(weights(bundle, compute_views(bundle)))
    u1, v1, p1, u2, v2, p2 = (np.array(getattr(x, name)) for name in ("u1", "v1", "p1", "u2", "v2", "p2"))
    owner = np.array(bundle.vlogger_of)
    want = [w * (u1 @ v1.T + u2 @ v2.T), (1 - w) * (u1 @ p1[owner].T + u2 @ p2[owner].T), w]
    if new_videos == "vlogger":
        want = [averaged(part, data[1]) for part in want]
    parts = model.score_parts()
    for got, of_reference in zip((parts.users @ parts.videos.T, parts.users @ parts.vloggers.T), want, strict=False):
        np.testing.assert_allclose(got[:, 1:], of_reference[:, 1:], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(parts.weights[1:], want[2][1:], rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(parts.videos + parts.vloggers, model.vectors()[1])


# --------------------------------------------------------------------------------------------- options


def test_an_unknown_choice_is_refused() -> None:
    read: Mapping[str, Any] = {"new_videos": "mean"}
    with pytest.raises(InputError, match="`new_videos` is 'mean'; choose one of: embedding, vlogger"):
        NewVideoOptions.from_config(read.get)
