"""The model against the plain-Python reference, and against the cases worked by hand, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.models.vagnn import VAGNN
from tests.hand_case import Expected, hand_case, unknown_case
from tests.helpers import load_splits, write_dataset, write_file
from tests.models.cases import (
    SMALL,
    build,
    bundle_of,
    edges_of,
    random_batch,
    spread_parameters,
    tensors,
    training_edges,
    training_split,
)
from tests.reference import (
    Batch,
    Bundle,
    Edges,
    compute_views,
    loss_terms,
    score_matrix,
    total_loss,
    user_vlogger_counts,
    weights,
)

TOL = 1e-10
KINDS = ("leave-one-out", "random split", "follow")
MIXES = ("adaptive", "equal", "video", "vlogger")
VIEWS = ("both", "video", "vlogger")
TERMS = ("bpr", "aux", "ssl", "reg")

Data = tuple[Path, VloggerDataset, dict[str, Any]]


@pytest.fixture(scope="module", params=KINDS)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Data:
    return training_split(tmp_path_factory.mktemp("data"), request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return training_split(tmp_path_factory.mktemp("one"), "leave-one-out")


def pair(data: Data, **options: Any) -> tuple[VAGNN, Bundle]:
    """A model in float64 with large parameters, and the same numbers for the reference."""
    folder, train, split = data
    model = spread_parameters(build(folder, train, {**split, **options}))
    return model, bundle_of(model, train)


def close(got: Any, want: Any, tol: float = TOL) -> None:
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else np.array(got)
    np.testing.assert_allclose(got, np.array(want), rtol=tol, atol=tol)


def weights_of(model: VAGNN) -> np.ndarray:
    """w of each video, recovered from the served vector x = w v + (1 − w) p: (x − p)·(v − p) / |v − p|²."""
    on = [view for view in model.forward() if view is not None]
    v, p = (torch.cat([getattr(view, name) for view in on], dim=1) for name in ("videos", "vloggers"))
    p = p[model.vlogger_of]
    x = model.vectors()[1]
    return (((x - p) * (v - p)).sum(1) / (v - p).square().sum(1)).detach().numpy()


def all_scores(model: VAGNN) -> np.ndarray:
    users, items = model.vectors()
    return (users @ items.T).numpy()


def compare_forward(model: VAGNN, bundle: Bundle) -> None:
    """Views, item weights and the whole score matrix."""
    x = compute_views(bundle)
    for view, names in zip(model.forward(), (("u1", "v1", "p1"), ("u2", "v2", "p2")), strict=True):
        if view is None:
            continue
        for got, name in zip(view, names, strict=True):
            close(got, getattr(x, name))
    w = weights(bundle, x)
    close(weights_of(model)[1:], w[1:], 1e-8 if bundle.mix == "adaptive" else TOL)
    close(all_scores(model), score_matrix(bundle))


def compare_losses(model: VAGNN, bundle: Bundle, batch: Batch, tol: float = TOL) -> None:
    got = dict(zip(TERMS, model.loss_terms(*tensors(batch)), strict=True))
    for name, want in loss_terms(bundle, batch).items():
        close(got[name], want, tol)


# ------------------------------------------------------------------------------------- the data


def test_the_data_sets_hold_the_awkward_nodes(data: Data) -> None:
    _, train, split = data
    edges, owner = training_edges(train), train.vlogger_of_item
    token = train.field2id_token
    lone = int(owner[train.token2id(train.iid_field, "v_lone")])
    assert token[train.vlogger_field][lone] == "lone"
    seen_by = {u for u, v in edges if owner[v] == lone}
    assert len(seen_by) == 1 or split  # a random split may hold its only interaction out
    assert (owner[1:] == 0).sum() >= 3
    assert not any(owner[v] == train.token2id(train.vlogger_field, "cold") for _, v in edges)
    users_in_training = {u for u, _ in edges}
    assert bool(split) == (len(users_in_training) < train.user_num - 1)


@pytest.mark.parametrize("seed", range(3))
def test_batches_repeat_users_videos_and_vloggers_and_hold_unknown_vloggers(data: Data, seed: int) -> None:
    train = data[1]
    batch = random_batch(train, seed)
    owners = [int(train.vlogger_of_item[v]) for v in batch.pos]
    known = [a for a in owners if a]
    assert all(len(set(x)) < len(x) for x in (batch.users, batch.pos, known))
    assert 0 in owners
    assert len(set(known)) >= 2


def test_model_starts_from_the_training_graph(data: Data) -> None:
    model, bundle = pair(data, meta_paths=False)
    assert bundle.r_walk == training_edges(data[1])
    assert bundle.s_walk == user_vlogger_counts(bundle.r_edges, bundle.vlogger_of)
    assert max(bundle.s_walk.values()) > 1  # counts, not a support
    assert model.options.meta_paths is False


def test_meta_paths_only_add_whole_edges(data: Data) -> None:
    _, bundle = pair(data, walk_prob=1.0, user_hop_prob=0.5)
    plain = (bundle.r_edges, user_vlogger_counts(bundle.r_edges, bundle.vlogger_of))
    for start, walked in zip(plain, (bundle.r_walk, bundle.s_walk), strict=True):
        added = {key: walked.get(key, 0.0) - start.get(key, 0.0) for key in walked.keys() | start.keys()}
        assert sum(added.values()) > 0
        assert all(x >= 0 and x == int(x) for x in added.values())


# -------------------------------------------------------------------------------------- forward


@pytest.mark.parametrize(("views", "mix"), [*itertools.product(VIEWS, MIXES)])
def test_forward_and_scores_equal_the_reference(data: Data, views: str, mix: str) -> None:
    compare_forward(*pair(data, views=views, mix=mix))


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("meta_paths", [False, True])
def test_forward_equals_the_reference_for_every_depth(data: Data, n_layers: int, meta_paths: bool) -> None:
    walks = {"walk_prob": 1.0, "user_hop_prob": 0.5} if meta_paths else {"meta_paths": False}
    compare_forward(*pair(data, n_layers=n_layers, **walks))


def test_the_adaptive_weights_are_spread_out_and_one_where_the_vlogger_is_unknown(data: Data) -> None:
    model, bundle = pair(data)
    w, owner = weights_of(model), np.array(bundle.vlogger_of)
    known, unknown = w[1:][owner[1:] > 0], w[1:][owner[1:] == 0]
    close(unknown, np.ones(len(unknown)))
    assert np.ptp(known) > 0.3
    assert np.abs(known - 0.5).max() > 0.2


@pytest.mark.parametrize(("views", "mix"), [("both", "adaptive"), ("video", "equal"), ("vlogger", "adaptive")])
def test_predictions_equal_the_reference(data: Data, views: str, mix: str) -> None:
    model, bundle = pair(data, views=views, mix=mix)
    want = np.array(score_matrix(bundle))
    users, items = (x.ravel() for x in np.indices(want.shape))
    ids = {model.USER_ID: torch.from_numpy(users), model.ITEM_ID: torch.from_numpy(items)}
    close(model.predict(Interaction(ids)), want.ravel())
    some = torch.tensor([2, 1, 2, 4])
    close(model.full_sort_predict(Interaction({model.USER_ID: some})).view(4, -1), want[some])


# --------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("contrast_nodes", ["unique", "batch"])
@pytest.mark.parametrize("projection_heads", [True, False])
def test_loss_terms_equal_the_reference(data: Data, tau: float, contrast_nodes: str, projection_heads: bool) -> None:
    model, bundle = pair(data, ssl_tau=tau, contrast_nodes=contrast_nodes, projection_heads=projection_heads)
    assert (bundle.heads is not None) == projection_heads
    compare_losses(model, bundle, random_batch(data[1], 0))
    compare_losses(model, bundle, random_batch(data[1], 1, size=40))


@pytest.mark.parametrize(("views", "mix"), [*itertools.product(VIEWS, MIXES)])
def test_loss_terms_of_every_view_and_mix_equal_the_reference(data: Data, views: str, mix: str) -> None:
    model, bundle = pair(data, views=views, mix=mix)
    compare_losses(model, bundle, random_batch(data[1], 2))


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_loss_terms_equal_the_reference_for_every_depth(one: Data, n_layers: int) -> None:
    model, bundle = pair(one, n_layers=n_layers, walk_prob=1.0, user_hop_prob=0.3)
    compare_losses(model, bundle, random_batch(one[1], 3))


def test_loss_terms_without_auxiliary_triples_equal_the_reference(data: Data) -> None:
    model, bundle = pair(data)
    batch = replace(random_batch(data[1], 4), aux_users=[], aux_pos=[], aux_neg=[])
    compare_losses(model, bundle, batch)
    assert model.loss_terms(*tensors(batch))[1].item() == 0


def test_loss_terms_of_a_batch_without_known_vloggers_equal_the_reference(data: Data) -> None:
    model, bundle = pair(data)
    unknown = [(u, v) for u, v in bundle.r_edges if bundle.vlogger_of[v] == 0]
    users, items = map(list, zip(*unknown, strict=True))
    batch = Batch(users, items, items[::-1], [], [], [])
    compare_losses(model, bundle, batch)


def test_contrast_of_repeated_nodes_depends_on_the_option(one: Data) -> None:
    """If the two options gave one number, agreement with the reference would not tell them apart."""
    batch = tensors(random_batch(one[1], 0))
    unique, repeats = (pair(one, contrast_nodes=name)[0].loss_terms(*batch)[2] for name in ("unique", "batch"))
    assert abs(unique.item() - repeats.item()) > 1e-2


def test_calculate_loss_weighs_the_terms_as_the_reference_does(one: Data) -> None:
    options = {"aux_weight": 2.5, "ssl_weight": -0.3, "reg_weight": 0.07}
    model, bundle = pair(one, **options)
    batch = random_batch(one[1], 5)
    drawn = type(model._auxiliary)(model._auxiliary._pairs, False, 2020)
    auxiliary = drawn.sample(len(batch.users))  # the model's sampler is fresh, so its first draw is the same
    users, positives, negatives, _ = tensors(batch)
    got = model.calculate_loss(
        Interaction({model.USER_ID: users, model.ITEM_ID: positives, model.NEG_ITEM_ID: negatives})
    )
    terms = loss_terms(bundle, Batch(batch.users, batch.pos, batch.neg, *(x.tolist() for x in auxiliary)))
    close(sum(got), total_loss(terms, options["aux_weight"], options["ssl_weight"], options["reg_weight"]))
    for part, factor, name in zip(got, (1, 2.5, -0.3, 0.07), TERMS, strict=True):
        close(part, factor * terms[name])


# ------------------------------------------------------------------------------- worked by hand


def csr(edges: Edges, shape: tuple[int, int]) -> sp.csr_matrix:
    rows, columns = zip(*edges, strict=True)
    return sp.csr_matrix((list(edges.values()), (rows, columns)), shape=shape)


def hand_model(folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> VAGNN:
    """The model on a hand-made data set whose ids are those of the derivation.

    Vloggers without a video in the derivation are named by a fourth video with a zero embedding and no edges,
    which leaves the mean of their videos zero.
    """
    n_vloggers = len(bundle.vlogger_emb)
    item = [[f"v{v}", f"a{a}" if a else ""] for v, a in enumerate(bundle.vlogger_of) if v]
    item += [[f"extra{a}", f"a{a}"] for a in range(1, n_vloggers) if a not in bundle.vlogger_of]
    inter = [[f"u{u}", f"v{v}"] for u, v in bundle.r_edges]
    header = "user_id:token item_id:token"
    write_dataset(folder, inter, item, inter_header=header)
    held_out = [["u1", "v3"], ["u2", "v1"]]
    for name, rows in (("train", inter), ("valid", held_out), ("test", held_out)):
        write_file(folder / "toy" / f"toy.{name}.inter", header, rows)
    options = {**SMALL, "benchmark_filename": ["train", "valid", "test"], "embedding_size": 2, "n_layers": 2}
    config, splits = load_splits(folder, options)
    train = splits[0]
    for field, letter in ((train.uid_field, "u"), (train.iid_field, "v"), (train.vlogger_field, "a")):
        tokens = [t for t in train.field2id_token[field][1:].tolist() if not t.startswith("extra")]
        assert tokens == [f"{letter}{i + 1}" for i in range(len(tokens))]
    assert training_edges(train) == bundle.r_edges
    assert train.vlogger_of_item.tolist()[: len(bundle.vlogger_of)] == bundle.vlogger_of
    assert train.vlogger_num == n_vloggers

    model = VAGNN(config, train).double().eval()
    with torch.no_grad():
        model.item_embedding.weight.zero_()
        model.item_embedding.weight[: len(bundle.video_emb)] = torch.tensor(bundle.video_emb, dtype=torch.float64)
        for table, rows in ((model.user_embedding, bundle.user_emb), (model.vlogger_embedding, bundle.vlogger_emb)):
            table.weight.copy_(torch.tensor(rows, dtype=torch.float64))
        model.mix_matrix.copy_(torch.tensor(bundle.q, dtype=torch.float64))
    graphs = (
        csr(bundle.r_walk, (train.user_num, train.item_num)),
        csr(bundle.s_walk, (train.user_num, train.vlogger_num)),
    )
    monkeypatch.setattr(model, "augmented_graphs", lambda: graphs)
    assert [edges_of(g) for g in graphs] == [bundle.r_walk, bundle.s_walk]
    return model


@pytest.mark.parametrize("case", [hand_case, unknown_case])
def test_model_equals_the_hand_derivation(
    case: Callable[[], tuple[Bundle, Expected]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, expected = case()
    model = hand_model(tmp_path, bundle, monkeypatch)
    first, second = model.forward()
    for view, names in ((first, ("u1", "v1", "p1")), (second, ("u2", "v2", "p2"))):
        for got, name in zip(view, names, strict=True):
            close(got[1 : len(expected[name])], expected[name][1:], 1e-12)
    close(weights_of(model)[1:4], expected["w"][1:], 1e-12)
    scores = all_scores(model)
    close([scores[pair] for pair in expected["scores"]], list(expected["scores"].values()), 1e-12)
    users = torch.cat([first.users, second.users], dim=1)
    vloggers = torch.cat([first.vloggers, second.vloggers], dim=1)
    by_vlogger = (users @ vloggers.T).detach().numpy()
    close([by_vlogger[p] for p in expected["vlogger_scores"]], list(expected["vlogger_scores"].values()), 1e-12)
