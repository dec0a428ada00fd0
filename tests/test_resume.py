"""A run that stops and goes on gives the numbers of a run that never stopped."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.trainer import Trainer

from recbole_vagnn.errors import InputError
from recbole_vagnn.registry import model_class
from recbole_vagnn.runner import Interrupted, run
from recbole_vagnn.trainer import read_last_state
from tests.runs import (
    REPOSITORY,
    arguments,
    numbers,
    options_for,
    run_toy,
    subprocess_environment,
    write_toy,
)

# Large steps overshoot at once, so that epochs without improvement come early.
OPTIONS: dict[str, Any] = {"epochs": 10, "learning_rate": 0.05, "valid_metric": "NDCG@5"}


def interrupt_in(monkeypatch: pytest.MonkeyPatch, model_class: type, epoch: int, batch: int) -> None:
    """Ctrl-C while the given batch of the given epoch is computed."""
    n_batches = 3  # 24 users × 7 training interactions in batches of 64
    calls = 0
    original = model_class.calculate_loss

    def loss(self: Any, interaction: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == epoch * n_batches + batch:
            raise KeyboardInterrupt
        return original(self, interaction)

    monkeypatch.setattr(model_class, "calculate_loss", loss)


def non_improving_epoch(history: list[dict[str, Any]]) -> int:
    """First epoch whose validation NDCG@5 is below the best before it."""
    scores = [record["valid"]["ndcg@5"] for record in history]
    worse = [e for e in range(1, len(scores) - 1) if scores[e] < max(scores[:e])]
    assert worse, f"no epoch without improvement in {scores}"
    return worse[0]


CASES = {
    "VAGNN": {},
    "VAGNN redrawing": {"redraw_meta_paths": True},
    "VAGNN dynamic": {"train_neg_sample_args": {"dynamic": True, "candidate_num": 3}},
    "LightGCN": {"train_neg_sample_args": {"distribution": "popularity"}},
    "SGL": {},
    "BPR with RecBole's sampler": {"sampler": "recbole"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_interrupted_after_a_non_improving_epoch_resumes_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model = case.split()[0]
    options = {**OPTIONS, **CASES[case]}
    data = write_toy(tmp_path)
    whole = run_toy(data, options, model)
    stop_after = non_improving_epoch(whole.history)

    with monkeypatch.context() as patched:
        interrupt_in(patched, model_class(model), stop_after + 1, 2)
        with pytest.raises(Interrupted) as stopped:
            run_toy(data, options, model)
    assert read_last_state(stopped.value.last_state)["next_epoch"] == stop_after + 1
    assert stopped.value.checkpoint is not None
    assert stopped.value.checkpoint.is_file()

    resumed = run(resume=stopped.value.last_state, quiet=True)
    assert numbers(resumed) == numbers(whole)


def command(data: Path, options: dict[str, Any], *more: str) -> list[str]:
    return [
        sys.executable,
        str(REPOSITORY / "run_recbole.py"),
        "--model=VAGNN",
        "--dataset=toy",
        *arguments(options_for(data, options)),
        *more,
    ]


def _heed_ctrl_c() -> None:
    """A test run in the background (nohup, some CI) ignores Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_and_wait_for_epoch(data: Path, options: dict[str, Any], epoch: int) -> tuple[Any, Path]:
    process = subprocess.Popen(
        command(data, options),
        cwd=data,
        env=subprocess_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_heed_ctrl_c,
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        for state in (data / "saved").glob("*.last"):
            if read_last_state(state)["next_epoch"] >= epoch:
                return process, state
        time.sleep(0.02)
    process.kill()
    out = process.communicate()[0].decode()
    raise AssertionError(f"no state of epoch {epoch} appeared: {out}")


def test_a_run_killed_with_sigkill_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    options = {"epochs": 40, "stopping_step": 100, "learning_rate": 0.05}
    killed, whole_folder = tmp_path / "killed", tmp_path / "whole"
    write_toy(killed)
    shutil.copytree(killed, whole_folder)
    process, state = start_and_wait_for_epoch(killed, options, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_last_state(state)["next_epoch"] < 40

    resumed = run(resume=state.with_suffix(".pth"), quiet=True)
    whole = run_toy(whole_folder, options)
    assert numbers(resumed) == numbers(whole)


def test_ctrl_c_ends_the_command_cleanly_and_keeps_the_best_checkpoint(tmp_path: Path) -> None:
    write_toy(tmp_path)
    process, state = start_and_wait_for_epoch(tmp_path, {"epochs": 5000, "stopping_step": 5000}, 2)
    process.send_signal(signal.SIGINT)
    try:
        out = process.communicate(timeout=60)[0].decode()
    finally:
        process.kill()
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert f"--resume={state}" in out
    assert "state_dict" in torch.load(state.with_suffix(".pth"), weights_only=False)
    assert not list((tmp_path / "saved").glob("*.tmp"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("finished")
    write_toy(folder)
    return folder, run_toy(folder, {"epochs": 3})


def test_resuming_a_finished_run_only_evaluates_it_again(finished: tuple[Path, Any]) -> None:
    again = run(resume=finished[1].checkpoint, quiet=True)
    assert numbers(again) == numbers(finished[1])


def test_resuming_with_more_epochs_equals_a_longer_run(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    short = run_toy(data, {"epochs": 3})
    longer = run(options={"epochs": 5}, resume=short.checkpoint, quiet=True)
    assert numbers(longer) == numbers(run_toy(data, {"epochs": 5}))


@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"seed": 1}, {"n_layers": 1}])
def test_options_that_would_make_another_run_are_refused(finished: tuple[Path, Any], change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"cannot change `{next(iter(change))}`"):
        run(options=change, resume=finished[1].checkpoint, quiet=True)


def test_changed_data_are_refused(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    checkpoint = run_toy(data, {"epochs": 1}).checkpoint
    inter = data / "toy" / "toy.inter"
    lines = inter.read_text().splitlines()
    inter.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="data have changed"):
        run(resume=checkpoint, quiet=True)


def test_missing_and_damaged_state_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.last does not exist"):
        run(resume=tmp_path / "nothing.pth", quiet=True)
    (tmp_path / "damaged.last").write_bytes(b"not a state")
    with pytest.raises(InputError, match=r"damaged\.last is damaged or no last-state file"):
        run(resume=tmp_path / "damaged.pth", quiet=True)


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_state_file_with_code_in_it_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"next_epoch": _Malicious(tmp_path / "harm")}, tmp_path / "a.last")
    (tmp_path / "b.last").write_bytes(pickle.dumps(_Malicious(tmp_path / "harm")))
    for name in ("a", "b"):
        with pytest.raises(InputError, match="damaged or no last-state file"):
            run(resume=tmp_path / f"{name}.last", quiet=True)
    assert not (tmp_path / "harm").exists()


def test_a_finished_run_with_sampled_candidates_draws_the_same_ones_again(tmp_path: Path) -> None:
    """The candidates of the test evaluation come from numpy's generator, which the state restores."""
    data = write_toy(tmp_path, items=130, per_user=20)
    done = run_toy(data, {"eval_args": {"mode": "uni20"}})
    torch.manual_seed(1)
    assert numbers(run(resume=done.checkpoint, quiet=True)) == numbers(done)


def test_an_early_stopped_run_goes_on_with_more_patience_alone(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    options = {"epochs": 30, "learning_rate": 0.3}
    stopped = run_toy(data, {**options, "stopping_step": 1})
    assert stopped.epochs < 30
    assert numbers(run(resume=stopped.checkpoint, quiet=True)) == numbers(stopped)
    longer = run(options={"stopping_step": 3}, resume=stopped.checkpoint, quiet=True)
    assert longer.epochs > stopped.epochs
    assert numbers(longer) == numbers(run_toy(data, {**options, "stopping_step": 3}))


def test_ctrl_c_in_the_test_evaluation_is_resumable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_toy(tmp_path)
    whole = run_toy(data)
    trainer = "recbole_vagnn.trainer.ResumableMixin.evaluate"
    with monkeypatch.context() as patched:
        evaluate = Trainer.evaluate

        def interrupted(self: Any, eval_data: Any, load_best_model: bool = True, **more: Any) -> Any:
            if load_best_model:
                raise KeyboardInterrupt
            return evaluate(self, eval_data, load_best_model=False, **more)

        patched.setattr(trainer, interrupted)
        with pytest.raises(Interrupted) as stopped:
            run_toy(data)
    assert stopped.value.last_state is not None
    assert numbers(run(resume=stopped.value.last_state, quiet=True)) == numbers(whole)


def test_ctrl_c_while_a_file_is_written_keeps_the_old_one_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_toy(tmp_path)
    whole = run_toy(data, {"epochs": 4})
    save, calls = torch.save, 0

    def interrupted(content: Any, file: Any, *more: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # a state, a checkpoint, a state, a checkpoint at most before
            Path(file).write_bytes(b"half a file")
            raise KeyboardInterrupt
        save(content, file, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", interrupted)
        with pytest.raises(Interrupted) as stopped:
            run_toy(data, {"epochs": 4})
    assert not list((tmp_path / "saved").glob("*.tmp"))
    assert stopped.value.last_state is not None
    assert numbers(run(resume=stopped.value.last_state, quiet=True)) == numbers(whole)


def test_a_missing_best_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Path(run_toy(write_toy(tmp_path), {"epochs": 1}).checkpoint)
    checkpoint.unlink()
    with pytest.raises(InputError, match=f"{checkpoint.name}, the best epoch so far.*does not exist"):
        run(resume=checkpoint.with_suffix(".last"), quiet=True)


def test_a_run_of_recboles_own_command_is_not_resumed(tmp_path: Path) -> None:
    done = run_toy(write_toy(tmp_path), {"epochs": 1})
    last = Path(done.checkpoint).with_suffix(".last")
    state = read_last_state(last)
    torch.save({**state, "extra": {}}, last)  # RecBole's run_recbole knows of no options of ours
    with pytest.raises(InputError, match="started by RecBole's own run_recbole"):
        run(resume=last, quiet=True)
