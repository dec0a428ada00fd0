"""Jobs as Ray tasks, as many at once as CPUs and GPUs allow, on this machine or a cluster.

The data sets travel through Ray's object store and are unpacked once on each machine, so no shared disk is needed; a
run's record travels back the same way.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Failure, Listener, Progress, one_line
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.serial import ATTEMPTS, BestSoFar

_DATA_SUFFIXES = (".inter", ".item", ".user", ".follow", ".yaml")
_POLL_SECONDS = 0.5
Files = dict[str, bytes]


def run_on_ray(
    jobs: Iterable[Job],
    data_path: str,
    listener: Listener,
    *,
    address: str | None = None,
    cpus: float = 1,
    gpus: float = 0,
) -> None:
    """Run jobs as Ray tasks; one whose process dies is tried again once and then reported.

    Args:
        jobs: the runs.
        data_path: folder of the data sets here.
        listener: told of everything.
        address: of a running cluster; None starts Ray on this machine.
        cpus: CPUs a run; torch uses as many threads (at least one).
        gpus: GPUs a run, may be a fraction.

    Raises:
        InputError: no machine has so many CPUs or GPUs, or the cluster does not answer.
    """
    import ray

    with _connected(address):
        _check_resources(cpus, gpus)
        waiting = list(jobs)
        shared = {name: ray.put(read_files(Path(data_path, name))) for name in {job.dataset for job in waiting}}
        board = ray.remote(num_cpus=0)(_ProgressBoard).remote()
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1, max_retries=ATTEMPTS - 1, retry_exceptions=True)(
            _remote
        )
        threads = max(1, int(cpus))
        running = {task.remote(job, shared[job.dataset], threads, board): job for job in waiting}
        try:
            _follow(running, board, listener)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray cannot be reached at {address or 'this machine'}: {one_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_resources(cpus: float, gpus: float) -> None:
    """A run must fit into one machine."""
    import ray

    most: dict[str, float] = {"CPU": 0.0, "GPU": 0.0}
    for node in ray.nodes():
        if node["Alive"]:
            for name in most:
                most[name] = max(most[name], node["Resources"].get(name, 0.0))
    for name, asked in (("CPU", cpus), ("GPU", gpus)):
        if asked > most[name]:
            raise InputError(
                f"A run asks for {asked:g} {name}(s), but no machine of the cluster has more than {most[name]:g}. "
                f"Lower --{name.lower()}s-per-run."
            )


def _follow(running: dict[Any, Job], board: Any, listener: Listener) -> None:
    import ray

    begun: set[tuple[Any, int]] = set()
    while running:
        done, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
        by_key = {job.key: job for job in running.values()}
        for key, (attempts, progress) in ray.get(board.states.remote()).items():
            if key in by_key and (key, attempts) not in begun:
                begun.add((key, attempts))
                (listener.started(by_key[key]) if attempts == 1 else listener.retried(by_key[key], "its process died"))
            if key in by_key and progress is not None:
                listener.progressed(by_key[key], progress)
        for reference in done:
            job = running.pop(reference)
            _tell_end(reference, job, listener)


def _tell_end(reference: Any, job: Job, listener: Listener) -> None:
    import ray

    try:
        outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        listener.failed(Failure(job, one_line(error), ATTEMPTS))
        return
    if isinstance(outcome, InputError):
        listener.failed(Failure(job, str(outcome), 1))
    else:
        listener.finished(job, outcome)


class _ProgressBoard:
    """An actor that keeps the last state of each job, and how often it was begun."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str, int], tuple[int, Progress | None]] = {}

    def begin(self, key: tuple[str, str, int]) -> None:
        """A job begins, or begins again."""
        self._states[key] = (self._states.get(key, (0, None))[0] + 1, None)

    def tell(self, key: tuple[str, str, int], progress: Progress) -> None:
        """Epochs were trained."""
        self._states[key] = (self._states[key][0], progress)

    def states(self) -> dict[tuple[str, str, int], tuple[int, Progress | None]]:
        """Attempts and state of each job."""
        return self._states


def _remote(job: Job, files: Files, threads: int, board: Any) -> Any:
    """Body of a task: a RunRecord, or the InputError that trying again would not mend."""
    import ray

    ray.get(board.begin.remote(job.key))
    best = BestSoFar(job.options.get("valid_metric", "recall@10"))
    try:
        folder = unpack(files, job.dataset)
        return execute(job, folder, threads, lambda record: board.tell.remote(job.key, best.after(record)))
    except InputError as error:
        return error


def read_files(folder: Path) -> Files:
    """Name → content of a data set's files."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in _DATA_SUFFIXES}


def unpack(files: Files, dataset: str) -> Path:
    """Write a data set's files on this machine, once for all jobs; returns the data_path."""
    digest = hashlib.blake2b(digest_size=12)
    for name, content in files.items():
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    root = Path(tempfile.gettempdir(), f"recbole-vagnn-data-{os.getuid()}", digest.hexdigest())
    target = root / dataset
    if target.is_dir():
        return root
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=root))
    for name, content in files.items():
        (draft / name).write_bytes(content)
    try:
        draft.rename(target)
    except OSError:  # another job was faster
        if not target.is_dir():
            raise
    return root
