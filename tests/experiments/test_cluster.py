"""Runs as Ray tasks: one local Ray for all tests, the same numbers as without it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.cluster import files_digest, read_files, run_on_ray, unpack
from recbole_vagnn.experiments.events import Progress
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job
from tests.experiments.toy import Memory, deadly_job, numbers, toy_job
from tests.runs import write_toy

OURS = toy_job("VAGNN", "Ours")


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


class Removing(Memory):
    """Removes the data as soon as the first run has begun."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self.data = data

    def started(self, job: Job) -> None:
        super().started(job)
        shutil.rmtree(self.data, ignore_errors=True)


@pytest.fixture(scope="module")
def memory(local_ray: None, toy: Path, scratch: Path) -> Memory:
    """All kinds of jobs in one go, the last of them a good one."""
    copy = toy.parent / "copy"
    shutil.copytree(toy, copy)
    deadly = [
        deadly_job(scratch / "once", 1, "exit", "Once"),
        deadly_job(scratch / "twice", 2, "exit", "Twice"),
        deadly_job(scratch / "raise", 2, "raise", "Raise"),
        deadly_job(scratch / "refuse", 2, "refuse", "Refuse"),
    ]
    memory = Removing(copy)
    run_on_ray([*deadly, OURS], str(copy), memory)
    return memory


def without_progress(memory: Memory, label: str) -> list[Any]:
    return [event for event in memory.events[label] if not isinstance(event, Progress)]


def test_a_run_equals_the_same_run_in_this_process(toy: Path, memory: Memory) -> None:
    assert numbers(memory.records["Ours"]) == numbers(execute(OURS, toy, 1))
    assert without_progress(memory, "Ours") == ["started", "finished"]
    told = [event for event in memory.events["Ours"] if isinstance(event, Progress)]
    valid = memory.records["Ours"].curve["valid"]
    assert {(event.epochs, event.best) for event in told} <= {(1, valid[0]), (2, max(valid))}


def test_runs_need_no_folder_once_the_data_are_in_the_object_store(memory: Memory, scratch: Path) -> None:
    """The folder was removed when the first run began; what is unpacked is there once."""
    assert isinstance(memory, Removing)
    assert not memory.data.exists()
    assert {"Ours", "Once"} == memory.records.keys()
    (unpacked,) = scratch.glob("recbole-vagnn-data-*/*/*")
    assert sorted(path.name for path in unpacked.iterdir()) == ["toy.inter", "toy.item"]


def test_a_process_that_dies_once_is_tried_again(memory: Memory) -> None:
    assert without_progress(memory, "Once") == ["started", "retried: its process died", "finished"]


def test_a_process_that_dies_twice_is_reported_and_the_others_finish(memory: Memory, scratch: Path) -> None:
    assert without_progress(memory, "Twice") == ["started", "retried: its process died", "failed"]
    assert memory.failures["Twice"].attempts == 2
    assert "died" in memory.failures["Twice"].reason
    assert (scratch / "twice").read_text().count("\n") == 2


def test_an_exception_is_tried_again_and_its_reason_is_told(memory: Memory) -> None:
    assert without_progress(memory, "Raise") == ["started", "retried: exploded", "failed"]
    assert (memory.failures["Raise"].reason, memory.failures["Raise"].attempts) == ("exploded", 2)


def test_a_mistake_is_not_tried_again(memory: Memory, scratch: Path) -> None:
    assert without_progress(memory, "Refuse") == ["started", "failed"]
    assert (memory.failures["Refuse"].reason, memory.failures["Refuse"].attempts) == ("the user is wrong", 1)
    assert (scratch / "refuse").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpus": 3}, r"asks for 3 CPU\(s\), but no machine of the cluster has more than 2\. Lower --cpus-per-run"),
        ({"gpus": 1000}, r"asks for 1000 GPU\(s\)"),
        ({"cpus": 1.5}, r"--cpus-per-run is 1\.5; above 1 it must be a whole number"),
    ],
)
def test_what_no_machine_has_is_refused(local_ray: None, toy: Path, asked: dict[str, float], message: str) -> None:
    memory = Memory()
    with pytest.raises(InputError, match=message):
        run_on_ray([OURS], str(toy), memory, **asked)
    assert memory.events == {}


def test_unpacking_happens_once_and_mends_what_was_cleaned(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = read_files(toy / "toy")
    sizes = {name: len(content) for name, content in files.items()}
    fetched: list[int] = []

    def fetch() -> dict[str, bytes]:
        fetched.append(1)
        return files

    def unpacked() -> Path:
        return unpack("toy", files_digest(files), sizes, fetch)

    root = unpacked()
    assert unpacked() == root
    assert len(fetched) == 1
    assert read_files(root / "toy") == files
    (root / "toy" / "toy.item").unlink()
    (root / "toy" / "toy.inter").write_bytes(b"half")
    assert unpacked() == root
    assert len(fetched) == 2
    assert read_files(root / "toy") == files
    assert [path.name for path in root.iterdir()] == ["toy"]


def test_digest_follows_names_and_contents() -> None:
    digests = {
        files_digest(files)
        for files in ({"a": b"bc"}, {"a": b"bd"}, {"b": b"bc"}, {"a": b"b", "b": b"c"}, {"a": b"", "b": b"bc"})
    }
    assert len(digests) == 5
