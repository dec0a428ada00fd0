"""Jobs one after the other, each in a process of its own: a crash ends one run, and its peak memory is its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Failure, Listener, Progress, one_line
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Job

ATTEMPTS = 2
_EPOCH = "epoch"


def run_serially(jobs: Iterable[Job], data_path: str, threads: int, listener: Listener) -> None:
    """Run jobs in order; one that dies is tried again once and then reported.

    Args:
        jobs: the runs.
        data_path: folder of the data sets, absolute.
        threads: of torch.
        listener: told of everything.
    """
    for job in jobs:
        listener.started(job)
        _run_one(job, data_path, threads, listener)


def _run_one(job: Job, data_path: str, threads: int, listener: Listener) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        outcome = _in_process(job, data_path, threads, listener)
        if isinstance(outcome, str):
            if attempt < ATTEMPTS:
                listener.retried(job, outcome)
                continue
            listener.failed(Failure(job, outcome, attempt))
        elif isinstance(outcome, InputError):  # trying again would not help
            listener.failed(Failure(job, str(outcome), attempt))
        else:
            listener.finished(job, outcome)
        return


def _in_process(job: Job, data_path: str, threads: int, listener: Listener) -> Any:
    """A RunRecord, an InputError, or the text of why the process died."""
    with tempfile.TemporaryDirectory(prefix="recbole-vagnn-job-") as folder:
        request, answer = Path(folder, "request"), Path(folder, "answer")
        request.write_bytes(pickle.dumps((job, data_path, threads)))
        command = [sys.executable, "-W", "ignore", "-m", "recbole_vagnn.experiments.serial", folder]
        with (
            Path(folder, "errors").open("w+") as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                word, *rest = line.split()
                if word == _EPOCH:
                    listener.progressed(job, Progress(int(rest[0]), float(rest[1]) if rest[1] != "-" else None))
            process.wait()
            said.seek(0)
            errors = said.read()
        if not answer.is_file():
            return f"{one_line(errors)} (exit code {process.returncode})"
        return pickle.loads(answer.read_bytes())


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
    job, data_path, threads = pickle.loads((folder / "request").read_bytes())
    best = BestSoFar(job.options.get("valid_metric", "recall@10"))

    def tell(record: Any) -> None:
        progress = best.after(record)
        print(_EPOCH, progress.epochs, "-" if progress.best is None else progress.best, flush=True)

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


if __name__ == "__main__":
    try:
        _child(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
