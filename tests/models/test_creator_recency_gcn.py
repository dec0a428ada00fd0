"""CreatorRecencyGCN against its equations in dense float64, its limits, its parts, whole and resumed runs."""

from __future__ import annotations

import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.defaults import property_file, read_yaml, variants
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.creator_recency_gcn import CreatorRecencyOptions
from recbole_vagnn.models.seen import SeenBefore, SeenOtherwise
from recbole_vagnn.runner import run
from tests.models.cases import RANDOM_SPLIT
from tests.models.dense import (
    Data,
    RecordedDraws,
    Triples,
    adjacency,
    all_scores,
    assert_directional_derivative,
    bpr,
    build,
    contrast,
    interaction,
    item_vectors,
    layer_zero,
    layers,
    mean,
    node_types,
    random_triples,
    regulariser,
    spread,
)
from tests.runs import numbers, run_toy, write_toy

NAME = "CreatorRecencyGCN"
ALL: dict[str, Any] = {
    "eps": 0.3,
    "ssl_weight": 0.7,
    "reg_weight": 0.1,
    "vlogger_weight": 0.6,
    "recency_weight": 1.5,
    "recency_decay": 0.7,
    "recency_length": 3,
    "directed": True,
    "aux_weight": 0.4,
    "candidates": 4,
}
PARTS: dict[str, dict[str, Any]] = {
    "everything": {},
    "no creators": {"creators": False},
    "all others": {"history": "others"},
    "no recency": {"recency_weight": 0.0},
    "no second vectors": {"directed": False},
    "layer 0": {"first_layer": 0, "n_layers": 3},
    "no creator in the score": {"vlogger_weight": 0.0},
    "no auxiliary task": {"aux_weight": 0.0},
}
each_part = pytest.mark.parametrize("part", PARTS)


def model_of(data: Data, part: str = "everything", **options: Any) -> Any:
    return spread(build(NAME, *data, {**ALL, **PARTS[part], **options}))


def histories(data: Data) -> dict[int, list[int]]:
    """Training items of each user in order of time."""
    train, found = data[1], {u: [] for u in range(data[1].user_num)}
    for u, v in zip(
        train.inter_feat[train.uid_field].tolist(), train.inter_feat[train.iid_field].tolist(), strict=True
    ):
        found[u].append(v)
    return found


def recent(model: Any, parameters: dict[str, Tensor], items: Tensor, seen: list[int], but: int | None = None) -> Tensor:
    """β times the decayed mean of what was seen before an item, the last first; or the mean of all others."""
    o = model.options
    if o.history == "others":
        sources = [items[v] + (parameters["source_embedding.weight"][v] if o.directed else 0) for v in seen if v != but]
        return o.recency_weight * torch.stack(sources).mean(dim=0) if sources else torch.zeros_like(items[0])
    seen = seen if but is None else seen[: seen.index(but)]
    total, weights = torch.zeros(items.shape[1], dtype=torch.float64), 0.0
    for j, v in enumerate(seen[::-1][: o.recency_length]):
        source = items[v] + (parameters["source_embedding.weight"][v] if o.directed else 0)
        total, weights = total + o.recency_decay**j * source, weights + o.recency_decay**j
    return o.recency_weight * total / weights if weights else total


def dense_items(model: Any, data: Data, nodes: Tensor) -> Tensor:
    items = nodes[model.n_users : model.n_users + model.n_items]
    if not model.options.creators:
        return items
    return items + model.options.vlogger_weight * (item_vectors(nodes, data[1], True) - items)


def graph_name(model: Any) -> str:
    return "TripartiteSimGCL" if model.options.creators else "SimGCL"


def dense_terms(model: Any, data: Data, p: dict[str, Tensor], batch: Any, draws: Any, auxiliary: Any) -> list[Tensor]:
    o, train, (users, positives, candidates) = model.options, data[1], batch
    start = layer_zero(graph_name(model), p, train)
    found = layers(adjacency(train, o.creators), start, o.n_layers, draws, torch.arange(len(start)), o.eps)
    z = mean(found[o.first_layer :])
    items = dense_items(model, data, z)
    seen = histories(data)
    rows = []
    for u, v in zip(users.tolist(), positives.tolist(), strict=True):
        rows.append(z[u] + (recent(model, p, items, seen[u], v) if o.recency_weight else 0))
    own = torch.stack(rows)
    chosen = torch.tensor(
        [
            max(row, key=lambda j, a=a: float((a * items[j]).sum()))
            for a, row in zip(own.detach(), candidates.tolist(), strict=True)
        ]
    )
    types = node_types(graph_name(model), train, users, positives)
    ssl = sum(contrast(z, found[o.contrast_layer], ids, o.ssl_tau) for ids in types)
    plain = {k: v for k, v in p.items() if k != "source_embedding.weight"}
    l2 = regulariser(plain, train, (users, positives, chosen))
    if o.directed and o.recency_weight:
        q = p["source_embedding.weight"]
        l2 = l2 + sum(q[v].square().sum() for v in [*positives.tolist(), *chosen.tolist()]) / 2 / len(users)
    aux = torch.zeros((), dtype=torch.float64)
    if auxiliary is not None:
        u, good, bad = (torch.from_numpy(ids) for ids in auxiliary)
        first = model.n_users + model.n_items
        aux = bpr(z[u], z[first + good], z[first + bad])
    return [bpr(own, items[positives], items[chosen]), ssl, l2, aux]


@each_part
def test_every_term_and_gradient_equals_the_dense_computation(data: Data, part: str) -> None:
    model, (users, positives, negatives) = model_of(data, part), random_triples(data[1])
    candidates = model.objective.candidates(users, negatives)
    auxiliary = copy.deepcopy(model._auxiliary).sample(len(users)) if model._auxiliary is not None else None
    assert (auxiliary is None) == (part in ("no creators", "no auxiliary task"))
    recorded = RecordedDraws(model)
    terms = model.loss_terms(users, positives, candidates)
    p = {n: x.detach().clone().requires_grad_() for n, x in model.named_parameters()}
    wanted = dense_terms(model, data, p, (users, positives, candidates), recorded.draws, auxiliary)
    assert len(terms) == len(wanted) == len(model.loss_names) == len(model.loss_weights())
    for term, want in zip(terms, wanted, strict=True):
        torch.testing.assert_close(term, want, rtol=1e-9, atol=1e-12)
    for of in (terms, wanted):
        sum(weight * term for weight, term in zip((1.0, 0.7, 0.3, 0.5), of, strict=True)).backward()
    for n, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, p[n].grad, rtol=1e-8, atol=1e-11)
        assert parameter.grad.abs().sum() > 0, n


@each_part
def test_scores_are_those_of_a_clean_pass_after_everything_seen(data: Data, part: str) -> None:
    model = model_of(data, part)
    p, o = dict(model.named_parameters()), model.options
    found = layers(adjacency(data[1], o.creators), layer_zero(graph_name(model), p, data[1]), o.n_layers)
    z = mean(found[o.first_layer :])
    items, seen = dense_items(model, data, z), histories(data)
    rows = [z[u] + (recent(model, p, items, seen[u]) if o.recency_weight else 0) for u in range(model.n_users)]
    torch.testing.assert_close(all_scores(model), (torch.stack(rows) @ items.T).detach(), rtol=1e-10, atol=1e-12)


@each_part
def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data, part: str) -> None:
    assert_directional_derivative(model_of(data, part), random_triples(data[1]))


def test_with_everything_off_it_is_xsimgcl(data: Data) -> None:
    off = {"creators": False, "recency_weight": 0.0, "objective": "bpr", "eps": 0.0}
    model = model_of(data, **off)
    other = spread(build("XSimGCL", *data, {"eps": 0.0, "ssl_weight": 0.7, "reg_weight": 0.1}))
    triples: Triples = random_triples(data[1])
    for one, two in zip(model.loss_terms(*triples), other.loss_terms(*triples), strict=False):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(all_scores(model), all_scores(other), rtol=1e-12, atol=0)


def test_only_what_came_before_counts_in_training(data: Data) -> None:
    """The last training item of a user is in no bag of theirs but the one that is ranked by."""
    model, seen = model_of(data, recency_length=50), histories(data)
    users = torch.tensor([u for u, items in seen.items() if items])
    last = torch.tensor([seen[int(u)][-1] for u in users])
    bags = model._seen.histories.before(users.numpy(), last.numpy())
    cuts = bags.offsets.tolist()
    for u, v, a, b in zip(users.tolist(), last.tolist(), cuts[:-1], cuts[1:], strict=True):
        assert bags.items[a:b].tolist() == seen[u][-2::-1]
        assert v not in bags.items[a:b].tolist()


def test_who_has_nothing_else_gets_nothing_from_others() -> None:
    rows = sp.csr_matrix(np.array([[0, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float64))
    seen, sources = SeenOtherwise(rows), torch.tensor([[9.0], [3.0], [5.0]])
    assert seen.around(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 2]), sources).tolist() == [[0.0], [5.0], [3.0]]
    assert seen.everything(sources).tolist() == [[3.0], [4.0], [0.0]]


def test_a_random_split_has_no_order_to_rank_by(data: Data) -> None:
    with pytest.raises(InputError, match="history: others"):
        build(NAME, *data, {**RANDOM_SPLIT, "history": "before"})
    by_itself, asked = (build(NAME, *data, {**RANDOM_SPLIT, "history": name}) for name in ("auto", "others"))
    torch.testing.assert_close(all_scores(by_itself), all_scores(asked), rtol=0, atol=0)
    assert isinstance(by_itself._seen, SeenOtherwise)
    assert isinstance(build(NAME, *data)._seen, SeenBefore)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    folder, options = write_toy(tmp_path), {**ALL, "learning_rate": 0.01}
    short = run_toy(folder, {"epochs": 2, **options}, NAME)
    longer = run(options={"epochs": 4}, resume=short.checkpoint, quiet=True)
    assert numbers(longer) == numbers(run_toy(folder, {"epochs": 4, **options}, NAME))


@pytest.mark.parametrize("variant", [None, *variants(NAME)])
def test_every_variant_trains_with_a_gradient_for_each_parameter(data: Data, variant: str | None) -> None:
    model = spread(build(NAME, *data, {"variant": variant, "candidates": 3})).train()
    sum(model.calculate_loss(interaction(model, random_triples(data[1])))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("creators", 1),
        ("directed", "yes"),
        ("first_layer", 2),
        ("history", "all"),
        ("recency_decay", 0.0),
        ("recency_decay", 1.5),
        ("recency_length", 0),
        ("recency_weight", -1.0),
        ("aux_weight", -1.0),
        ("vlogger_weight", -0.5),
    ],
)
def test_a_bad_option_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=option):
        CreatorRecencyOptions(**{option: value})


def test_the_option_file_has_every_option_and_the_defaults_of_the_code() -> None:
    path = property_file("model", NAME)
    assert path is not None
    written = read_yaml(path)
    assert {field.name: written[field.name] for field in fields(CreatorRecencyOptions)} == {
        field.name: field.default for field in fields(CreatorRecencyOptions)
    }
