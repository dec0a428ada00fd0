"""Starts the processes of one training, waits for them, and ends them all when one ends badly."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.distributed.ranks import Meeting
from recbole_vagnn.distributed.shares import refuse_unfit
from recbole_vagnn.distributed.worker import Job, Report, work
from recbole_vagnn.errors import InputError
from recbole_vagnn.result import Result
from recbole_vagnn.runner import Interrupted, begin

DEFAULT_PORT = 5678  # RecBole's
_WORST_FIRST = ("mistake", "failed", "died", "lost", "stopped")
_GRACE = 5.0  # seconds in which those that lost a connection wait for the one that knows why
_LAST_WORDS = 30.0  # seconds that a stopped run has to end its batch and say which files it keeps


class RankFailed(RuntimeError):
    """A process of the training ended badly, and the others were ended; the message says which and why."""


@dataclass
class _Worker:
    rank: int
    process: Any
    reports: Connection
    report: Report | None = None


def run_in_processes(
    model: str | None = None,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    config_files: Iterable[str | Path] = (),
    *,
    nproc: int,
    world_size: int = -1,
    group_offset: int = 0,
    ip: str = "localhost",
    port: int | None = None,
    resume: str | Path | None = None,
    result_file: str | Path | None = None,
    quiet: bool = False,
) -> Result | None:
    """:func:`recbole_vagnn.run` in several processes that share each batch; docs/distributed.md.

    Processes are started anew, so a script calls this under ``if __name__ == "__main__":``.

    Args:
        nproc: processes on this machine; on GPUs one each.
        world_size: processes on all machines; −1 = nproc.
        group_offset: how many processes the machines before this one have.
        ip, port: address of the machine with ``group_offset`` 0; without a port, processes of one machine meet
            in a temporary file and those of several at port 5678.
        model, dataset, options, config_files, resume, result_file, quiet: as of :func:`recbole_vagnn.run`.

    Returns:
        the result; None on a machine without the first process, which reports.

    Raises:
        InputError: as of :func:`recbole_vagnn.run`; or numbers that do not fit, too few GPUs, or a model that
            several processes cannot train.
        RankFailed: a process ended badly.
        Interrupted: Ctrl-C; the best checkpoint and the state for a resume are kept.
    """
    world = nproc if world_size == -1 else world_size
    _check_numbers(nproc, world, group_offset)
    gpus_are_chosen = "CUDA_VISIBLE_DEVICES" in os.environ
    config = begin(model, dataset, options, config_files, resume)[0]
    refuse_unfit(config)
    registry.prepare_embedded(config["dataset"], config["data_path"])  # once, before anybody reads it
    if config["use_gpu"] and not gpus_are_chosen:
        os.environ["CUDA_VISIBLE_DEVICES"] = _wanted_gpus(config, nproc)
    request: dict[str, Any] = {"model": model, "dataset": dataset, "options": dict(options or {})}
    request["config_files"] = list(config_files)
    request |= {"resume": resume, "result_file": result_file, "quiet": quiet}
    on_gpu = config["device"].type == "cuda"
    if on_gpu:
        _check_gpus(nproc)
    Path(config["checkpoint_dir"]).mkdir(parents=True, exist_ok=True)  # RecBole's trainers would race for it
    with tempfile.TemporaryDirectory(prefix="recbole-vagnn-") as folder:
        alone = port is None and world == nproc
        meeting = Meeting(Path(folder, "meeting")) if alone else Meeting(None, ip, port or DEFAULT_PORT)
        return _run(Job(request, nproc, group_offset, world, meeting, on_gpu))


def _check_numbers(nproc: int, world: int, offset: int) -> None:
    if nproc < 1 or offset < 0 or world < offset + nproc:
        raise InputError(
            f"--nproc={nproc} --world_size={world} --group_offset={offset} do not fit: a machine runs `nproc` ≥ 1 "
            f"processes, numbered from `group_offset` ≥ 0 on, of the `world_size` processes of all machines."
        )


def _wanted_gpus(config: VloggerConfig, nproc: int) -> str:
    """GPUs of this machine: those of ``gpu_id`` where it was given, else the first ones."""
    if "gpu_id" not in config.request:
        return ",".join(map(str, range(nproc)))
    given = config["gpu_id"]
    return ",".join(str(gpu).strip() for gpu in (given if isinstance(given, (list, tuple)) else str(given).split(",")))


def _check_gpus(nproc: int) -> None:
    available = torch.cuda.device_count()
    if available < nproc:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        raise InputError(
            f"--nproc={nproc} needs {nproc} GPUs, one for each process, and {available} can be used "
            f"(CUDA_VISIBLE_DEVICES={visible}). Give --gpu_id={','.join(map(str, range(nproc)))}, use fewer processes, "
            f"or --use_gpu=False for CPUs."
        )


# --- processes ------------------------------------------------------------------------------------------------


def _run(job: Job) -> Result | None:
    workers: list[_Worker] = []
    # DistributedDataParallel warns of a search that it need not have done; torch reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        with _ignored_by_children():
            for index in range(job.nproc):
                workers.append(_start(index, job))
        _wait(workers)
    except KeyboardInterrupt:
        files = _stop(workers[0]) if job.offset == 0 and workers else (None, None)
        raise Interrupted(*files) from None
    finally:
        _end(workers)
    _judge(workers, job)
    return workers[0].report.result if workers[0].report else None


def _start(index: int, job: Job) -> _Worker:
    context = get_context("spawn")
    reports, from_worker = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(index, job, from_worker), name=f"rank {index + job.offset}")
    process.start()
    from_worker.close()  # so that the end of the process is the end of the pipe
    return _Worker(index + job.offset, process, reports)


@contextmanager
def _ignored_by_children() -> Iterator[None]:
    """Processes started in the block ignore Ctrl-C from their first moment: they inherit that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _wait(workers: list[_Worker]) -> None:
    """Until all have reported, or one has reported that it ended badly."""
    until: float | None = None
    while waiting := [worker for worker in workers if worker.report is None]:
        patience = None if until is None else max(0.0, until - time.monotonic())
        ready = connection.wait([worker.reports for worker in waiting], patience)
        for worker in waiting:
            if worker.reports in ready:
                worker.report = _received(worker)
        kinds = {worker.report.kind for worker in workers if worker.report is not None} - {"done"}
        if kinds - {"lost"} or (until is not None and not ready):
            return
        if kinds and until is None:
            until = time.monotonic() + _GRACE


def _received(worker: _Worker) -> Report:
    try:
        return worker.reports.recv()  # type: ignore[no-any-return]
    except (EOFError, ConnectionError):
        worker.process.join()
        return Report("died", _end_of(worker.process.exitcode))


def _end_of(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code} and without a word"
    name = signal.Signals(-exit_code).name
    return f"was ended by {name}" + (" (is the memory too small?)" if name == "SIGKILL" else "")


def _judge(workers: list[_Worker], job: Job) -> None:
    """Raise what the worst report says."""
    bad = [(worker.rank, worker.report) for worker in workers if worker.report and worker.report.kind != "done"]
    if not bad:
        return
    rank, report = min(bad, key=lambda pair: _WORST_FIRST.index(pair[1].kind))
    if report.kind == "mistake":
        raise InputError(report.text)
    if report.kind == "stopped":
        raise Interrupted(*report.files)
    what = report.text if report.kind == "died" else f"failed:\n{report.text}"
    if report.kind == "lost":
        what = f"lost the others, one of which ended on another machine:\n{report.text}"
    raise RankFailed(
        f"Process {rank} of {job.world} {what.rstrip()}\nThe others were ended. --resume goes on from the .last file "
        f"in `checkpoint_dir`, if an epoch had begun."
    )


def _stop(first: _Worker) -> tuple[Path | None, Path | None]:
    """Interrupt the first process, which says what files it keeps; the others still serve its last batch."""
    if first.report is None and first.process.is_alive():
        first.process.terminate()
        if first.reports.poll(_LAST_WORDS):
            first.report = _received(first)
    return first.report.files if first.report else (None, None)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        if worker.report is None or worker.report.kind != "done":
            worker.process.terminate()
    for worker in workers:
        worker.process.join(_GRACE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.reports.close()
