"""What a run leaves: the folder beside the .pth, or in its place; and never a lost run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model

import recbole_vagnn
from recbole_vagnn.errors import InputError
from recbole_vagnn.runner import run
from recbole_vagnn.serving import finish
from tests.runs import numbers, run_toy, write_toy
from tests.serving.cases import scores_of


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


def files(toy: Path, checkpoint: str) -> set[str]:
    stem = Path(checkpoint).name.removesuffix(".pth")
    return {path.name.removeprefix(stem) for path in (toy / "saved").iterdir() if path.name.startswith(stem)}


def test_a_run_leaves_folder_and_pth_of_the_same_model(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overshooting, so that the best epoch is not the last."""
    done = run_toy(toy, {"learning_rate": 0.05, "valid_metric": "NDCG@5", "epochs": 6})
    assert done.best_epoch < done.epochs - 1
    assert files(toy, done.checkpoint) == {"", ".pth", ".last"}
    monkeypatch.chdir(tmp_path)
    _, model, *_ = load_data_and_model(done.checkpoint)
    model.eval()
    recommender = recbole_vagnn.load(done.checkpoint)
    users, videos = recommender.vectors("users")[1], recommender.vectors("videos")[1]
    np.testing.assert_allclose(users @ videos.T, scores_of(model), rtol=1e-5, atol=1e-6)
    result = recommender.checkpoint.manifest.result
    assert result["test"] == done.test
    assert result["valid"] == done.valid
    assert result["best_epoch"] == done.best_epoch


def test_without_the_pth_only_the_folder_stays(toy: Path) -> None:
    done = run_toy(toy, {"keep_pth": False, "epochs": 1})
    assert files(toy, done.checkpoint) == {""}
    assert Path(done.checkpoint).is_dir()
    assert numbers(done) == numbers(run_toy(toy, {"epochs": 1}))
    assert len(recbole_vagnn.load(done.checkpoint).recommend(["u1"], 3)) == 3


def test_a_resumed_run_replaces_its_folder(toy: Path) -> None:
    short = run_toy(toy, {"epochs": 1})
    before = recbole_vagnn.load(short.checkpoint).checkpoint.manifest
    longer = run(options={"epochs": 3, "eval_vloggers": True}, resume=short.checkpoint, quiet=True)
    after = recbole_vagnn.load(longer.checkpoint).checkpoint.manifest
    assert longer.checkpoint == short.checkpoint
    assert (before.result["epochs"], after.result["epochs"]) == (1, 3)
    assert "vloggerrecall@5" in after.result["test"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("in the way")])
def test_a_folder_that_cannot_be_written_is_a_warning_and_costs_nothing_else(
    toy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(finish, "keep_model", refuse)
    with caplog.at_level(logging.WARNING):
        done = run_toy(toy, {"epochs": 1, "keep_pth": False})
    assert files(toy, done.checkpoint) == {".pth", ".last"}
    assert f"could not be written ({error})" in caplog.text
    assert "recall@5" in done.test


@pytest.mark.parametrize("name", ["EASE", "ItemKNN", "Pop", "VloggerPop", "NeuMF", "MultiVAE", "SimpleX"])
def test_models_without_vectors_are_rebuilt_from_their_data_with_the_same_scores(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done = run_toy(toy, {"epochs": 2}, name)
    recommender = recbole_vagnn.load(done.checkpoint)
    monkeypatch.chdir(tmp_path)
    _, model, _, *splits = load_data_and_model(done.checkpoint)
    model.eval()
    if name == "NeuMF":
        from recbole.data.interaction import Interaction

        pairs = torch.cartesian_prod(torch.arange(model.n_users), torch.arange(model.n_items))
        scores = model.predict(Interaction({"user_id": pairs[:, 0], "item_id": pairs[:, 1]})).detach().numpy()
        scores = scores.reshape(model.n_users, model.n_items)[1:, 1:]
    else:
        scores = scores_of(model)
    users, videos = recommender.checkpoint.users, recommender.checkpoint.videos
    pairs = [(u, v) for u in users.all_ids().to_pylist() for v in videos.all_ids().to_pylist()]
    got = recommender.score(*map(list, zip(*pairs, strict=True)))
    np.testing.assert_allclose(got.reshape(scores.shape), scores, rtol=1e-5, atol=1e-6)
    if name in ("Pop", "VloggerPop"):
        return  # of equal scores RecBole takes others
    test = splits[2]._dataset.inter_feat
    wanted = {(int(u), int(i)) for u, i in zip(test["user_id"], test["item_id"], strict=True)}
    table = recommender.recommend(None, 10, exclude_seen="history")
    rows = zip(users.require(table["user"].tolist()), videos.require(table["video"].tolist()), strict=True)
    hits = {(int(u) + 1, int(v) + 1) for u, v in rows} & wanted
    assert len(hits) / 24 == pytest.approx(done.test["recall@10"])  # one test item a user


def test_vloggers_of_a_model_without_vectors_score_the_mean_of_their_videos(toy: Path) -> None:
    recommender = recbole_vagnn.load(run_toy(toy, {}, "ItemKNN").checkpoint)
    videos, owner = recommender.checkpoint.videos, recommender.checkpoint.history.vlogger_of
    table = recommender.recommend(["u3"], 6, what="vloggers", exclude_seen="none")
    for vlogger, score in zip(table["vlogger"], table["score"], strict=True):
        row = recommender.checkpoint.vloggers.require([vlogger])[0]
        mine = videos.ids(np.flatnonzero(owner == row))
        assert score == pytest.approx(recommender.score(["u3"] * len(mine), mine).mean(), rel=1e-5)
    assert len(table) == 6
