"""``mask_valid_at_test``: what a test ranking leaves out, against an evaluation by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.utils import get_trainer

from recbole_vagnn import InputError, registry
from recbole_vagnn.config import known_keys
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.masking import sampler_for_test
from tests.helpers import load_loaders, make_config
from tests.runs import numbers, options_for, run_toy, write_toy

Histories = dict[str, list[str]]
CUTOFFS = (5, 10)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def histories(data_path: Path) -> Histories:
    """Items of each user, oldest first, read from the raw file."""
    rows = [line.split("\t") for line in (data_path / "toy" / "toy.inter").read_text().splitlines()[1:]]
    rows.sort(key=lambda row: int(row[2]))
    users: Histories = {}
    for user, item, _ in rows:
        users.setdefault(user, []).append(item)
    return users


def options(mask: bool, **more: Any) -> dict[str, Any]:
    return {"mask_valid_at_test": mask, **more}


def random_model(data_path: Path, given: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Configuration, loaders and an untrained model whose scores differ widely."""
    config, loaders = load_loaders(data_path, options_for(data_path, given))
    torch.manual_seed(3)
    model = registry.model_class("VAGNN")(config, loaders[0]._dataset)
    return config, loaders, model


def scores_by_token(model: Any, dataset: Any) -> dict[str, dict[str, float]]:
    """The model's score of every user and item, in original ids."""
    model.eval()
    users = torch.arange(1, dataset.user_num)
    with torch.no_grad():
        dense = model.full_sort_predict({"user_id": users}).view(len(users), -1)
    tokens = dataset.field2id_token
    return {
        tokens["user_id"][user]: {tokens["item_id"][item]: float(row[item]) for item in range(1, dataset.item_num)}
        for user, row in zip(users.tolist(), dense, strict=True)
    }


def rank(scores: dict[str, float], wanted: str, masked: list[str]) -> int:
    """Place of ``wanted`` among the items that are not masked, from 0."""
    return sum(score > scores[wanted] for item, score in scores.items() if item not in masked)


def metrics_of(ranks: list[int]) -> dict[str, float]:
    """Recall and NDCG of one held-out item a user."""
    result = {}
    for k in CUTOFFS:
        result[f"recall@{k}"] = sum(place < k for place in ranks) / len(ranks)
        result[f"ndcg@{k}"] = sum(1 / math.log2(place + 2) for place in ranks if place < k) / len(ranks)
    return result


@pytest.mark.parametrize("mask", [True, False])
def test_full_ranking_equals_a_dense_evaluation_by_hand(toy: Path, mask: bool) -> None:
    config, (train, valid, test), model = random_model(toy, options(mask))
    scores, users = scores_by_token(model, train._dataset), histories(toy)
    trainer = get_trainer(config["MODEL_TYPE"], "VAGNN")(config, model)
    trainer.eval_collector.data_collect(train)

    test_ranks = [rank(scores[u], seen[-1], seen[:-1] if mask else seen[:-2]) for u, seen in users.items()]
    result = trainer.evaluate(test, load_best_model=False)
    assert dict(result) == pytest.approx(metrics_of(test_ranks), abs=1e-12)

    valid_ranks = [rank(scores[u], seen[-2], seen[:-2]) for u, seen in users.items()]
    result = trainer.evaluate(valid, load_best_model=False)
    assert dict(result) == pytest.approx(metrics_of(valid_ranks), abs=1e-12)


def test_the_two_masks_differ_exactly_by_the_validation_item(toy: Path) -> None:
    """A user's rank falls by one where the validation item scores above the test item, and nowhere else."""
    recorded: list[dict[str, np.ndarray]] = []
    for mask in (True, False):
        given = options(mask, topk=[29], metrics=["MRR"], valid_metric="MRR@29")
        config, (train, _, test), model = random_model(toy, given)
        trainer = get_trainer(config["MODEL_TYPE"], "VAGNN")(config, model)
        trainer.eval_collector.data_collect(train)
        trainer.evaluate(test, load_best_model=False)
        recorded.append({"rank": 1 / trainer.evaluator.per_user["mrr@29"]})
    scores, users = scores_by_token(model, train._dataset), histories(toy)
    tokens = train._dataset.field2id_token["user_id"][test.uid_list.numpy()]
    above = np.array([scores[u][users[u][-2]] > scores[u][users[u][-1]] for u in tokens])
    assert 0 < above.sum() < len(above)
    np.testing.assert_allclose(recorded[1]["rank"] - recorded[0]["rank"], above.astype(float), atol=1e-9)


def drawn(loader: Any, rounds: int = 30) -> set[tuple[str, str]]:
    """Candidates of each user in original ids, positives left out."""
    tokens = loader._dataset.field2id_token
    found: set[tuple[str, str]] = set()
    for _ in range(rounds):
        for interaction, rows, positive_rows, positive_items in loader:
            positives = set(zip(positive_rows.tolist(), positive_items.tolist(), strict=True))
            users, items = interaction["user_id"].tolist(), interaction["item_id"].tolist()
            found |= {
                (tokens["user_id"][user], tokens["item_id"][item])
                for row, user, item in zip(rows.tolist(), users, items, strict=True)
                if (row, item) not in positives
            }
    return found


@pytest.mark.parametrize("mode", ["uni10", "pop10"])
@pytest.mark.parametrize("mask", [True, False])
def test_sampled_candidates_are_all_items_that_are_not_masked(toy: Path, mode: str, mask: bool) -> None:
    _, (_, valid, test) = load_loaders(toy, options_for(toy, options(mask, eval_args={"mode": mode})))
    items = {item for seen in histories(toy).values() for item in seen}
    allowed = {(u, i) for u, seen in histories(toy).items() for i in items if i not in seen}
    validation = {(u, seen[-2]) for u, seen in histories(toy).items()}
    np.random.seed(0)
    candidates = drawn(test)
    assert candidates == allowed | (set() if mask else validation)
    assert drawn(valid) == allowed | {(u, seen[-1]) for u, seen in histories(toy).items()}


def test_training_and_validation_are_untouched(toy: Path) -> None:
    masked, unmasked = (run_toy(toy, options(mask, epochs=3, eval_args={"mode": "uni10"})) for mask in (True, False))
    for part in ("losses", "valid", "best"):
        assert numbers(masked)[part] == numbers(unmasked)[part]
    assert masked.test != unmasked.test


def test_recboles_sampler_and_models_obey_too(toy: Path) -> None:
    for model, more in (("BPR", {"sampler": "recbole"}), ("LightGCN", {}), ("ItemKNN", {}), ("MultiVAE", {})):
        given = options_for(toy, options(False, **more))
        if "embedding_size" not in known_keys(model, "toy"):
            del given["embedding_size"]
        _, (_, _, test) = load_loaders(toy, given, model)
        tokens = test._dataset.field2id_token
        for user, seen in histories(toy).items():
            history = test.uid2history_item[tokens["user_id"].tolist().index(user)]
            assert {tokens["item_id"][item] for item in history} == set(seen[:-2])


def test_labelled_evaluation_masks_nothing_either_way(toy: Path) -> None:
    given = options(False, eval_args={"mode": "labeled"}, metrics=["AUC"], valid_metric="AUC")
    _, (_, _, test) = load_loaders(toy, {**options_for(toy, given), "LABEL_FIELD": "label"})
    assert test._sampler is None


# --- repeated pairs ---------------------------------------------------------------------------------------------


def split(pairs: list[tuple[int, int]], mask: bool) -> Any:
    users, items = np.array(pairs).T
    return SimpleNamespace(
        inter_feat={"user_id": users, "item_id": items},
        uid_field="user_id",
        iid_field="item_id",
        item_num=10,
        options=SimpleNamespace(mask_valid_at_test=mask),
        withheld=None,
    )


def sets(*users: set[int]) -> np.ndarray:
    made = np.empty(len(users), dtype=object)
    made[:] = users
    return made


def test_validation_items_that_are_training_or_test_items_too_stay_masked() -> None:
    """With ``rm_dup_inter: ~`` a pair may be in several splits; training items are masked, positives no candidates."""
    train, valid = split([(1, 1), (1, 2), (2, 1)], False), split([(1, 2), (1, 3), (1, 4), (2, 5)], False)
    test = split([(1, 4), (1, 6), (2, 7)], False)
    recbole = SimpleNamespace(used_ids=sets(set(), {1, 2, 3, 4, 6}, {1, 5, 7}), phase="test")
    made = sampler_for_test([train, valid, test], recbole)
    assert made.used_ids.tolist() == [set(), {1, 2, 4, 6}, {1, 7}]
    assert made.phase == "test"
    assert recbole.used_ids.tolist() == [set(), {1, 2, 3, 4, 6}, {1, 5, 7}]


@pytest.mark.parametrize(("mask", "left_out"), [(True, {1, 2, 4, 6}), (False, {1, 4, 6})])
def test_withheld_training_items_stay_left_out_unless_they_are_test_items(mask: bool, left_out: set[int]) -> None:
    train, valid, test = (split(pairs, mask) for pairs in ([(1, 1)], [(1, 2)], [(1, 3)]))
    train.withheld = np.array([[1, 1, 1], [4, 6, 3]])
    recbole = SimpleNamespace(used_ids=sets(set(), {1, 2}), phase="test")
    assert sampler_for_test([train, valid, test], recbole).used_ids.tolist() == [set(), left_out]
    assert recbole.used_ids.tolist() == [set(), {1, 2}]


def test_nothing_is_made_where_nothing_changes() -> None:
    recbole = SimpleNamespace(used_ids=sets(set(), {1, 2}))
    masked = [split([(1, 1)], True), split([(1, 2)], True), split([(1, 3)], True)]
    assert sampler_for_test(masked, recbole) is recbole
    assert sampler_for_test([split([(1, 1)], False)] * 3, None) is None


# --- the option -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["no", 0, None])
def test_anything_but_true_and_false_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r"`mask_valid_at_test` is .*; it must be True or False"):
        make_config(tmp_path, {"mask_valid_at_test": value})


def test_the_result_shows_the_mask_and_the_fingerprint_the_data_alone(toy: Path) -> None:
    """Both rank the same splits; like ``eval_args.mode``, how they are ranked is read from the configuration."""
    results = [run_toy(toy, options(mask, epochs=1)) for mask in (True, False)]
    assert [result.config["mask_valid_at_test"] for result in results] == [True, False]
    assert results[0].fingerprint == results[1].fingerprint
    _, loaders = load_loaders(toy, options_for(toy, options(False)))
    assert fingerprint(*(loader._dataset for loader in loaders)) == results[0].fingerprint
