"""Training objectives of every model that has the option: brute force, dense softmax, slopes, draws, resumed runs."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.utils import init_seed
from scipy import stats
from torch import Tensor

from recbole_vagnn import registry
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.objective import ObjectiveOptions
from recbole_vagnn.nn.share import Share
from recbole_vagnn.runner import run
from tests.helpers import make_config
from tests.models.cases import training_edges
from tests.models.dense import (
    SMALL,
    Data,
    Triples,
    all_scores,
    assert_directional_derivative,
    interaction,
    random_triples,
    spread,
)
from tests.models.test_fast_recbole import give_clusters, to_double
from tests.runs import numbers, run_toy, write_toy

# Without noise and dropout, so that the trained pass is the one that predicts.
PLAIN: dict[str, dict[str, Any]] = {
    "VAGNN": {"head_dropout": 0.0, "aux_weight": 0.0},
    "SimGCL": {"eps": 0.0},
    "XSimGCL": {"eps": 0.0},
    "GTN": {"dropout": 0.0, "lambda2": 0.3},
    "TripartiteLightGCN": {"score": "video_and_vlogger"},
    "TripartiteSimGCL": {"eps": 0.0},
    "SimGCLVlogger": {"eps": 0.0},
    "CreatorRecencyGCN": {"eps": 0.0, "vlogger_weight": 0.7, "recency_weight": 0.0},
}
RECBOLE: dict[str, dict[str, Any]] = {
    "BPR": {},
    "LightGCN": {"reg_weight": 0.1},
    "NGCF": {"hidden_size_list": [4, 6], "message_dropout": 0.0, "reg_weight": 0.1},
    "SGL": {"ssl_weight": 0.3, "reg_weight": 0.1},
    "NCL": {"num_clusters": 4, "ssl_reg": 0.1, "proto_reg": 0.1},
}
STOCK = {f"{name}, RecBole's class": name for name in RECBOLE if name != "BPR"}
ours = pytest.mark.parametrize("name", PLAIN)
every = pytest.mark.parametrize("name", [*PLAIN, *RECBOLE, *STOCK])


def built(name: str, data: Data, **options: Any) -> Any:
    """The model in float64, with the class that a run would take."""
    own = {**PLAIN, **RECBOLE}[STOCK.get(name, name)]
    fast = {"fast_propagation": False} if name in STOCK else {}
    name = STOCK.get(name, name)
    config = make_config(data[0], {**SMALL, **own, **fast, **options}, name)
    init_seed(5, True)
    model = registry.model_class(name, config)(config, data[1])
    if name == "NCL":
        give_clusters(model)
    spread(model)
    to_double(model)
    return model.train()


def loss_of(model: Any, triples: Triples) -> Tensor:
    """The total loss of a batch whose candidates are drawn anew."""
    init_seed(3, True)
    if model.__class__.__name__.endswith("SGL"):
        model.train()
        to_double(model)
    terms = model.calculate_loss(interaction(model, triples))
    return sum(terms) if isinstance(terms, tuple) else terms


def scores_of(model: Any) -> Tensor:
    model.eval()
    scores = all_scores(model).view(model.n_users, model.n_items)
    model.train()
    return scores


def drawn(model: Any, triples: Triples) -> Tensor:
    """The candidates that the model is about to draw."""
    return copy.deepcopy(model.objective).candidates(triples[0], triples[2])


# --- hard negatives ---------------------------------------------------------------------------------------------------


@every
def test_hard_with_one_candidate_is_bpr_on_that_draw(data: Data, name: str) -> None:
    triples = random_triples(data[1])
    losses, grads = [], []
    for options in ({"objective": "bpr"}, {"objective": "hard", "candidates": 1}):
        model = built(name, data, **options)
        loss = loss_of(model, triples)
        loss.backward()
        losses.append(loss.item())
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-9, atol=1e-12)


@every
def test_hard_is_bpr_on_the_candidates_that_brute_force_scores_highest(data: Data, name: str) -> None:
    users, positives, negatives = random_triples(data[1])
    model = built(name, data, objective="hard", candidates=4)
    scores, candidates = scores_of(model), drawn(model, (users, positives, negatives))
    assert candidates.shape == (len(users), 4)
    hardest = torch.tensor(
        [max(row, key=scores[u].__getitem__) for u, row in zip(users, candidates.tolist(), strict=True)]
    )
    assert (hardest != negatives).any()
    loss = loss_of(model, (users, positives, negatives))
    want = loss_of(built(name, data, objective="bpr"), (users, positives, hardest))
    assert loss.item() == pytest.approx(want.item(), rel=1e-9)


# --- sampled softmax --------------------------------------------------------------------------------------------------


def dense_softmax(train: Any, scores: Tensor, triples: Triples, candidates: Tensor | None, tau: float) -> float:
    """The softmax loss from all scores, sum by sum; without candidates over the batch's positives."""
    users, positives = triples[0].tolist(), triples[1].tolist()
    edges = set(training_edges(train))
    total = 0.0
    for row, (u, v) in enumerate(zip(users, positives, strict=True)):
        own = math.exp(scores[u, v] / tau)
        z = own
        if candidates is not None:
            free = train.item_num - 1 - sum(1 for edge in edges if edge[0] == u)
            for j in candidates[row].tolist():
                z += math.exp(scores[u, j] / tau) * free / candidates.shape[1]
        else:
            for j in positives:  # q_j is the item's share of the training interactions
                q = sum(1 for edge in edges if edge[1] == j) / len(edges)
                z += 0.0 if (u, j) in edges else math.exp(scores[u, j] / tau) / (len(positives) * q)
        total -= math.log(own / z)
    return total / len(users)


@every
@pytest.mark.parametrize("source", ["sampled", "batch"])
def test_softmax_differs_from_bpr_by_what_the_dense_sums_say(data: Data, name: str, source: str) -> None:
    """All other terms, the regulariser on the batch's own negatives included, stay."""
    triples = random_triples(data[1])
    options = {"objective": "softmax", "softmax_source": source, "softmax_tau": 3.0, "candidates": 4}
    model = built(name, data, **options)
    scores = scores_of(model)
    candidates = drawn(model, triples) if source == "sampled" else None
    found = loss_of(model, triples) - loss_of(built(name, data, objective="bpr"), triples)
    rows = torch.arange(len(triples[0]))
    gaps = scores[triples[0], triples[1]] - scores[triples[0], triples[2]]
    bpr = torch.nn.functional.softplus(-gaps).mean().item()
    times = len(rows) if name.startswith("SGL") else 1  # SGL sums over the batch
    want = times * (dense_softmax(data[1], scores, triples, candidates, 3.0) - bpr)
    assert found.item() == pytest.approx(want, rel=1e-6, abs=1e-7)


def test_normalised_softmax_knows_no_lengths(data: Data) -> None:
    triples = random_triples(data[1])
    options = {"objective": "softmax", "softmax_normalised": True, "reg_weight": 0.0}
    losses = []
    for scale in (1.0, 5.0):
        model = built("TripartiteLightGCN", data, **options)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        losses.append(loss_of(model, triples).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)


# --- slopes, shares ---------------------------------------------------------------------------------------------------


@ours
@pytest.mark.parametrize("objective", ["hard", "sampled", "batch"])
def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data, name: str, objective: str) -> None:
    kind = {"objective": "hard"} if objective == "hard" else {"objective": "softmax", "softmax_source": objective}
    assert_directional_derivative(built(name, data, **kind, candidates=3), random_triples(data[1]))


@ours
@pytest.mark.parametrize("objective", ["hard", "sampled", "batch"])
def test_the_shares_of_a_batch_add_up_to_its_loss(data: Data, name: str, objective: str) -> None:
    kind = {"objective": "hard"} if objective == "hard" else {"objective": "softmax", "softmax_source": objective}
    model, triples = built(name, data, **kind, candidates=3), random_triples(data[1])
    state, losses = copy.deepcopy(model.random_state()), []
    for share in (Share(), *(Share(rank, 3) for rank in range(3))):
        model.load_random_state(copy.deepcopy(state))
        model.share = share
        losses.append(loss_of(model, triples).item())
    assert sum(losses[1:]) == pytest.approx(losses[0], rel=1e-9)


# --- draws ------------------------------------------------------------------------------------------------------------


def test_candidates_begin_with_the_batchs_negatives_and_know_no_training_item(data: Data) -> None:
    model, (users, _, negatives) = (
        built("XSimGCL", data, objective="hard", candidates=40),
        random_triples(data[1]),
    )
    candidates = model.objective.candidates(users, negatives)
    assert torch.equal(candidates[:, 0], negatives)
    known = set(training_edges(data[1]))
    assert not known & {(u, v) for u, row in zip(users.tolist(), candidates.tolist(), strict=True) for v in row}
    assert candidates.min() >= 1


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_candidates_follow_the_distribution_of_negatives(data: Data, distribution: str) -> None:
    arguments = {"train_neg_sample_args": {"distribution": distribution, "alpha": 1.0}}
    model = built("XSimGCL", data, objective="hard", candidates=20_001, **arguments)
    train, user = data[1], int(random_triples(data[1])[0][0])
    edges = training_edges(train)
    weights = np.array(
        [float(v > 0) if distribution == "uniform" else sum(e[1] == v for e in edges) for v in range(train.item_num)]
    )
    weights = weights.astype(float)
    weights[[v for u, v in edges if u == user]] = 0
    weights /= weights.sum()
    found = model.objective.candidates(torch.tensor([user]), torch.tensor([1]))[0, 1:].numpy()
    counts = np.bincount(found, minlength=train.item_num)
    assert not counts[weights == 0].any()
    possible = weights > 0
    assert stats.chisquare(counts[possible], len(found) * weights[possible]).pvalue > 1e-3
    log_q = model.objective._sampler.log_probability(np.full(possible.sum(), user), np.flatnonzero(possible))
    np.testing.assert_allclose(log_q.exp(), weights[possible], rtol=1e-12)


def test_the_candidates_have_a_generator_of_their_own(data: Data) -> None:
    users, _, negatives = random_triples(data[1])
    model, twin = (built("SimGCL", data, objective="hard") for _ in range(2))
    torch.rand(5), np.random.rand(5)
    first = model.objective.candidates(users, negatives)
    assert torch.equal(first, twin.objective.candidates(users, negatives))
    assert not torch.equal(first, model.objective.candidates(users, negatives))
    other = built("SimGCL", data, objective="hard", seed=7)
    assert not torch.equal(first, other.objective.candidates(users, negatives))


@pytest.mark.parametrize("name", ["VAGNN", "GTN", "BPR", "LightGCN"])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, name: str) -> None:
    folder, hard = write_toy(tmp_path), {"objective": "hard", "candidates": 3}
    short = run_toy(folder, {"epochs": 2, **hard}, name)
    longer = run(options={"epochs": 4}, resume=short.checkpoint, quiet=True)
    whole = numbers(run_toy(folder, {"epochs": 4, **hard}, name))
    assert numbers(longer) == whole
    assert whole != numbers(run_toy(folder, {"epochs": 4}, name))


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [("objective", "bce"), ("candidates", 0), ("softmax_source", "all"), ("softmax_tau", 0.0)],
)
@pytest.mark.parametrize("name", ["VAGNN", "LightGCN"])
def test_a_bad_option_is_refused(data: Data, name: str, option: str, value: Any) -> None:
    with pytest.raises(InputError, match=option):
        built(name, data, **{"objective": "hard", option: value})


@pytest.mark.parametrize("name", RECBOLE)
def test_recboles_class_is_taken_as_it_is_unless_another_objective_is_asked_for(data: Data, name: str) -> None:
    plain, hard = (built(name, data, objective=objective) for objective in ("bpr", "hard"))
    assert isinstance(hard, type(plain))
    assert type(hard) is not type(plain)
    assert registry.model_class(name) in type(plain).__mro__
    assert list(hard.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("name", RECBOLE)
def test_the_pass_that_negatives_are_chosen_by_is_the_one_that_is_trained(
    data: Data, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No propagation more than with BPR."""
    counts = []
    for objective in ("bpr", "hard"):
        model, calls = built(name, data, objective=objective), []
        base = registry.model_class(name, make_config(data[0], SMALL, name))
        original = base.forward
        with monkeypatch.context() as patched:
            patched.setattr(base, "forward", lambda *a, f=original, c=calls: c.append(1) or f(*a))
            loss_of(model, random_triples(data[1]))
        counts.append(len(calls))
    assert counts[0] == counts[1] >= 1


def test_defaults_of_the_option_files_are_those_of_the_code() -> None:
    from dataclasses import fields

    from recbole_vagnn.defaults import property_file, read_yaml

    for name in [*PLAIN, *RECBOLE]:
        path = property_file("model", name)
        assert path is not None
        written = read_yaml(path)
        for field in fields(ObjectiveOptions):
            if field.name == "new_videos" and name in RECBOLE:
                continue
            default = "hard" if (name, field.name) == ("CreatorRecencyGCN", "objective") else field.default
            assert written[field.name] == default, (name, field.name)
