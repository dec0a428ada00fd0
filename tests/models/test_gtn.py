"""GTN against a dense computation in numpy, and what must hold for it as a RecBole model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.loss import EmbLoss
from torch import Tensor

from recbole_vagnn import registry
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.gtn import GTN, GTNOptions
from tests.helpers import load_splits, make_config, write_dataset
from tests.models.cases import random_batch, random_rows, spread_parameters
from tests.nn.test_trend_filtering import dense_layers, incidence
from tests.runs import numbers, run_toy, write_toy

SMALL: dict[str, Any] = {"embedding_size": 5, "train_batch_size": 16, "lambda2": 0.3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VloggerDataset]:
    folder = write_dataset(tmp_path_factory.mktemp("data"), *random_rows(1, 9, 14, 4, (3, 7)))
    return folder, load_splits(folder, SMALL, "GTN")[1][0]


def build(data: tuple[Path, VloggerDataset], options: dict[str, Any] | None = None, seed: int = 7) -> GTN:
    torch.manual_seed(seed)
    return GTN(make_config(data[0], {**SMALL, **(options or {})}, "GTN"), data[1])


def triples(data: tuple[Path, VloggerDataset], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    batch = random_batch(data[1], seed)
    return torch.tensor(batch.users), torch.tensor(batch.pos), torch.tensor(batch.neg)


def interaction(model: GTN, batch: tuple[Tensor, ...]) -> Interaction:
    return Interaction(dict(zip((model.USER_ID, model.ITEM_ID, model.NEG_ITEM_ID), batch, strict=True)))


def embeddings(model: GTN) -> np.ndarray:
    return torch.cat([model.user_embedding.weight, model.item_embedding.weight]).detach().numpy()


def dense_vectors(model: GTN, train: VloggerDataset) -> tuple[np.ndarray, np.ndarray]:
    options = model.options
    out = dense_layers(incidence(train.interactions()), embeddings(model), options.n_layers, options.lambda2)
    return out[: model.n_users], out[model.n_users :]


# ------------------------------------------------------------------------------- against numpy


@pytest.mark.parametrize("lambda2", [0.0, 0.05, 0.3, 4.0, 1e9])
@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_scores_equal_the_dense_computation(data: tuple[Path, VloggerDataset], n_layers: int, lambda2: float) -> None:
    model = spread_parameters(build(data, {"n_layers": n_layers, "lambda2": lambda2}))
    users, items = dense_vectors(model, data[1])
    everyone = torch.arange(model.n_users)
    got = model.full_sort_predict(Interaction({model.USER_ID: everyone}))
    np.testing.assert_allclose(got.numpy(), users @ items.T, rtol=0, atol=1e-12)
    pairs = Interaction({model.USER_ID: torch.tensor([3, 1]), model.ITEM_ID: torch.tensor([2, 5])})
    np.testing.assert_allclose(model.predict(pairs).numpy(), [users[3] @ items[2], users[1] @ items[5]], atol=1e-12)


def test_loss_terms_equal_the_dense_computation(data: tuple[Path, VloggerDataset]) -> None:
    model = spread_parameters(build(data, {"reg_weight": 0.25}))
    batch = triples(data)
    users, items = dense_vectors(model, data[1])
    u, p, n = (x.numpy() for x in batch)
    differences = (users[u] * (items[p] - items[n])).sum(axis=1)
    x, y = embeddings(model)[: model.n_users], embeddings(model)[model.n_users :]
    l2 = 0.5 * sum((rows**2).sum() for rows in (x[u], y[p], y[n])) / len(u)
    bpr = np.log1p(np.exp(-differences)).mean()
    got = [term.item() for term in model.loss_terms(*batch)]
    assert got == pytest.approx([bpr, l2], rel=1e-12)
    weighted = [term.item() for term in model.calculate_loss(interaction(model, batch))]
    assert weighted == pytest.approx([bpr, 0.25 * l2], rel=1e-12)
    assert len(model.loss_names) == len(weighted)


def test_the_regulariser_is_recboles_squared_one(data: tuple[Path, VloggerDataset]) -> None:
    model = spread_parameters(build(data))
    u, p, n = triples(data)
    rows = (model.user_embedding(u), model.item_embedding(p), model.item_embedding(n))
    assert model.loss_terms(u, p, n)[1].item() == pytest.approx(EmbLoss()(*rows, require_pow=True).item(), rel=1e-6)


def test_gradients_equal_finite_differences(data: tuple[Path, VloggerDataset]) -> None:
    model = spread_parameters(build(data))
    batch = triples(data)

    def total() -> Tensor:
        bpr, l2 = model.loss_terms(*batch)
        return bpr + 0.1 * l2

    total().backward()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        ends = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                parameter += step * direction
            ends.append(total().item())
        with torch.no_grad():
            parameter += 1e-6 * direction
        want = (ends[0] - ends[1]) / 2e-6
        assert (parameter.grad * direction).sum().item() == pytest.approx(want, rel=1e-6)


# ------------------------------------------------------------------------------------- dropout


def test_dropout_acts_on_the_vectors_in_training_alone(data: tuple[Path, VloggerDataset]) -> None:
    model = spread_parameters(build(data, {"dropout": 0.4}))
    batch = triples(data)
    clean = [term.item() for term in model.loss_terms(*batch)]
    assert [term.item() for term in model.loss_terms(*batch)] == clean
    vectors = model.vectors()

    model.train()
    torch.manual_seed(3)
    got = model.loss_terms(*batch)
    torch.manual_seed(3)
    users, items = (torch.nn.functional.dropout(table, 0.4) for table in vectors)
    u, p, n = batch
    want = torch.nn.functional.softplus((users[u] * (items[n] - items[p])).sum(dim=1)).mean()
    assert got[0].item() == pytest.approx(want.item(), rel=1e-12)
    assert got[1].item() == clean[1]
    assert got[0].item() != clean[0]
    assert model.loss_terms(*batch)[0].item() != got[0].item()
    for kept, now in zip(vectors, model.vectors(), strict=True):
        assert torch.equal(kept, now)  # predictions have none, even between two training steps


# ------------------------------------------------------------------------------- cache, copies


def test_vectors_are_kept_until_a_step_and_then_computed_anew(data: tuple[Path, VloggerDataset]) -> None:
    model = build(data)
    first = model.vectors()
    assert all(a is b for a, b in zip(first, model.vectors(), strict=True))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    sum(model.calculate_loss(interaction(model, triples(data)))).backward()
    optimiser.step()
    fresh = copy.deepcopy(model)
    for stale, now, want in zip(first, model.vectors(), fresh.vectors(), strict=True):
        assert torch.equal(now, want)
        assert not torch.equal(now, stale)


def test_padding_gets_no_gradient(
    data: tuple[Path, VloggerDataset],
) -> None:
    model = build(data)
    sum(model.calculate_loss(interaction(model, triples(data)))).backward()
    assert not model.user_embedding.weight.grad[0].any()
    assert not model.item_embedding.weight.grad[0].any()
    assert model.user_embedding.weight.grad[1:].any()


def test_a_pickled_model_scores_the_same_without_its_caches(data: tuple[Path, VloggerDataset]) -> None:
    model = build(data)
    want = model.vectors()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other._vectors is None
        assert other._graph is None
        assert all(torch.equal(a, b) for a, b in zip(other.vectors(), want, strict=True))


def test_changing_the_dtype_rebuilds_the_graph(data: tuple[Path, VloggerDataset]) -> None:
    model = build(data)
    single = model.vectors()
    double = model.double().vectors()
    assert double[0].dtype == torch.float64
    torch.testing.assert_close(double[0].float(), single[0], rtol=1e-5, atol=1e-6)


# ----------------------------------------------------------------------------- construction


def test_initial_embeddings_are_normal_with_deviation_a_tenth(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    config, splits = load_splits(data_path, {"embedding_size": 400}, "GTN")
    model = GTN(config, splits[0])
    for table in (model.user_embedding.weight, model.item_embedding.weight):
        assert table.mean().item() == pytest.approx(0, abs=0.005)
        assert table.std().item() == pytest.approx(0.1, rel=0.03)


def test_the_property_file_holds_the_options_and_their_defaults() -> None:
    assert registry.model_class("GTN") is GTN
    path = property_file("model", "GTN")
    assert path is not None
    shipped = read_yaml(path)
    own = {key: value for key, value in shipped.items() if key in GTNOptions.__dataclass_fields__}
    assert GTNOptions(**own) == GTNOptions()
    assert set(shipped) == {*GTNOptions.__dataclass_fields__, "learning_rate", "train_batch_size"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_size": 0}, "`embedding_size` is 0"),
        ({"n_layers": -1}, "`n_layers` is -1"),
        ({"lambda2": -0.1}, "`lambda2` is -0.1"),
        ({"dropout": 1.5}, "`dropout` is 1.5"),
        ({"reg_weight": -1.0}, "`reg_weight` is -1.0"),
    ],
)
def test_options_out_of_range_are_refused(
    data: tuple[Path, VloggerDataset], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(data, options)


# ------------------------------------------------------------------------------------- runs


def test_a_run_needs_no_vloggers_and_repeats_with_its_seed(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    options = {"VLOGGER_ID_FIELD": None, "lambda2": 0.05}
    first, again = (numbers(run_toy(data_path, options, "GTN")) for _ in range(2))
    assert first == again
    assert set(first["losses"][0]) == {"bpr", "l2"}
    assert numbers(run_toy(data_path, {**options, "seed": 1}, "GTN"))["losses"] != first["losses"]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    result = run_toy(write_toy(tmp_path), {"epochs": 30, "learning_rate": 0.02, "lambda2": 0.1}, "GTN")
    losses = [record["losses"]["bpr"] for record in result.history]
    assert losses[-1] < 0.6 * losses[0]
