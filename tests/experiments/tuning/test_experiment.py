"""Searches on Ray: one local Ray for all of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.experiment import run_search
from recbole_vagnn.experiments.tuning.search import Search
from recbole_vagnn.experiments.tuning.store import SearchRecord, TrialRecord
from tests.experiments.tuning.toy_search import DyingRequest, curve, data_of, quiet_console, toy_search
from tests.runs import subprocess_environment, write_toy


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """Temporary folder of the workers; its path is short, as sockets of Ray lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="rv", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def local_ray(scratch: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
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


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


def run(search: Search) -> SearchRecord:
    return run_search(search, ray.put(data_of(search)), quiet_console())


def numbers(record: SearchRecord) -> list[Any]:
    """What must be equal between two searches that are the same."""
    return [(trial.config, trial.state, trial.score, trial.best_epoch, trial.epochs) for trial in record.trials]


def scores(record: SearchRecord, trial: TrialRecord) -> list[float]:
    return list(record.epochs[record.epochs["trial"] == trial.trial]["score"])


@pytest.fixture(scope="module")
def plain(local_ray: None, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, SearchRecord]:
    search = toy_search(tmp_path_factory.mktemp("plain"), toy, budget={"trials": 8})
    return search, run(search)


def test_curves_are_those_of_the_same_trainings_without_ray(plain: tuple[Search, SearchRecord]) -> None:
    search, record = plain
    data = data_of(search)
    assert len(record.trials) == 8
    for trial in record.trials:
        outside = curve(search, trial.config, data)[: trial.epochs]
        inside = record.epochs[record.epochs["trial"] == trial.trial]
        assert list(inside["score"]) == [evaluation.score for evaluation in outside]
        assert list(inside["loss"]) == [evaluation.loss for evaluation in outside]
        assert list(inside["valid_ndcg@5"]) == [evaluation.metrics["ndcg@5"] for evaluation in outside]
        assert trial.score == max(evaluation.score for evaluation in outside)


def test_a_bad_trial_is_stopped_after_the_grace_and_epochs_are_saved(plain: tuple[Search, SearchRecord]) -> None:
    record = plain[1]
    states = {trial.state for trial in record.trials}
    assert states == {"finished", "stopped"}
    for trial in record.trials:
        assert trial.epochs == 24 if trial.state == "finished" else trial.epochs in (10, 30)
    best = max(trial.score or 0.0 for trial in record.trials)
    assert next(trial for trial in record.trials if trial.score == best).state == "finished"


FOUR = "first: [{learning_rate: 0.01}, {learning_rate: 0.02}]\nspace: {learning_rate: [0.01, 0.02, 0.03, 0.04]}\n"


@pytest.fixture(scope="module")
def harmed(local_ray: None, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, SearchRecord, str]:
    """One trial whose process is killed once, one that is refused, one that always raises, and a good one."""
    folder = tmp_path_factory.mktemp("harmed")
    harms = ((0.01, "kill", 1), (0.02, "refuse", 9), (0.03, "raise", 9))
    options = {"notes": str(folder / "notes"), "harms": harms}
    search = toy_search(folder, toy, space=FOUR, request=DyingRequest, request_options=options, epochs=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_vagnn.experiments.tuning.experiment.RETRIES", 1)
        record = run(search)
    return search, record, (folder / "notes").read_text()


def trial_of(record: SearchRecord, rate: float) -> TrialRecord:
    return next(trial for trial in record.trials if trial.config["learning_rate"] == rate)


def test_a_trial_whose_process_was_killed_goes_on_from_its_checkpoint(
    harmed: tuple[Search, SearchRecord, str], toy: Path, tmp_path: Path
) -> None:
    _, record, notes = harmed
    trial = trial_of(record, 0.01)
    assert (trial.state, trial.attempts, trial.error) == ("finished", 2, "")
    trained = [line.split()[-1] for line in notes.splitlines() if line.startswith("0.01")]
    harm = trained.index("harm")
    assert trained[:harm] == [str(epoch) for epoch in range(6)]
    again = [int(epoch) for epoch in trained[harm + 1 :]]
    assert again == list(range(again[0], 12))
    assert 1 <= again[0] <= 5
    undisturbed = toy_search(tmp_path, toy, space=FOUR, epochs=12)
    assert scores(record, trial) == [evaluation.score for evaluation in curve(undisturbed, trial.config)]


def test_a_refused_configuration_is_recorded_and_not_tried_again(harmed: tuple[Search, SearchRecord, str]) -> None:
    _, record, notes = harmed
    trial = trial_of(record, 0.02)
    assert (trial.state, trial.attempts, trial.error) == ("failed", 1, "the user is wrong")
    assert notes.count("0.02 harm") == 1


def test_a_trial_that_keeps_failing_is_given_up_and_the_others_finish(
    harmed: tuple[Search, SearchRecord, str],
) -> None:
    _, record, notes = harmed
    trial = trial_of(record, 0.03)
    assert (trial.state, trial.attempts) == ("failed", 2)
    assert trial.error == "exploded (after 2 attempts)"
    assert notes.count("0.03 harm") == 2
    assert trial_of(record, 0.04).state == "finished"
    assert not record.budget["hopeless"]


def test_a_search_whose_first_point_fails_is_given_up(local_ray: None, toy: Path, tmp_path: Path) -> None:
    options = {"notes": str(tmp_path / "notes"), "harms": ((0.02, "refuse", 9),), "epoch": 0}
    search = toy_search(tmp_path, toy, request=DyingRequest, request_options=options, budget={"trials": 8})
    for _ in range(2):  # the second time it is only read
        record = run(search)
        assert record.budget["hopeless"]
        assert record.budget["ended"] == "1 trial(s) in a row failed, the last one: the user is wrong"
        assert [trial.state for trial in record.trials] == ["failed"]


class InterruptingConsole(Console):
    """Sends Ctrl-C to this process when the third trial has ended."""

    def print(self, *texts: Any, **options: Any) -> None:
        super().print(*texts, **options)
        if "(3 of 8 done)" in str(texts[0]):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_search_that_was_interrupted_goes_on_to_the_same_trials(
    plain: tuple[Search, SearchRecord], toy: Path, tmp_path: Path
) -> None:
    """With one trial at a time, a seed says everything: the trials are those of a search that nobody disturbed."""
    search = toy_search(tmp_path, toy, budget={"trials": 8})
    data = ray.put(data_of(search))
    with pytest.raises(KeyboardInterrupt):
        run_search(search, data, InterruptingConsole(file=StringIO(), width=200))
    before = search.journal()
    assert before.over is None
    ended = [name for name, trial in before.trials.items() if trial.state]
    assert len(ended) == 3
    record = run_search(search, data, quiet_console())
    assert numbers(record) == numbers(plain[1])
    assert [trial.attempts for trial in record.trials if trial.trial in ended] == [1, 1, 1]


def driver(folder: Path, data_path: Path) -> None:
    """A process of its own that searches until it is killed."""
    search = toy_search(folder, data_path, budget={"trials": 8})
    ray.init(address="local", num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
    run_search(search, ray.put(data_of(search)), quiet_console())


def test_a_search_whose_driver_was_killed_goes_on_to_the_same_trials(
    plain: tuple[Search, SearchRecord], toy: Path, tmp_path: Path, scratch: Path
) -> None:
    search = toy_search(tmp_path, toy, budget={"trials": 8})
    call = (
        f"from pathlib import Path; from {__name__} import driver; driver(Path({str(tmp_path)!r}), Path({str(toy)!r}))"
    )
    # Ray notes the state of a search every ten seconds, in which this one would be over.
    environment = {**subprocess_environment(), "TMPDIR": str(scratch), "TUNE_GLOBAL_CHECKPOINT_S": "0.05"}
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", call], env=environment, stdout=said, stderr=said)
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline and len(ended_trials(search)) < 3:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL, (tmp_path / "said").read_text()
    before = ended_trials(search)
    assert 3 <= len(before) < 8
    for path in search.experiment.glob("*state-*"):  # the kill may hit Ray while it copies these
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    record = run_search(search, ray.put(data_of(search)), quiet_console())
    assert numbers(record) == numbers(plain[1])
    assert sum(trial.attempts == 1 and trial.trial in before for trial in record.trials) >= len(before) - 1


def ended_trials(search: Search) -> list[str]:
    return [name for name, trial in search.journal().trials.items() if trial.state]


def test_a_search_that_is_over_is_only_read(plain: tuple[Search, SearchRecord]) -> None:
    search, record = plain
    again = run_search(search, None, quiet_console())
    assert again.trials == record.trials
    assert again.epochs.equals(record.epochs)
    assert not list(search.experiment.glob("*/checkpoint_*"))
    assert not search.kept.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": {"trials": 9}}, "`budget.trials` was 8 and is 9 now"),
        ({"space": "space: {learning_rate: {log: [1.0e-4, 0.2]}}"}, "`space.parameters` was"),
        ({"budget": {"trials": 8}, "reg_weight": 0.5}, "`options.reg_weight` was None and is 0.5 now"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(
    plain: tuple[Search, SearchRecord], toy: Path, change: dict[str, Any], message: str
) -> None:
    other = toy_search(plain[0].folder.parent, toy, **change)
    with pytest.raises(InputError, match=message):
        run_search(other, None, quiet_console())
