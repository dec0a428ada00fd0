"""The whole benchmark on two toy data sets, its runs in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import benchmark as module
from recbole_vagnn.experiments.benchmark import Outcome, benchmark
from recbole_vagnn.experiments.events import Board, Failure, Listener, Progress
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Contestant, Job, Plan, with_changes
from recbole_vagnn.experiments.records import Records
from tests.experiments.cases import record
from tests.helpers import write_dataset
from tests.runs import write_toy

PLAN = Plan(
    (Contestant("Pop", "Pop"), Contestant("EASE", "EASE")),
    ("toy", "other"),
    (1, 2),
    {"topk": [5, 10], "epochs": 1},
    ours=("EASE",),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_toy(tmp_path_factory.mktemp("data"))
    rows = [(f"u{u}", f"i{(5 * u + step) % 15}", step) for u in range(8) for step in range(4)]
    return write_dataset(folder, rows, [(f"i{i}", f"v{i % 4}") for i in range(15)], name="other")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_vagnn.experiments.report.SAMPLES", 200)


class InProcess:
    """A scheduler: runs jobs here, all or so many, and then raises; those of ``failing`` labels fail."""

    def __init__(
        self, stop_after: int = 100, error: type[BaseException] = KeyboardInterrupt, failing: str = ""
    ) -> None:
        self.stop_after, self.error, self.failing = stop_after, error, failing
        self.ran: list[Any] = []

    def __call__(self, jobs: Iterable[Job], data_path: str, listener: Listener) -> None:
        for job in jobs:
            if len(self.ran) == self.stop_after:
                raise self.error
            self.ran.append(job.key)
            listener.started(job)
            if job.contestant.label == self.failing:
                listener.failed(Failure(job, "out of luck", 2))
            else:
                listener.finished(job, execute(job, data_path, 1))


def call(plan: Plan, out: Path, data: Path, scheduler: InProcess, **more: Any) -> Outcome:
    return benchmark(plan, out, scheduler, data_path=data, console=Console(file=StringIO()), **more)


@pytest.fixture(scope="module")
def interrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a benchmark that was interrupted after its first run."""
    out = tmp_path_factory.mktemp("out")
    with pytest.raises(KeyboardInterrupt):
        call(PLAN, out, data, InProcess(stop_after=1), command="the command")
    return out


@pytest.fixture
def begun(interrupted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(interrupted, tmp_path / "out")


def test_an_interrupt_keeps_the_run_and_writes_the_reports(interrupted: Path) -> None:
    assert Records(interrupted).keys() == {("toy", "Pop", 1)}
    assert {"table.md", "table.tex", "table.csv", "report.html"} <= {path.name for path in interrupted.iterdir()}
    text = (interrupted / "table.md").read_text()
    assert "the command" in text
    assert "| EASE | — |" in text


def test_resume_runs_what_is_missing_and_nothing_else(begun: Path, data: Path) -> None:
    before = (begun / "runs.csv").read_text().splitlines()[1]
    scheduler = InProcess()
    outcome = call(PLAN, begun, data, scheduler, resume=True)
    every = [(dataset, model, seed) for seed in (1, 2) for dataset in ("toy", "other") for model in ("Pop", "EASE")]
    assert scheduler.ran == every[1:]
    assert outcome.records.keys() == set(every) == Records(begun).keys()
    assert before in (begun / "runs.csv").read_text().splitlines()
    assert outcome.failures == []
    assert all(path.is_file() for path in outcome.files)
    again = InProcess()
    assert call(PLAN, begun, data, again, resume=True).records.keys() == set(every)
    assert again.ran == []


def test_every_model_has_one_fingerprint_a_data_set(tmp_path: Path, data: Path) -> None:
    runs = call(PLAN, tmp_path / "out", data, InProcess()).records.runs
    assert (runs.groupby("dataset")[["fingerprint", "protocol", "version"]].nunique() == 1).all(axis=None)
    assert runs["fingerprint"].nunique() == 2
    text = (tmp_path / "out" / "table.md").read_text()
    (other, toy) = (runs[runs["dataset"] == name]["fingerprint"].iloc[0] for name in ("other", "toy"))
    for fingerprint in (other, toy):
        assert f"All 4 runs, of 2 models, have the same fingerprint of split and creators ({fingerprint})" in text


def test_without_resume_a_folder_with_runs_is_refused(begun: Path, data: Path) -> None:
    with pytest.raises(InputError, match=r"holds 1 finished run\(s\)\. Go on with --resume, or choose another --out"):
        call(PLAN, begun, data, InProcess())


def refused(plan: Plan, out: Path, data: Path, message: str) -> None:
    """Resuming is refused before anything runs, and the folder stays as it is."""
    scheduler, before = InProcess(), (out / "runs.csv").read_bytes()
    with pytest.raises(InputError, match=message):
        call(plan, out, data, scheduler, resume=True)
    assert scheduler.ran == []
    assert (out / "runs.csv").read_bytes() == before


def test_tuned_and_untuned_are_never_mixed(begun: Path, data: Path, tmp_path: Path) -> None:
    for dataset in PLAN.datasets:
        for label in PLAN.labels:
            path = tmp_path / "tuned" / dataset / f"{label}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    plan = with_changes(PLAN, tuned=tmp_path / "tuned")
    refused(plan, begun, data, "authors settings, this plan has tuned: .* never mixed")


def test_another_split_is_refused_before_anything_runs(begun: Path, data: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(data, tmp_path / "data")
    path = changed / "toy" / "toy.inter"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    refused(PLAN, begun, changed, "1 run.* on toy with fingerprint .* cannot be compared")


def test_another_protocol_is_refused_before_anything_runs(begun: Path, data: Path) -> None:
    fresh = with_changes(PLAN, contestants=(Contestant("EASE", "EASE"),), options={"stopping_step": 3})
    refused(fresh, begun, data, "1 run.* on toy with protocol .* cannot be compared")


def test_another_version_is_refused_before_anything_runs(
    begun: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__version__", "0.0.0")
    refused(PLAN, begun, data, r"1 run.* on toy with version .*'0\.0\.0'")


def test_finished_runs_of_other_options_are_not_taken_for_those_of_the_plan(begun: Path, data: Path) -> None:
    changed = with_changes(PLAN, options={"train_batch_size": 99})
    refused(changed, begun, data, r"1 finished run\(s\) of Pop on toy with other options")


def test_a_run_on_another_split_is_refused_and_the_reports_are_written(begun: Path, data: Path, tmp_path: Path) -> None:
    """The data change while the benchmark runs."""
    changed = shutil.copytree(data, tmp_path / "data")

    class Changing(InProcess):
        def __call__(self, jobs: Iterable[Job], data_path: str, listener: Listener) -> None:
            path = changed / "toy" / "toy.inter"
            path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
            super().__call__(jobs, data_path, listener)

    (begun / "table.md").unlink()
    with pytest.raises(InputError, match="on toy with fingerprint"):
        call(PLAN, begun, changed, Changing(), resume=True)
    assert Records(begun).keys() == {("toy", "Pop", 1)}
    assert (begun / "table.md").is_file()


def test_failures_are_listed_and_the_others_finish(tmp_path: Path, data: Path) -> None:
    plan = with_changes(PLAN, datasets=("toy",), seeds=(1,))
    outcome = call(plan, tmp_path, data, InProcess(failing="EASE"))
    assert [failure.job.key for failure in outcome.failures] == [("toy", "EASE", 1)]
    assert outcome.records.keys() == {("toy", "Pop", 1)}
    assert "- EASE on toy, seed 1 (2 attempts): out of luck" in (tmp_path / "table.md").read_text()
    resumed = InProcess()
    assert call(plan, tmp_path, data, resumed, resume=True).failures == []
    assert resumed.ran == [("toy", "EASE", 1)]


def test_nothing_finished_nothing_written(tmp_path: Path, data: Path) -> None:
    plan = with_changes(PLAN, datasets=("toy",), contestants=(Contestant("Pop", "Pop"),))
    outcome = call(plan, tmp_path / "out", data, InProcess(failing="Pop"))
    assert (len(outcome.failures), outcome.files) == (2, [])
    assert not (tmp_path / "out").exists()


def test_a_crash_of_the_scheduler_keeps_what_is_finished(tmp_path: Path, data: Path) -> None:
    with pytest.raises(MemoryError):
        call(PLAN, tmp_path, data, InProcess(stop_after=2, error=MemoryError))
    assert len(Records(tmp_path).keys()) == 2
    assert pd.read_csv(tmp_path / "table.csv")["dataset"].unique().tolist() == ["toy"]


@pytest.mark.parametrize("short", [1, 2])
def test_users_without_a_validation_item_are_refused_beforehand(tmp_path: Path, short: int) -> None:
    rows = [(f"u{u}", f"i{(2 * u + step) % 12}", step) for u in range(6) for step in range(5 if u else short)]
    data = write_dataset(tmp_path, rows, [(f"i{i}", f"v{i % 4}") for i in range(12)])
    plan, scheduler = with_changes(PLAN, datasets=("toy",)), InProcess()
    found = "5 validation and 6 test" if short == 2 else "5 validation and 5 test"
    with pytest.raises(InputError, match=f"toy: leave-one-out finds {found} interactions of 6 users.*--min-history 3"):
        call(plan, tmp_path / "out", data, scheduler)
    assert scheduler.ran == []
    assert not (tmp_path / "out" / "runs.csv").exists()
    one_seed = with_changes(plan, seeds=(1,), options={"user_inter_num_interval": "[3,inf)"})
    assert len(call(one_seed, tmp_path / "out", data, scheduler).records.runs) == 2


def test_other_splits_need_no_minimum_history(tmp_path: Path) -> None:
    rows = [(f"u{u}", f"i{(2 * u + step) % 12}", step) for u in range(6) for step in range(10 if u else 2)]
    data = write_dataset(tmp_path, rows, [(f"i{i}", f"v{i % 4}") for i in range(12)])
    ratio = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}}
    plan = with_changes(PLAN, datasets=("toy",), seeds=(1,), options=ratio)
    assert len(call(plan, tmp_path / "out", data, InProcess()).records.runs) == 2


def test_progress_is_printed(tmp_path: Path, data: Path) -> None:
    said = StringIO()
    plan = with_changes(PLAN, datasets=("toy",), seeds=(1,))
    benchmark(plan, tmp_path, InProcess(failing="EASE"), data_path=data, console=Console(file=said, width=200))
    score = Records(tmp_path).runs.set_index("model").at["Pop", "valid_recall@10"]
    lines = said.getvalue().splitlines()
    assert lines[0] == "2 runs, 0 of them finished before."
    assert lines[1].startswith(f"Pop on toy, seed 1: valid_recall@10 {score:.4f}, 1 epochs, ")
    assert lines[1].endswith("(1 of 2 runs left)")
    assert lines[2] == "EASE on toy, seed 1 failed after 2 attempt(s): out of luck (0 of 2 runs left)"


def test_a_terminal_shows_what_runs_and_what_is_done() -> None:
    screen = Console(file=StringIO(), force_terminal=True, width=120)
    jobs = list(with_changes(PLAN, datasets=("toy",)).jobs())
    with Board(5, screen, "valid_recall@10") as board:
        board.started(jobs[0])
        board.progressed(jobs[0], Progress(4, 0.125))
        board.started(jobs[1])
        assert shown(board) == (
            "0 of 5 runs, 0 failed",
            [["toy", "EASE", "1", "0", ""], ["toy", "Pop", "1", "4", "0.1250"]],
        )
        board.retried(jobs[0], "it died")
        assert shown(board)[1][1] == ["toy", "Pop", "1", "0", ""]
        for job, score in ((jobs[0], 0.1), (jobs[2], 0.2)):
            board.finished(job, record(job.key, **{"valid_recall@10": score}))
        board.failed(Failure(jobs[1], "out of luck", 2))
        assert shown(board) == ("2 of 5 runs, 1 failed", [["toy", "Pop", "2 done", "", "0.1500"]])
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "Pop on toy, seed 1 died and is tried again: it died (5 of 5 runs left)" in said
    assert "EASE on toy, seed 1 failed after 2 attempt(s): out of luck (2 of 5 runs left)" in said


def shown(board: Board) -> tuple[str, list[list[str]]]:
    """Counts of the title, and rows of the live table."""
    table = board.table()
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return str(table.title).rpartition(" failed")[0] + " failed", [list(map(str, row)) for row in rows]
