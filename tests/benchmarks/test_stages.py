"""The sparse product, the profile, the goals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from speed import goals, product, profiling
from speed.contestants import CONTESTANTS, Competitor

from recbole_vagnn.nn.passes import bipartite_adjacency
from recbole_vagnn.nn.sparse import Csr

Small = tuple[Any, Any, list[Any]]


def test_product_and_gathers_are_compared_by_the_rows_they_read(small: Small) -> None:
    interactions = small[0].split.interactions()
    found = product.product_against_gather(interactions, 16, rounds=3, seconds=1.0)
    assert found["nonzeros"] == 2 * interactions.nnz
    assert found["bytes"] == 2 * interactions.nnz * 16 * 4
    seconds = {name: one["seconds"] for name, one in found["times"].items()}
    fastest = min(seconds[name] for name in product.GATHERS)
    assert found["ratio"] == pytest.approx(fastest / seconds[product.PRODUCT])
    assert found["bandwidth"] == pytest.approx(found["bytes"] / seconds[product.PRODUCT] / 1e9)
    assert found["gather_bandwidth"] == pytest.approx(found["bytes"] / fastest / 1e9)


def test_the_copying_gather_copies_every_row_it_is_asked_for(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = Csr.from_scipy(bipartite_adjacency(small[0].split.interactions()))
    table = torch.randn(matrix.shape[1], 3)
    copied: list[torch.Tensor] = []
    original = torch.index_select

    def kept(*arguments: Any, out: torch.Tensor) -> torch.Tensor:
        copied.append(original(*arguments, out=out).clone())
        return out

    monkeypatch.setattr(product, "_PIECE", 1000)
    copy = product._copying(matrix, table)
    monkeypatch.setattr(torch, "index_select", kept)
    copy()
    assert len(copied) == -(-matrix.columns.numel() // 1000)
    assert torch.equal(torch.cat(copied), table[matrix.columns.long()])


# ------------------------------------------------------------------------------------- profile


@pytest.mark.parametrize(
    ("operation", "group"),
    [
        ("_LightPropagation", "propagation (sparse products)"),
        ("autograd::engine::evaluate_function: _SparseProductBackward", "propagation (sparse products)"),
        ("autograd::engine::evaluate_function: _InfoNceBackward", "contrast (InfoNCE)"),
        ("Optimizer.step#Adam.step", "optimiser"),
        ("aten::linear", "projection heads"),
        ("autograd::engine::evaluate_function: AddmmBackward0", "projection heads"),
        ("autograd::engine::evaluate_function: TBackward0", "projection heads"),
        ("aten::embedding", "look-ups of rows"),
        ("autograd::engine::evaluate_function: EmbeddingBackward0", "look-ups of rows"),
        ("aten::_unique2", "unique nodes"),
        ("aten::mul", profiling.REST),
        ("autograd::engine::evaluate_function: CatBackward0", profiling.REST),
        ("autograd::engine::evaluate_function: DotBackward0", profiling.REST),
    ],
)
def test_group_of_an_operation(operation: str, group: str) -> None:
    assert profiling.group_of(operation) == group


def test_groups_of_a_profile_add_up_to_the_step_and_none_of_vagnn_s_is_empty(small: Small) -> None:
    ours, _, batches = small
    found = profiling.profile(Competitor(CONTESTANTS["VAGNN"], ours, batches).step, steps=2)
    assert sum(found["groups"].values()) == pytest.approx(found["seconds"], rel=1e-6)
    assert all(found["groups"][name] > 0 for name in profiling.GROUPS)  # a renamed function would land in the rest
    assert len(found["operations"]) == 10


# --------------------------------------------------------------------------------------- goals

TITLES = {key: one.title for key, one in CONTESTANTS.items()}


def seconds(**times: float) -> dict[str, dict[str, float]]:
    return {key.replace("_", "-"): {"seconds": value} for key, value in times.items()}


def test_goals_are_ratios_of_medians_and_those_without_a_time_are_left_out() -> None:
    stages = {
        "step": seconds(VAGNN=0.3, LightGCN=1.0, SimGCL=0.5, SGL_fast=1.0, SGL=5.0),
        "epoch": seconds(VAGNN=3.0, LightGCN=10.0),
        "build": seconds(VAGNN=1.0),
    }
    found = {one.what: (one.measured, one.goal, one.met) for one in goals.ratio_verdicts(stages, 2, TITLES)}
    assert found == {
        "step: VA-GNN / RecBole LightGCN": (pytest.approx(0.3), "≤ 0.30", True),
        "step: SimGCL / RecBole LightGCN": (pytest.approx(0.5), "≤ 0.45", False),
        "step: SGL, fast / RecBole SGL": (pytest.approx(0.2), "≤ 0.20", True),
        "epoch: VA-GNN / RecBole LightGCN": (pytest.approx(0.3), "≤ 0.35", True),
    }


def test_goals_of_product_and_losses_stand_beside_them() -> None:
    stages = {"step": {}, "epoch": {}, "evaluation": {}, "product": {"ratio": 0.79}}
    results = {"threads": {"1": stages}, "build": {}, "losses": {"VAGNN": {"error": 1e-6}, "GTN": {"error": 2e-5}}}
    found = [(one["threads"], one["measured"], one["goal"], one["met"]) for one in goals.verdicts(results, TITLES)]
    assert found == [(1, 0.79, "≥ 0.80", False), (None, 2e-5, "≤ 1e-05", False)]


def test_every_goal_is_of_contestants_that_take_part() -> None:
    assert {one.contestant for one in goals.RATIOS} | {one.base for one in goals.RATIOS} <= set(CONTESTANTS)
