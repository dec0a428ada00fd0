"""The creator-equalised controls: dense equations, limits, unknown vloggers, a hand-worked ranking, whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn import registry
from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.simgcl import SimGCLOptions
from recbole_vagnn.models.tripartite_lightgcn import TripartiteLightGCNOptions
from recbole_vagnn.runner import run
from tests.helpers import load_splits, make_config, write_dataset
from tests.models.cases import random_rows
from tests.models.dense import (
    SETTINGS,
    SMALL,
    Data,
    all_scores,
    assert_directional_derivative,
    assert_loss_and_gradients_are_dense,
    assert_order_is_immaterial,
    assert_padding_is_inert,
    bpr,
    build,
    dense_scores,
    interaction,
    node_types,
    random_triples,
    split_of,
    spread,
)
from tests.runs import numbers, run_toy, write_toy

CONTRAST: dict[str, Any] = {"eps": 0.3, "ssl_weight": 0.7, "reg_weight": 0.1}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "tripartite LightGCN": ("TripartiteLightGCN", {"reg_weight": 0.1}),
    "tripartite LightGCN +C": ("TripartiteLightGCN", {"reg_weight": 0.1, "score": "video_and_vlogger"}),
    "tripartite SimGCL": ("TripartiteSimGCL", CONTRAST),
    "item + vlogger": ("SimGCLVlogger", CONTRAST),
}
each_case = pytest.mark.parametrize("case", CASES)


def control(case: str, data: Data, **options: Any) -> Any:
    name, own = CASES[case]
    return spread(build(name, *data, {**own, **options}))


# ------------------------------------------------------------------------- graph models


@each_case
@pytest.mark.parametrize("n_layers", [1, 3])
def test_scores_equal_the_dense_computation(data: Data, case: str, n_layers: int) -> None:
    model = control(case, data, n_layers=n_layers)
    want = dense_scores(CASES[case][0], model, data[1])
    torch.testing.assert_close(all_scores(model), want, rtol=1e-10, atol=1e-12)
    pairs = interaction(model, random_triples(data[1]))
    torch.testing.assert_close(model.predict(pairs), want[pairs[model.USER_ID], pairs[model.ITEM_ID]])


@each_case
@pytest.mark.parametrize("n_layers", [1, 2])
def test_every_term_and_gradient_equals_the_dense_computation(data: Data, case: str, n_layers: int) -> None:
    model = control(case, data, n_layers=n_layers)
    assert_loss_and_gradients_are_dense(CASES[case][0], model, data[1], random_triples(data[1]))


@each_case
def test_directional_derivative_of_the_loss_equals_its_gradient(data: Data, case: str) -> None:
    assert_directional_derivative(control(case, data), random_triples(data[1]))


@each_case
def test_padding_is_inert(data: Data, case: str) -> None:
    assert_padding_is_inert(control(case, data), random_triples(data[1]))


@each_case
def test_order_of_the_files_is_immaterial(tmp_path: Path, case: str) -> None:
    assert_order_is_immaterial(CASES[case][0], tmp_path, CASES[case][1])


@each_case
def test_items_without_any_creator_are_refused(tmp_path: Path, case: str) -> None:
    inter, item = random_rows(5, 6, 9, 3, (3, 5))
    train = split_of(tmp_path, inter, [[v, ""] for v, _ in item])
    with pytest.raises(InputError, match="vlogger"):
        build(CASES[case][0], tmp_path, train)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The only known vlogger made a video that nobody has seen."""
    folder = tmp_path_factory.mktemp("unknown")
    inter, item = random_rows(5, 9, 12, 3, (3, 6))
    return folder, split_of(folder, inter, [[v, "a" if v == "v_cold" else ""] for v, _ in item])


@pytest.mark.parametrize("score", ["video", "video_and_vlogger"])
@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_without_known_vloggers_tripartite_lightgcn_is_recboles_lightgcn(
    unknown: Data, score: str, n_layers: int
) -> None:
    ours = control("tripartite LightGCN", unknown, score=score, n_layers=n_layers)
    theirs = build("LightGCN", *unknown, {"n_layers": n_layers}).double()
    theirs.norm_adj_matrix = theirs.norm_adj_matrix.double()
    with torch.no_grad():
        for table in ("user_embedding", "item_embedding"):
            getattr(theirs, table).weight.copy_(getattr(ours, table).weight)
        users, items = theirs.forward()
    cold = unknown[1].token2id(unknown[1].iid_field, "v_cold")
    rest = [v for v in range(ours.n_items) if v != cold]
    torch.testing.assert_close(all_scores(ours)[:, rest], (users @ items.T)[:, rest], rtol=1e-5, atol=1e-6)
    u, v, w = random_triples(unknown[1])
    w = torch.where(w == cold, v, w)
    assert ours.loss_terms(u, v, w)[0].item() == pytest.approx(bpr(users[u], items[v], items[w]).item(), rel=1e-5)


@pytest.mark.parametrize("case", ["tripartite SimGCL", "item + vlogger"])
def test_without_known_vloggers_the_others_are_simgcl(unknown: Data, case: str) -> None:
    ours = control(case, unknown, eps=0.0)
    plain = build("SimGCL", *unknown, {**CONTRAST, "eps": 0.0}).double()
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(ours.get_parameter(name))
    cold = unknown[1].token2id(unknown[1].iid_field, "v_cold")
    rest = [v for v in range(ours.n_items) if v != cold]
    torch.testing.assert_close(all_scores(ours)[:, rest], all_scores(plain)[:, rest])
    u, v, w = random_triples(unknown[1])
    triples = (u, v, torch.where(w == cold, v, w))
    for one, other in zip(ours.loss_terms(*triples), plain.loss_terms(*triples), strict=True):
        torch.testing.assert_close(one, other)


def test_plus_c_adds_the_known_vlogger_and_nothing_else(data: Data) -> None:
    plain, plus = (control(case, data) for case in ("tripartite LightGCN", "tripartite LightGCN +C"))
    gain = all_scores(plus) - all_scores(plain)
    known = plus.vlogger_of > 0
    assert gain[:, ~known].abs().max() == 0
    assert gain[:, known].abs().max() > 0.1
    one, two = (int(v) for v in torch.nonzero(plus.vlogger_of == plus.vlogger_of[known].mode().values).flatten()[:2])
    torch.testing.assert_close(gain[:, one], gain[:, two])  # videos of one vlogger gain alike


def test_a_vlogger_moves_the_input_of_its_own_videos_alone(data: Data) -> None:
    model = control("item + vlogger", data)
    before = model.layer_zero().detach().clone()
    with torch.no_grad():
        model.vlogger_embedding.weight[2] += 1
    moved = (model.layer_zero() - before).abs().sum(1) > 0
    want = torch.cat([torch.zeros(model.n_users, dtype=torch.bool), model.vlogger_of == 2])
    assert want.any()
    assert torch.equal(moved, want)


def test_the_tripartite_contrast_has_the_known_vloggers_of_the_positives(data: Data) -> None:
    model, (users, positives, _) = control("tripartite SimGCL", data), random_triples(data[1])
    found = [ids.tolist() for ids in model.contrast_nodes(users, positives)]
    assert found == node_types("TripartiteSimGCL", data[1], users, positives)
    assert len(found) == 3


@pytest.mark.parametrize("case", ["tripartite SimGCL", "tripartite LightGCN +C", "item + vlogger"])
def test_a_batch_without_any_known_vlogger_trains(data: Data, case: str) -> None:
    model = control(case, data)
    users, positives, _ = random_triples(data[1])
    keep = model.vlogger_of[positives] == 0
    items = positives[keep]
    terms = model.loss_terms(users[keep], items, items.flip(0))
    sum(terms).backward()
    assert all(torch.isfinite(term) for term in terms)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_initial_embeddings_are_those_of_the_papers(tmp_path: Path) -> None:
    folder = write_toy(tmp_path, users=300, items=200, vloggers=80)
    train = load_splits(folder, SMALL, "SimGCL")[1][0]
    wide = {"embedding_size": 64}
    for table in build("TripartiteLightGCN", folder, train, wide).parameters():
        assert table.std().item() == pytest.approx(0.1, rel=0.05)
        assert table.abs().max() > 0.25
    for table in build("TripartiteSimGCL", folder, train, wide).parameters():
        bound = (6 / sum(table.shape)) ** 0.5
        assert 0.99 * bound < table.abs().max() <= bound


# --------------------------------------------------------------------- popularity within vloggers

HISTORIES = {  # in time order; the last two are held out
    "u1": ["a1", "a2", "b1", "n1", "b2", "a3"],
    "u2": ["b1", "b2", "b3", "n1", "n2", "a1", "a2"],
    "u3": ["n1", "n2", "b1", "a3", "b2"],
    "u4": ["n1", "b1", "a3", "b2"],
}
ITEMS = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B", "b3": "B", "n1": "", "n2": ""}
# Training counts: a1 1, a2 1, a3 0, b1 4, b2 1, n1 4, n2 2: ranks 1, 1, 0, 3, 1, 3, 2 of four different values.
# S: u1 (A 2, B 1), u2 (B 3), u3 (B 1), u4 (B 1): ranks 1, 2, 3. Score = 4 × rank of S + rank of the count.
WANT = {
    "u1": {"a1": 9, "a2": 9, "a3": 8, "b1": 7, "b2": 5, "n1": 3, "n2": 2},
    "u2": {"a1": 1, "a2": 1, "a3": 0, "b1": 15, "b2": 13, "n1": 3, "n2": 2},
    "u3": {"a1": 1, "a2": 1, "a3": 0, "b1": 7, "b2": 5, "n1": 3, "n2": 2},
}


def test_vlogger_pop_ranks_the_hand_worked_example(tmp_path: Path) -> None:
    inter = [[u, v, t] for u, history in HISTORIES.items() for t, v in enumerate(history)]
    folder = write_dataset(tmp_path, inter, list(ITEMS.items()))
    config, splits = load_splits(folder, {"topk": [5], "valid_metric": "Recall@5"}, "VloggerPop")
    model = registry.model_class("VloggerPop")(config, splits[0])
    users = torch.tensor([splits[0].token2id("user_id", u) for u in WANT])
    items = torch.tensor([splits[0].token2id("item_id", v) for v in WANT["u1"]])
    want = torch.tensor([list(row.values()) for row in WANT.values()], dtype=torch.float32)
    scores = model.full_sort_predict(Interaction({"user_id": users}))
    assert scores.shape == (3, 9)
    torch.testing.assert_close(scores[:, items], want, rtol=0, atol=0)
    pairs = Interaction({"user_id": users.repeat_interleave(7), "item_id": items.repeat(3)})
    torch.testing.assert_close(model.predict(pairs), want.flatten(), rtol=0, atol=0)


def test_popularity_never_outweighs_one_interaction_with_the_vlogger(tmp_path: Path) -> None:
    inter = [[f"u{u}", "hit", 0] for u in range(3000)] + [["x", "mine", 0], ["x", "late", 1], ["x", "last", 2]]
    items = [["hit", "star"], ["mine", "own"], ["late", "own"], ["last", ""]]
    folder = write_dataset(tmp_path, inter, items)
    config, splits = load_splits(folder, {"topk": [2], "valid_metric": "Recall@2"}, "VloggerPop")
    model = registry.model_class("VloggerPop")(config, splits[0])
    names = splits[0].field2id_token["item_id"].tolist()
    score = model.full_sort_predict(Interaction({"user_id": torch.tensor([splits[0].token2id("user_id", "x")])}))[0]
    ranking = [names[i] for i in score.argsort(descending=True).tolist() if i]
    assert ranking == ["mine", "late", "hit", "last"]


# ------------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize("name", ["TripartiteLightGCN", "TripartiteSimGCL", "SimGCLVlogger"])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, name: str) -> None:
    folder = write_toy(tmp_path)
    short = run_toy(folder, {"epochs": 1}, name)
    longer = run(options={"epochs": 3}, resume=short.checkpoint, quiet=True)
    assert numbers(longer) == numbers(run_toy(folder, {"epochs": 3}, name))


def test_vlogger_pop_runs_and_its_checkpoint_evaluates_to_the_same(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    result = run_toy(folder, {"eval_step": 3}, "VloggerPop")
    assert result.epochs == 1
    assert result.history[0]["losses"] == {"loss": 0.0}
    assert max(result.test.values()) > 0
    assert numbers(run(resume=result.checkpoint, quiet=True)) == numbers(result)


# --------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("TripartiteLightGCN", TripartiteLightGCNOptions()),
        ("TripartiteSimGCL", SimGCLOptions()),
        ("SimGCLVlogger", SimGCLOptions()),
    ],
)
def test_defaults_of_the_file_are_those_of_the_options(name: str, options: Any) -> None:
    file = read_yaml(property_file("model", name))
    assert {key: file[key] for key in vars(options)} == vars(options)


@pytest.mark.parametrize("name", [*SETTINGS, "VloggerPop"])
def test_every_option_of_the_file_has_a_comment(name: str) -> None:
    lines = property_file("model", name).read_text("utf-8").splitlines()
    options = [line for line in lines if line and not line.startswith("#")]
    assert options
    assert all("# (" in line and len(line) <= 120 for line in options)


def test_an_unknown_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`score`"):
        TripartiteLightGCNOptions.from_config({"score": "vlogger"}.get)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown option 'eps'"):
        make_config(tmp_path, {"eps": 0.1}, "TripartiteLightGCN")
