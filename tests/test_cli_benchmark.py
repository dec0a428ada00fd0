"""`recbole-vagnn benchmark`: words become a plan and a scheduler; mistakes become one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbole_vagnn.cli import main
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import benchmark as module
from recbole_vagnn.experiments import cluster, serial
from recbole_vagnn.experiments.benchmark import Outcome
from recbole_vagnn.experiments.events import Failure
from recbole_vagnn.experiments.plan import Contestant, Plan
from recbole_vagnn.experiments.records import Records
from tests.experiments.toy import toy_job

TEXT = """
models: [Pop, {Ours: {model: VAGNN, n_layers: 1}}]
datasets: [toy]
ours: [Ours]
options: {epochs: 9}
"""


class Called:
    """Stands for the benchmark and keeps what it was called with."""

    def __init__(self) -> None:
        self.plan: Any = None
        self.outcome: Any = None
        self.error: BaseException | None = None

    def __call__(self, plan: Plan, folder: str, schedule: Any, **more: Any) -> Outcome:
        self.plan, self.folder, self.schedule, self.more = plan, folder, schedule, more
        if self.error is not None:
            raise self.error
        return self.outcome or Outcome(Records(folder))


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Called:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.plan.yaml").write_text(TEXT)
    (tmp_path / "tuned").mkdir()
    stands_for = Called()
    monkeypatch.setattr(module, "benchmark", stands_for)
    return stands_for


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["benchmark", *words])


def test_a_plan_as_it_stands(called: Called) -> None:
    assert call("my.plan.yaml").exit_code == 0
    contestants = (Contestant("Pop", "Pop"), Contestant("Ours", "VAGNN", {"n_layers": 1}))
    assert called.plan == Plan(contestants, ("toy",), (2020,), {"epochs": 9}, ("Ours",))
    assert called.folder == "results/my.plan"
    assert (called.more["data_path"], called.more["resume"]) == ("dataset", False)


def test_paper_is_the_default(called: Called) -> None:
    assert call().exit_code == 0
    assert set(called.plan.labels) == {"NGCF", "LightGCN", "GTN", "SGL", "SimGCL", "VAGNN"}
    assert (len(called.plan.seeds), called.folder) == (5, "results/paper")


def test_options_change_the_plan(called: Called) -> None:
    words = ["--models=Ours, EASE", "--datasets=a,b", "--seeds=3", "--epochs=4", "--ours=EASE", "--tuned=tuned"]
    more = ["--set", "train_batch_size=64", "--set=eval_args={mode: uni100}", "--out=here", "--resume", "--data-path=d"]
    done = call("my.plan.yaml", *words, *more)
    assert done.exit_code == 0, done.output
    assert called.plan == Plan(
        (Contestant("Ours", "VAGNN", {"n_layers": 1}), Contestant("EASE", "EASE")),
        ("a", "b"),
        (2020, 2021, 2022),
        {"epochs": 4, "train_batch_size": 64, "eval_args": {"mode": "uni100"}},
        ("EASE",),
        Path("tuned"),
    )
    assert called.folder == "here"
    assert (called.more["data_path"], called.more["resume"]) == ("d", True)


def test_fewer_models_leave_fewer_of_ours(called: Called) -> None:
    assert call("my.plan.yaml", "--models=Pop").exit_code == 0
    assert (called.plan.labels, called.plan.ours) == (("Pop",), ())
    assert call("my.plan.yaml", "--ours=").exit_code == 0
    assert called.plan.ours == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["papre"], "There is no plan 'papre'"),
        (["gone.yaml"], "gone.yaml does not exist"),
        (["my.plan.yaml", "--models="], "The plan has no models"),
        (["my.plan.yaml", "--models", " , "], "The plan has no models"),
        (["my.plan.yaml", "--datasets="], "The plan has no datasets"),
        (["my.plan.yaml", "--models=Pop,Pop"], "names Pop twice among its models"),
        (["my.plan.yaml", "--ours=Our"], "`ours` names 'Our', which is not among the models. Did you mean 'Ours'?"),
        (["my.plan.yaml", "--set", "epochs"], "--epochs has no value"),
        (["my.plan.yaml", "--set=a=1", "--set=a=2"], "--a is given twice, as 1 and 2"),
        (["my.plan.yaml", "--set=epochs=3", "--epochs=4"], "--epochs and --set epochs=… are given"),
        (["my.plan.yaml", "--set=seed=3"], "The plan's `options` cannot set `seed`"),
        (["my.plan.yaml", "--serial", "--ray-address=auto"], "--serial runs without Ray: leave --ray-address out"),
        (["my.plan.yaml", "--processes=2", "--ray-address=auto"], "--processes runs without Ray: leave --ray-address"),
        (["my.plan.yaml", "--serial", "--processes=2"], "--serial is one run at a time"),
    ],
)
def test_a_mistake_is_one_message(called: Called, words: list[str], message: str) -> None:
    done = call(*words)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert message in done.output
    assert "Traceback" not in done.output
    assert called.plan is None


@pytest.mark.parametrize(
    "words", [["--seeds=0"], ["--epochs=0"], ["--cpus-per-run=0"], ["--gpus-per-run=-1"], ["--tuned=x"]]
)
def test_values_out_of_range_are_refused(called: Called, words: list[str]) -> None:
    done = call("my.plan.yaml", *words)
    assert done.exit_code == 2
    assert words[0].partition("=")[0] in done.output
    assert called.plan is None


def test_mistakes_that_the_benchmark_finds_are_one_message_too(called: Called) -> None:
    called.error = InputError("results holds 3 finished run(s).")
    done = call("my.plan.yaml")
    assert (done.exit_code, done.output) == (1, "Error: results holds 3 finished run(s).\n")


def test_an_interrupt_says_how_to_go_on(called: Called) -> None:
    called.error = KeyboardInterrupt()
    done = call("my.plan.yaml", "--out=here")
    assert done.exit_code == 130
    assert "Finished runs are in here; go on with --resume." in done.output


def test_files_are_named_and_failures_make_the_command_fail(called: Called) -> None:
    failures = [Failure(toy_job(), "reason", 2)]
    called.outcome = Outcome(Records("x"), failures, [Path("x/report.html")])
    done = call("my.plan.yaml")
    assert done.exit_code == 1
    assert done.output == "x/report.html\nError: 1 run(s) failed; the report names them.\n"
    called.outcome = Outcome(Records("x"), failures, [])
    assert "no run finished, so there is no report" in call("my.plan.yaml").output


def test_runs_go_to_ray_with_their_share_of_a_machine(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(cluster, "run_on_ray", lambda *given, **more: asked.append((given, more)))
    assert call("my.plan.yaml", "--ray-address=auto", "--cpus-per-run=2", "--gpus-per-run=0.5").exit_code == 0
    called.schedule("jobs", "data", "listener")
    assert asked == [(("jobs", "data", "listener"), {"address": "auto", "cpus": 2.0, "gpus": 0.5})]


@pytest.mark.parametrize(("cpus", "threads"), [("0.5", 1), ("1", 1), ("3", 3)])
def test_serial_runs_have_as_many_threads_as_cpus(
    called: Called, monkeypatch: pytest.MonkeyPatch, cpus: str, threads: int
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(serial, "run_serially", lambda *given: asked.append(given))
    assert call("my.plan.yaml", "--serial", f"--cpus-per-run={cpus}").exit_code == 0
    called.schedule("jobs", "data", "listener")
    assert call("my.plan.yaml", "--processes=4", f"--cpus-per-run={cpus}").exit_code == 0
    called.schedule("jobs", "data", "listener")
    assert asked == [("jobs", "data", threads, "listener", at_once) for at_once in (1, 4)]
