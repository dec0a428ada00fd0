"""Users folded in are recommended what a model trained with them recommends."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_vagnn import load
from tests.helpers import write_dataset
from tests.runs import run_toy
from tests.test_runner import write_checkerboard

NEWCOMERS = ("u0", "u9", "u18", "u27")  # one of each of four blocks, whose users like the same eight items
OPTIONS = {"epochs": 60, "learning_rate": 0.01, "user_hop_prob": 0.0, "topk": [1, 2], "valid_metric": "Recall@2"}


@pytest.mark.parametrize("model", ["VAGNN", "LightGCN"])
def test_folding_in_recommends_what_retraining_does(tmp_path: Path, model: str) -> None:
    options = {key: value for key, value in OPTIONS.items() if model == "VAGNN" or key != "user_hop_prob"}
    whole = write_checkerboard(tmp_path / "whole")
    lines = [line.split("\t") for line in (whole / "toy" / "toy.inter").read_text().splitlines()[1:]]
    items = [line.split("\t") for line in (whole / "toy" / "toy.item").read_text().splitlines()[1:]]
    fewer = write_dataset(tmp_path / "fewer", [row for row in lines if row[0] not in NEWCOMERS], items)
    retrained, without = (load(run_toy(folder, options, model).checkpoint) for folder in (whole, fewer))
    for user in NEWCOMERS:
        everything = sorted(row[1] for row in lines if row[0] == user)
        seen = retrained.checkpoint.history.seen
        row = int(retrained.checkpoint.users.require([user])[0])
        trained = retrained.checkpoint.videos.ids(seen.of(row, "videos")[seen.of(row, "split") == 0])
        assert len(trained) == 6
        by_retraining = retrained.recommend(
            [user], 2, exclude_seen="none", candidates=sorted({i for i, _ in items} - set(trained))
        )
        by_folding = without.recommend_from(trained, 2)
        assert set(by_folding["video"]) == set(by_retraining["video"]) == set(everything) - set(trained)
        assert user not in without.checkpoint.users.all_ids().to_pylist()
        popular = without.recommend([user], 2, candidates=sorted({i for i, _ in items} - set(trained)))
        assert popular["source"].tolist() == ["popularity", "popularity"]
        vlogger = without.recommend_from(trained, 4, what="vloggers")["vlogger"].tolist()
        assert len(vlogger) == 3  # their own block's is known
