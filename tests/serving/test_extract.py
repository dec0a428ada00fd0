"""Vectors taken from a model: their inner products are its scores, and their parts are the model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_vagnn.serving.extract import MEAN, OWN, mean_by_vlogger, model_vectors
from tests.models.cases import bundle_of
from tests.reference import compute_views, score_matrix, vlogger_score, weights
from tests.serving.cases import build, load, recommender_of, scores_of, write_small

TOL = 1e-9


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"))


def vectors_of(data: Path, name: str, options: dict[str, Any] | None = None) -> tuple[Any, Any, Any]:
    config, (train, _, _), _ = load(data, name, options)
    model = build(config, train)
    return model_vectors(model, train.vlogger_of_item, train.vlogger_num), model, train


@pytest.mark.parametrize("mix", ["adaptive", "equal", "video", "vlogger"])
@pytest.mark.parametrize("views", ["both", "video", "vlogger"])
def test_vagnns_vectors_give_the_references_scores_vlogger_scores_and_weights(data: Path, views: str, mix: str) -> None:
    found, model, train = vectors_of(data, "VAGNN", {"views": views, "mix": mix, "ssl_weight": 0.0})
    bundle = bundle_of(model, train)
    seen = compute_views(bundle)
    n_users, n_vloggers = len(bundle.user_emb), len(bundle.vlogger_emb)
    np.testing.assert_allclose(found.users @ found.videos.T, np.array(score_matrix(bundle))[1:, 1:], atol=TOL)
    wanted = [[vlogger_score(u, p, seen) for p in range(1, n_vloggers)] for u in range(1, n_users)]
    np.testing.assert_allclose(found.users @ found.vloggers.T, wanted, atol=TOL)
    np.testing.assert_allclose(found.vlogger_share, 1 - np.array(weights(bundle, seen))[1:], atol=TOL)
    assert found.vlogger_source == OWN


def test_a_new_video_shares_its_vlogger_as_its_vloggers_other_videos_do_on_average(data: Path) -> None:
    """With `new_videos: vlogger` its vector is their mean, and they are of one vlogger."""
    found, _, train = vectors_of(data, "VAGNN", {"new_videos": "vlogger"})
    plain, _, _ = vectors_of(data, "VAGNN")
    trained = np.bincount(np.asarray(train.inter_feat["item_id"]), minlength=train.item_num)[1:] > 0
    owner = train.vlogger_of_item[1:]
    filled = [v for v in np.flatnonzero(~trained & (owner > 0)) if (trained & (owner == owner[v])).any()]
    assert filled
    for video in filled:
        others = trained & (owner == owner[video])
        np.testing.assert_allclose(found.vlogger_share[video], plain.vlogger_share[others].mean(), atol=TOL)
        np.testing.assert_allclose(found.videos[video], plain.videos[others].mean(axis=0), atol=TOL)


@pytest.mark.parametrize("score", ["video", "video_and_vlogger"])
def test_vloggers_that_are_nodes_have_vectors_of_their_own(data: Path, score: str) -> None:
    found, model, train = vectors_of(data, "TripartiteLightGCN", {"score": score})
    np.testing.assert_allclose(found.users @ found.videos.T, scores_of(model), atol=TOL)
    from tests.models.dense import adjacency, layer_zero, layers, mean

    start = layer_zero("TripartiteLightGCN", dict(model.named_parameters()), train).detach()
    nodes = mean(layers(adjacency(train, True), start, model.options.n_layers)).numpy()
    vloggers = nodes[train.user_num + train.item_num + 1 :]
    np.testing.assert_allclose(found.vloggers, vloggers, atol=TOL)
    if score == "video":
        assert found.vlogger_share is None
    else:
        np.testing.assert_array_equal(found.vlogger_share, train.vlogger_of_item[1:] > 0)
        videos = nodes[train.user_num + 1 : train.user_num + train.item_num]
        owner = train.vlogger_of_item[1:] - 1
        np.testing.assert_allclose(found.videos - found.vlogger_share[:, None] * vloggers[owner], videos, atol=TOL)


@pytest.mark.parametrize("name", ["SimGCL", "SimGCLVlogger", "GTN", "BPR", "LightGCN", "NGCF", "SGL", "LINE"])
def test_other_inner_products_rank_a_vlogger_by_the_mean_of_its_videos(data: Path, name: str) -> None:
    found, model, train = vectors_of(data, name)
    scores = scores_of(model)
    np.testing.assert_allclose(found.users @ found.videos.T, scores, rtol=1e-4, atol=1e-4 * np.abs(scores).max())
    owner = train.vlogger_of_item[1:]
    of_vloggers = found.users @ found.vloggers.T
    for vlogger in range(1, train.vlogger_num):
        mean = scores[:, owner == vlogger].mean(axis=1)
        np.testing.assert_allclose(of_vloggers[:, vlogger - 1], mean, atol=2e-4 * np.abs(scores).max())
    assert found.vlogger_source == MEAN


@pytest.mark.parametrize("name", ["EASE", "ItemKNN", "NeuMF", "MultiVAE", "VloggerPop"])
def test_scores_that_are_no_inner_product_have_no_vectors(data: Path, name: str) -> None:
    config, (train, _, _), _ = load(data, name)
    model = build(config, train, spread_out=False)
    assert model_vectors(model, train.vlogger_of_item, train.vlogger_num) is None


def test_vectors_that_are_not_what_the_model_ranks_by_are_not_taken(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that adds a bias of the item to its inner product."""
    config, (train, _, _), _ = load(data, "BPR")
    model = build(config, train)
    inner = type(model).full_sort_predict
    bias = torch.linspace(0, 0.3, model.n_items, dtype=torch.float64)

    def biased(self: Any, interaction: Any) -> Any:
        return (inner(self, interaction).view(-1, model.n_items) + bias).view(-1)

    assert model_vectors(model, train.vlogger_of_item, train.vlogger_num) is not None
    monkeypatch.setattr(type(model), "full_sort_predict", biased)
    assert model_vectors(model, train.vlogger_of_item, train.vlogger_num) is None


def test_data_without_creators_have_no_vectors_of_vloggers(data: Path) -> None:
    recommender, model, _ = recommender_of(data, "SimGCL", {"VLOGGER_ID_FIELD": None})
    found = model_vectors(model, np.zeros(model.n_items, dtype=np.int64), 1)
    assert found.vloggers is None
    assert len(recommender.checkpoint.vloggers) == 0


def test_mean_by_vlogger_by_hand() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [100.0, 100.0]])
    got = mean_by_vlogger(values, np.array([0, 2, 0, -1]), 3)
    assert got.tolist() == [[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]]
