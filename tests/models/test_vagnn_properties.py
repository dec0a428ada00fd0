"""What must hold for VA-GNN whatever the numbers: gradients, symmetries, variants, caches, seeds and options."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.data.interaction import Interaction
from recbole.utils import init_seed
from torch import Tensor

from recbole_vagnn import registry
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.defaults import variants
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.options import VAGNNOptions
from recbole_vagnn.models.vagnn import VAGNN
from recbole_vagnn.nn.losses import info_nce
from recbole_vagnn.nn.propagation import light_propagation
from recbole_vagnn.nn.sparse import SparsePair, sparse_product
from tests.helpers import load_loaders, load_splits, make_config, write_dataset
from tests.models.cases import (
    SMALL,
    build,
    random_batch,
    random_rows,
    spread_parameters,
    tensors,
    training_edges,
    training_split,
)
from tests.reference import Batch

Data = tuple[Path, VloggerDataset, dict[str, Any]]
WEIGHTS = (1.0, 5.0, 0.7, 0.3)  # of the four terms; large enough for each to show in a gradient


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return training_split(tmp_path_factory.mktemp("data"), "leave-one-out")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Enough users for walks and auxiliary triples of two seeds never to agree by chance."""
    folder = tmp_path_factory.mktemp("larger")
    write_dataset(folder, *random_rows(8, 60, 50, 8, (5, 12)))
    return folder, load_splits(folder, SMALL)[1][0], {}


def total(model: VAGNN, batch: Batch) -> Tensor:
    return sum(w * term for w, term in zip(WEIGHTS, model.loss_terms(*tensors(batch)), strict=True))


def same(one: tuple[sp.spmatrix, ...], other: tuple[sp.spmatrix, ...]) -> bool:
    return all((abs(a - b)).sum() == 0 for a, b in zip(one, other, strict=True))


def interaction(model: VAGNN, batch: Batch) -> Interaction:
    users, positives, negatives, _ = tensors(batch)
    return Interaction({model.USER_ID: users, model.ITEM_ID: positives, model.NEG_ITEM_ID: negatives})


# ------------------------------------------------------------------------------------ gradients


def random_pair(rows: int, columns: int) -> SparsePair:
    matrix = sp.random(rows, columns, 0.4, random_state=np.random.default_rng(3), format="csr")
    return SparsePair.from_scipy(matrix, torch.float64)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_gradients_of_the_propagation_equal_finite_differences(n_layers: int) -> None:
    graph = random_pair(6, 4)
    assert torch.autograd.gradcheck(
        lambda a, b: light_propagation(graph, a, b, n_layers), (leaf(6, 3), leaf(4, 3, seed=1))
    )


def test_gradients_of_the_sparse_product_equal_finite_differences() -> None:
    matrix = random_pair(6, 4)
    assert torch.autograd.gradcheck(lambda x: sparse_product(matrix, x), (leaf(4, 3),))


@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
def test_gradients_of_the_contrast_equal_finite_differences(tau: float) -> None:
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, tau), (leaf(7, 4), leaf(7, 4, seed=1)))


@pytest.mark.parametrize(
    "options",
    [{}, {"projection_heads": False, "contrast_nodes": "batch"}, {"views": "video"}, {"views": "vlogger"}],
    ids=["default", "no heads, repeats", "video view", "vlogger view"],
)
def test_every_coordinate_of_the_gradient_of_the_loss_equals_a_finite_difference(
    data: Data, options: dict[str, Any]
) -> None:
    model = spread_parameters(build(data[0], data[1], {"ssl_tau": 0.3, "embedding_size": 2, "head_size": 3, **options}))
    batch, step = random_batch(data[1], 0), 1e-5
    model.zero_grad()
    total(model, batch).backward()
    checked = 0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            flat, wanted = parameter.view(-1), parameter.grad.view(-1)
            for i in range(len(flat)):
                before = flat[i].item()
                values = []
                for moved in (before + step, before - step):
                    flat[i] = moved
                    values.append(total(model, batch).item())
                flat[i] = before
                slope = (values[0] - values[1]) / (2 * step)
                assert slope == pytest.approx(wanted[i].item(), rel=1e-5, abs=1e-7), f"{name}[{i}]"
                checked += 1
    assert checked == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("mix", ["adaptive", "equal", "video", "vlogger"])
@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data, mix: str, tau: float) -> None:
    model = spread_parameters(build(data[0], data[1], {"ssl_tau": tau, "mix": mix, "n_layers": 3}))
    batch, step = random_batch(data[1], 1, size=30), 1e-6
    total(model, batch).backward()
    directions = [torch.randn_like(p) for p in model.parameters()]
    want = sum((p.grad * d).sum().item() for p, d in zip(model.parameters(), directions, strict=True))
    values = []
    for sign in (1, -1):
        shifted = copy.deepcopy(model)
        with torch.no_grad():
            for parameter, direction in zip(shifted.parameters(), directions, strict=True):
                parameter.add_(direction, alpha=sign * step)
        values.append(total(shifted, batch).item())
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(want, rel=1e-5)


# ---------------------------------------------------------------------------------- propagation


def test_two_layers_are_two_hops_and_not_one_hop_twice(data: Data) -> None:
    model = spread_parameters(build(data[0], data[1], {"n_layers": 2}))
    for matrix, table, view in zip(
        model.augmented_graphs(), (model.item_embedding, model.vlogger_embedding), model.forward(), strict=True
    ):
        dense = matrix.toarray()
        n_left, n_right = dense.shape
        adjacency = np.zeros((n_left + n_right, n_left + n_right))
        adjacency[:n_left, n_left:], adjacency[n_left:, :n_left] = dense, dense.T
        degree = adjacency.sum(1)
        inverse = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
        norm = inverse[:, None] * adjacency * inverse
        start = torch.cat([model.user_embedding.weight, table.weight]).detach().numpy()
        got = torch.cat([view.users, view.videos if table is model.item_embedding else view.vloggers])
        two_hops = (start + norm @ start + norm @ norm @ start) / 3
        one_hop = (start + 2 * norm @ start) / 3
        np.testing.assert_allclose(got.detach().numpy(), two_hops, atol=1e-12)
        assert np.abs(two_hops - one_hop).max() > 0.1


# --------------------------------------------------------------------------------- relabelling


def renamed(names: list[str], letter: str, rng: random.Random) -> dict[str, str]:
    numbers = rng.sample(range(1000), len(names))
    return {name: f"{letter}{n}" for name, n in zip(names, numbers, strict=True)} | {"": ""}


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("options", [{}, {"contrast_nodes": "batch", "projection_heads": False}, {"views": "vlogger"}])
def test_relabelling_permutes_scores_and_leaves_the_losses_alone(
    tmp_path: Path, seed: int, options: dict[str, Any]
) -> None:
    inter, item = random_rows(5, 9, 14, 4, (3, 7))
    rng = random.Random(seed)
    columns = [[row[0] for row in inter], *zip(*item, strict=True)]
    names = [sorted({str(x) for x in column} - {""}) for column in columns]
    maps = [renamed(column, letter, rng) for column, letter in zip(names, "xyz", strict=True)]
    new_inter = [[maps[0][str(u)], maps[1][str(v)], t] for u, v, t in inter]
    new_item = [[maps[1][str(v)], maps[2][str(a)]] for v, a in item]
    rng.shuffle(new_inter)
    rng.shuffle(new_item)
    models, trains = [], []
    for name, rows in (("old", (inter, item)), ("new", (new_inter, new_item))):
        folder = write_dataset(tmp_path / name, *rows)
        train = load_splits(folder, SMALL)[1][0]
        trains.append(train)
        models.append(spread_parameters(build(folder, train, {"meta_paths": False, "ssl_tau": 0.2, **options})))
    old, new = models

    fields = (trains[0].uid_field, trains[0].iid_field, trains[0].vlogger_field)
    to = []  # old internal id → new internal id
    for field, names_to in zip(fields, maps, strict=True):
        tokens = trains[0].field2id_token[field][1:]
        to.append(torch.tensor([0, *(trains[1].token2id(field, names_to[t]) for t in tokens)]))
        assert not torch.equal(to[-1], torch.arange(len(to[-1])))
    assert {(int(to[0][u]), int(to[1][v])) for u, v in training_edges(trains[0])} == set(training_edges(trains[1]))

    new.load_state_dict(old.state_dict())
    tables = ("user_embedding", "item_embedding", "vlogger_embedding")
    with torch.no_grad():
        for table, ids in zip(tables, to, strict=True):
            if getattr(old, table) is not None:
                getattr(new, table).weight[ids] = getattr(old, table).weight
    scores = [(users @ items.T).numpy() for users, items in (old.vectors(), new.vectors())]
    np.testing.assert_allclose(scores[1][to[0]][:, to[1]], scores[0], rtol=1e-10, atol=1e-10)

    batch = random_batch(trains[0], seed)
    ids = (batch.users, batch.pos, batch.neg, batch.aux_users, batch.aux_pos, batch.aux_neg)
    moved = Batch(*(to[i][torch.tensor(x)].tolist() for i, x in zip((0, 1, 1, 0, 2, 2), ids, strict=True)))
    for one, other in zip(old.loss_terms(*tensors(batch)), new.loss_terms(*tensors(moved)), strict=True):
        assert other.item() == pytest.approx(one.item(), rel=1e-10)


# ------------------------------------------------------------------------------------- variants


def model_and_loader(folder: Path, options: dict[str, Any]) -> tuple[VAGNN, Any]:
    config, loaders = load_loaders(folder, {**SMALL, **options})
    torch.manual_seed(1)
    return registry.model_class("VAGNN")(config, loaders[0].dataset), loaders[0]


@pytest.mark.parametrize("variant", [None, *variants("VAGNN")])
def test_every_parameter_of_every_variant_gets_a_gradient_and_is_trained(data: Data, variant: str | None) -> None:
    model, loader = model_and_loader(data[0], {"variant": variant})
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = sum(model.calculate_loss(next(iter(loader))))
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
        assert not torch.equal(parameter, before[name]), name
    assert torch.isfinite(model.vectors()[0] @ model.vectors()[1].T).all()


def variant_model(data: Data, variant: str) -> VAGNN:
    model = build(data[0], data[1], {"variant": variant})
    return spread_parameters(model)


def vectors_and_parts(model: VAGNN) -> tuple[Tensor, Tensor, Tensor]:
    """Served item vectors, and their video and vlogger parts."""
    on = [view for view in model.forward() if view is not None]
    v, p = (torch.cat([getattr(view, name) for view in on], dim=1) for name in ("videos", "vloggers"))
    return model.vectors()[1], v.detach(), p[model.vlogger_of].detach()


@pytest.mark.parametrize(
    ("variant", "weight"),
    [("no_adaptive_weight", 0.5), ("video_score_only", 1.0), ("vlogger_score_only", 0.0), ("vlogger_free", 1.0)],
)
def test_variants_of_the_score_fix_the_weight_of_the_video(data: Data, variant: str, weight: float) -> None:
    model = variant_model(data, variant)
    x, v, p = vectors_and_parts(model)
    known = model.vlogger_of > 0
    torch.testing.assert_close(x[known], (weight * v + (1 - weight) * p)[known])
    torch.testing.assert_close(x[~known], v[~known])
    assert not torch.allclose(v[known], p[known])
    assert model.mix_matrix is None


def test_no_vlogger_view_has_no_vlogger_embedding_and_keeps_the_mean_of_videos(data: Data) -> None:
    model = variant_model(data, "no_vlogger_view")
    assert model.vlogger_embedding is None
    assert len(model.heads) == 0
    first, second = model.forward()
    assert second is None
    assert model.vectors()[0].shape[1] == SMALL["embedding_size"]
    owner = int(model.vlogger_of[model.vlogger_of > 0][0])
    mean = first.videos[model.vlogger_of == owner].mean(0)
    torch.testing.assert_close(first.vloggers[owner], mean / mean.norm())
    assert model.loss_terms(*tensors(random_batch(data[1], 0)))[2].item() == 0
    logit = torch.einsum("vi,ij,vj->v", first.videos, model.mix_matrix, first.vloggers[model.vlogger_of])
    w = torch.where(model.vlogger_of > 0, torch.sigmoid(logit), 1.0).unsqueeze(1)
    torch.testing.assert_close(model.vectors()[1], (w * first.videos + (1 - w) * first.vloggers[model.vlogger_of]).data)


def test_no_video_view_has_no_video_embedding_and_scores_through_the_vlogger_graph(data: Data) -> None:
    model = variant_model(data, "no_video_view")
    assert model.item_embedding is None
    assert len(model.heads) == 0
    first, second = model.forward()
    assert first is None
    logit = torch.einsum("vi,ij,vj->v", second.videos, model.mix_matrix, second.vloggers[model.vlogger_of])
    w = torch.where(model.vlogger_of > 0, torch.sigmoid(logit), 1.0).unsqueeze(1)
    want = w * second.videos + (1 - w) * second.vloggers[model.vlogger_of]
    torch.testing.assert_close(model.vectors()[1], want.data)
    assert model.loss_terms(*tensors(random_batch(data[1], 0)))[2].item() == 0


def test_no_contrast_costs_and_holds_nothing_of_the_contrast(data: Data) -> None:
    model = variant_model(data, "no_contrast")
    assert len(model.heads) == 0
    assert model.loss_terms(*tensors(random_batch(data[1], 0)))[2].item() == 0
    full = spread_parameters(build(data[0], data[1]))
    assert full.loss_terms(*tensors(random_batch(data[1], 0)))[2].item() > 0


def test_no_projection_heads_contrasts_the_views_themselves(data: Data) -> None:
    model = variant_model(data, "no_projection_heads")
    assert len(model.heads) == 0
    batch = random_batch(data[1], 0)
    first, second = model.forward()
    owners = [int(model.vlogger_of[v]) for v in batch.pos]
    want = 0.0
    for ids, one, two in zip((batch.users, batch.pos, [a for a in owners if a]), first, second, strict=True):
        nodes = sorted(set(ids))
        cosine = torch.nn.functional.cosine_similarity(one[nodes].unsqueeze(1), two[nodes].unsqueeze(0), dim=2)
        want += torch.nn.functional.cross_entropy(cosine / 0.05, torch.arange(len(nodes))).item() / 3
    assert model.loss_terms(*tensors(batch))[2].item() == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize(("variant", "without"), [("no_auxiliary", 1), ("no_contrast", 2), (None, None)])
def test_calculate_loss_leaves_out_what_the_variant_leaves_out(data: Data, variant: str, without: int | None) -> None:
    model = spread_parameters(build(data[0], data[1], {"variant": variant}))
    terms = model.calculate_loss(interaction(model, random_batch(data[1], 0)))
    assert len(terms) == len(VAGNN.loss_names)
    assert [i for i, term in enumerate(terms) if term.item() == 0] == ([] if without is None else [without])


@pytest.mark.parametrize("variant", ["no_meta_paths", "vlogger_free"])
def test_no_meta_paths_propagates_over_the_training_graph(data: Data, variant: str) -> None:
    train = data[1]
    plain = train.interactions(), train.interactions() @ train.creators()
    assert same(build(data[0], train, {"variant": variant}).augmented_graphs(), plain)
    assert not same(build(data[0], train, {"walk_prob": 1.0}).augmented_graphs(), plain)


def test_as_published_draws_unseen_vloggers_and_contrasts_repeats(larger: Data) -> None:
    model, loader = model_and_loader(larger[0], {"variant": "as_published", "train_batch_size": 4096})
    assert model.options.contrast_nodes == "batch"
    train = larger[1]
    owner = train.vlogger_of_item
    seen = {(u, int(owner[v])) for u, v in training_edges(train)} - {(u, 0) for u in range(train.user_num)}
    batch = next(iter(loader))
    pairs = zip(batch[model.USER_ID].tolist(), batch[model.NEG_ITEM_ID].tolist(), strict=True)
    every = {int(a) for a in owner if a}
    drawn = [(u, int(owner[v])) for u, v in pairs]
    assert len(drawn) > 200
    assert not [pair for pair in drawn if pair in seen and {a for u, a in seen if u == pair[0]} != every]


# ------------------------------------------------------------------------------------- LightGCN


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_vlogger_free_equals_recboles_lightgcn(data: Data, n_layers: int) -> None:
    options = {"embedding_size": 8, "n_layers": n_layers, "reg_weight": 0.0}
    ours = build(data[0], data[1], {**options, "variant": "vlogger_free"}).eval()
    config, splits = load_splits(data[0], options, model="LightGCN")
    theirs = registry.model_class("LightGCN")(config, splits[0]).eval()
    assert type(theirs).__module__ == "recbole.model.general_recommender.lightgcn"
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in theirs.named_parameters()}
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            ours.get_parameter(name).copy_(parameter)
    every = Interaction({ours.USER_ID: torch.arange(ours.n_users)})
    with torch.no_grad():
        want = theirs.full_sort_predict(every).view(ours.n_users, -1)
    got = ours.full_sort_predict(every).view(ours.n_users, -1)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert want.abs().max() > 0.1

    batch = random_batch(data[1], 0)
    losses = [sum(ours.calculate_loss(interaction(ours, batch))), theirs.calculate_loss(interaction(ours, batch))]
    for loss in losses:
        loss.backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-6)


# --------------------------------------------------------------------------- cache, copies, AMP


def fresh_scores(model: VAGNN) -> Tensor:
    """Scores of a copy that has no cache."""
    users, items = copy.deepcopy(model).vectors()
    return users @ items.T


def scores(model: VAGNN) -> Tensor:
    users, items = model.vectors()
    return users @ items.T


def change_by_step(model: VAGNN, data: Data, optimizer: type[torch.optim.Optimizer]) -> None:
    sum(model.calculate_loss(interaction(model, random_batch(data[1], 0)))).backward()
    optimizer(model.parameters(), lr=0.1).step()


def change_by_loading(model: VAGNN, data: Data) -> None:
    model.load_state_dict({k: v + 1 if v.is_floating_point() else v for k, v in model.state_dict().items()})


CHANGES: dict[str, Callable[[VAGNN, Data], None]] = {
    "Adam": lambda model, data: change_by_step(model, data, torch.optim.Adam),
    "SGD": lambda model, data: change_by_step(model, data, torch.optim.SGD),
    "load_state_dict": change_by_loading,
    "one parameter in place": lambda model, data: model.mix_matrix.detach().add_(3.0),
    "double": lambda model, data: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_vectors_are_kept_until_a_parameter_changes(data: Data, change: str) -> None:
    model = build(data[0], data[1]).eval()
    before = model.vectors()
    assert all(a is b for a, b in zip(before, model.vectors(), strict=True))
    assert not any(x.requires_grad for x in before)
    old = scores(model).double()
    CHANGES[change](model, data)
    torch.testing.assert_close(scores(model), fresh_scores(model), rtol=0, atol=0)
    if change == "double":
        assert model.vectors()[0].dtype == torch.float64
    else:
        assert (scores(model).double() - old).abs().max() > 1e-3


def test_vectors_notice_a_redraw_of_the_meta_paths(larger: Data) -> None:
    model = build(larger[0], larger[1], {"redraw_meta_paths": True}).eval()
    old = scores(model)
    model.begin_epoch(1)
    assert not torch.equal(scores(model), old)
    torch.testing.assert_close(scores(model), fresh_scores(model), rtol=0, atol=0)


def test_copies_and_pickles_score_the_same(data: Data) -> None:
    model = build(data[0], data[1]).eval()
    want = scores(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(scores(twin), want, rtol=0, atol=0)


@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_losses_under_autocast_are_those_in_full_precision(larger: Data, tau: float) -> None:
    model = build(larger[0], larger[1], {"embedding_size": 32, "head_size": 16, "ssl_tau": tau}).eval()
    batch = tensors(random_batch(larger[1], 0, size=60))
    full = model.loss_terms(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.loss_terms(*batch)
    sum(mixed).backward()
    assert [term.item() for term in mixed] == [term.item() for term in full]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


# ---------------------------------------------------------------------------- randomness, seeds


def test_a_checkpoint_restores_the_graph_of_its_epoch(larger: Data) -> None:
    model = build(larger[0], larger[1], {"redraw_meta_paths": True})
    start = model.augmented_graphs()
    model.begin_epoch(3)
    assert not same(model.augmented_graphs(), start)
    assert model.state_dict()["walk_epoch"].item() == 3
    other = build(larger[0], larger[1], {"redraw_meta_paths": True})
    other.vectors()
    other.load_state_dict(model.state_dict())
    assert same(other.augmented_graphs(), model.augmented_graphs())
    torch.testing.assert_close(scores(other), scores(model), rtol=0, atol=0)


def test_meta_paths_are_drawn_once_unless_asked_otherwise(larger: Data) -> None:
    model = build(larger[0], larger[1])
    start = model.augmented_graphs()
    model.begin_epoch(3)
    assert same(model.augmented_graphs(), start)
    redrawn = build(larger[0], larger[1], {"redraw_meta_paths": True})
    assert same(redrawn.augmented_graphs(), start)  # epoch 0 is the draw of the published setting


def seeded(data: Data, seed: int, **options: Any) -> VAGNN:
    init_seed(seed, True)
    return VAGNN(make_config(data[0], {**SMALL, "seed": seed, **options}), data[1])


def fingerprint(model: VAGNN) -> tuple[list[Tensor], tuple[Any, ...], list[int]]:
    parameters = [p.detach() for p in model.parameters()]
    return parameters, model.augmented_graphs(), np.concatenate(model._auxiliary.sample(100)).tolist()


def test_a_seed_fixes_parameters_walks_and_auxiliary_triples(larger: Data) -> None:
    one, two, other = (fingerprint(seeded(larger, seed)) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one[0], two[0], strict=True))
    assert not torch.equal(one[0][0], other[0][0])
    assert same(one[1], two[1])
    assert not same(one[1], other[1])
    assert one[2] == two[2]
    assert one[2] != other[2]


def test_the_walks_have_a_seed_of_their_own(larger: Data) -> None:
    one, other = (seeded(larger, seed, meta_path_seed=9).augmented_graphs() for seed in (5, 6))
    assert same(one, other)
    assert not same(one, seeded(larger, 5, meta_path_seed=10).augmented_graphs())


def test_the_walks_do_not_depend_on_numbers_drawn_elsewhere(larger: Data) -> None:
    model = build(larger[0], larger[1])
    before = model.augmented_graphs()
    torch.rand(7)
    np.random.rand(5)
    random.random()
    model._auxiliary.sample(13)
    assert same(model.augmented_graphs(), before)


def test_random_state_continues_the_auxiliary_triples(larger: Data) -> None:
    model, other = build(larger[0], larger[1]), build(larger[0], larger[1])
    model._auxiliary.sample(17)
    other.load_random_state(copy.deepcopy(model.random_state()))
    one, two = (np.concatenate(m._auxiliary.sample(50)) for m in (model, other))
    assert one.tolist() == two.tolist()


# ----------------------------------------------------------------------------- batches, options


@pytest.mark.parametrize("variant", variants("VAGNN"))
def test_a_batch_without_any_known_vlogger_trains(data: Data, variant: str) -> None:
    model = build(data[0], data[1], {"variant": variant}).train()
    unknown = [(u, v) for u, v in training_edges(data[1]) if model.vlogger_of[v] == 0]
    users, items = map(list, zip(*unknown, strict=True))
    loss = sum(model.calculate_loss(interaction(model, Batch(users, items, items[::-1], [], [], []))))
    loss.backward()
    assert torch.isfinite(loss)
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is None or torch.isfinite(g).all() for g in grads.values())
    assert grads["user_embedding.weight"].abs().sum() > 0


def test_a_batch_of_one_trains(data: Data) -> None:
    model = build(data[0], data[1]).train()
    loss = sum(model.calculate_loss(interaction(model, Batch([1], [1], [2], [], [], []))))
    loss.backward()
    assert torch.isfinite(loss)


BAD = [
    ("embedding_size", 0),
    ("embedding_size", 2.5),
    ("embedding_size", True),
    ("head_size", 0),
    ("n_layers", -1),
    ("n_layers", 1.5),
    ("reg_weight", -1e-4),
    ("aux_weight", -1),
    ("aux_weight", "5"),
    ("ssl_weight", "0.1"),
    ("ssl_weight", float("nan")),
    ("ssl_tau", 0),
    ("ssl_tau", -0.1),
    ("ssl_tau", float("nan")),
    ("walk_prob", 1.1),
    ("walk_prob", -0.1),
    ("user_hop_prob", 2),
    ("head_dropout", -0.5),
    ("head_dropout", 1.5),
    ("meta_path_seed", -1),
    ("meta_path_seed", 0.5),
    ("meta_paths", "yes"),
    ("redraw_meta_paths", 1),
    ("projection_heads", "False"),
    ("mix", "half"),
    ("views", "none"),
    ("contrast_nodes", "all"),
    ("aux_pairs", "likes"),
    ("aux_user_sampling", "item"),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_option_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"`{key}`"):
        VAGNNOptions.from_config({key: value}.get)


def test_a_bad_option_in_the_configuration_is_refused_by_name(data: Data) -> None:
    with pytest.raises(InputError, match="`mix`"):
        build(data[0], data[1], {"mix": "half"})


def test_redrawing_what_is_switched_off_is_refused() -> None:
    with pytest.raises(InputError, match="redraw_meta_paths"):
        VAGNNOptions(redraw_meta_paths=True, meta_paths=False)


def test_follow_pairs_without_a_follow_file_are_refused(data: Data) -> None:
    with pytest.raises(InputError, match=r"toy\.follow"):
        build(data[0], data[1], {"aux_pairs": "follow"})


def test_videos_without_any_creator_are_refused(tmp_path: Path) -> None:
    inter, item = random_rows(5, 6, 9, 3, (3, 5))
    write_dataset(tmp_path, inter, [[v, ""] for v, _ in item])
    config, splits = load_splits(tmp_path, SMALL)
    with pytest.raises(InputError, match="vlogger"):
        VAGNN(config, splits[0])


def test_auxiliary_task_uses_the_follow_file_unless_told_otherwise(tmp_path: Path) -> None:
    folder, train, _ = training_split(tmp_path, "follow")
    follow = set(zip(train.follow.users.tolist(), train.follow.vloggers.tolist(), strict=True))
    owner = train.vlogger_of_item
    support = {(u, int(owner[v])) for u, v in training_edges(train) if owner[v]}
    for source, want in (("auto", follow), ("follow", follow), ("interactions", support)):
        users, positives, negatives = build(folder, train, {"aux_pairs": source})._auxiliary.sample(4000)
        assert set(zip(users.tolist(), positives.tolist(), strict=True)) == want
        assert not want & set(zip(users.tolist(), negatives.tolist(), strict=True))
