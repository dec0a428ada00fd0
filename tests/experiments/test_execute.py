"""A record holds what the run found, and a run leaves nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_vagnn import __version__
from recbole_vagnn.experiments.execute import execute, to_record
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.result import Result
from tests.experiments.toy import numbers, toy_job
from tests.helpers import load_splits, write_file
from tests.runs import run_toy, write_toy

JOB = toy_job("VAGNN", "Ours")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run_and_record(toy: Path) -> tuple[Result, RunRecord]:
    result = run_toy(toy, JOB.options)
    return result, to_record(JOB, result, 1)


@pytest.fixture(scope="module")
def executed(toy: Path) -> RunRecord:
    return execute(JOB, toy, 1)


def test_row_has_the_values_of_the_result(run_and_record: tuple[Result, RunRecord]) -> None:
    result, record = run_and_record
    row = record.row
    assert record.key == ("toy", "Ours", 2020)
    assert (row["settings"], row["version"], row["threads"]) == ("authors", __version__, 1)
    assert row["fingerprint"] == "-".join(
        result.fingerprint[name][:12] for name in ("train", "valid", "test", "creators")
    )
    assert {name: row[f"test_{name}"] for name in result.test} == result.test
    assert result.valid is not None
    assert {name: row[f"valid_{name}"] for name in result.valid} == result.valid
    assert {name: row[name] for name in result.sizes} == result.sizes
    assert (row["best_epoch"], row["epochs"]) == (result.best_epoch, 2)
    for name in ("build", "train", "epoch", "valid", "test", "total"):
        assert row[f"{name}_seconds"] == result.seconds[name] > 0
    assert row["parameters"] == result.parameters > 0
    assert row["peak_memory_mb"] == result.peak_memory_mb > 50
    assert {"vloggercoverage@5", "vloggergini@10", "averagepopularity@10", "itemcoverage@5"} <= result.test.keys()


def test_curve_has_the_losses_and_scores_of_the_epochs(run_and_record: tuple[Result, RunRecord]) -> None:
    result, record = run_and_record
    assert record.curve["epoch"].tolist() == [0, 1]
    assert record.curve["loss"].tolist() == [math.fsum(e["losses"].values()) for e in result.history]
    assert record.curve["valid"].tolist() == [e["valid"]["recall@10"] for e in result.history]
    assert record.curve["train_seconds"].sum() == pytest.approx(result.seconds["train"])


def test_metrics_of_users_average_to_the_row(executed: RunRecord) -> None:
    metrics = [name for name in executed.per_user if name not in ("user", "history")]
    assert {"recall@5", "ndcg@10", "mrr@10", "hit@5", "precision@10"} <= set(metrics)
    for name in metrics:
        assert executed.per_user[name].mean() == pytest.approx(executed.row[f"test_{name}"], abs=1e-15, rel=0)


def test_history_counts_training_interactions(toy: Path, executed: RunRecord) -> None:
    _, (train, _, _) = load_splits(toy)
    names = train.id2token("user_id", np.asarray(train.inter_feat["user_id"]))
    expected = {name: int((names == name).sum()) for name in set(names.tolist())}
    assert dict(zip(executed.per_user["user"], executed.per_user["history"], strict=True)) == expected
    assert set(expected.values()) == {7}


def test_history_differs_where_users_do(tmp_path: Path) -> None:
    rows = [(f"u{u}", f"i{(3 * u + step) % 12}", step) for u in range(6) for step in range(3 + u)]
    write_file(tmp_path / "toy" / "toy.inter", "user_id:token item_id:token timestamp:float", rows)
    write_file(
        tmp_path / "toy" / "toy.item", "item_id:token vlogger_id:token", [(f"i{i}", f"v{i % 3}") for i in range(12)]
    )
    users = execute(toy_job(epochs=1), tmp_path, 1).per_user
    assert dict(zip(users["user"], users["history"], strict=True)) == {f"u{u}": 1 + u for u in range(6)}


def test_the_same_job_gives_the_same_numbers(executed: RunRecord, run_and_record: tuple[Result, RunRecord]) -> None:
    assert numbers(executed) == numbers(run_and_record[1])


def test_the_working_directory_is_kept_and_nothing_is_left(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = sorted(toy.rglob("*"))
    execute(toy_job(epochs=1), toy, 1)
    with pytest.raises(RuntimeError):
        execute(toy_job("BPR", embedding_size=-1), toy, 1)
    assert Path.cwd() == work
    assert (list(work.iterdir()), list(scratch.iterdir()), sorted(toy.rglob("*"))) == ([], [], before)


def test_recboles_rounded_metrics_are_these(toy: Path, executed: RunRecord) -> None:
    rounded = run_toy(toy, {**JOB.options, "metric_decimal_place": 4})
    for name in executed.per_user.columns[2:]:
        assert rounded.test[name] == round(executed.per_user[name].mean(), 4)


def test_epochs_are_told_while_they_run(toy: Path) -> None:
    told: list[Any] = []
    execute(toy_job("BPR"), toy, 1, told.append)
    assert [record.epoch for record in told] == [0, 1]
    assert all(record.valid is not None for record in told)


def test_linear_models_have_the_protocol_of_the_others(toy: Path, executed: RunRecord) -> None:
    assert execute(toy_job(), toy, 1).row["protocol"] == executed.row["protocol"]
    every_other = [execute(toy_job(model, eval_step=2), toy, 1).row["protocol"] for model in ("Pop", "BPR")]
    linear = execute(toy_job("EASE", eval_step=2), toy, 1).row
    assert {*every_other, linear["protocol"]} == {every_other[0]} != {executed.row["protocol"]}


def test_records_of_other_options_have_another_hash() -> None:
    def job(**options: Any) -> Job:
        return toy_job("VAGNN", **options)

    assert job().options_hash == job(seed=7).options_hash
    assert job().options_hash != job(n_layers=5).options_hash
    assert toy_job("Pop", "A").options_hash == toy_job("Pop", "B").options_hash != toy_job("EASE", "A").options_hash
