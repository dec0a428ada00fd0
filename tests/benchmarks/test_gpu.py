"""What ``gpu.py`` measures with, on the CPU: right products pass, wrong ones and wrong gradients are noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gpu
import pytest
import torch
from speed.gpu import checks, clock, products
from speed.gpu.clock import Clock
from speed.gpu.field import Field

from recbole_vagnn.nn import sparse
from recbole_vagnn.nn.sparse import Csr

CPU = torch.device("cpu")


@pytest.fixture
def field(small: tuple[Any, Any, list[Any]]) -> Field:
    return Field(small[0], small[1], CPU)


def ways(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(clock, "_LEAST", 1)
    bench = products.ProductBench(products.random_interactions(30, 20, 200), 8, Clock(CPU, 0.0))
    return bench.run(lambda _: None, lambda: False)["ways"]  # type: ignore[no-any-return]


def test_every_way_in_single_precision_has_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ways(monkeypatch)
    single = {n: one for n, one in found.items() if "bf16" not in n and "Triton" not in n and "gather alone" not in n}
    assert len(single) == 12
    for name, one in single.items():
        assert "error" not in one, name
        assert one["error_to_float64"] is None if "not weighed" in name else one["error_to_float64"] < 1e-6


def test_a_wrong_way_is_seen_by_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(matrix: Csr, dense: torch.Tensor) -> torch.Tensor:
        return sparse.bag_product(matrix, dense) * 1.01

    monkeypatch.setattr(products.sparse, "split_bag_product", wrong)
    assert ways(monkeypatch)["embedding_bag, pieces of 64"]["error_to_float64"] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("key", ["VAGNN", "XSimGCL", "GTN-clipping", "SGL-fast"])
def test_gradients_of_a_step_agree_with_float64_on_the_cpu(field: Field, key: str) -> None:
    found = checks.gradients(field, key)
    assert found["agrees"]
    assert found["largest"] < 1e-4


def test_a_wrong_gradient_is_noticed(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    original = sparse._SparseProduct.backward

    def doubled_in_single(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient, rest = original(ctx, grad)
        return (gradient * 2 if grad.dtype == torch.float32 else gradient), rest

    monkeypatch.setattr(sparse._SparseProduct, "backward", staticmethod(doubled_in_single))
    assert not checks.gradients(field, "VAGNN")["agrees"]


def test_the_same_seed_gives_the_same_parameters_and_evaluation(field: Field) -> None:
    assert checks.repeated(field, "VAGNN")["identical"]
    assert checks.evaluation(field, "LightGCN-fast")["largest_difference"] == 0


def test_a_part_that_fails_leaves_the_others_and_time_that_is_up_leaves_them_out(tmp_path: Path) -> None:
    report = gpu.Report(tmp_path / "out.json", 60.0, {"command": ""})
    report.add("section", "broken", lambda: 1 / 0)
    report.add("section", "whole", lambda: 5)
    assert report.results["section"] == {"whole": 5}
    assert "ZeroDivisionError" in report.results["errors"]["section: broken"]
    assert json.loads((tmp_path / "out.json").read_text())["section"] == {"whole": 5}
    late = gpu.Report(None, -1.0, {})
    late.add("section", "late", lambda: 5)
    assert late.results["left_out"] == ["section: late"]
