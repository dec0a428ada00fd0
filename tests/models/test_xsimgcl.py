"""XSimGCL against its equations in dense float64, its limits, its seeds and a resumed run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.xsimgcl import XSimGCLOptions
from recbole_vagnn.runner import run
from tests.models.dense import (
    Data,
    RecordedDraws,
    all_scores,
    assert_directional_derivative,
    assert_loss_and_gradients_are_dense,
    assert_order_is_immaterial,
    assert_padding_is_inert,
    bpr,
    build,
    dense_scores,
    interaction,
    lightgcn_without_layer_zero,
    random_triples,
    spread,
)
from tests.runs import numbers, run_toy, write_toy

OPTIONS: dict[str, Any] = {"eps": 0.3, "ssl_weight": 0.7, "reg_weight": 0.1}


def xsimgcl(data: Data, **options: Any) -> Any:
    return spread(build("XSimGCL", *data, {**OPTIONS, **options}))


@pytest.mark.parametrize("n_layers", [1, 3])
def test_scores_are_those_of_a_clean_pass(data: Data, n_layers: int) -> None:
    model = xsimgcl(data, n_layers=n_layers)
    before = model.random_state()
    torch.testing.assert_close(all_scores(model), dense_scores("XSimGCL", model, data[1]), rtol=1e-10, atol=1e-12)
    assert model.random_state() == before


@pytest.mark.parametrize(
    ("n_layers", "layer", "tau"), [(1, 1, 0.2), (2, 1, 0.15), (3, 1, 1.0), (3, 2, 0.2), (3, 3, 0.2)]
)
def test_every_term_and_gradient_equals_the_dense_computation(
    data: Data, n_layers: int, layer: int, tau: float
) -> None:
    model = xsimgcl(data, n_layers=n_layers, contrast_layer=layer, ssl_tau=tau)
    assert_loss_and_gradients_are_dense("XSimGCL", model, data[1], random_triples(data[1]))


def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data) -> None:
    assert_directional_derivative(xsimgcl(data, n_layers=3), random_triples(data[1]))


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_without_noise_and_contrast_it_is_lightgcn_without_layer_zero(data: Data, n_layers: int) -> None:
    model, triples = xsimgcl(data, ssl_weight=0.0, eps=0.0, n_layers=n_layers), random_triples(data[1])
    users, items = lightgcn_without_layer_zero(*data, model)
    torch.testing.assert_close(all_scores(model), users @ items.T, rtol=1e-5, atol=1e-6)  # their matrix is float32
    terms = model.loss_terms(*triples)
    want = bpr(users[triples[0]], items[triples[1]], items[triples[2]])
    assert terms[0].item() == pytest.approx(want.item(), rel=1e-5)
    assert terms[1].item() == 0


def test_bpr_is_perturbed_in_training_also_without_contrast(data: Data) -> None:
    triples = random_triples(data[1])
    noisy, clean = (xsimgcl(data, ssl_weight=0.0, eps=eps).loss_terms(*triples)[0] for eps in (0.3, 0.0))
    assert abs(noisy.item() - clean.item()) > 1e-4


def test_one_layer_contrasted_with_itself_is_its_own_view(data: Data) -> None:
    """K = l* = 1: the mean of layers is the contrasted layer, so each node is nearest to itself."""
    triples = random_triples(data[1])
    own = xsimgcl(data, n_layers=1, ssl_tau=0.01).loss_terms(*triples)[1]
    assert own.item() == pytest.approx(0, abs=0.05)


def test_one_pass_draws_once_a_layer(data: Data) -> None:
    model, triples = xsimgcl(data, n_layers=3), random_triples(data[1])
    recorded = RecordedDraws(model)
    model.loss_terms(*triples)
    items = set(torch.cat(triples[1:]).tolist())
    everyone = model.n_users + model.n_items
    assert [len(draw) for draw in recorded.draws] == [everyone, everyone, len(set(triples[0].tolist())) + len(items)]


def test_padding_is_inert(data: Data) -> None:
    assert_padding_is_inert(xsimgcl(data), random_triples(data[1]))


def test_order_of_the_files_is_immaterial(tmp_path: Path) -> None:
    assert_order_is_immaterial("XSimGCL", tmp_path, OPTIONS)


def test_a_seed_fixes_the_losses(data: Data) -> None:
    def losses(seed: int) -> list[float]:
        model = build("XSimGCL", *data, {**OPTIONS, "seed": seed})
        batch = interaction(model, random_triples(data[1]))
        return [t.item() for _ in range(2) for t in model.calculate_loss(batch)]

    assert losses(5) == losses(5)
    assert losses(5) != losses(6)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    short = run_toy(folder, {"epochs": 2}, "XSimGCL")
    longer = run(options={"epochs": 4}, resume=short.checkpoint, quiet=True)
    assert numbers(longer) == numbers(run_toy(folder, {"epochs": 4}, "XSimGCL"))


def test_defaults_of_the_file_are_those_of_the_options() -> None:
    file = read_yaml(property_file("model", "XSimGCL"))
    assert {field.name: file[field.name] for field in fields(XSimGCLOptions)} == vars(XSimGCLOptions())


@pytest.mark.parametrize("value", [0, 3, 1.5, True])
def test_a_layer_that_is_not_there_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="`contrast_layer`"):
        XSimGCLOptions.from_config({"contrast_layer": value, "n_layers": 2}.get)
