"""The fast LightGCN, NGCF, SGL and NCL against RecBole's own classes: values, gradients, draws, training curves."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.general_recommender.lightgcn import LightGCN
from recbole.model.general_recommender.sgl import SGL
from recbole.quick_start import load_data_and_model
from recbole.utils import get_model, get_trainer, init_seed
from torch import Tensor

from recbole_vagnn import registry
from recbole_vagnn.models.recbole_fast.adjacency import recbole_adjacency
from recbole_vagnn.models.recbole_fast.sgl import FastSGL
from recbole_vagnn.nn.sparse import Csr, SparsePair
from tests.helpers import load_loaders, make_config
from tests.models.dense import SMALL, Data, all_scores, interaction, random_triples
from tests.runs import options_for, run_toy, write_toy

NAMES = ("LightGCN", "NGCF", "SGL", "NCL")
has_faiss = find_spec("faiss") is not None
TRAINED = [pytest.param(n, marks=pytest.mark.skipif(n == "NCL" and not has_faiss, reason="no faiss")) for n in NAMES]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("LightGCN", {"n_layers": 3, "reg_weight": 0.1}),
    ("LightGCN", {"n_layers": 1, "reg_weight": 0.1, "require_pow": False}),
    ("NGCF", {"hidden_size_list": [4, 6], "reg_weight": 0.1, "message_dropout": 0.0}),
    ("NGCF", {"hidden_size_list": [4, 6], "message_dropout": 0.3}),
    ("NGCF", {"hidden_size_list": [5, 5, 5], "message_dropout": 0.2, "node_dropout": 0.4}),
    ("SGL", {"type": "ED", "drop_ratio": 0.3, "ssl_weight": 0.7}),
    ("SGL", {"type": "ND", "drop_ratio": 0.3, "ssl_weight": 0.7, "ssl_tau": 0.04}),
    ("SGL", {"type": "RW", "n_layers": 2, "drop_ratio": 0.3, "ssl_weight": 0.7}),
    ("NCL", {"n_layers": 3, "ssl_reg": 0.1, "proto_reg": 0.1, "num_clusters": 4, "alpha": 0.6}),
    ("NCL", {"n_layers": 1, "ssl_reg": 0.1, "proto_reg": 0.1, "num_clusters": 4, "ssl_temp": 0.04}),
]


OF_SHORT_TRAINING: dict[str, dict[str, Any]] = {
    "NGCF": {"hidden_size_list": [8, 8]},
    "NCL": {"num_clusters": 5, "ssl_reg": 1e-3, "proto_reg": 1e-3, "warm_up_step": 2},
}
# What holds floating-point numbers beside the parameters, in any of the models.
GRAPHS = (
    "norm_adj_matrix",
    "norm_adj_mat",
    "train_graph",
    "sub_graph1",
    "sub_graph2",
    "user_centroids",
    "item_centroids",
)


def case_name(value: Any) -> str | None:
    return "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None


def both(name: str, data: Data, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """RecBole's model and ours, each built under the same seed."""
    folder, train = data
    config = make_config(folder, {**SMALL, **options}, name)
    models = []
    for cls in (registry.model_class(name), registry.model_class(name, config)):
        init_seed(7, True)
        models.append(cls(config, train))
        if name == "NCL":
            give_clusters(models[-1])
    assert type(models[0]) is not type(models[1])
    return models[0], models[1]


def give_clusters(model: Any) -> None:
    """Prototypes as faiss would find them, without faiss."""
    generator = torch.Generator().manual_seed(0)
    for side, n in (("user", model.n_users), ("item", model.n_items)):
        centroids = torch.randn(model.k, model.latent_dim, generator=generator)
        setattr(model, f"{side}_centroids", torch.nn.functional.normalize(centroids, dim=1))
        setattr(model, f"{side}_2cluster", torch.randint(0, model.k, (n,), generator=generator))


def in_double(graph: Any) -> Any:
    """A graph of either class in float64."""
    if isinstance(graph, list):
        return [in_double(one) for one in graph]
    return graph.to("cpu", torch.float64) if isinstance(graph, (Csr, SparsePair)) else graph.double()


def to_double(model: Any) -> None:
    """Parameters and graphs in float64; SGL's have to be converted again after each ``train()``."""
    model.double()
    for name in GRAPHS:
        if hasattr(model, name):
            setattr(model, name, in_double(getattr(model, name)))


def generators() -> tuple[Any, ...]:
    """State of every global generator."""
    numpy = np.random.get_state()
    return torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2], random.getstate()  # type: ignore[index, union-attr]


# --- training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_name)
def test_losses_gradients_and_draws_are_those_of_recbole_over_several_epochs(
    data: Data, name: str, options: dict[str, Any]
) -> None:
    runs = [run_steps(model, data) for model in both(name, data, options)]
    for (theirs, their_grads), (ours, our_grads) in zip(runs[0][0], runs[1][0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)
        assert our_grads.keys() == their_grads.keys()
        for parameter, grad in our_grads.items():
            torch.testing.assert_close(grad, their_grads[parameter], rtol=1e-7, atol=1e-10)
    assert runs[0][1] == runs[1][1]  # as many numbers drawn, from the same generators
    losses = [loss.item() for loss, _ in runs[1][0]]
    assert len({round(loss, 9) for loss in losses}) == len(losses)


def run_steps(model: Any, data: Data) -> tuple[list[tuple[Tensor, dict[str, Tensor]]], tuple[Any, ...]]:
    """(loss, gradients) of six Adam steps in two epochs, and the generators' state after them."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    init_seed(3, True)
    found = []
    for epoch in range(2):
        model.train()
        to_double(model)
        for step in range(3):
            optimiser.zero_grad()
            terms = model.calculate_loss(interaction(model, random_triples(data[1], seed=10 * epoch + step)))
            loss = sum(terms) if isinstance(terms, tuple) else terms
            loss.backward()
            optimiser.step()
            grads = {n: p.grad.clone() for n, p in model.named_parameters()}
            found.append((loss.detach().double().reshape(()), grads))
    return found, generators()


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_has_recboles_losses_and_validation_curve(tmp_path: Path, name: str) -> None:
    data_path = write_toy(tmp_path)
    options = options_for(data_path, {"epochs": 4, "learning_rate": 0.02, **OF_SHORT_TRAINING.get(name, {})})
    curves = []
    for fast in (False, True):
        config, (train, valid, _) = load_loaders(data_path, {**options, "fast_propagation": fast}, name)
        init_seed(config["seed"], True)
        model = registry.model_class(name, config)(config, train._dataset)
        trainer = registry.load_reference("recbole_vagnn.trainer:resumable")(get_trainer(config["MODEL_TYPE"], name))(
            config, model
        )
        trainer.fit(train, valid, verbose=False)
        trainer.tensorboard.close()
        curves.append((trainer.history, generators()))
    (theirs, their_state), (ours, our_state) = curves
    assert their_state == our_state
    assert len(ours) == 4
    for one, other in zip(ours, theirs, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-5)
        assert one.valid == pytest.approx(other.valid, abs=1e-9)
    assert len({record.valid["ndcg@10"] for record in ours}) > 1


# --- prediction -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_name)
def test_predictions_are_those_of_recbole(data: Data, name: str, options: dict[str, Any]) -> None:
    theirs, ours = both(name, data, options)
    for model in (theirs, ours):
        to_double(model)
        model.eval()
    users, items, _ = random_triples(data[1])
    pairs = Interaction({ours.USER_ID: users, ours.ITEM_ID: items})
    with torch.no_grad():
        torch.testing.assert_close(ours.predict(pairs), theirs.predict(pairs), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(all_scores(ours), all_scores(theirs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("views", ["ED", "ND", "RW"])
def test_vectors_of_a_view_of_sgl_are_those_of_recbole(data: Data, views: str) -> None:
    """The loss sees only their directions."""
    found = []
    for model in both("SGL", data, {"type": views, "n_layers": 2, "drop_ratio": 0.3}):
        init_seed(5, True)
        model.train()
        to_double(model)
        found.append([table for graph in (model.sub_graph1, model.sub_graph2) for table in model.forward(graph)])
    for ours, theirs in zip(*reversed(found), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_full_ranking_propagates_once_and_again_after_a_training_step(data: Data, name: str) -> None:
    model = both(name, data, {})[1]
    calls = []
    forward = model.forward
    model.forward = lambda *graph: calls.append(1) or forward(*graph)
    model.eval()
    before = all_scores(model)
    assert torch.equal(all_scores(model), before)
    assert len(calls) == 1
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    terms = model.calculate_loss(interaction(model, random_triples(data[1])))
    (sum(terms) if isinstance(terms, tuple) else terms).backward()
    optimiser.step()
    model.eval()
    assert not torch.allclose(all_scores(model), before)


# --- construction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES, ids=case_name)
def test_parameters_have_recboles_names_and_first_values(data: Data, name: str, options: dict[str, Any]) -> None:
    theirs, ours = (model.state_dict() for model in both(name, data, options))
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_the_adjacency_is_recboles_bit_by_bit_in_its_order() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(1, 12, 60), rng.integers(1, 9, 60)  # pairs repeat; node 0 of each side has no edge
    interactions = sp.coo_matrix((np.ones(60, dtype=np.float32), (users, items)), shape=(12, 9))
    assert len(set(zip(users, items, strict=True))) < 60
    theirs = LightGCN.get_norm_adj_mat(SimpleNamespace(n_users=12, n_items=9, interaction_matrix=interactions))
    ours = recbole_adjacency(interactions)
    np.testing.assert_array_equal(np.stack([ours.row, ours.col]), theirs._indices().numpy())
    np.testing.assert_array_equal(ours.data.astype(np.float32), theirs._values().numpy())


def test_repeated_interactions_weigh_as_in_recboles_sgl() -> None:
    """SGL adds repeated pairs up, unlike LightGCN and NGCF."""
    users, items = torch.tensor([1, 1, 2, 2, 1]), torch.tensor([1, 1, 1, 2, 3])
    graphs = []
    for cls in (SGL, FastSGL):
        model = cls.__new__(cls)
        torch.nn.Module.__init__(model)
        model._user, model._item, model.n_users, model.n_items, model.device = users, items, 3, 4, "cpu"
        graphs.append(model.csr2tensor(model.create_adjust_matrix(is_sub=False)))
    block = graphs[0].to_dense()[:3, 3:]
    eye = torch.eye(4)
    torch.testing.assert_close(graphs[1].forward.matmul(eye), block, rtol=1e-6, atol=0)
    torch.testing.assert_close(graphs[1].transposed.matmul(torch.eye(3)), block.T, rtol=1e-6, atol=0)
    assert block[1, 1] == pytest.approx(2 / 3, rel=1e-5)  # 2 / sqrt(3 · 3)


# --- choice of the class --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_option_picks_the_class_and_recboles_entry_stays_recboles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    stock = get_model(name)
    assert stock.__module__.startswith("recbole.")
    for options, fast in (({}, True), ({"fast_propagation": True}, True), ({"fast_propagation": False}, False)):
        chosen = registry.model_class(name, make_config(tmp_path, options, name))
        assert issubclass(chosen, stock)
        assert (chosen is not stock) == fast
    assert registry.model_class(name) is stock
    assert registry.model_class(name, Config(model=name, dataset="ml-100k")) is stock


@pytest.mark.parametrize("name", TRAINED)
def test_a_run_trains_the_fast_class_and_recbole_loads_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    built = []
    fast = registry.load_reference(registry.FAST_MODELS[name])
    original = fast.__init__
    monkeypatch.setattr(fast, "__init__", lambda self, *given: built.append(self) or original(self, *given))
    result = run_toy(write_toy(tmp_path), {"epochs": 1, **OF_SHORT_TRAINING.get(name, {})}, name)
    assert [type(model) for model in built] == [fast]
    loaded = load_data_and_model(result.checkpoint)[1]
    assert type(loaded) is get_model(name)
    theirs, ours = loaded.state_dict(), built[0].state_dict()
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[key], ours[key]) for key in ours)
