"""Runs in processes of their own: the same numbers, and no crash takes others with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from recbole_vagnn.experiments.events import Failure, Progress
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.serial import run_serially
from tests.experiments.toy import Memory, deadly_job, numbers, toy_job
from tests.runs import write_toy

OURS = toy_job("VAGNN", "Ours")
BAD = toy_job("BPR", "Bad", embedding_size=-1)
WRONG = toy_job("Pop", "Wrong", no_such_option=3)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def memory(toy: Path) -> Memory:
    """All kinds of jobs in one go, the last of them a good one."""
    marker = toy.parent
    once = deadly_job(marker / "once", 1, "kill", "Once")
    loud = deadly_job(marker / "loud", 1, "shout", "Loud")
    memory = Memory()
    run_serially([BAD, WRONG, once, loud, OURS], str(toy), 1, memory)
    return memory


def test_a_run_equals_the_same_run_in_this_process(toy: Path, memory: Memory) -> None:
    assert numbers(memory.records["Ours"]) == numbers(execute(OURS, toy, 1))


def test_progress_is_told(memory: Memory) -> None:
    valid = memory.records["Ours"].curve["valid"]
    expected = [Progress(1, valid[0]), Progress(2, max(valid))]
    assert memory.events["Ours"] == ["started", *expected, "finished"]


def test_a_crash_is_tried_again_once_and_reported(memory: Memory) -> None:
    failure = memory.failures["Bad"]
    assert (failure.job, failure.attempts) == (BAD, 2)
    assert "negative dimension -1" in failure.reason
    assert failure.reason.endswith("(exit code 1)")
    assert "\n" not in failure.reason
    assert memory.events["Bad"] == ["started", f"retried: {failure.reason}", "failed"]


def test_a_mistake_is_not_tried_again(memory: Memory) -> None:
    failure = memory.failures["Wrong"]
    assert failure.attempts == 1
    assert "Unknown option 'no_such_option' for Pop" in failure.reason
    assert memory.events["Wrong"] == ["started", "failed"]


def test_a_killed_process_is_tried_again_and_succeeds(memory: Memory) -> None:
    told = [event for event in memory.events["Once"] if not isinstance(event, Progress)]
    assert told == ["started", "retried: killed by SIGKILL", "finished"]


def test_megabytes_of_errors_and_what_models_print_disturb_nothing(memory: Memory) -> None:
    assert [event for event in memory.events["Loud"] if not isinstance(event, Progress)] == ["started", "finished"]
    assert numbers(memory.records["Loud"])["per_user"] == numbers(memory.records["Once"])["per_user"]


def test_megabytes_of_errors_and_then_death(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line is the reason; bytes that are no text do not matter."""
    child = tmp_path / "python"
    child.write_text("#!/bin/sh\nhead -c 3000000 /dev/zero >&2\nprintf 'x\\377\\nlast words\\n\\n' >&2\nexit 7\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    memory = Memory()
    run_serially([OURS], str(toy), 1, memory)
    assert memory.failures["Ours"] == Failure(OURS, "last words (exit code 7)", 2)


def test_an_interrupt_ends_the_process_too(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho 1 0.5\nexec sleep 60\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))

    class Interrupting(Memory):
        def progressed(self, job: object, progress: Progress) -> None:
            assert progress == Progress(1, 0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_serially([OURS], str(toy), 1, Interrupting())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_runs_at_once_give_the_same_records(toy: Path, memory: Memory) -> None:
    at_once = Memory()
    run_serially([WRONG, OURS, toy_job("BPR", "Other")], str(toy), 1, at_once, at_once=3)
    assert numbers(at_once.records["Ours"]) == numbers(memory.records["Ours"])
    assert set(at_once.records) == {"Ours", "Other"}
    assert at_once.failures["Wrong"].attempts == 1


def test_an_interrupt_ends_all_processes_at_once(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\necho 1 0.5\nexec sleep 60\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))

    class Interrupting(Memory):
        told = 0

        def progressed(self, job: object, progress: Progress) -> None:
            self.told += 1
            if self.told == 2:  # both are at work
                raise KeyboardInterrupt

    memory = Interrupting()
    jobs = [OURS, toy_job("BPR", "Other"), toy_job("BPR", "Never")]
    with pytest.raises(KeyboardInterrupt):
        run_serially(jobs, str(toy), 1, memory, at_once=2)
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not memory.records
    assert not memory.failures
