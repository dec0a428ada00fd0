"""`recbole-vagnn tune` from its arguments to its files, and what it refuses before the first trial."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from click.testing import CliRunner, Result

from recbole_vagnn.cli import main
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Contestant, Plan, read_plan
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.final import missing_seeds
from recbole_vagnn.experiments.tuning.search import Resources
from recbole_vagnn.experiments.tuning.store import read
from recbole_vagnn.experiments.tuning.tune import Tuning, tune
from recbole_vagnn.runner import run
from tests.experiments.tuning.toy_search import quiet_console
from tests.runs import write_toy

OPTIONS = ("--set", "topk=[5,10]", "--set", "embedding_size=8", "--set", "train_batch_size=64")


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="rv", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
        yield
        ray.shutdown()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


def call(out: Path, data_path: Path, *words: str) -> Result:
    given = ("--dataset", "toy", "--data-path", str(data_path), "--out", str(out))
    return CliRunner().invoke(main, ["tune", *given, *words])


SEARCH = ("--model", "BPR", "--trials", "3", "--epochs", "6", "--final-seeds", "1", "--max-concurrent", "1", *OPTIONS)


@pytest.fixture(scope="module")
def tuned(local_ray: None, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("tuned") / "out"
    return out, call(out, toy, *SEARCH)


def test_what_was_found_gives_the_same_score_outside(tuned: tuple[Path, Result], toy: Path, tmp_path: Path) -> None:
    """best.yaml, with the seed, epochs and threads of the search: the winner's validation score to the last digit."""
    out, result = tuned
    assert result.exit_code == 0, result.output
    record = read(out / "toy" / "BPR")
    assert [trial.state for trial in record.trials] == ["finished"] * 3
    assert record.best is not None
    options = {
        "data_path": str(toy),
        "checkpoint_dir": str(tmp_path),
        "epochs": 6,
        "topk": [5, 10],
        "seed": 2020,
        "torch_threads": 1,
    }
    again = run("BPR", "toy", options, [out / "toy" / "BPR" / "best.yaml"], quiet=True)
    assert again.valid is not None
    assert again.valid["recall@10"] == record.best.score
    assert again.best_epoch == record.best.best_epoch
    final = pd.read_csv(out / "toy" / "BPR" / "final.csv", float_precision="round_trip")
    assert list(final["seed"]) == [2020]
    assert {name: final[f"test_{name}"][0] for name in again.test} == again.test
    assert final["settings"][0] == "tuned"


def test_a_benchmark_reads_what_was_found(tuned: tuple[Path, Result]) -> None:
    out, _ = tuned
    plan = Plan((Contestant("BPR", "BPR"),), ("toy",), options={"epochs": 6}, tuned=out / "tuned")
    best = read(out / "toy" / "BPR").best
    assert best is not None
    (job,) = plan.jobs()
    assert {key: job.options[key] for key in best.config} == best.config
    assert job.options["embedding_size"] == 8


def test_no_file_of_a_search_knows_the_test_data(tuned: tuple[Path, Result]) -> None:
    folder = tuned[0] / "toy" / "BPR"
    files = [folder / "journal.jsonl", folder / "trials.csv", folder / "epochs.csv", *(folder / "ray").rglob("*")]
    content = b"".join(file.read_bytes() for file in files if file.is_file())
    assert b"valid_recall@10" in content
    assert b"test_recall" not in content


def test_a_search_in_the_folder_needs_resume_and_one_that_is_over_stays_as_it_is(
    tuned: tuple[Path, Result], toy: Path
) -> None:
    out, _ = tuned
    refused = call(out, toy, *SEARCH)
    assert refused.exit_code == 1
    assert "holds 1 of these searches already, e.g. BPR on toy. Go on with --resume" in refused.output
    journal = (out / "toy" / "BPR" / "journal.jsonl").read_bytes()
    assert call(out, toy, *SEARCH, "--resume").exit_code == 0
    assert (out / "toy" / "BPR" / "journal.jsonl").read_bytes() == journal
    other = call(out, toy, *SEARCH, "--resume", "--trials", "4")
    assert other.exit_code == 1
    assert "`budget.trials` was 3 and is 4 now" in other.output


def test_seeds_that_a_winner_was_run_with_are_not_run_again(tuned: tuple[Path, Result], tmp_path: Path) -> None:
    assert missing_seeds(tuned[0] / "toy" / "BPR", (2020, 2021, 2022)) == (2021, 2022)
    assert missing_seeds(tmp_path, (2020, 2021)) == (2020, 2021)


def tuning(toy: Path, out: Path, **changes: Any) -> Tuning:
    plan = Plan((Contestant("BPR", "BPR"),), ("toy",), options={"epochs": 2, "topk": [5, 10]})
    given = Tuning(plan, out, Budget(trials=2), toy, final_seeds=())
    plan_changes = {key: changes.pop(key) for key in ("contestants", "datasets", "options") if key in changes}
    return replace(given, plan=replace(plan, **plan_changes), **changes)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown model": ({"contestants": (Contestant("BRP", "BRP"),)}, "Unknown model 'BRP'. Did you mean 'BPR'"),
    "unknown data set": ({"datasets": ("tox",)}, "Data set 'tox' is not in"),
    "metric that does not exist": (
        {"options": {"topk": [5, 10], "valid_metric": "Recal@10"}},
        "Unknown metric 'Recal'",
    ),
    "metric that is not computed": ({"options": {"topk": [5], "valid_metric": "Recall@10"}}, "do not give"),
    "grid without an end": ({"budget": Budget(search="grid")}, "is continuous"),
    "candidates by popularity": (
        {"options": {"topk": [5, 10], "eval_args": {"mode": "pop5"}}},
        "counts in the test data too",
    ),
    "more CPUs than there are": ({"resources": Resources(cpus=64)}, "A trial asks for 64 CPU.*Lower --cpus-per-trial"),
    "more GPUs than there are": ({"resources": Resources(gpus=0.5)}, "A trial asks for 0.5 GPU"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_written(
    local_ray: None, toy: Path, tmp_path: Path, case: str
) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(InputError, match=message.replace(".", r"\.").replace(r"\.*", ".*")):
        tune(tuning(toy, tmp_path / "out", **changes), console=quiet_console())
    assert not (tmp_path / "out").exists()


SPACES = {
    "space: {learning_rat: [0.1]}\n": "`learning_rat` is no option of BPR. Did you mean 'learning_rate'",
    "space: {}\n": "the space is empty",
    "space: {learning_rate: {log: [0.1, 0.01]}}\n": "learning_rate",
    "space: {epochs: [1, 2]}\n": "`epochs` is fixed for all trials by --set, --epochs",
    "space: {stopping_step: [1, 2]}\n": "`stopping_step` is part of the protocol",
}


@pytest.mark.parametrize("text", SPACES)
def test_a_space_that_is_wrong_is_refused_with_its_file(toy: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        tune(tuning(toy, tmp_path / "out", space=file), console=quiet_console())
    assert SPACES[text] in str(refused.value)
    assert str(file) in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "BPR", "--epochs", "3", "--set", "epochs=4"), "--epochs and --set epochs=… are given"),
        (("--model", "BPR", "--metric", "MRR@5", "--set", "valid_metric=MRR@10"), "--metric and --set valid_metric"),
        (("--model", "BPR,EASE", "--space", "my.yaml"), "--space is for one model, but 2"),
        (("--model", ","), "--model names nothing"),
        (("--model", "BPR", "--grace", "5"), "--grace"),
        (("--model", "BPR", "--set", "seed=7"), "cannot set `seed`"),
    ],
)
def test_arguments_that_contradict_are_refused(toy: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    result = call(tmp_path / "out", toy, *words)
    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "out").exists()


class Called:
    """Stands for the tuning and keeps what it was called with."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __call__(self, asked: Tuning, **more: Any) -> Any:
        self.asked, self.more = asked, more
        raise self.error or InputError("enough")


def test_words_become_a_tuning(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = Called()
    monkeypatch.setattr("recbole_vagnn.experiments.tuning.tune.tune", called)
    words = (
        "--model",
        "VAGNN-interactions, BPR, RecencyGCN",
        "--trials",
        "7",
        "--epochs",
        "9",
        "--hours",
        "0.5",
        "--seed",
        "3",
    )
    more = ("--patience", "4", "--search", "random", "--grace", "12", "--reduction-factor", "2", "--final-seeds", "0")
    places = ("--cpus-per-trial", "2", "--gpus-per-trial", "0.25", "--ray-address", "auto", "--resume")
    call(tmp_path / "out", toy, *words, *more, *places)
    asked = called.asked
    assert asked.plan.contestants == (
        Contestant("VAGNN-interactions", "VAGNN", {"aux_pairs": "interactions"}),
        Contestant("BPR", "BPR"),
        Contestant("RecencyGCN", "CreatorRecencyGCN", {"creators": False}),
    )
    assert (asked.plan.datasets, asked.plan.options) == (("toy",), {"epochs": 9, "stopping_step": 4})
    assert asked.budget == Budget(trials=7, seconds=1800.0, search="random", seed=3, grace=12, reduction=2.0)
    assert (asked.resources, asked.final_seeds) == (Resources(2, 0.25), ())
    assert (asked.folder, asked.data_path) == (tmp_path / "out", toy)
    assert called.more == {"resume": True, "address": "auto"}


@pytest.mark.parametrize(
    ("name", "plan"), [("full", "full"), ("all", "full"), ("paper", "paper"), ("strong", "strong")]
)
def test_names_of_plans_stand_for_their_models(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, plan: str
) -> None:
    called = Called()
    monkeypatch.setattr("recbole_vagnn.experiments.tuning.tune.tune", called)
    call(tmp_path / "out", toy, "--model", name)
    assert called.asked.plan.contestants == read_plan(plan).contestants
    assert called.asked.plan.datasets == ("toy",)


def test_ctrl_c_says_how_to_go_on(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_vagnn.experiments.tuning.tune.tune", Called(KeyboardInterrupt()))
    monkeypatch.setattr("sys.argv", ["recbole-vagnn", "tune", "--model", "BPR", "--out", "a folder"])
    result = call(tmp_path / "out", toy, "--model", "BPR")
    assert result.exit_code == 130
    assert "go on with: recbole-vagnn tune --model BPR --out 'a folder' --resume" in result.output
