"""Creator-augmented EASE and ItemKNN: RecBole's own results at weight 0, dense solves, decay, limits, whole runs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn import registry
from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.creator_ease import CreatorEASE, CreatorEASEOptions
from recbole_vagnn.models.creator_item_knn import CreatorItemKNNOptions
from tests.helpers import make_config
from tests.models.cases import RANDOM_SPLIT, training_edges
from tests.models.dense import Data, interaction, random_triples
from tests.runs import run_toy, write_toy

OPTIONS = {"CreatorEASE": CreatorEASEOptions, "CreatorItemKNN": CreatorItemKNNOptions}
each_model = pytest.mark.parametrize("name", OPTIONS)
# ours, RecBole's, options, by how much scores may differ: the matrix of EASE is inverted in another way
SETTINGS: list[tuple[str, str, dict[str, Any], float]] = [
    ("CreatorEASE", "EASE", {"reg_weight": 3.0}, 1e-6),
    ("CreatorItemKNN", "ItemKNN", {"k": 4, "shrink": 0.0}, 0),
    ("CreatorItemKNN", "ItemKNN", {"k": 100, "shrink": 2.0}, 0),
]


def build(name: str, folder: Path, train: Any, options: dict[str, Any] | None = None) -> Any:
    return registry.model_class(name)(make_config(folder, options, name), train)


def all_scores(model: Any) -> torch.Tensor:
    users = torch.arange(model.n_users)
    return model.full_sort_predict(Interaction({model.USER_ID: users})).view(model.n_users, model.n_items)


def dense_rows(data: Data) -> np.ndarray:
    rows = np.zeros((data[1].user_num, data[1].item_num))
    for u, v in training_edges(data[1]):
        rows[u, v] = 1
    return rows


def same_creator(data: Data) -> np.ndarray:
    """1 for two items of one known creator, the diagonal included."""
    owner = data[1].vlogger_of_item
    return ((owner[:, None] == owner[None, :]) & (owner[:, None] > 0)).astype(float)


@pytest.mark.parametrize(("ours", "theirs", "options", "rounding"), SETTINGS)
def test_without_creators_scores_are_recboles(
    data: Data, ours: str, theirs: str, options: dict[str, Any], rounding: float
) -> None:
    model = build(ours, *data, {**options, "creator_weight": 0.0})
    want = all_scores(build(theirs, *data, options))
    torch.testing.assert_close(all_scores(model), want.to(torch.float32), rtol=0, atol=rounding)
    assert want.abs().sum() > 0


@pytest.mark.parametrize("weight", [0.3, 5.0])
def test_ease_is_the_constrained_least_squares_solution(data: Data, weight: float) -> None:
    """Each column by itself: ordinary ridge regression of an item on all the others, creators as extra rows."""
    model = build("CreatorEASE", *data, {"reg_weight": 2.0, "creator_weight": weight})
    rows, owner = dense_rows(data), data[1].vlogger_of_item
    creators = np.stack([(owner == p).astype(float) for p in range(1, data[1].vlogger_num)])
    stacked = np.vstack([rows, np.sqrt(weight) * creators])
    want = np.zeros((model.n_items, model.n_items))
    for j in range(model.n_items):
        others = np.delete(np.arange(model.n_items), j)
        left = stacked[:, others]
        want[others, j] = np.linalg.solve(left.T @ left + 2.0 * np.eye(len(others)), left.T @ stacked[:, j])
    np.testing.assert_allclose(model._weights, want, atol=2e-5)
    np.testing.assert_allclose(all_scores(model).numpy(), rows @ want, atol=1e-4)
    assert not np.diag(model._weights).any()


@pytest.mark.parametrize(("k", "shrink"), [(100, 0.0), (100, 3.0), (3, 0.0)])
def test_item_knn_counts_a_common_creator_as_common_users(data: Data, k: int, shrink: float) -> None:
    weight = 0.7
    model = build("CreatorItemKNN", *data, {"k": k, "shrink": shrink, "creator_weight": weight})
    rows, same = dense_rows(data), same_creator(data)
    common = rows.T @ rows + weight * same
    root = np.sqrt(np.diag(common))
    want = common / (np.outer(root, root) + shrink + 1e-6)
    np.fill_diagonal(want, 0)
    for column in want.T:
        column[np.argsort(-column)[k:]] = 0
    found = model._weights.toarray()
    # Which of several equal neighbours is kept is RecBole's affair.
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(want, axis=0), rtol=1e-5, atol=1e-6)
    if k == 100:
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


@each_model
def test_decay_weighs_a_users_items_by_their_place_from_the_last(data: Data, name: str) -> None:
    plain, decayed = (build(name, *data, {"recency_decay": decay}) for decay in (1.0, 0.5))
    weights = plain._weights.toarray() if name == "CreatorItemKNN" else plain._weights
    train = data[1]
    users, items = (train.inter_feat[f].tolist() for f in (train.uid_field, train.iid_field))
    rows = np.zeros((train.user_num, train.item_num))
    for u in set(users):
        seen = [v for w, v in zip(users, items, strict=True) if w == u][::-1]
        share = [0.5**j for j in range(len(seen))]
        rows[u, seen] = np.array(share) / sum(share)
    np.testing.assert_allclose(all_scores(decayed).numpy(), rows @ weights, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(all_scores(decayed), all_scores(plain))


@each_model
def test_a_random_split_has_no_last_item_and_nothing_decays(data: Data, name: str) -> None:
    plain, decayed = (build(name, *data, {**RANDOM_SPLIT, "recency_decay": decay}) for decay in (1.0, 0.5))
    torch.testing.assert_close(all_scores(decayed), all_scores(plain), rtol=0, atol=0)


@each_model
def test_pairs_score_as_in_the_full_ranking(data: Data, name: str) -> None:
    model = build(name, *data)
    pairs = interaction(model, random_triples(data[1]))
    want = all_scores(model)[pairs[model.USER_ID], pairs[model.ITEM_ID]]
    torch.testing.assert_close(model.predict(pairs), want)


def test_too_many_items_for_a_dense_matrix_are_refused_with_their_size(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("CreatorEASE", *data, {"memory_limit_mb": 1})
    with pytest.raises(
        InputError, match=r"about 382 MiB for a dense 10,000 × 10,000 matrix, and `memory_limit_mb` is 1\."
    ):
        model._check_memory(10_000)
    monkeypatch.setattr(CreatorEASE, "_check_memory", refuse)
    with pytest.raises(InputError, match="refused"):
        build("CreatorEASE", *data)


def refuse(model: Any, n_items: int) -> None:
    raise InputError(f"refused {n_items} items of {type(model).__name__}")


@each_model
def test_a_whole_run_ranks(tmp_path: Path, name: str) -> None:
    folder = write_toy(tmp_path)
    result = run_toy(folder, {"recency_decay": 0.8}, name)
    assert 0 < result.test["recall@10"] <= 1


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("CreatorEASE", "reg_weight", 0.0),
        ("CreatorEASE", "memory_limit_mb", 0),
        ("CreatorEASE", "creator_weight", -1.0),
        ("CreatorItemKNN", "k", 0),
        ("CreatorItemKNN", "recency_decay", 0.0),
        ("CreatorItemKNN", "shrink", -1.0),
    ],
)
def test_a_bad_option_is_refused(name: str, option: str, value: Any) -> None:
    with pytest.raises(InputError, match=option):
        OPTIONS[name](**{option: value})


@each_model
def test_the_option_file_has_every_option_and_the_defaults_of_the_code(name: str) -> None:
    path = property_file("model", name)
    assert path is not None
    written = {key: value for key, value in read_yaml(path).items() if key != "train_neg_sample_args"}
    assert written == {field.name: field.default for field in fields(OPTIONS[name])}
