"""A probe sees the model that was tested, its data, and the parameters of the epochs that it asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.probe import Probe, Trained
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.runner import build_model, load_dataset
from tests.experiments.toy import toy_job
from tests.runs import options_for, write_toy

REFERENCE = "tests.experiments.test_probe:look"
_seen: list[Trained] = []


def look(trained: Trained) -> dict[str, pd.DataFrame]:
    """Keep what a probe gets, and return a table."""
    _seen.append(trained)
    return {"sizes": pd.DataFrame({"split": ["train", "test"], "rows": [len(trained.train), len(trained.test)]})}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


def probed(
    data: Path, model: str = "VAGNN", snapshots: tuple[int, ...] = (), **options: Any
) -> tuple[RunRecord, Trained]:
    job = toy_job(model, **options)
    probe = Probe(REFERENCE, snapshots)
    record = execute(Job(job.dataset, job.contestant, job.seed, job.options, "authors", probe=probe), data, 1)
    return record, _seen.pop()


def vectors(model: Any) -> list[np.ndarray]:
    return [part.detach().numpy().copy() for part in model.vectors()]


@pytest.mark.parametrize("model", ["VAGNN", "BPR", "EASE", "Pop"])
def test_the_model_is_the_one_that_was_tested(data: Path, model: str) -> None:
    """Its scores give the metrics of the run, computed here without RecBole's evaluator."""
    record, trained = probed(data, model, epochs=3)
    assert not trained.model.training
    users, known = [], []
    for interaction, (of_user, seen), positive_user, positive in trained.test_loader:
        with torch.no_grad():
            scores = trained.model.full_sort_predict(interaction).view(len(interaction), -1).clone()
        scores[:, 0] = scores[of_user, seen] = -torch.inf
        above = (scores[positive_user] > scores[positive_user, positive].unsqueeze(1)).sum(dim=1)
        users += trained.test.id2token("user_id", interaction["user_id"].numpy()).tolist()
        known += (above < 5).tolist()
    expected = record.per_user.set_index("user").loc[users, "recall@5"].astype(bool).tolist()
    ties = model == "Pop"  # whose order among equal scores is nobody's
    assert sum(a != b for a, b in zip(known, expected, strict=True)) <= (8 if ties else 0)


def test_tables_are_kept_and_the_splits_are_those_of_the_run(data: Path) -> None:
    record, trained = probed(data)
    assert record.measured["sizes"].to_dict("list") == {
        "split": ["train", "test"], "rows": [record.row["train"], record.row["test"]]
    }  # fmt: skip
    assert trained.result.test["recall@10"] == record.row["test_recall@10"]
    assert trained.config["n_layers"] == 2


def test_snapshots_are_the_parameters_after_so_many_epochs(data: Path) -> None:
    """The same as of trainings that end there; 0 = before training; those that are not reached are not there."""
    _, trained = probed(data, snapshots=(0, 1, 2, 3, 9), epochs=3)
    assert sorted(trained.snapshots) == [0, 1, 2, 3]
    job = toy_job("VAGNN")
    config = VloggerConfig("VAGNN", "toy", options_for(data, {**job.options, "seed": 2020}))
    untrained = build_model(config, load_dataset(config).build()[0])
    model = trained.model
    model.load_state_dict(trained.snapshots[0])
    for mine, other in zip(vectors(model), vectors(untrained), strict=True):
        assert np.array_equal(mine, other)
    for epochs in (1, 2):
        _, shorter = probed(data, snapshots=(epochs,), epochs=epochs)
        model.load_state_dict(trained.snapshots[epochs])
        shorter.model.load_state_dict(shorter.snapshots[epochs])
        for mine, other in zip(vectors(model), vectors(shorter.model), strict=True):
            assert np.array_equal(mine, other)
    with torch.no_grad():
        changed = [torch.equal(trained.snapshots[0][name], trained.snapshots[3][name]) for name in trained.snapshots[0]]
    assert not all(changed)


def test_without_a_probe_nothing_is_measured(data: Path) -> None:
    assert execute(toy_job("Pop"), data, 1).measured == {}
    assert _seen == []
