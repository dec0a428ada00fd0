"""Explanations are sums that come out, of parts that are the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.explanation import unit
from tests.models.cases import bundle_of
from tests.reference import compute_views, dot, vlogger_score, weights
from tests.serving.cases import recommender_of, write_small

TOL = 1e-6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"))


def everything(recommender: Any) -> list[tuple[str, str]]:
    users, videos = (
        names.all_ids().to_pylist() for names in (recommender.checkpoint.users, recommender.checkpoint.videos)
    )
    return [(user, video) for user in users for video in videos]


@pytest.mark.parametrize("views", ["both", "video", "vlogger"])
def test_video_and_vlogger_parts_are_those_of_the_paper(data: Path, views: str) -> None:
    """s = w (u₁·v₁ + u₂·v₂) + (1 − w)(u₁·p₁ + u₂·p₂), from the plain-Python reference."""
    recommender, model, (train, _, _) = recommender_of(data, "VAGNN", {"views": views, "ssl_weight": 0.0})
    bundle = bundle_of(model, train)
    seen = compute_views(bundle)
    w = weights(bundle, seen)
    users, items = train.field2token_id["user_id"], train.field2token_id["item_id"]
    for user, video in everything(recommender):
        u, v = users[user], items[video]
        found = recommender.explain(user, video)
        own = dot(seen.u1[u], seen.v1[v]) + dot(seen.u2[u], seen.v2[v])
        owner = bundle.vlogger_of[v]
        assert found.from_video == pytest.approx(w[v] * own, abs=TOL)
        theirs = (1 - w[v]) * vlogger_score(u, owner, seen) if owner else 0.0
        assert found.from_vlogger == pytest.approx(theirs, abs=TOL)
        assert found.from_video + found.from_vlogger == pytest.approx(found.score, abs=TOL)
        assert found.score == pytest.approx(recommender.score([user], [video])[0])


@pytest.mark.parametrize("name", ["VAGNN", "TripartiteLightGCN", "SimGCL", "LightGCN"])
@pytest.mark.parametrize("top", [0, 2, 100])
def test_own_embedding_reasons_and_rest_add_up_to_the_score(data: Path, name: str, top: int) -> None:
    recommender, model, _ = recommender_of(data, name)
    layers = model.n_layers if name == "LightGCN" else model.options.n_layers
    own_weight = 0.0 if name == "SimGCL" else 1 / (layers + 1)
    table = model.user_embedding.weight.detach().double().numpy()
    videos = dict(zip(*recommender.vectors("videos"), strict=True))
    users = recommender.checkpoint.users
    for user, video in everything(recommender):
        found = recommender.explain(user, video, top=top)
        told = sum(reason.value for reason in found.reasons)
        assert found.from_user + told + found.from_rest == pytest.approx(found.score, abs=1e-5)
        own = np.tile(own_weight * table[users.rows([user])[0] + 1], 2 if name == "VAGNN" else 1)
        assert found.from_user == pytest.approx(own @ videos[video], abs=1e-4)
        assert len(found.reasons) <= top
        values = [reason.value for reason in found.reasons]
        assert values == sorted(values, reverse=True)
        assert all(value > 0 for value in values)
        assert found.measure == "contribution"


def test_reasons_are_the_largest_parts_of_the_users_own_training_history(data: Path) -> None:
    """Every edge by hand; with sure walks the graphs hold many edges that are no history, which are never reasons."""
    options = {"walk_prob": 1.0, "user_hop_prob": 0.7}
    recommender, _, (train, _, _) = recommender_of(data, "VAGNN", options)
    videos = dict(zip(*recommender.vectors("videos"), strict=True))
    propagation = recommender.checkpoint.propagation
    owner = train.vlogger_of_item
    rest_without_history = 0
    for user, video in everything(recommender):
        row = int(recommender.checkpoint.users.rows([user])[0])
        pairs = zip(train.inter_feat["user_id"].tolist(), train.inter_feat["item_id"].tolist(), strict=True)
        mine = [item for u, item in pairs if u == row + 1]
        history = {("video", str(train.field2id_token["item_id"][item])) for item in mine}
        history |= {("vlogger", str(train.field2id_token["vlogger_id"][owner[item]])) for item in mine if owner[item]}
        parts = {}
        for part in propagation.contributions(propagation.edges_of(row)):
            names = recommender.checkpoint.videos if part.channel.nodes == "video" else recommender.checkpoint.vloggers
            x = videos[video][part.channel.start : part.channel.stop]
            for node, vector in zip(part.nodes, part.vectors, strict=True):
                parts[part.channel.nodes, names.ids([node])[0]] = float(vector @ x)
        rest_without_history += len(parts.keys() - history)
        assert history <= parts.keys()
        wanted = sorted((value for key, value in parts.items() if key in history and value > 0), reverse=True)[:4]
        found = recommender.explain(user, video, top=4)
        assert [reason.value for reason in found.reasons] == pytest.approx(wanted, abs=TOL)
        assert all(parts[reason.kind, reason.id] == pytest.approx(reason.value) for reason in found.reasons)
    assert rest_without_history > 50


def test_scores_of_vloggers_are_taken_apart_by_history_too(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "VAGNN")
    users, vloggers = (
        dict(zip(*recommender.vectors("users"), strict=True)),
        dict(zip(*recommender.vectors("vloggers"), strict=True)),
    )
    found = recommender.explain("u3", "a1", what="vloggers", top=100)
    assert found.score == pytest.approx(float(users["u3"] @ vloggers["a1"]))
    assert (found.from_video, found.from_vlogger, found.what) == (None, None, "vlogger")
    assert found.from_user + sum(r.value for r in found.reasons) + found.from_rest == pytest.approx(found.score)


def test_without_linear_propagation_reasons_are_cosines_with_the_history(data: Path) -> None:
    recommender, _, (train, _, _) = recommender_of(data, "BPR")
    ids, vectors = recommender.vectors("videos")
    cosines = unit(vectors) @ unit(vectors).T
    found = recommender.explain("u2", "v9", top=3)
    mine = [
        int(i) - 1
        for u, i in zip(*(train.inter_feat[f].tolist() for f in ("user_id", "item_id")), strict=True)
        if train.field2id_token["user_id"][u] == "u2"
    ]
    wanted = sorted(((cosines[ids.index("v9"), i], ids[i]) for i in mine), reverse=True)[:3]
    assert [(r.value, r.id) for r in found.reasons] == [(pytest.approx(c, abs=1e-6), i) for c, i in wanted if c > 0]
    assert found.measure == "similarity"
    assert (found.from_user, found.from_rest, found.from_video) == (None, None, None)


def test_a_table_of_recommendations_holds_the_same_parts(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "VAGNN")
    table = recommender.recommend(["u1", "u4"], 4, explain=True)
    for row in table.itertuples():
        found = recommender.explain(row.user, row.video, top=3)
        assert row.from_video == pytest.approx(found.from_video, rel=1e-5)
        assert row.from_vlogger == pytest.approx(found.from_vlogger, rel=1e-5)
        told = [(part["kind"], part["id"], part["value"]) for part in row.because]
        assert told == [(r.kind, r.id, pytest.approx(r.value, rel=1e-5)) for r in found.reasons]


def test_unknown_ids_are_refused(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "VAGNN")
    for user, id, message in (("nobody", "v1", "user id"), ("u1", "nothing", "video id")):
        with pytest.raises(InputError, match=message):
            recommender.explain(user, id)
