"""One experiment from options to Result."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model

from recbole_vagnn.errors import InputError
from recbole_vagnn.runner import run
from tests.helpers import write_dataset
from tests.runs import numbers, options_for, run_toy, write_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def result(toy: Path) -> Any:
    return run_toy(toy, {"epochs": 3})


def test_same_seed_same_numbers(toy: Path, result: Any) -> None:
    assert numbers(run_toy(toy, {"epochs": 3})) == numbers(result)


def test_another_seed_gives_other_numbers_on_the_same_split(toy: Path, result: Any) -> None:
    other = run_toy(toy, {"epochs": 3, "seed": 7})
    assert other.history[0]["losses"] != result.history[0]["losses"]
    assert other.fingerprint == result.fingerprint


def naive_metrics(scores: list[list[float]], known: list[set[int]], wanted: list[int], k: int) -> tuple[float, float]:
    """Recall@k and NDCG@k with one wanted item a user, by sorting in plain Python."""
    recall = ndcg = 0.0
    for row, masked, item in zip(scores, known, wanted, strict=True):
        ranked = sorted((i for i in range(1, len(row)) if i not in masked), key=lambda i, row=row: -row[i])[:k]
        if item in ranked:
            recall += 1.0
            ndcg += 1.0 / math.log2(ranked.index(item) + 2)
    return recall / len(wanted), ndcg / len(wanted)


def test_test_metrics_equal_a_plain_ranking_of_the_checkpoints_scores(
    result: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _, model, _, train, valid, test = load_data_and_model(result.checkpoint)
    model.eval()
    users, items = model.vectors()
    scores = (users @ items.T).tolist()
    known: dict[int, set[int]] = {}
    for part in (train, valid):
        feat = part._dataset.inter_feat
        for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
            known.setdefault(user, set()).add(item)
    feat = test._dataset.inter_feat
    ids, wanted = feat["user_id"].tolist(), feat["item_id"].tolist()
    for k in (5, 10):
        recall, ndcg = naive_metrics([scores[u] for u in ids], [known[u] for u in ids], wanted, k)
        assert result.test[f"recall@{k}"] == pytest.approx(recall, abs=1e-12)
        assert result.test[f"ndcg@{k}"] == pytest.approx(ndcg, abs=1e-12)


def test_metrics_keep_full_precision_and_per_user_values_average_to_them(result: Any) -> None:
    assert len(result.users) == 24
    assert set(result.users) == {f"u{i}" for i in range(24)}
    for name, value in result.test.items():
        assert result.per_user[name].shape == (24,)
        assert float(result.per_user[name].mean()) == pytest.approx(value, abs=1e-15)
    assert any(round(value, 4) != value for value in result.test.values())


def test_the_best_epoch_is_the_last_with_the_best_validation_score(result: Any) -> None:
    scores = [record["valid"]["recall@10"] for record in result.history]
    assert result.best_epoch == max(e for e, score in enumerate(scores) if score == max(scores))
    assert result.valid["recall@10"] == max(scores)


def test_the_checkpoint_is_the_best_epochs_not_the_last(toy: Path) -> None:
    """Overshooting: later epochs are worse; trained up to the best epoch alone, the test metrics are the same."""
    options = {"learning_rate": 0.05, "valid_metric": "NDCG@5"}
    long = run_toy(toy, {**options, "epochs": 8})
    assert long.best_epoch < long.epochs - 1
    short = run_toy(toy, {**options, "epochs": long.best_epoch + 1})
    assert short.test == long.test


def write_checkerboard(folder: Path, blocks: int = 4, per_block: int = 8, seen: int = 6) -> Path:
    """Users of block b like exactly the items of block b, all of creator b; two items a user are held out."""
    rng = np.random.default_rng(0)
    inter = []
    for user in range(blocks * per_block):
        block = user // per_block
        for step, item in enumerate(rng.permutation(per_block)):
            inter.append((f"u{user}", f"i{block * per_block + item}", 100 * step + user))
    assert seen == per_block - 2
    items = [(f"i{i}", f"v{i // per_block}") for i in range(blocks * per_block)]
    return write_dataset(folder, inter, items)


@pytest.mark.parametrize("variant", [None, "no_video_view", "as_published", "vlogger_score_only"])
def test_on_a_checkerboard_the_right_items_are_recommended(tmp_path: Path, variant: str | None) -> None:
    """Two unseen items are left in a user's block: after masking, the test item is always the only one there."""
    data = write_checkerboard(tmp_path)
    options = {"epochs": 60, "learning_rate": 0.01, "topk": [1, 2], "valid_metric": "Recall@2", "user_hop_prob": 0.0}
    if variant == "as_published":
        options["neg_scope"] = "any"  # nobody in a block sees another creator: the same negatives by definition
    result = run_toy(data, {**options, "variant": variant})
    assert result.valid["recall@2"] == 1.0
    assert result.test["recall@1"] == 1.0


@pytest.mark.parametrize("model", ["LightGCN", "NGCF", "SGL", "BPR", "ItemKNN", "EASE", "Pop"])
def test_recboles_models_train_and_evaluate_on_the_same_split(toy: Path, result: Any, model: str) -> None:
    other = run_toy(toy, {"epochs": 1}, model)
    assert other.fingerprint == result.fingerprint
    assert other.epochs == 1
    assert set(other.test) == set(result.test)
    assert other.sizes == result.sizes


def test_itemknn_finds_the_checkerboard_that_popularity_cannot(tmp_path: Path) -> None:
    data = write_checkerboard(tmp_path)
    options = {"topk": [1, 2], "valid_metric": "Recall@2", "k": 8}
    assert run_toy(data, options, "ItemKNN").test["recall@1"] == 1.0
    options.pop("k")
    assert run_toy(data, options, "Pop").test["recall@1"] < 0.5


def test_result_file_holds_what_is_needed_to_repeat_the_run(toy: Path, tmp_path: Path) -> None:
    import json

    target = tmp_path / "new" / "result.json"
    done = run("VAGNN", "toy", options_for(toy, {"epochs": 2}), result_file=target, quiet=True)
    written = json.loads(target.read_text())
    assert written["test"] == done.test
    assert written["config"]["embedding_size"] == 8
    assert written["config"]["split_seed"] == 2020
    assert written["fingerprint"] == done.fingerprint
    assert written["versions"]["recbole"] == "1.2.1"
    assert written["peak_memory_mb"] > 50
    assert Path(written["checkpoint"]).is_file()
    assert 0 < written["seconds"]["train"] < written["seconds"]["total"]
    assert written["parameters"] == 25 * 8 + 31 * 8 + 7 * 8 + 8 * 8 + 3 * (8 * 16 + 16 + 16 * 16 + 16 + 2 * 16)
    assert [path.name for path in target.parent.iterdir()] == ["result.json"]


def test_torch_threads_are_set(toy: Path) -> None:
    before = torch.get_num_threads()
    try:
        run_toy(toy, {"epochs": 1, "torch_threads": 2})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_diverging_run_ends_with_advice(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_vagnn.models import vagnn

    monkeypatch.setattr(vagnn, "bpr_loss", lambda positive, *_: positive.sum() * float("nan"))
    with pytest.raises(InputError, match=r"loss of VAGNN is NaN in epoch 0.*learning_rate"):
        run_toy(toy)


def test_what_ran_before_in_the_process_does_not_change_a_run(toy: Path, result: Any) -> None:
    run_toy(toy, {"epochs": 1}, "SGL")
    torch.rand(17)
    np.random.rand(3)
    assert numbers(run_toy(toy, {"epochs": 3})) == numbers(result)


def test_a_random_split_follows_split_seed_and_not_the_models_seed(toy: Path) -> None:
    def split(**seeds: int) -> dict[str, str]:
        ratio = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}
        return run_toy(toy, {"eval_args": ratio, "epochs": 0, **seeds}).fingerprint

    assert split(seed=1) == split(seed=2)
    assert split(split_seed=1)["test"] != split(split_seed=2)["test"]


def test_metrics_of_users_with_several_test_items_equal_a_plain_ranking(
    toy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ratio = {"split": {"RS": [0.5, 0.1, 0.4]}, "order": "RO"}
    done = run_toy(toy, {"eval_args": ratio, "learning_rate": 0.02})
    _, model, _, train, valid, test = load_data_and_model(done.checkpoint)
    model.eval()
    known: dict[int, set[int]] = {}
    wanted: dict[int, set[int]] = {}
    for part, items_of in ((train, known), (valid, known), (test, wanted)):
        feat = part._dataset.inter_feat
        for user, item in zip(feat["user_id"].tolist(), feat["item_id"].tolist(), strict=True):
            items_of.setdefault(user, set()).add(item)
    assert max(map(len, wanted.values())) > 1
    user_vectors, item_vectors = model.vectors()
    scores = (user_vectors @ item_vectors.T).tolist()
    for k in (5, 10):
        recall: dict[str, float] = {}
        ndcg: dict[str, float] = {}
        for user, items in wanted.items():
            row = scores[user]
            ranked = sorted((i for i in range(1, len(row)) if i not in known[user]), key=lambda i, row=row: -row[i])[:k]
            gain = math.fsum(1 / math.log2(rank + 2) for rank, item in enumerate(ranked) if item in items)
            name = test._dataset.id2token("user_id", user)
            recall[name] = len(items.intersection(ranked)) / len(items)
            ndcg[name] = gain / math.fsum(1 / math.log2(rank + 2) for rank in range(min(k, len(items))))
        for metric, by_user in ((f"recall@{k}", recall), (f"ndcg@{k}", ndcg)):
            assert done.test[metric] == pytest.approx(math.fsum(by_user.values()) / len(by_user), abs=1e-12)
            own = dict(zip(done.users.tolist(), done.per_user[metric].tolist(), strict=True))
            assert own == pytest.approx(by_user, abs=1e-12)


def test_sizes_count_no_padding(result: Any) -> None:
    assert result.sizes == {"users": 24, "items": 30, "vloggers": 6, "train": 24 * 7, "valid": 24, "test": 24}


def test_training_stops_after_more_than_stopping_step_evaluations_without_improvement(toy: Path) -> None:
    done = run_toy(toy, {"epochs": 60, "stopping_step": 1, "learning_rate": 0.3})
    scores = [record["valid"]["recall@10"] for record in done.history]
    assert done.epochs == len(scores) < 60
    assert max(scores[-2:]) < max(scores)
    assert done.best_epoch == done.epochs - 3


def test_a_log_handler_of_the_caller_stays_open_and_installed(toy: Path) -> None:
    class Kept(logging.Handler):
        closed = False

        def emit(self, record: logging.LogRecord) -> None:
            pass

        def close(self) -> None:
            self.closed = True

    handler, root = Kept(), logging.getLogger()
    root.addHandler(handler)
    try:
        run_toy(toy, {"epochs": 0})
        installed = len(root.handlers)
        run_toy(toy, {"epochs": 0})
        assert handler in root.handlers
        assert not handler.closed
        assert len(root.handlers) == installed  # of RecBole's two, the last run's alone
    finally:
        root.removeHandler(handler)


def test_a_cutoff_beyond_the_items_is_refused(toy: Path) -> None:
    with pytest.raises(InputError, match=r"`topk` is \[5, 31\], but toy has 30 items"):
        run_toy(toy, {"topk": [5, 31], "valid_metric": "Recall@5"})


def test_no_epoch_at_all_evaluates_the_initial_model(toy: Path) -> None:
    done = run_toy(toy, {"epochs": 0})
    assert (done.epochs, done.valid, done.history) == (0, None, [])
    assert set(done.test) == {"recall@5", "recall@10", "ndcg@5", "ndcg@10"}


def test_no_thread_outlives_a_run(toy: Path) -> None:
    before = set(threading.enumerate())
    run_toy(toy, {"epochs": 1}, "LightGCN")
    assert not [t for t in set(threading.enumerate()) - before if "tensorboard" in type(t).__module__]
