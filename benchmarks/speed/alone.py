"""One contestant in a process of its own: time and peak memory of each phase of a run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .data import Size
from .machine import LoadWatch, peak_mib, reset_peak, resident_mib
from .timing import Sample, Stopwatch, in_turn, summary


@dataclass(frozen=True)
class Job:
    """What a process of its own does.

    Attributes:
        contestant: key of ``contestants.CONTESTANTS``.
        folder: of the data set.
        size: of the data set.
        threads: of torch.
        eval_batch_size: for a class of RecBole; 0 where we choose it.
        rounds: turns of steps at most.
        seconds: of steps, and of the epoch, after which no further one begins.
        epoch: whether an epoch (or the beginning of one) is trained.
    """

    contestant: str
    folder: str
    size: Size
    threads: int
    eval_batch_size: int
    rounds: int
    seconds: float
    epoch: bool

    def to_json(self) -> str:
        """For the command line of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """What :meth:`to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "size": Size(**values["size"])})


def run_in_child(script: str, job: Job) -> dict[str, Any]:
    """Start ``script --alone JOB`` and return what its :func:`measure` found.

    Raises:
        SystemExit: the process failed.
    """
    command = [sys.executable, "-W", "ignore", script, "--alone", job.to_json()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{job.contestant} ended with exit code {done.returncode}; its error is above.")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def measure(job: Job) -> dict[str, Any]:
    """Load, build, train some steps (and an epoch) and evaluate, in this process.

    Returns:
        ``phases``: by name the summary of its times and ``peak_mib``; ``imports_mib``: resident memory before the data
        are loaded; ``peak_mib``: of the whole; ``train``: training interactions; ``load``: who else was busy.
    """
    import torch

    from recbole_vagnn.allocator import keep_few_kernels, keep_freed_memory, large_blocks_kept

    from .contestants import CONTESTANTS, RECBOLE, Competitor, first_batches
    from .data import load_ours, load_recbole

    _imports()
    keep_freed_memory()
    keep_few_kernels()
    torch.set_num_threads(job.threads)
    contestant, folder = CONTESTANTS[job.contestant], Path(job.folder)
    imports, watch, phases = resident_mib(), LoadWatch(), _Phases()
    with phases.phase("load"):
        if contestant.kind == RECBOLE:
            loaded = load_recbole(folder, job.size, job.eval_batch_size)
        else:
            loaded = load_ours(folder, job.size)
    with phases.phase("batches"):
        batches = first_batches(loaded)
    with phases.phase("build") as times:
        competitor = Competitor(contestant, loaded, batches)
        times.append(competitor.built)
    with large_blocks_kept():
        with phases.phase("step") as times:
            competitor.step()
            times += in_turn({"": lambda: [competitor.step()]}, job.rounds, job.seconds, least=3)[""]
        if job.epoch:
            with phases.phase("epoch") as times:
                times.append(competitor.epoch(job.seconds))
        with phases.phase("evaluation") as times:
            times.append(competitor.evaluate())
    return {
        "phases": phases.found,
        "imports_mib": imports,
        "peak_mib": max(phase["peak_mib"] for phase in phases.found.values()),
        "train": len(loaded.split),
        "users": loaded.split.user_num - 1,
        "items": loaded.split.item_num - 1,
        "load": watch.so_far().to_json(),
    }


def _imports() -> None:
    """Import what every contestant needs, so that it is no part of a phase."""
    for name in ("recbole.data", "recbole.trainer", "recbole_vagnn.data.dataset", "recbole_vagnn.trainer"):
        importlib.import_module(name)


class _Phases:
    """Times and peaks of what is done one after the other."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[list[Sample]]:
        """Time the block, unless it puts samples of its own into the list."""
        reset_peak()
        samples: list[Sample] = []
        watch = Stopwatch()
        yield samples
        self.found[name] = {**summary(samples or [watch.sample()]), "peak_mib": peak_mib()}
