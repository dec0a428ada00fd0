"""Vlogger recommendation, judged as a plain loop over users judges it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving import vlogger_evaluation
from recbole_vagnn.serving.vlogger_evaluation import evaluate_vloggers, vlogger_task
from tests.helpers import Rows, write_dataset
from tests.models.cases import random_rows
from tests.runs import options_for, run_toy, write_toy
from tests.serving.cases import TIMED, build, load, scores_of

# Times of interactions are 1 … 7: the follows at 0 are of training, those at 99 are not.
FOLLOW = [[f"u{u}", f"a{a}", t] for u, a, t in [(0, 2, 99), (1, 3, 99), (2, 0, 99), (4, 2, 99), (4, 1, 99)]]
FOLLOW += [[f"u{u}", f"a{a}", 0] for u in range(30) for a in (u % 12, (u + 2) % 12)]
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "validation not masked": {"mask_valid_at_test": False},
    "withheld": {"degradation": {"users_held_down": 0.6, "held_down_from": 2}},
    "new videos": {"new_video_share": 0.3},
    "follows removed": {"degradation": {"follows_removed": 0.7}},
}


def write_data(folder: Path, follow: Rows | None) -> Path:
    inter, item = random_rows(5, 30, 40, 12, (3, 5))
    return write_dataset(folder, inter, item, follow, follow_header=TIMED)


def pairs_of(split: Any) -> list[tuple[int, int]]:
    return list(zip(split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True))


def naive(
    scores: Any, splits: Any, follow: Any, masks_valid: bool, topk: list[int]
) -> tuple[list[int], dict[str, list[float]]]:
    """Known and wanted vloggers as sets, a sorted list for each user."""
    train, valid, test = splits
    owner = test.vlogger_of_item
    seen = pairs_of(train) + (pairs_of(valid) if masks_valid else [])
    if train.withheld is not None:
        seen += list(zip(*train.withheld.tolist(), strict=True))
    known = {(u, int(owner[v])) for u, v in seen if owner[v]}
    wanted = {(u, int(owner[v])) for u, v in pairs_of(test) if owner[v]}
    if follow is not None:
        known |= set(zip(test.follow.users.tolist(), test.follow.vloggers.tolist(), strict=True))
        wanted |= set(zip(follow.users.tolist(), follow.vloggers.tolist(), strict=True))
    wanted -= known
    users = sorted({u for u, _ in wanted})
    found: dict[str, list[float]] = {f"vlogger{name}@{k}": [] for k in topk for name in ("recall", "ndcg")}
    for user in users:
        mine = {p for u, p in wanted if u == user}
        pool = [p for p in range(1, train.vlogger_num) if (user, p) not in known]
        ranked = sorted(pool, key=lambda p, row=scores[user - 1]: -row[p - 1])
        for k in topk:
            gain = math.fsum(1 / math.log2(i + 2) for i, p in enumerate(ranked[:k]) if p in mine)
            found[f"vloggerrecall@{k}"].append(len(mine & set(ranked[:k])) / len(mine))
            found[f"vloggerndcg@{k}"].append(gain / math.fsum(1 / math.log2(i + 2) for i in range(min(k, len(mine)))))
    return users, found


def scores_by_hand(model: Any, train: Any) -> Any:
    """(n_users, n_vloggers): VA-GNN's u₁·p₁ + u₂·p₂; of others the mean score of the vlogger's videos."""
    if type(model).__name__ == "VAGNN":
        first, second = model.forward()
        return (first.users @ first.vloggers.T + second.users @ second.vloggers.T).detach().numpy()[1:, 1:]
    scores, owner = scores_of(model), train.vlogger_of_item[1:]
    columns = [scores[:, owner == p].mean(axis=1) for p in range(1, train.vlogger_num)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", ["VAGNN", "SimGCL", "EASE"])
@pytest.mark.parametrize(
    ("case", "follows"),
    [(case, follows) for case in CASES for follows in (True, False) if follows or case != "follows removed"],
)
def test_metrics_equal_a_plain_ranking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, case: str, follows: bool
) -> None:
    data = write_data(tmp_path, FOLLOW if follows else None)
    config, splits, follow = load(data, name, CASES[case])
    model = build(config, splits[0], spread_out=name != "EASE")
    topk = [1, 3, 50]
    users, wanted = naive(scores_by_hand(model, splits[0]), splits, follow, config["mask_valid_at_test"], topk)
    assert len(users) >= 8
    task = vlogger_task(splits, follow)
    assert (task.users + 1).tolist() == users
    monkeypatch.setattr(vlogger_evaluation, "_BATCH", 5)
    got = evaluate_vloggers(model, splits[0], task, topk)
    assert got.keys() == wanted.keys()
    for metric, values in wanted.items():
        np.testing.assert_allclose(got[metric], values, atol=1e-12, err_msg=metric)


def test_a_run_reports_means_and_per_user_values_when_asked(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    plain = run_toy(data)
    asked = run_toy(data, {"eval_vloggers": True})
    assert not any("vloggerrecall" in name for name in plain.test)
    own = {name: value for name, value in asked.test.items() if name.startswith("vlogger")}
    assert own.keys() == {f"vlogger{name}@{k}" for k in (5, 10) for name in ("recall", "ndcg")}
    assert {name: asked.test[name] for name in plain.test} == plain.test
    assert asked.sizes["vlogger_users"] == len(asked.vlogger_users) > 0
    assert set(asked.vlogger_users) <= set(asked.users)
    for name, value in own.items():
        assert asked.vlogger_per_user[name].shape == (len(asked.vlogger_users),)
        assert value == pytest.approx(asked.vlogger_per_user[name].mean(), abs=1e-15)
    assert "vlogger_per_user" not in asked.to_json()


def test_nothing_to_be_found_is_refused_before_training(tmp_path: Path) -> None:
    data = write_toy(tmp_path, vloggers=1)  # everybody knows the one vlogger
    with pytest.raises(InputError, match="no user of toy has a held-out vlogger that is new"):
        run_toy(data, {"eval_vloggers": True, "epochs": 10**6})
    with pytest.raises(InputError, match="`eval_vloggers: True` needs the vlogger of each item"):
        run_toy(data, {"eval_vloggers": True, "VLOGGER_ID_FIELD": None}, "BPR")
    with pytest.raises(InputError, match="`eval_vloggers` is 'yes'"):
        run_toy(data, {**options_for(data), "eval_vloggers": "yes"})
