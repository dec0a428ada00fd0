"""The graph baselines computed a second time: dense float64 matrices, edge by edge, straight from the equations.

Nothing of ``recbole_vagnn.nn`` is used here; gradients come from torch's own autograd.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.utils import init_seed
from torch import Tensor

from recbole_vagnn import registry
from recbole_vagnn.data.dataset import VloggerDataset
from tests.helpers import Rows, load_splits, make_config, write_dataset
from tests.models.cases import random_rows, training_edges

SMALL: dict[str, Any] = {"embedding_size": 5, "train_batch_size": 16}
Triples = tuple[Tensor, Tensor, Tensor]
Data = tuple[Path, VloggerDataset]  # folder and training split


@dataclass(frozen=True)
class Setting:
    """What sets a model apart from SimGCL.

    Attributes:
        vlogger_nodes: vloggers are nodes.
        vlogger_input: an item's layer 0 is e_v + e_p.
        first_layer: first layer in the mean.
        contrast: "views", "layer" or None.
    """

    vlogger_nodes: bool = False
    vlogger_input: bool = False
    first_layer: int = 1
    contrast: str | None = "views"


SETTINGS = {
    "SimGCL": Setting(),
    "XSimGCL": Setting(contrast="layer"),
    "TripartiteLightGCN": Setting(vlogger_nodes=True, first_layer=0, contrast=None),
    "TripartiteSimGCL": Setting(vlogger_nodes=True),
    "SimGCLVlogger": Setting(vlogger_input=True),
}


# --- data and models ------------------------------------------------------------------------------------------


def split_of(folder: Path, inter: Rows, item: Rows) -> VloggerDataset:
    """The training split of a data set with these rows, left in ``folder``."""
    write_dataset(folder, inter, item)
    return load_splits(folder, SMALL, "SimGCL")[1][0]


def small_split(folder: Path) -> VloggerDataset:
    """A training split with unknown vloggers, a video nobody saw and a vlogger nobody saw."""
    return split_of(folder, *random_rows(1, 9, 14, 4, (3, 7)))


def build(name: str, folder: Path, train: VloggerDataset, options: Mapping[str, Any] | None = None) -> Any:
    """The model with small defaults, as a run builds it."""
    config = make_config(folder, {**SMALL, **(options or {})}, name)
    init_seed(config["seed"], True)
    return registry.model_class(name)(config, train)


def spread(model: Any, seed: int = 11) -> Any:
    """In float64, every parameter standard normal."""
    generator = torch.Generator().manual_seed(seed)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def random_triples(train: VloggerDataset, seed: int = 0, size: int = 14) -> Triples:
    """Users, positives and negatives with repeats, videos of unknown vlogger and videos nobody saw."""
    rng = random.Random(seed)
    edges = sorted(training_edges(train))
    owner = train.vlogger_of_item.tolist()
    unknown = [pair for pair in edges if owner[pair[1]] == 0]
    pairs = [*rng.choices(edges, k=size - 3), unknown[0], unknown[0], edges[0]]
    free = [[v for v in range(1, train.item_num) if (u, v) not in set(edges)] for u, _ in pairs]
    negatives = [rng.choice(items) for items in free]
    return (*(torch.tensor(x) for x in zip(*pairs, strict=True)), torch.tensor(negatives))


def interaction(model: Any, triples: Triples) -> Interaction:
    """The triples as a batch of RecBole's."""
    return Interaction(dict(zip((model.USER_ID, model.ITEM_ID, model.NEG_ITEM_ID), triples, strict=True)))


def all_scores(model: Any) -> Tensor:
    """(n_users, n_items) from the model's own prediction."""
    return model.full_sort_predict(Interaction({model.USER_ID: torch.arange(model.n_users)})).detach()


class RecordedDraws:
    """Keeps what a model's noise draws, in order."""

    def __init__(self, model: Any) -> None:
        self.draws: list[Tensor] = []
        self._draw = model._noise.draw
        model._noise.draw = self

    def __call__(self, like: Tensor) -> Tensor:
        drawn = self._draw(like)
        self.draws.append(drawn.clone())
        return drawn


# --- the equations --------------------------------------------------------------------------------------------


def adjacency(train: VloggerDataset, vlogger_nodes: bool) -> Tensor:
    """Â, every edge by itself."""
    n_users, n_items = train.user_num, train.item_num
    owner = train.vlogger_of_item.tolist()
    edges = {(u, n_users + v) for u, v in training_edges(train)}
    if vlogger_nodes:
        start = n_users + n_items
        edges |= {(n_users + v, start + a) for v, a in enumerate(owner) if a}
        edges |= {(u, start + owner[v]) for u, v in training_edges(train) if owner[v]}
    n = n_users + n_items + (train.vlogger_num if vlogger_nodes else 0)
    degree = [0] * n
    for edge in edges:
        for node in edge:
            degree[node] += 1
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for i, j in edges:
        matrix[i, j] = matrix[j, i] = 1 / math.sqrt(degree[i] * degree[j])
    return matrix


def layer_zero(name: str, parameters: Mapping[str, Tensor], train: VloggerDataset) -> Tensor:
    """E⁰ of all nodes."""
    setting = SETTINGS[name]
    users, items = parameters["user_embedding.weight"], parameters["item_embedding.weight"]
    if setting.vlogger_input:
        table = parameters["vlogger_embedding.weight"]
        owner = train.vlogger_of_item.tolist()
        items = torch.stack([items[v] + table[a] if a else items[v] for v, a in enumerate(owner)])
    tables = [users, items, parameters["vlogger_embedding.weight"]] if setting.vlogger_nodes else [users, items]
    return torch.cat(tables)


def layers(
    matrix: Tensor,
    start: Tensor,
    n_layers: int,
    draws: Sequence[Tensor] = (),
    rows: Tensor | None = None,
    eps: float = 0,
) -> list[Tensor]:
    """E⁰ … E^K; with ``draws``, perturbed, the draw of the last layer being for ``rows`` only."""
    found = [start]
    for k in range(1, n_layers + 1):
        layer = matrix @ found[-1]
        if draws:
            uniform = torch.zeros_like(layer)
            uniform[slice(None) if k < n_layers else rows] = draws[k - 1]
            length = uniform.square().sum(1, keepdim=True).sqrt()
            layer = layer + eps * torch.sign(layer.detach()) * torch.where(length > 0, uniform / length, 0)
        found.append(layer)
    return found


def mean(of: Sequence[Tensor]) -> Tensor:
    """Mean of layers."""
    return sum(of) / len(of)


def bpr(u: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """−log σ(u·v⁺ − u·v⁻), averaged."""
    return -torch.log(torch.sigmoid((u * positive).sum(1) - (u * negative).sum(1))).mean()


def contrast(one: Tensor, other: Tensor, nodes: Sequence[int], tau: float) -> Tensor:
    """Mean over the nodes of −log softmax of the cosine to their own other view."""
    terms = []
    for i in nodes:
        cosines = [torch.cosine_similarity(one[i], other[j], dim=0) / tau for j in nodes]
        terms.append(-(torch.cosine_similarity(one[i], other[i], dim=0) / tau) + torch.stack(cosines).exp().sum().log())
    return torch.stack(terms).mean() if terms else torch.zeros((), dtype=torch.float64)


def node_types(name: str, train: VloggerDataset, users: Tensor, positives: Tensor) -> list[list[int]]:
    """Nodes contrasted, each once, type by type."""
    owner = train.vlogger_of_item.tolist()
    found = [set(users.tolist()), {train.user_num + v for v in positives.tolist()}]
    if SETTINGS[name].vlogger_nodes:
        start = train.user_num + train.item_num
        found.append({start + owner[v] for v in positives.tolist() if owner[v]})
    return [sorted(nodes) for nodes in found]


def regulariser(parameters: Mapping[str, Tensor], train: VloggerDataset, triples: Triples) -> Tensor:
    """½‖Θ_batch‖²/B, row by row."""
    users, *items = (ids.tolist() for ids in triples)
    rows = [parameters["user_embedding.weight"][u] for u in users]
    for v in [*items[0], *items[1]]:
        rows.append(parameters["item_embedding.weight"][v])
        owner = int(train.vlogger_of_item[v])
        if owner and "vlogger_embedding.weight" in parameters:
            rows.append(parameters["vlogger_embedding.weight"][owner])
    return sum(row.square().sum() for row in rows) / 2 / len(users)


def item_vectors(nodes: Tensor, train: VloggerDataset, plus_vlogger: bool) -> Tensor:
    """v, or v + p(v) where the vlogger is known."""
    start = train.user_num + train.item_num
    items = nodes[train.user_num : start]
    if not plus_vlogger:
        return items
    return torch.stack([items[v] + nodes[start + a] if a else items[v] for v, a in enumerate(train.vlogger_of_item)])


def dense_scores(name: str, model: Any, train: VloggerDataset) -> Tensor:
    """(n_users, n_items) scores."""
    setting, options = SETTINGS[name], model.options
    start = layer_zero(name, dict(model.named_parameters()), train)
    found = layers(adjacency(train, setting.vlogger_nodes), start, options.n_layers)
    nodes = mean(found[setting.first_layer :])
    plus_vlogger = getattr(options, "score", "video") == "video_and_vlogger"
    return (nodes[: train.user_num] @ item_vectors(nodes, train, plus_vlogger).T).detach()


def dense_terms(
    name: str,
    model: Any,
    parameters: Mapping[str, Tensor],
    train: VloggerDataset,
    triples: Triples,
    draws: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """The unweighted terms of the loss, with the noise that the model drew."""
    setting, options = SETTINGS[name], model.options
    matrix = adjacency(train, setting.vlogger_nodes)
    start, n_layers = layer_zero(name, parameters, train), options.n_layers
    users, positives, negatives = triples
    types = node_types(name, train, users, positives)

    def perturbed(part: Sequence[Tensor], rows: Sequence[int]) -> list[Tensor]:
        return layers(matrix, start, n_layers, part, torch.tensor(rows), options.eps)

    found = layers(matrix, start, n_layers)
    views: tuple[Tensor, Tensor] | None = None
    if setting.contrast == "views" and options.ssl_weight:
        rows = [node for nodes in types for node in nodes]
        both = [perturbed(part, rows) for part in (draws[:n_layers], draws[n_layers:])]
        views = mean(both[0][1:]), mean(both[1][1:])
    elif setting.contrast == "layer":
        items = torch.cat([positives, negatives]) + train.user_num
        found = perturbed(draws, sorted({*users.tolist(), *items.tolist()}))
        views = mean(found[1:]), found[options.contrast_layer]
    nodes = mean(found[setting.first_layer :])
    vectors = item_vectors(nodes, train, getattr(options, "score", "video") == "video_and_vlogger")
    terms = [bpr(nodes[users], vectors[positives], vectors[negatives])]
    if setting.contrast is not None:
        zero = torch.zeros((), dtype=torch.float64)
        terms.append(sum((contrast(*views, ids, options.ssl_tau) for ids in types), zero) if views else zero)
    return (*terms, regulariser(parameters, train, triples))


# --- comparisons ----------------------------------------------------------------------------------------------


def assert_loss_and_gradients_are_dense(name: str, model: Any, train: VloggerDataset, triples: Triples) -> None:
    """Every term of the loss, and the gradient of a sum of them in which each shows."""
    recorded = RecordedDraws(model) if hasattr(model, "_noise") else None
    terms = model.loss_terms(*triples)
    parameters = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
    wanted = dense_terms(name, model, parameters, train, triples, recorded.draws if recorded else ())
    assert len(terms) == len(wanted) == len(model.loss_names)
    for term, want in zip(terms, wanted, strict=True):
        torch.testing.assert_close(term, want, rtol=1e-9, atol=1e-12)
    weights = (1.0, 0.7, 0.3) if len(terms) == 3 else (1.0, 0.3)
    for of in (terms, wanted):
        sum(w * term for w, term in zip(weights, of, strict=True)).backward()
    for n, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, parameters[n].grad, rtol=1e-8, atol=1e-11)
        assert parameter.grad.abs().sum() > 0, n


def assert_directional_derivative(model: Any, triples: Triples, step: float = 1e-6) -> None:
    """The slope of the total loss, noise held fixed, along a random direction is its gradient's."""
    state = model.random_state()

    def total() -> Tensor:
        model.load_random_state(state)
        return sum(model.calculate_loss(interaction(model, triples)))

    total().backward()
    generator = torch.Generator().manual_seed(5)
    ways = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in model.parameters()]
    want = sum((p.grad * way).sum().item() for p, way in zip(model.parameters(), ways, strict=True))
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, way in zip(model.parameters(), ways, strict=True):
                parameter.add_(way, alpha=sign * step)
            values.append(total().item())
    assert abs((values[0] - values[1]) / (2 * step) - want) < 1e-5 * max(1, abs(want))


def assert_padding_is_inert(model: Any, triples: Triples) -> None:
    """Neither scores of real nodes nor losses nor gradients know what PAD's embeddings are."""
    state, results = model.random_state(), []
    for value in (0.0, 1e6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter[0] = value
        model.zero_grad()
        model.load_random_state(state)
        terms = model.loss_terms(*triples)
        sum(terms).backward()
        grads = [p.grad.clone() for p in model.parameters()]
        results.append(([t.item() for t in terms], all_scores(model)[1:, 1:], grads))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    for one, other in zip(results[0][2], results[1][2], strict=True):
        assert torch.equal(one, other)
        assert one[0].abs().sum() == 0


def assert_order_is_immaterial(name: str, folder: Path, options: Mapping[str, Any]) -> None:
    """Files in another order number all nodes anew; scores and losses (without noise) stay those of the tokens."""
    inter, item = random_rows(5, 9, 14, 4, (3, 7))
    shuffled = [random.Random(3).sample(list(rows), len(rows)) for rows in (inter, item)]
    trains, models = [], []
    for part, rows in (("old", (inter, item)), ("new", shuffled)):
        trains.append(split_of(folder / part, *rows))
        models.append(
            spread(build(name, folder / part, trains[-1], {**options, "eps": 0.0} if "eps" in options else options))
        )
    old, new = models
    fields = {"user": trains[0].uid_field, "item": trains[0].iid_field, "vlogger": trains[0].vlogger_field}
    to = {}
    for node, field in fields.items():
        tokens = trains[0].field2id_token[field][1:]
        to[node] = torch.tensor([0, *(trains[1].token2id(field, token) for token in tokens)])
        assert not torch.equal(to[node], torch.arange(len(to[node])))
    with torch.no_grad():
        for n, parameter in old.named_parameters():
            new.get_parameter(n)[to[n.split("_")[0]]] = parameter
    torch.testing.assert_close(all_scores(new)[to["user"]][:, to["item"]], all_scores(old), rtol=1e-10, atol=1e-10)
    triples = random_triples(trains[0])
    moved = tuple(to[node][ids] for node, ids in zip(("user", "item", "item"), triples, strict=True))
    for one, other in zip(old.loss_terms(*triples), new.loss_terms(*moved), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


def lightgcn_without_layer_zero(folder: Path, train: VloggerDataset, model: Any) -> tuple[Tensor, Tensor]:
    """RecBole's LightGCN with the model's embeddings and the share of layer 0 taken out of its mean."""
    n_layers = model.options.n_layers
    theirs = build("LightGCN", folder, train, {"n_layers": n_layers}).double()
    theirs.norm_adj_matrix = theirs.norm_adj_matrix.double()
    with torch.no_grad():
        for table in ("user_embedding", "item_embedding"):
            getattr(theirs, table).weight.copy_(getattr(model, table).weight)
        starts = (theirs.user_embedding.weight, theirs.item_embedding.weight)
        return tuple((m * (n_layers + 1) - e) / n_layers for m, e in zip(theirs.forward(), starts, strict=True))
