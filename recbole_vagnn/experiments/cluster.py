"""Jobs as Ray tasks, as many at once as CPUs and GPUs allow, on this machine or a cluster.

The data sets travel through Ray's object store and are unpacked once on each machine, so no shared disk is needed; a
run's record travels back the same way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Failure, Listener, Progress, one_line
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.ray_session import check_resources, connected
from recbole_vagnn.experiments.records import Key
from recbole_vagnn.experiments.serial import ATTEMPTS, BestSoFar

_DATA_SUFFIXES = (".inter", ".item", ".user", ".follow", ".yaml")
_POLL_SECONDS = 0.5
_DIED = "its process died"
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

    with connected(address):
        check_resources(cpus, gpus)
        waiting = list(jobs)
        shared = {name: _share(Path(data_path, name)) for name in {job.dataset for job in waiting}}
        board = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_ProgressBoard).remote()
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


def _follow(running: dict[Any, Job], board: Any, listener: Listener) -> None:
    """Tell the listener what happens until all jobs have ended; those that have are taken out of ``running``."""
    import ray

    told: dict[Key, _State] = {}
    while running:
        done, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_SECONDS)
        states = ray.get(board.states.remote())
        for job in running.values():
            if (state := states.get(job.key)) is not None:
                _tell_change(job, told.get(job.key, _State()), state, listener)
                told[job.key] = state
        for reference in done:
            job = running.pop(reference)
            _tell_end(reference, job, listener)


def _tell_change(job: Job, before: _State, now: _State, listener: Listener) -> None:
    for attempt in range(before.attempts + 1, min(now.attempts, ATTEMPTS) + 1):
        if attempt == 1:
            listener.started(job)
        else:
            listener.retried(job, now.reason)
    if now.progress is not None and now.progress != before.progress:
        listener.progressed(job, now.progress)


def _tell_end(reference: Any, job: Job, listener: Listener) -> None:
    import ray

    try:
        outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        outcome = one_line(error)
    except ray.exceptions.RayError as error:  # of Ray itself: what happened stands first, advice on Ray follows
        outcome = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(outcome, str):
        listener.failed(Failure(job, outcome, ATTEMPTS))
    elif isinstance(outcome, InputError):
        listener.failed(Failure(job, str(outcome), 1))
    else:
        listener.finished(job, outcome)


@dataclass(frozen=True)
class _State:
    """Of a job: how often it was begun, why it was begun again, and its progress since."""

    attempts: int = 0
    reason: str = _DIED
    progress: Progress | None = None


class _ProgressBoard:
    """An actor that keeps the last state of each job."""

    def __init__(self) -> None:
        self._states: dict[Key, _State] = {}

    def begin(self, key: Key) -> int:
        """A job begins, or begins again; returns how often it has."""
        state = self._states.get(key, _State())
        self._states[key] = replace(state, attempts=state.attempts + 1, progress=None)
        return state.attempts + 1

    def tell(self, key: Key, progress: Progress) -> None:
        """Epochs were trained."""
        self._states[key] = replace(self._states.get(key, _State(1)), progress=progress)

    def stumbled(self, key: Key, reason: str) -> None:
        """A job raised an exception."""
        self._states[key] = replace(self._states.get(key, _State(1)), reason=reason)

    def states(self) -> dict[Key, _State]:
        """State of each job that was begun."""
        return self._states


@dataclass(frozen=True)
class Shared:
    """A data set in Ray's object store.

    Attributes:
        digest: hash of its files.
        sizes: name → bytes.
        files: the reference of their content; in a list, or Ray would load it for every task.
    """

    digest: str
    sizes: dict[str, int]
    files: list[Any]


def _remote(job: Job, shared: Shared, threads: int, board: Any) -> Any:
    """Body of a task: a RunRecord, the InputError that trying again would not mend, or why there are no more tries."""
    import ray

    if ray.get(board.begin.remote(job.key)) > ATTEMPTS:  # Ray never gives up on what it kills for want of memory
        return f"{_DIED}, perhaps for want of memory"
    try:
        best = BestSoFar(job.options.get("valid_metric", "recall@10"))
        folder = unpack(job.dataset, shared.digest, shared.sizes, lambda: ray.get(shared.files[0]))
        return execute(job, folder, threads, lambda record: board.tell.remote(job.key, best.after(record)))
    except InputError as error:
        return error
    except Exception as error:
        ray.get(board.stumbled.remote(job.key, one_line(f"{type(error).__name__}: {error}")))
        raise


def _share(folder: Path) -> Shared:
    import ray

    files = read_files(folder)
    return Shared(files_digest(files), {name: len(content) for name, content in files.items()}, [ray.put(files)])


def read_files(folder: Path) -> Files:
    """Name → content of a data set's files."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in _DATA_SUFFIXES}


def files_digest(files: Files) -> str:
    """Hash of names and contents."""
    digest = hashlib.blake2b(digest_size=12)
    for name, content in files.items():
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def unpack(dataset: str, digest: str, sizes: dict[str, int], fetch: Callable[[], Files]) -> Path:
    """Write a data set's files on this machine, once for all jobs.

    Args:
        dataset: its name.
        digest: hash of its files.
        sizes: name → bytes of each.
        fetch: brings the files; not called where they are.

    Returns:
        the data_path.
    """
    root = Path(tempfile.gettempdir(), f"recbole-vagnn-data-{os.getuid()}", digest)
    target = root / dataset
    if _is_complete(target, sizes):
        return root
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=root))
    try:
        for name, content in fetch().items():
            (draft / name).write_bytes(content)
        with suppress(OSError):  # another job was faster
            draft.rename(target)
        if not _is_complete(target, sizes):  # somebody cleaned the temporary files, but not all
            for file in draft.iterdir():
                file.replace(target / file.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _is_complete(folder: Path, sizes: dict[str, int]) -> bool:
    return all((folder / n).is_file() and (folder / n).stat().st_size == size for n, size in sizes.items())
