"""`recbole-vagnn study`: words become a request and a scheduler; mistakes become one message."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbole_vagnn.cli import main
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import cluster, serial
from recbole_vagnn.experiments.benchmark import Outcome
from recbole_vagnn.experiments.events import Failure
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies import cost
from recbole_vagnn.experiments.studies import run as module
from recbole_vagnn.experiments.studies.run import Asked, make_request
from recbole_vagnn.experiments.studies.study import STUDIES, load_study
from tests.experiments.toy import toy_job
from tests.test_docs import commands


class Called:
    """Stands for the study and keeps what it was called with."""

    def __init__(self) -> None:
        self.name: Any = None
        self.outcome: Any = None
        self.error: BaseException | None = None

    def __call__(self, name: str, folder: str, schedule: Any, clock: Any, asked: Asked, **more: Any) -> Outcome:
        self.name, self.folder, self.schedule, self.clock, self.asked = name, folder, schedule, clock, asked
        self.more = more
        if self.error is not None:
            raise self.error
        return self.outcome or Outcome(Records(folder))


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Called:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuned").mkdir()
    stands_for = Called()
    monkeypatch.setattr(module, "run_study", stands_for)
    return stands_for


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["study", *words])


def test_a_study_as_it_stands(called: Called, tmp_path: Path) -> None:
    assert call("ablation").exit_code == 0
    assert (called.name, called.folder, called.asked) == (
        "ablation",
        "results/study-ablation",
        Asked(None, None, {}, {}),
    )
    more = {key: called.more[key] for key in ("data_path", "resume", "dry_run", "hours", "threads")}
    assert more == {
        "data_path": str(tmp_path / "dataset"),
        "resume": False,
        "dry_run": False,
        "hours": None,
        "threads": 1,
    }


def test_everything_may_be_changed(called: Called, tmp_path: Path) -> None:
    words = ["--datasets=a, b", "--seeds=3", "--epochs=4", "--set=train_batch_size=64", "--tuned=tuned", "--out=here"]
    more = ["--with", "vary={n_layers: [1, 2]}", "--with=model=SimGCL", "--data-path=d", "--resume", "--hours=2.5"]
    done = call("sensitivity", *words, *more, "--cpus-per-run=2", "--dry-run")
    assert done.exit_code == 0, done.output
    assert called.asked == Asked(
        ("a", "b"),
        3,
        {"train_batch_size": 64, "epochs": 4},
        {"vary": {"n_layers": [1, 2]}, "model": "SimGCL"},
        Path("tuned"),
    )
    assert (called.folder, called.more["data_path"]) == ("here", str(tmp_path / "d"))
    assert (called.more["resume"], called.more["dry_run"]) == (True, True)
    assert (called.more["hours"], called.more["threads"]) == (2.5, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set=epochs=3", "--epochs=4"], "--epochs and --set epochs=… are given: leave one out"),
        (["--with", "vary"], "--vary has no value"),
        (["--serial", "--ray-address=auto"], "--serial runs without Ray: leave --ray-address out"),
    ],
)
def test_a_mistake_is_one_message(called: Called, words: list[str], message: str) -> None:
    done = call("ablation", *words)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert message in done.output
    assert called.name is None


@pytest.mark.parametrize("words", [["--seeds=0"], ["--epochs=0"], ["--hours=0"], ["--cpus-per-run=0"], ["--tuned=x"]])
def test_values_out_of_range_are_refused(called: Called, words: list[str]) -> None:
    done = call("ablation", *words)
    assert done.exit_code == 2
    assert words[0].partition("=")[0] in done.output
    assert called.name is None


def test_mistakes_that_the_study_finds_are_one_message_too(called: Called) -> None:
    called.error = InputError("There is no study 'x'.")
    done = call("x")
    assert (done.exit_code, done.output) == (1, "Error: There is no study 'x'.\n")


def test_an_interrupt_says_how_to_go_on(called: Called) -> None:
    called.error = KeyboardInterrupt()
    done = call("ablation", "--out=here")
    assert done.exit_code == 130
    assert "Finished runs are in here; go on with --resume." in done.output


def test_files_are_named_and_failures_make_the_command_fail(called: Called) -> None:
    failures = [Failure(toy_job(), "reason", 2)]
    called.outcome = Outcome(Records("x"), failures, [Path("x/report.html")])
    done = call("ablation")
    assert done.exit_code == 1
    assert done.output == "x/report.html\nError: 1 run(s) failed; the report names them.\n"
    called.outcome = Outcome(Records("x"), failures, [])
    assert "no run finished, so there is no report" in call("ablation").output


def test_runs_go_where_the_benchmarks_go(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(cluster, "run_on_ray", lambda *given, **more: asked.append((given, more)))
    assert call("ablation", "--ray-address=auto", "--cpus-per-run=2", "--gpus-per-run=0.5").exit_code == 0
    called.schedule("jobs", "data", "listener")
    assert asked == [(("jobs", "data", "listener"), {"address": "auto", "cpus": 2.0, "gpus": 0.5})]
    monkeypatch.setattr(serial, "run_serially", lambda *given: asked.append(given))
    assert call("ablation", "--serial").exit_code == 0
    called.schedule("jobs", "data", "listener")
    assert asked[1:] == [("jobs", "data", 1, "listener", 1)]


def test_an_epoch_is_timed_on_the_data_and_threads_of_the_runs(
    called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(cost, "time_epoch", lambda *given, **more: asked.append((given, more)))
    assert call("ablation", "--cpus-per-run=3").exit_code == 0
    called.clock("job")
    assert asked == [(("job",), {"data_path": str(tmp_path / "dataset"), "threads": 3})]


@pytest.mark.parametrize("line", commands("recbole-vagnn study "))
def test_every_command_of_the_docs_asks_for_what_its_study_has(called: Called, tmp_path: Path, line: str) -> None:
    _, _, *words = shlex.split(line, comments=True)
    if "--tuned" in words:
        (tmp_path / words[words.index("--tuned") + 1]).mkdir(parents=True)
    done = call(*words)
    assert done.exit_code == 0, done.output
    make_request(called.name, load_study(called.name), called.asked, tmp_path)


def test_help_names_every_study_and_its_question() -> None:
    text = " ".join(call("--help").output.split())
    for name, (_, question) in STUDIES.items():
        assert f"{name} {question}" in text
