"""RecBole's own options with VA-GNN: each works, or is refused with one clear message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.utils.case_study import full_sort_scores, full_sort_topk

from recbole_vagnn import registry
from recbole_vagnn.data.sampler import NegativeSampler
from recbole_vagnn.errors import InputError
from recbole_vagnn.models.vagnn import VAGNN
from tests.helpers import load_loaders, write_file
from tests.runs import options_for, run_toy, write_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def loaders(toy: Path, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
    return load_loaders(toy, {**options_for(toy), **(options or {})})


def changed(toy: Path, options: dict[str, Any]) -> bool:
    """Whether the options make a difference to the losses or test metrics of a short run."""
    plain, other = run_toy(toy, {"epochs": 1}), run_toy(toy, {"epochs": 1, **options})
    return plain.history[0]["losses"] != other.history[0]["losses"] or plain.test != other.test


def test_ratio_split_gives_each_user_the_asked_shares_at_random(toy: Path) -> None:
    options = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}}
    _, (train, valid, test) = loaders(toy, options)
    assert [len(part._dataset) for part in (train, valid, test)] == [24 * 6, 24 * 2, 24 * 1] or [
        len(part._dataset) for part in (train, valid, test)
    ] == [24 * 7, 24 * 1, 24 * 1]
    assert run_toy(toy, {**options, "epochs": 1}).test["recall@10"] >= 0


def test_leave_one_out_without_validation_trains_all_epochs_and_keeps_the_last(toy: Path) -> None:
    result = run_toy(toy, {"eval_args": {"split": {"LS": "test_only"}}, "epochs": 3})
    assert result.sizes["valid"] == 0
    assert result.sizes["test"] == 24
    assert result.valid is None
    assert (result.epochs, result.best_epoch) == (3, 2)


def test_leave_one_out_without_test_data_is_refused(toy: Path) -> None:
    with pytest.raises(InputError, match="0 test interactions"):
        run_toy(toy, {"eval_args": {"split": {"LS": "valid_only"}}})


def test_time_split_puts_the_newest_interactions_into_the_test_set(toy: Path) -> None:
    options = {"eval_args": {"split": {"TS": [0.8, 0.1, 0.1]}}}
    _, (train, valid, test) = loaders(toy, options)
    newest = [max(part._dataset.inter_feat["timestamp"]) for part in (train, valid)]
    assert max(newest) <= min(test._dataset.inter_feat["timestamp"])
    assert run_toy(toy, {**options, "epochs": 1}).sizes["test"] == len(test._dataset)


@pytest.mark.parametrize("mode", ["uni100", "pop100", "uni5", "pop5"])
def test_sampled_candidates_rank_fewer_items_than_full_ranking(tmp_path: Path, mode: str) -> None:
    data = write_toy(tmp_path, users=24, items=130, per_user=20)
    full = run_toy(data, {"epochs": 1, "topk": [10]})
    sampled = run_toy(data, {"epochs": 1, "topk": [10], "eval_args": {"mode": mode}})
    assert sampled.history[0]["losses"] == full.history[0]["losses"]
    if mode.endswith("5"):
        assert sampled.test["recall@10"] == 1.0  # one positive among at most six candidates


def test_several_negatives_repeat_each_positive(toy: Path) -> None:
    _, (train, _, _) = loaders(toy, {"train_neg_sample_args": {"sample_num": 3}})
    batch = next(iter(train))
    n = len(batch) // 3
    for field in ("user_id", "item_id"):
        assert batch[field][:n].tolist() == batch[field][n : 2 * n].tolist() == batch[field][2 * n :].tolist()
    seen = train._dataset.interactions()
    assert not np.asarray(seen.toarray()[batch["user_id"], batch["neg_item_id"]]).any()
    assert changed(toy, {"train_neg_sample_args": {"sample_num": 3}})


def test_popularity_negatives_follow_training_counts(toy: Path) -> None:
    _, (train, _, _) = loaders(toy, {"train_neg_sample_args": {"distribution": "popularity"}})
    assert isinstance(train._sampler, NegativeSampler)
    counts = np.asarray(train._dataset.interactions().sum(axis=0)).ravel()
    negatives = np.concatenate([batch["neg_item_id"].numpy() for _ in range(60) for batch in train])
    drawn = np.bincount(negatives, minlength=len(counts))
    assert drawn[counts == 0].sum() == 0
    assert np.corrcoef(counts, drawn)[0, 1] > 0.8
    assert changed(toy, {"train_neg_sample_args": {"distribution": "popularity"}})


def test_dynamic_negatives_take_the_highest_scored_candidate(toy: Path) -> None:
    arguments = {"dynamic": True, "candidate_num": 200}
    config, (train, _, _) = loaders(toy, {"train_neg_sample_args": arguments})
    model = VAGNN(config, train._dataset)
    train.get_model(model)
    batch = next(iter(train))
    users, items = model.vectors()
    scores = (users @ items.T).masked_fill(torch.from_numpy(train._dataset.interactions().toarray() > 0), -torch.inf)
    scores[:, 0] = -torch.inf
    best = scores.max(dim=1).values[batch["user_id"]]
    chosen = scores[batch["user_id"], batch["neg_item_id"]]
    assert (chosen == best).float().mean() > 0.95  # 200 draws of about 23 candidates nearly always hold the best
    assert changed(toy, {"train_neg_sample_args": {**arguments, "candidate_num": 4}})


def test_recboles_sampler_stays_selectable(toy: Path) -> None:
    _, (train, _, _) = loaders(toy, {"sampler": "recbole"})
    assert type(train._sampler).__module__.startswith("recbole.sampler")
    assert changed(toy, {"sampler": "recbole"})


def test_pre_split_files_are_used_as_they_are(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    lines = (data / "toy" / "toy.inter").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    parts = {"train": rows[:150], "valid": rows[150:180], "test": rows[180:]}
    for name, part in parts.items():
        write_file(data / "toy" / f"toy.{name}.inter", "user_id:token item_id:token timestamp:float", part)
    result = run_toy(data, {"benchmark_filename": list(parts), "epochs": 1})
    assert [result.sizes[name] for name in parts] == [len(part) for part in parts.values()]


def test_users_with_few_interactions_can_be_filtered(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    with (data / "toy" / "toy.inter").open("a") as file:
        file.write("newcomer\ti1\t5\nnewcomer\ti2\t6\nnewcomer\ti3\t7\n")
    assert run_toy(data, {"epochs": 1}).sizes["users"] == 25
    assert run_toy(data, {"epochs": 1, "user_inter_num_interval": "[5,inf)"}).sizes["users"] == 24


def test_full_sort_topk_equals_the_models_scores_with_known_items_masked(toy: Path) -> None:
    config, (train, _, test) = loaders(toy)
    model = VAGNN(config, train._dataset)
    uids = np.array([1, 5, 9])
    users, items = model.vectors()
    expected = users[uids] @ items.T
    expected[:, 0] = -torch.inf
    for row, uid in enumerate(uids):
        known = test.uid2history_item[uid]
        assert len(known) == 8  # seven training items and the validation item
        expected[row, known] = -torch.inf
    assert torch.equal(full_sort_scores(uids, model, test), expected)
    top_scores, top_items = full_sort_topk(uids, model, test, k=5)
    assert torch.equal(top_scores, expected.topk(5).values)
    assert torch.equal(expected.gather(1, top_items), top_scores)


@pytest.mark.parametrize(
    "options",
    [
        {"clip_grad_norm": {"max_norm": 1e-3}},
        {"weight_decay": 0.1},
        {"learner": "sgd"},
        {"enable_amp": True},
        {"neg_scope": "unseen_vlogger"},
        {"shuffle": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_training_options_take_effect(toy: Path, options: dict[str, Any]) -> None:
    assert changed(toy, {**options, "epochs": 2})


def test_eval_step_evaluates_every_second_epoch(toy: Path) -> None:
    result = run_toy(toy, {"eval_step": 2, "epochs": 4})
    assert [record["valid"] is not None for record in result.history] == [False, True, False, True]
    assert result.best_epoch in (1, 3)


def test_other_ranking_metrics_of_recbole_are_computed(toy: Path) -> None:
    metrics = ["Recall", "MRR", "Hit", "Precision", "MAP", "GAUC", "ItemCoverage", "GiniIndex", "AveragePopularity"]
    result = run_toy(toy, {"epochs": 1, "metrics": metrics})
    # Where the items' coverage is asked for, the vloggers' is given too.
    exposure = {"vloggercoverage", "vloggergini"}
    assert {name.partition("@")[0] for name in result.test} == {metric.lower() for metric in metrics} | exposure
    assert result.test["hit@10"] == result.test["recall@10"]  # one test item a user
    assert result.test["precision@10"] == pytest.approx(result.test["recall@10"] / 10, abs=1e-12)


@pytest.mark.parametrize("metrics", [["AUC"], ["Recall", "AUC"]])
def test_value_metrics_are_refused_clearly(toy: Path, metrics: list[str]) -> None:
    with pytest.raises(InputError, match=r"AUC"):
        run_toy(toy, {"metrics": metrics, "valid_metric": metrics[0]})


def test_a_model_that_is_no_general_recommender_is_refused() -> None:
    with pytest.raises(InputError, match="Unknown model 'GRU4Rec'"):
        registry.model_class("GRU4Rec")


def test_value_metrics_work_with_sampled_candidates(toy: Path) -> None:
    result = run_toy(toy, {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "uni5"}})
    assert set(result.test) == {"auc"}
    assert 0 < result.test["auc"] < 1
    assert result.per_user == {}


def test_item_coverage_counts_the_recommended_items(toy: Path) -> None:
    topk = {"topk": [1, 30], "valid_metric": "Recall@1"}
    result = run_toy(toy, {"epochs": 1, "metrics": ["ItemCoverage", "GiniIndex", "Recall"], **topk})
    assert result.test["itemcoverage@30"] == pytest.approx(30 / 31, abs=0.04)  # RecBole counts the padding item
    assert result.test["itemcoverage@1"] <= 24 / 30
    assert 0 <= result.test["giniindex@30"] < result.test["giniindex@1"] <= 1
