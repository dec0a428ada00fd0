"""Jobs without Ray, each in a process of its own: a crash ends one run, and its peak memory is its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TextIO, cast

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Failure, Listener, Progress, one_line
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job

ATTEMPTS = 2
_TAIL_BYTES = 2**16  # of a dead process's errors


def run_serially(jobs: Iterable[Job], data_path: str, threads: int, listener: Listener, at_once: int = 1) -> None:
    """Run jobs in order; one that dies is tried again once and then reported.

    Args:
        jobs: the runs.
        data_path: folder of the data sets, absolute.
        threads: of torch, and of other libraries unless ``OMP_NUM_THREADS`` is set.
        listener: told of everything, of one thing at a time.
        at_once: so many runs go on at the same time.
    """
    runner = _Runner(data_path, threads, cast(Listener, _OneAtATime(listener)))
    if at_once == 1:
        for job in jobs:
            runner.run(job)
        return
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(runner.run, job) for job in jobs]
        try:
            for run in as_completed(running):
                run.result()
        except BaseException:  # Ctrl-C above all: nobody would end the trainings
            runner.stop()
            raise


class _OneAtATime:
    """A listener that several threads may tell."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._lock = listener, Lock()

    def __getattr__(self, name: str) -> Any:
        tell = getattr(self._listener, name)

        def told(*news: Any) -> None:
            with self._lock:
                tell(*news)

        return told


class _Runner:
    """Runs jobs, each in a process of its own."""

    def __init__(self, data_path: str, threads: int, listener: Listener) -> None:
        self._data_path, self._threads, self._listener = data_path, threads, listener
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = Lock()

    def run(self, job: Job) -> None:
        """Run a job and tell the listener; an error of its own ends the other jobs too."""
        if self._stopped:
            return
        try:
            self._attempts(job)
        except BaseException:  # here, before this thread is free to begin the next job
            self.stop()
            raise

    def _attempts(self, job: Job) -> None:
        self._listener.started(job)
        for attempt in range(1, ATTEMPTS + 1):
            outcome = self._in_process(job)
            if self._stopped:
                return
            if isinstance(outcome, str):
                if attempt < ATTEMPTS:
                    self._listener.retried(job, outcome)
                    continue
                self._listener.failed(Failure(job, outcome, attempt))
            elif isinstance(outcome, InputError):  # trying again would not help
                self._listener.failed(Failure(job, str(outcome), attempt))
            else:
                self._listener.finished(job, outcome)
            return

    def stop(self) -> None:
        """End all processes; none begins any more."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.kill()

    def _in_process(self, job: Job) -> Any:
        """A RunRecord, an InputError, or the text of why the process died."""
        with tempfile.TemporaryDirectory(prefix="recbole-vagnn-job-") as name:
            folder = Path(name)
            (folder / "request").write_bytes(pickle.dumps((job, self._data_path, self._threads)))
            code = self._call(folder, job)
            answer = folder / "answer"
            return pickle.loads(answer.read_bytes()) if answer.is_file() else _cause(folder / "errors", code)

    def _call(self, folder: Path, job: Job) -> int:
        """Run the process of a job and pass its progress on; returns its exit code."""
        with (folder / "errors").open("wb") as said, self._started(folder, said) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    epochs, best = line.split()
                    self._listener.progressed(job, Progress(int(epochs), float(best) if best != "-" else None))
                return process.wait()
            finally:  # Ctrl-C above all: nobody would end the training, or wait for its end
                process.kill()
                process.wait()
                with self._lock:
                    self._processes.discard(process)

    def _started(self, folder: Path, said: BinaryIO) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "ignore", "-m", "recbole_vagnn.experiments.serial", str(folder)]
        environment = {"OMP_NUM_THREADS": str(self._threads), **os.environ}
        with self._lock:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
            )
            self._processes.add(process)
            if self._stopped:
                process.kill()
            return process


def _cause(errors: Path, code: int) -> str:
    """Why a process died, in one line."""
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - _TAIL_BYTES))
        said = one_line(file.read().decode(errors="replace"))
    try:
        end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        end = f"killed by signal {-code}"
    return f"{said} ({end})" if said else end


class BestSoFar:
    """Follows the validation score of a run.

    Args:
        metric: the metric of early stopping, e.g. ``recall@10``.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric.lower()
        self._best: float | None = None

    def after(self, record: Any) -> Progress:
        """The state after an epoch."""
        score = (record.valid or {}).get(self._metric)
        if score is not None:
            self._best = score if self._best is None else max(self._best, score)
        return Progress(record.epoch + 1, self._best)


def _child(folder: Path) -> None:
    """Body of the process of one job."""
    channel = _own_channel()
    job, data_path, threads = pickle.loads((folder / "request").read_bytes())
    best = BestSoFar(job.options.get("valid_metric", "recall@10"))

    def tell(record: Any) -> None:
        progress = best.after(record)
        print(progress.epochs, "-" if progress.best is None else progress.best, file=channel)

    try:
        outcome: Any = execute(job, data_path, threads, tell)
    except InputError as error:
        outcome = error
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    draft = folder / "draft"
    draft.write_bytes(pickle.dumps(outcome))
    draft.rename(folder / "answer")


def _own_channel() -> TextIO:
    """The pipe to the parent, for progress alone: what models and libraries print goes to the errors."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


if __name__ == "__main__":
    try:
        _child(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
