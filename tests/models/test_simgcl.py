"""SimGCL against its equations in dense float64, its limits, its noise, its seeds and a resumed run."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.simgcl import SimGCLOptions
from recbole_vagnn.nn.noise import SignNoise
from recbole_vagnn.nn.passes import Pass, bipartite_adjacency, layer_mean, run_passes, single_layer
from recbole_vagnn.nn.sparse import Csr
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
    contrast,
    dense_scores,
    interaction,
    lightgcn_without_layer_zero,
    node_types,
    random_triples,
    spread,
)
from tests.runs import numbers, run_toy, write_toy

OPTIONS: dict[str, Any] = {"eps": 0.3, "ssl_weight": 0.7, "reg_weight": 0.1}


def simgcl(data: Data, **options: Any) -> Any:
    return spread(build("SimGCL", *data, {**OPTIONS, **options}))


# ----------------------------------------------------------------------------------- equations


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_scores_equal_the_dense_computation(data: Data, n_layers: int) -> None:
    model = simgcl(data, n_layers=n_layers)
    want = dense_scores("SimGCL", model, data[1])
    torch.testing.assert_close(all_scores(model), want, rtol=1e-10, atol=1e-12)
    pairs = interaction(model, random_triples(data[1]))
    torch.testing.assert_close(model.predict(pairs), want[pairs[model.USER_ID], pairs[model.ITEM_ID]])


@pytest.mark.parametrize(("n_layers", "tau"), [(1, 0.2), (2, 0.2), (3, 1.0), (2, 0.05)])
def test_every_term_and_gradient_equals_the_dense_computation(data: Data, n_layers: int, tau: float) -> None:
    model = simgcl(data, n_layers=n_layers, ssl_tau=tau)
    assert_loss_and_gradients_are_dense("SimGCL", model, data[1], random_triples(data[1]))


def test_loss_is_the_weighted_sum_of_its_terms(data: Data) -> None:
    model, triples = simgcl(data), random_triples(data[1])
    state = model.random_state()
    terms = model.loss_terms(*triples)
    model.load_random_state(state)
    losses = model.calculate_loss(interaction(model, triples))
    for loss, weight, term in zip(losses, (1.0, 0.7, 0.1), terms, strict=True):
        assert loss.item() == pytest.approx(weight * term.item(), rel=1e-12)


def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data) -> None:
    assert_directional_derivative(simgcl(data, n_layers=3), random_triples(data[1]))


@pytest.mark.parametrize("noisy", [False, True])
def test_gradients_of_the_passes_equal_finite_differences(noisy: bool) -> None:
    graph = sp.random(5, 4, 0.5, random_state=np.random.default_rng(3), format="csr")
    matrix = Csr.from_scipy(bipartite_adjacency(graph), torch.float64)
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()

    def outputs(start: Tensor) -> tuple[Tensor, ...]:
        noise = SignNoise(np.random.default_rng(1), 0.2) if noisy else None
        taps = (layer_mean(3, first=1), single_layer(3, 2))
        repeated = Pass(torch.tensor([1, 1, 8]), (layer_mean(3),))
        return run_passes(matrix, start, [Pass(torch.tensor([0, 4, 7, 5]), taps, noise), repeated])

    assert torch.autograd.gradcheck(outputs, (x,))


# -------------------------------------------------------------------------------------- limits


def test_without_noise_both_views_are_the_clean_one(data: Data) -> None:
    model, (users, positives, negatives) = simgcl(data, eps=0.0), random_triples(data[1])
    nodes = torch.cat(model.vectors())
    want = sum(contrast(nodes, nodes, ids, 0.2) for ids in node_types("SimGCL", data[1], users, positives))
    assert model.loss_terms(users, positives, negatives)[1].item() == pytest.approx(want.item(), rel=1e-10)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_without_contrast_it_is_lightgcn_without_layer_zero(data: Data, n_layers: int) -> None:
    model, triples = simgcl(data, ssl_weight=0.0, n_layers=n_layers), random_triples(data[1])
    before = copy.deepcopy(model.random_state())
    users, items = lightgcn_without_layer_zero(*data, model)
    torch.testing.assert_close(all_scores(model), users @ items.T, rtol=1e-5, atol=1e-6)  # their matrix is float32
    terms = model.loss_terms(*triples)
    want = bpr(users[triples[0]], items[triples[1]], items[triples[2]])
    assert terms[0].item() == pytest.approx(want.item(), rel=1e-5)
    assert terms[1].item() == 0
    assert model.random_state() == before  # no noise is drawn for nothing


def test_padding_is_inert(data: Data) -> None:
    assert_padding_is_inert(simgcl(data), random_triples(data[1]))


def test_order_of_the_files_is_immaterial(tmp_path: Path) -> None:
    assert_order_is_immaterial("SimGCL", tmp_path, OPTIONS)


def test_repeats_in_a_batch_are_contrasted_once(data: Data) -> None:
    model, (users, positives, _) = simgcl(data), random_triples(data[1])
    assert len(set(users.tolist())) < len(users)
    found = [ids.tolist() for ids in model.contrast_nodes(users, positives)]
    assert found == node_types("SimGCL", data[1], users, positives)


def test_data_without_vloggers_are_served(tmp_path: Path) -> None:
    write_toy(tmp_path)
    result = run_toy(tmp_path, {"epochs": 1, "VLOGGER_ID_FIELD": None}, "SimGCL")
    assert set(result.history[0]["losses"]) == {"bpr", "contrast", "l2"}


# --------------------------------------------------------------------------------------- noise


def values(n: int = 400) -> Tensor:
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_noise_has_its_length_and_keeps_every_sign() -> None:
    given = values()
    given[3] = 0
    given[5, :4] = 0
    moved = SignNoise(np.random.default_rng(0), 0.25)(given)
    assert torch.equal(torch.sign(moved), torch.sign(given))
    noise = moved - given
    length = noise.norm(dim=1)
    assert length[3] == 0
    whole = (given != 0).all(1)
    torch.testing.assert_close(length[whole], torch.full_like(length[whole], 0.25), rtol=1e-6, atol=0)
    assert length[5] < 0.25  # what zero entries would have got is lost, as in the authors' program


def test_noise_is_a_normalised_uniform_draw() -> None:
    given = values()
    noise = SignNoise(np.random.default_rng(0), 1.0)
    state = copy.deepcopy(noise.rng.bit_generator.state)
    moved = noise(given)
    noise.rng.bit_generator.state = state
    drawn = noise.draw(given).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    shares = np.histogram(drawn, bins=10, range=(0, 1))[0] / drawn.size
    assert np.abs(shares - 0.1).max() < 5 * np.sqrt(0.09 / drawn.size)
    want = drawn / np.sqrt((drawn**2).sum(1, keepdims=True))
    np.testing.assert_allclose((moved - given).abs().numpy(), want, rtol=1e-6, atol=1e-9)


def test_each_layer_and_each_view_has_noise_of_its_own(data: Data) -> None:
    model, triples = simgcl(data), random_triples(data[1])
    recorded = RecordedDraws(model)
    model.loss_terms(*triples)
    model.loss_terms(*triples)
    nodes = sum(len(ids) for ids in model.contrast_nodes(*triples[:2]))
    everyone = model.n_users + model.n_items
    assert [len(draw) for draw in recorded.draws] == [everyone, nodes] * 4
    firsts = [draw[0].tolist() for draw in recorded.draws]
    assert len({tuple(row) for row in firsts}) == len(firsts)


# ------------------------------------------------------------------------------ seeds, resume


def losses(model: Any, data: Data) -> list[float]:
    return [t.item() for _ in range(3) for t in model.calculate_loss(interaction(model, random_triples(data[1])))]


def test_a_seed_fixes_parameters_and_noise(data: Data) -> None:
    one, two, other = (build("SimGCL", *data, {**OPTIONS, "seed": seed}) for seed in (5, 5, 6))
    torch.rand(3)
    np.random.rand(3)
    assert losses(one, data) == losses(two, data)
    other.load_state_dict(one.state_dict())
    assert losses(other, data) != losses(one, data)  # the same weights, another noise


def test_noise_does_not_touch_or_follow_the_global_generators(data: Data) -> None:
    model = simgcl(data)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    losses(model, data)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]


def test_random_state_continues_the_noise(data: Data) -> None:
    model, other = simgcl(data), simgcl(data)
    losses(model, data)
    assert losses(copy.deepcopy(model), data) != losses(copy.deepcopy(other), data)
    other.load_random_state(copy.deepcopy(model.random_state()))
    assert losses(model, data) == losses(other, data)


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    short = run_toy(folder, {"epochs": 2}, "SimGCL")
    longer = run(options={"epochs": 4}, resume=short.checkpoint, quiet=True)
    assert numbers(longer) == numbers(run_toy(folder, {"epochs": 4}, "SimGCL"))


# -------------------------------------------------------------------------------------- caches


def change_by_step(model: Any, data: Data) -> None:
    sum(model.calculate_loss(interaction(model, random_triples(data[1])))).backward()
    torch.optim.Adam(model.parameters(), lr=0.1).step()


CHANGES: dict[str, Callable[[Any, Data], None]] = {
    "a training step": change_by_step,
    "load_state_dict": lambda model, data: model.load_state_dict({k: v + 1 for k, v in model.state_dict().items()}),
    "double": lambda model, data: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_vectors_are_kept_until_a_parameter_changes(data: Data, change: str) -> None:
    model = build("SimGCL", *data, OPTIONS)
    before = model.vectors()
    assert all(a is b for a, b in zip(before, model.vectors(), strict=True))
    assert not any(x.requires_grad for x in before)
    CHANGES[change](model, data)
    after = model.vectors()
    assert all(a is not b for a, b in zip(before, after, strict=True))
    fresh = copy.deepcopy(model).vectors()
    assert all(torch.equal(a, b) for a, b in zip(after, fresh, strict=True))


def test_copies_and_pickles_score_the_same(data: Data) -> None:
    model = simgcl(data)
    want = all_scores(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(all_scores(twin), want)


def test_losses_under_autocast_are_near_those_in_full_precision(data: Data) -> None:
    model, triples = build("SimGCL", *data, OPTIONS), random_triples(data[1])
    state = copy.deepcopy(model.random_state())
    full = model.loss_terms(*triples)
    model.load_random_state(state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.loss_terms(*triples)
    sum(mixed).backward()
    for one, other in zip(full, mixed, strict=True):
        assert other.item() == pytest.approx(one.item(), rel=2e-2)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


# ------------------------------------------------------------------------------------- options


def test_defaults_of_the_file_are_those_of_the_options() -> None:
    file = read_yaml(property_file("model", "SimGCL"))
    assert {field.name: file[field.name] for field in fields(SimGCLOptions)} == vars(SimGCLOptions())


BAD = [
    ("embedding_size", 0),
    ("n_layers", 0),
    ("n_layers", 1.5),
    ("reg_weight", -1e-4),
    ("eps", -0.1),
    ("eps", float("nan")),
    ("ssl_weight", -1),
    ("ssl_weight", "0.1"),
    ("ssl_tau", 0),
    ("ssl_tau", True),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_option_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"`{key}`"):
        SimGCLOptions.from_config({key: value}.get)
