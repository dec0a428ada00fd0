"""The float64 reference against the models and against plain Python, and that a wrong loss is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from speed import reference
from speed.agreement import agreement, check
from speed.contestants import CONTESTANTS, RECBOLE, Competitor

from tests.models.cases import build, bundle_of, random_batch, spread_parameters, tensors, training_split
from tests.reference import loss_terms, total_loss

Small = tuple[Any, Any, list[Any]]
IN_FLOAT64 = ["VAGNN", "SimGCL", "XSimGCL", "GTN", "GTN-clipping"]


def competitor(small: Small, key: str) -> Competitor:
    ours, recbole, batches = small
    contestant = CONTESTANTS[key]
    return Competitor(contestant, recbole if contestant.kind == RECBOLE else ours, batches)


@pytest.mark.parametrize("key", [*IN_FLOAT64, "LightGCN"])
def test_the_timed_step_has_the_loss_of_the_reference(small: Small, key: str) -> None:
    one = competitor(small, key)
    found = check(one)
    assert found is not None
    assert found.loss == one.loss
    assert found.error < 1e-6
    assert found.to_json()["agrees"]


@pytest.mark.parametrize("key", IN_FLOAT64)
def test_in_float64_the_loss_is_the_reference_s_to_rounding(small: Small, key: str) -> None:
    one = competitor(small, key)
    one.model.double()
    with torch.no_grad():  # large parameters: logits far apart, edges that clip
        for parameter in one.model.parameters():
            parameter.mul_(7)
    found = check(one)
    assert found is not None
    assert found.error < 1e-12


@pytest.mark.parametrize("kind", ["leave-one-out", "follow"])
def test_the_reference_of_vagnn_is_that_of_plain_python(tmp_path: Path, kind: str) -> None:
    folder, train, split = training_split(tmp_path, kind)
    model = spread_parameters(build(folder, train, split))
    batch = random_batch(train, 0, size=30)
    users, positives, negatives, auxiliary = tensors(batch)
    drawn = {
        "graphs": model.augmented_graphs(),
        "auxiliary": [part.numpy() for part in auxiliary],
        "heads": {name: [1.0, 1.0] for name in ("user", "video", "vlogger")},
    }
    parameters = {name: table.detach().numpy() for name, table in model.named_parameters()}
    step = reference.Step(
        users.numpy(), positives.numpy(), negatives.numpy(), train.interactions(), train.vlogger_of_item, model.options,
        drawn,
    )  # fmt: skip
    options = model.options
    want = total_loss(
        loss_terms(bundle_of(model, train), batch), options.aux_weight, options.ssl_weight, options.reg_weight
    )
    assert reference.vagnn(step, parameters) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("key", ["LightGCN-fast", "NGCF-fast", "SGL-fast"])
def test_a_fast_subclass_has_the_loss_of_recbole_s_class(small: Small, key: str) -> None:
    one = competitor(small, key)
    stock = competitor(small, one.contestant.model)
    with torch.no_grad():
        for parameter in stock.model.parameters():
            parameter.mul_(3)
    found = check(one, stock)
    assert found is not None
    assert found.by == f"RecBole's {one.contestant.model}"
    assert found.error < 1e-6


@pytest.mark.parametrize("key", ["VAGNN", "SimGCL", "SGL-fast"])
def test_a_wrong_loss_is_noticed(small: Small, key: str) -> None:
    one = competitor(small, key)
    stock = competitor(small, "SGL") if key == "SGL-fast" else None
    right = one.model.calculate_loss

    def wrong(batch: Any) -> Any:
        losses = right(batch)
        return tuple(1.0001 * loss for loss in losses) if isinstance(losses, tuple) else 1.0001 * losses

    one.model.calculate_loss = wrong
    found = check(one, stock)
    assert found is not None
    assert not found.to_json()["agrees"]


@pytest.mark.parametrize("key", ["NGCF", "SGL"])
def test_recbole_s_own_class_is_not_compared_with_itself(small: Small, key: str) -> None:
    assert check(competitor(small, key)) is None


def test_a_check_leaves_the_model_as_it_was_but_for_the_step(small: Small) -> None:
    one = competitor(small, "VAGNN")
    before = {name: getattr(one.model, name) for name in ("loss_terms", "calculate_loss")}
    check(one)
    assert {name: getattr(one.model, name) for name in before} == before
    assert not any(head.dropout._forward_hooks for head in one.model.heads.values())


def test_agreement_is_relative() -> None:
    assert agreement(101.0, 100.0, "hand").error == pytest.approx(0.01)
    assert agreement(99.0, 100.0, "hand").error == pytest.approx(0.01)


def test_the_edge_by_edge_gtn_is_the_power_of_a_matrix_where_nothing_clips(small: Small) -> None:
    """(I − ½L̃)^K X, from the paper, against the reference's own layers."""
    one = competitor(small, "GTN")
    users, positives, negatives = (torch.tensor([1, 2]), torch.tensor([3, 4]), torch.tensor([5, 6]))
    parameters = {name: table.detach().double().numpy() for name, table in one.model.named_parameters()}
    nodes = np.concatenate(list(parameters.values()))
    split = one.loaded.split
    drawn = {"dropout": np.ones_like(nodes)}
    options = type(one.model.options)(n_layers=2, lambda2=1e9, reg_weight=0.0)
    step = reference.Step(
        users.numpy(), positives.numpy(), negatives.numpy(), split.interactions(), split.vlogger_of_item, options, drawn
    )
    ratings = split.interactions().toarray()
    graph = np.block([[np.zeros((len(ratings),) * 2), ratings], [ratings.T, np.zeros((ratings.shape[1],) * 2)]])
    degree = graph.sum(axis=1)
    scale = np.diag((degree + 1) ** -0.5)
    layer = np.eye(len(graph)) - 0.5 * scale @ (np.diag(degree) - graph) @ scale
    out = layer @ layer @ nodes
    u, p, n = out[[1, 2]], out[[len(ratings) + 3, len(ratings) + 4]], out[[len(ratings) + 5, len(ratings) + 6]]
    want = np.log1p(np.exp(-((u * (p - n)).sum(axis=1)))).mean()
    assert reference.gtn(step, parameters) == pytest.approx(want, rel=1e-12)
