"""One of the processes: meets the others, runs, and reports to the process that started it."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from recbole_vagnn.distributed.ranks import Meeting
    from recbole_vagnn.result import Result


@dataclass(frozen=True)
class Job:
    """What every process of one machine is told.

    Attributes:
        request: arguments of :func:`recbole_vagnn.run`.
        nproc: processes on this machine; offset: rank of its first one; world: processes on all machines.
        meeting: where they find each other.
        on_gpu: whether process i uses the i-th visible GPU.
    """

    request: dict[str, Any]
    nproc: int
    offset: int
    world: int
    meeting: Meeting
    on_gpu: bool


@dataclass(frozen=True)
class Report:
    """How a process ended.

    Attributes:
        kind: "done"; "mistake" = the user can mend it; "stopped" = by Ctrl-C; "lost" = the others were gone;
            "failed" = anything else.
        text: what to tell of it.
        result: of the run, of the first process of all.
        files: best checkpoint and last state of a stopped run.
    """

    kind: str
    text: str = ""
    result: Result | None = None
    files: tuple[Path | None, Path | None] = (None, None)


def work(index: int, job: Job, to_parent: Connection) -> None:
    """Main function of the process with the given number on its machine."""
    _end_with_parent()
    rank = index + job.offset
    # Ctrl-C on a terminal reaches every process; the parent alone acts on it, and tells the first one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if rank == 0:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        report = _run(index, rank, job)
    except KeyboardInterrupt as stop:
        report = Report("stopped", files=(getattr(stop, "checkpoint", None), getattr(stop, "last_state", None)))
    except InputError as error:
        report = Report("mistake", str(error))
    except Exception as error:
        report = Report("lost" if _is_lost_connection(error) else "failed", traceback.format_exc())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may end what is left of this process
    to_parent.send(report)
    to_parent.close()


def _run(index: int, rank: int, job: Job) -> Report:
    import torch

    from recbole_vagnn.distributed.ranks import CPU_BACKEND, GPU_BACKEND, joined
    from recbole_vagnn.runner import run

    if job.on_gpu:
        torch.cuda.set_device(index)  # the "cuda" of this process from here on
    torch.set_num_threads(max(1, torch.get_num_threads() // job.nproc))  # `torch_threads` overrides it
    with joined(rank, job.world, job.meeting, GPU_BACKEND if job.on_gpu else CPU_BACKEND) as ranks:
        result = run(**job.request, ranks=ranks)
    return Report("done", result=result if ranks.first else None)


def _interrupt(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; what is written now is to be written whole
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """End this process when the one that started it has ended in whatever way: nobody would end it later."""

    def watch() -> None:
        parent = parent_process()
        assert parent is not None
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_lost_connection(error: Exception) -> bool:
    """Whether a process could not reach another one, which then has the better explanation."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "Gloo", "NCCL", "ProcessGroup"))
    )
