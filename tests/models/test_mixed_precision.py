"""RecBole's ``enable_amp``: autocast may round the projections, never the sums over neighbours or the contrast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recbole.utils import init_seed

from recbole_vagnn import registry
from tests.helpers import make_config
from tests.models.dense import Data, interaction, random_triples

SIZE = {"embedding_size": 16, "train_batch_size": 16}
FAST = {"fast_propagation": True}
# What bf16 may do to loss and gradient, relative: nothing where no product of dense matrices is left to autocast.
CASES: dict[str, tuple[str, dict[str, Any], float, float]] = {
    "VAGNN": ("VAGNN", {"head_size": 16}, 0.0, 0.0),
    "VAGNN without heads": ("VAGNN", {"projection_heads": False, "mix": "equal"}, 0.0, 0.0),
    "SimGCL": ("SimGCL", {}, 0.0, 0.0),
    "XSimGCL": ("XSimGCL", {}, 0.0, 0.0),
    "SimGCLVlogger": ("SimGCLVlogger", {}, 0.0, 0.0),
    "TripartiteSimGCL": ("TripartiteSimGCL", {}, 0.0, 0.0),
    "GTN": ("GTN", {"dropout": 0.0}, 0.0, 0.0),
    "GTN that clips": ("GTN", {"dropout": 0.0, "lambda2": 0.01}, 0.0, 0.0),
    "LightGCN, fast": ("LightGCN", FAST, 0.0, 0.0),
    "SGL, fast": ("SGL", FAST, 0.0, 0.0),
    "NGCF, fast": ("NGCF", {**FAST, "hidden_size_list": [16, 16], "message_dropout": 0.0}, 5e-3, 5e-2),
}


@pytest.fixture
def step(data: Data) -> Callable[[str, bool], tuple[float, dict[str, torch.Tensor]]]:
    folder, train = data

    def take(case: str, autocast: bool) -> tuple[float, dict[str, torch.Tensor]]:
        name, options, _, _ = CASES[case]
        config = make_config(folder, {**SIZE, **options}, name)
        init_seed(5, True)
        model = registry.model_class(name, config)(config, train)
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            losses = model.calculate_loss(interaction(model, random_triples(train)))
        loss: Any = sum(losses) if isinstance(losses, tuple) else losses
        loss.backward()
        return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    return take


@pytest.mark.parametrize("case", CASES)
def test_autocast_changes_a_step_by_no_more_than_its_dense_products(case: str, step: Any) -> None:
    loss, gradients = step(case, False)
    mixed_loss, mixed = step(case, True)
    _, _, of_loss, of_gradients = CASES[case]
    assert mixed_loss == pytest.approx(loss, rel=of_loss, abs=0.0)
    assert gradients
    assert mixed.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert mixed[name].dtype == torch.float32
        error = (mixed[name] - gradient).norm() / gradient.norm().clamp(min=1e-30)
        assert error <= of_gradients, name
