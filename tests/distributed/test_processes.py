"""Two processes train what one trains, are judged as one is, and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from recbole.quick_start import load_data_and_model

import recbole_vagnn
from recbole_vagnn.cli_prepare import INTERRUPTED
from recbole_vagnn.distributed import launch
from recbole_vagnn.distributed.launch import RankFailed, run_in_processes
from recbole_vagnn.errors import InputError
from tests.distributed.cases import MODELS, SAMPLED, check_ranks
from tests.distributed.ends import one_dies, one_mistakes
from tests.runs import REPOSITORY, arguments, numbers, options_for, run_toy, subprocess_environment, write_toy

# Several batches of users for each process, the last ones smaller; 168 triples make batches of 50, 50, 50, 18.
OPTIONS: dict[str, Any] = {"train_batch_size": 50, "eval_batch_size": 31 * 3, "epochs": 4, "learning_rate": 0.01}


def close(one: Any, other: Any) -> None:
    """Equal structure, equal numbers up to the rounding of sums that are added in another order."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            close(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            close(left, right)
    else:
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_toy(write_toy(tmp_path_factory.mktemp("alone")), OPTIONS)


def test_two_processes_hold_the_gradient_of_the_joined_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toy(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    run_toy(tmp_path, {**SAMPLED, "epochs": 1}, "BPR")  # one process begins what two go on with
    cases = [case for case in MODELS if "," not in case]  # one of each model; test_shares.py has them all
    torch.multiprocessing.spawn(check_ranks, (2, str(tmp_path), free_port(), cases), nprocs=2)
    found = [torch.load(tmp_path / f"found-{rank}.pt", weights_only=False) for rank in (0, 1)]
    for case in cases:
        want, got = found[0][case]
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6, msg=lambda text, case=case: f"{case}: {text}")
        for one, other in zip(got, found[1][case][1], strict=True):
            assert torch.equal(one, other), case  # else the processes would drift apart
    assert [part["sum"] for part in found] == [[2.0, 1.0]] * 2
    assert [part["refused"] for part in found] == ["The ranks of process 1 differ from those of process 0."] * 2
    want = numbers(run_toy(tmp_path, SAMPLED, "BPR"))
    close(found[0]["sampled"], want)
    assert found[1]["sampled"]["valid"] == found[0]["sampled"]["valid"]


def test_a_run_of_two_processes_is_that_of_one_and_its_files_are_for_one(
    alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    options = options_for(write_toy(tmp_path), OPTIONS)
    result = run_in_processes("VAGNN", "toy", options, nproc=2, quiet=True, result_file=tmp_path / "result.json")
    assert result is not None
    close(numbers(result), numbers(alone))
    assert result.config["world_size"] == 2
    assert result.users.tolist() == alone.users.tolist()
    assert (tmp_path / "result.json").is_file()
    saved = Path(result.checkpoint)
    assert {path.name for path in saved.parent.iterdir()} == {saved.name, saved.stem, f"{saved.stem}.last"}
    assert len(list((tmp_path / "log").rglob("*.log"))) == 1
    assert len(list((tmp_path / "log_tensorboard").iterdir())) == 1
    _, model, _, _, _, test = load_data_and_model(str(saved))
    before = torch.load(alone.checkpoint, weights_only=False)["state_dict"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-3, atol=1e-5)
    assert len(test) > 1
    user = str(result.users[0])
    one, other = (recbole_vagnn.load(run.checkpoint).recommend([user], topk=3) for run in (result, alone))
    pd.testing.assert_frame_equal(one, other, rtol=1e-3)


def test_a_stopped_run_of_two_processes_leaves_none_and_goes_on_in_one(alone: Any, tmp_path: Path) -> None:
    options = options_for(write_toy(tmp_path), {**OPTIONS, "epochs": 100_000})
    command = [sys.executable, str(REPOSITORY / "run_recbole.py"), "--model=VAGNN", "--dataset=toy", "--nproc=2"]
    words = [*command, *arguments({**options, "show_progress": True, "stopping_step": 100_000})]
    with subprocess.Popen(
        words, cwd=tmp_path, env=subprocess_environment(), text=True, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process gets it
        _, errors = process.communicate(timeout=60)  # ends when nobody holds the outputs: no process is left
    assert process.returncode == INTERRUPTED, errors
    assert "Traceback" not in errors
    assert "Go on with: --resume=" in errors
    last = errors.rpartition("--resume=")[2].strip()
    epochs = len(torch.load(last, weights_only=True)["history"]) + 2
    result = recbole_vagnn.run(options={"epochs": epochs}, resume=last, quiet=True)
    assert result.epochs == epochs
    known = min(epochs, alone.epochs)
    close([r["losses"] for r in result.history[:known]], [r["losses"] for r in alone.history[:known]])


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (one_dies, RankFailed, r"Process 1 of 2 was ended by SIGKILL[^\n]*\nThe others were ended"),
        (one_mistakes, InputError, "^mend this$"),
    ],
)
def test_a_process_that_ends_badly_ends_all_with_its_message(
    what: Any, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(launch, "work", what)
    monkeypatch.setattr(launch, "_GRACE", 20.0)
    started: list[Any] = []
    start = launch._start
    monkeypatch.setattr(launch, "_start", lambda *words: started.append(start(*words)) or started[-1])
    with pytest.raises(error, match=message):
        run_in_processes("VAGNN", "toy", options_for(write_toy(tmp_path)), nproc=2, quiet=True)
    assert len(started) == 2
    assert not any(worker.process.is_alive() for worker in started)


@pytest.mark.parametrize(
    "numbers_of", [{"nproc": 0}, {"nproc": 2, "world_size": 1}, {"nproc": 1, "world_size": 2, "group_offset": 2}]
)
def test_numbers_of_processes_that_do_not_fit_are_refused(numbers_of: dict[str, int]) -> None:
    with pytest.raises(InputError, match="do not fit"):
        run_in_processes("VAGNN", **numbers_of)


def test_fewer_gpus_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"needs 2 GPUs, one for each process, and 1 can be used.*--gpu_id=0,1"):
        launch._check_gpus(2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    launch._check_gpus(2)
