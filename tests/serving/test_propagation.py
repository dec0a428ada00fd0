"""The last step into a user's vector: its parts add up, and its parts make the vectors of new users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.simgcl import SimGCL
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER, Edges
from tests.models.dense import SETTINGS, adjacency, layer_zero, layers
from tests.serving.cases import build, in_memory, load, recommender_of, write_small

TOL = 1e-6  # weights of edges are stored as float32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("small"))


def dense_terms(model: Any, train: Any, user: int) -> tuple[Any, dict[int, Any]]:
    """Own part and the part of each neighbouring node of one user (RecBole's ids), from the equations."""
    name = type(model).__name__
    nodes = SETTINGS[name].vlogger_nodes if name in SETTINGS else False
    matrix = adjacency(train, nodes)
    if name in SETTINGS:
        start, first = layer_zero(name, dict(model.named_parameters()), train).detach(), SETTINGS[name].first_layer
        n_layers = model.options.n_layers
    else:
        start = torch.cat([model.user_embedding.weight, model.item_embedding.weight]).detach().double()
        first, n_layers = 0, model.n_layers
    found = layers(matrix, start, n_layers)
    weight = 1 / (n_layers + 1 - first)
    own = (weight if first == 0 else 0.0) * start[user]
    before = sum(found[k - 1] * (weight if k >= first else 0.0) for k in range(1, n_layers + 1))
    return own.numpy(), {n: (matrix[user, n] * before[n]).numpy() for n in torch.nonzero(matrix[user]).ravel().tolist()}


NAMES = ["SimGCL", "XSimGCL", "SimGCLVlogger", "TripartiteLightGCN", "TripartiteSimGCL", "LightGCN", "SGL"]


@pytest.mark.parametrize("name", NAMES)
def test_what_each_neighbour_brings_is_its_edge_times_its_layers(data: Path, name: str) -> None:
    recommender, model, (train, _, _) = recommender_of(data, name)
    propagation = recommender.checkpoint.propagation
    users = recommender.vectors("users")[1]
    assert propagation is not None
    for user in range(len(users)):
        parts = propagation.contributions(propagation.edges_of(user))
        own, terms = dense_terms(model, train, user + 1)
        got = {}
        for part in parts:
            shift = train.user_num + 1 + (train.item_num if part.channel.nodes == VLOGGER else 0)
            got |= {int(n) + shift: vector for n, vector in zip(part.nodes, part.vectors, strict=True)}
        assert got.keys() == terms.keys()
        for node, vector in terms.items():
            np.testing.assert_allclose(got[node], vector, atol=1e-5)
        np.testing.assert_allclose(users[user] - propagation.gather(parts), own, atol=1e-5)


@pytest.mark.parametrize("views", ["both", "video", "vlogger"])
def test_vagnns_views_each_add_up_over_their_own_graph(data: Path, views: str) -> None:
    """u₁ − e_u/(L+1) is the sum over R', u₂ − e_u/(L+1) that over S', with meta-path edges."""
    options = {"views": views, "ssl_weight": 0.0, "walk_prob": 1.0, "user_hop_prob": 0.5}
    recommender, model, _ = recommender_of(data, "VAGNN", options)
    propagation = recommender.checkpoint.propagation
    assert propagation is not None
    kinds = {"both": [VIDEO, VLOGGER], "video": [VIDEO], "vlogger": [VLOGGER]}[views]
    assert [channel.nodes for channel in propagation.channels] == kinds
    graphs = dict(zip((VIDEO, VLOGGER), model.augmented_graphs(), strict=True))
    own = model.user_embedding.weight.detach().numpy()[1:] / (model.options.n_layers + 1)
    users = recommender.vectors("users")[1]
    d = model.options.embedding_size
    for place, channel in enumerate(propagation.channels):
        assert (channel.start, channel.stop) == (place * d, (place + 1) * d)
        dense = graphs[channel.nodes].toarray()[1:, 1:]
        scaled = dense / np.sqrt(np.maximum(dense.sum(1)[:, None] * dense.sum(0)[None], 1e-12))
        table = {VIDEO: model.item_embedding, VLOGGER: model.vlogger_embedding}[channel.nodes].weight.detach().numpy()
        # L = 2: layers 0 and 1 of the node go into the user, each with 1/3.
        messages = (table[1:] + scaled.T @ model.user_embedding.weight.detach().numpy()[1:]) / 3
        np.testing.assert_allclose(channel.messages.whole(), messages, atol=TOL)
        for user in range(len(users)):
            part = propagation.contributions(propagation.edges_of(user))[place]
            np.testing.assert_allclose(part.vectors, scaled[user, part.nodes][:, None] * messages[part.nodes], atol=TOL)
            whole = own[user] + part.vectors.sum(axis=0)
            np.testing.assert_allclose(whole, users[user, channel.start : channel.stop], atol=TOL)


def test_a_model_that_overrides_its_propagation_is_not_explained_by_another(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, splits, _ = load(data, "SimGCL")
    model = build(config, splits[0])
    assert in_memory(model, config, splits).propagation is not None
    compute = SimGCL.compute_vectors

    def halved(self: Any) -> Any:
        users, items = compute(self)
        return 0.5 * users, items

    monkeypatch.setattr(SimGCL, "compute_vectors", halved)
    assert in_memory(build(config, splits[0]), config, splits).propagation is None


# --- folding in -------------------------------------------------------------------------------------------------


def new_interactions(recommender: Any, user: int | None) -> list[int]:
    """Rows of three videos that a user has not been trained on: of known vloggers, of an unknown one, and an unseen."""
    trained = set(recommender._trained_on(user).tolist()) if user is not None else set()
    owner = recommender.checkpoint.history.vlogger_of
    free = [v for v in range(len(owner)) if v not in trained]
    unknown = next(v for v in free if owner[v] < 0)
    cold = next(v for v in free if recommender.checkpoint.history.video_counts[v] == 0 and owner[v] >= 0)
    known = next(v for v in free if owner[v] >= 0 and recommender.checkpoint.history.video_counts[v] > 0)
    return [unknown, cold, known]


def one_layer(model: Any, train: Any, user: int | None, videos: list[int]) -> Any:
    """The user's vector after one layer over the graph with the new edges, dense; a new user has e_u = 0.

    With one layer it depends on nothing but the user's own edges and layer 0, so folding in must be exact.
    """
    interactions = train.interactions().toarray()[1:, 1:]
    row = np.zeros(interactions.shape[1]) if user is None else interactions[user]
    row[videos] = 1.0
    if user is None:
        interactions = np.vstack([interactions, row])
    owner = train.vlogger_of_item[1:] - 1
    creators = np.zeros((len(owner), train.vlogger_num - 1))
    creators[owner >= 0, owner[owner >= 0]] = 1.0
    counts = interactions @ creators
    tables = [
        None if table is None else table.weight.detach().numpy()[1:]
        for table in (model.user_embedding, model.item_embedding, model.vlogger_embedding)
    ]
    own = np.zeros(tables[0].shape[1]) if user is None else tables[0][user]
    place = len(interactions) - 1 if user is None else user

    def step(edges: Any, table: Any, node_degrees: Any, user_degree: float) -> Any:
        return (edges[place] / np.sqrt(user_degree * np.maximum(node_degrees, 1e-12))) @ table

    if type(model).__name__ == "VAGNN":
        first = step(interactions, tables[1], interactions.sum(0), interactions[place].sum())
        second = step(counts, tables[2], counts.sum(0), counts[place].sum())
        return np.concatenate([(own + first) / 2, (own + second) / 2])
    met = (counts > 0).astype(float)
    if not model.vlogger_nodes:
        return step(interactions, tables[1], interactions.sum(0), interactions[place].sum())
    degree = interactions[place].sum() + met[place].sum()
    first = step(interactions, tables[1], interactions.sum(0) + creators.sum(1), degree)
    second = step(met, tables[2], met.sum(0) + creators.sum(0), degree)
    return (own + first + second) / 2


@pytest.mark.parametrize("name", ["VAGNN", "TripartiteLightGCN", "SimGCL"])
@pytest.mark.parametrize("user", [None, 0, 3])
def test_with_one_layer_folding_in_equals_propagating_over_the_new_graph(
    data: Path, name: str, user: int | None
) -> None:
    options = {"n_layers": 1} | ({"meta_paths": False} if name == "VAGNN" else {})
    recommender, model, (train, _, _) = recommender_of(data, name, options)
    videos = new_interactions(recommender, user)
    names = recommender.checkpoint.videos.ids(videos)
    got = recommender.fold_in(names, None if user is None else recommender.checkpoint.users.ids([user])[0])
    np.testing.assert_allclose(got, one_layer(model, train, user, videos), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["VAGNN", "TripartiteSimGCL"])
def test_a_known_user_without_news_keeps_the_vector(data: Path, name: str) -> None:
    recommender, _, _ = recommender_of(data, name)
    ids, users = recommender.vectors("users")
    for row in range(len(ids)):
        known = recommender.checkpoint.videos.ids(recommender._trained_on(row))
        for news in ([], known, [*known, *known]):
            np.testing.assert_allclose(recommender.fold_in(news, ids[row]), users[row], rtol=1e-5, atol=1e-5)


def test_the_order_and_repeats_of_a_history_do_not_matter(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "VAGNN")
    one = recommender.fold_in(["v1", "v2", "v5"])
    np.testing.assert_array_equal(recommender.fold_in(["v5", "v1", "v2", "v1"]), one)


def test_edges_with_more_by_hand() -> None:
    edges = Edges.of(np.array([2, 5]), np.array([1.0, 3.0]))
    counted = edges.with_more(np.array([5, 7, 7]), counted=True)
    assert counted.nodes.tolist() == [2, 5, 7]
    assert counted.weights.tolist() == [1.0, 4.0, 2.0]
    assert counted.added.tolist() == [0.0, 1.0, 2.0]
    binary = edges.with_more(np.array([5, 7, 7]), counted=False)
    assert binary.weights.tolist() == [1.0, 3.0, 1.0]
    assert binary.added.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("name", ["BPR", "GTN"])
def test_models_without_a_linear_step_refuse_to_fold_in(data: Path, name: str) -> None:
    recommender, _, _ = recommender_of(data, name)
    with pytest.raises(InputError, match=f"{name} does not propagate linearly"):
        recommender.fold_in(["v1"])


def test_a_history_must_be_known_and_not_empty(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "SimGCL")
    with pytest.raises(InputError, match="`history` is the text 'v1'"):
        recommender.fold_in("v1")
    with pytest.raises(InputError, match="`history` is empty"):
        recommender.fold_in([])
    with pytest.raises(InputError, match=r"1 of 2 video id.* first 'v99'"):
        recommender.fold_in(["v1", "v99"])


def test_the_graph_of_the_test_is_the_models(data: Path) -> None:
    """The dense helper above builds R, S and C by itself; they are the training graph's."""
    _, _, (train, _, _) = recommender_of(data, "SimGCL")
    graph = TripartiteGraph.from_dataset(train)
    assert (
        sp.csr_matrix(train.interactions() @ train.creators()).toarray().tolist()
        == graph.user_vlogger.toarray().tolist()
    )
