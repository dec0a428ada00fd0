"""Jobs on toy data, jobs that die on purpose, and a listener that remembers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Failure, Progress
from recbole_vagnn.experiments.plan import METRICS, Contestant, Job
from recbole_vagnn.experiments.records import RunRecord

OPTIONS: dict[str, Any] = {"metrics": list(METRICS), "topk": [5, 10], "epochs": 2, "train_batch_size": 64}
# Of runs.csv: what does not measure the machine.
MEASURED = ("_seconds", "memory_mb", "threads")


def toy_job(model: str = "Pop", label: str | None = None, seed: int = 2020, **options: Any) -> Job:
    """A run on data set ``toy``; VAGNN is small."""
    own = {"embedding_size": 8} if model in ("VAGNN", "LightGCN", "BPR") else {}
    contestant = Contestant(label or model, model)
    return Job("toy", contestant, seed, {**OPTIONS, **own, **options, "seed": seed}, "authors")


class Deadly(dict[str, Any]):
    """Options that harm the process of a run as soon as it asks for the validation metric.

    Args:
        options: the options.
        marker: file with a line for each harm done.
        times: so often.
        how: "exit", "kill", "raise", "refuse" (an InputError) or "shout" (4 MB of errors, and lines of output).
    """

    def __init__(self, options: Mapping[str, Any], marker: Path, times: int, how: str) -> None:
        super().__init__(options)
        self.marker, self.times, self.how, self.home = str(marker), times, how, os.getpid()

    def get(self, key: str, default: Any = None) -> Any:
        done = Path(self.marker).read_text().count("\n") if Path(self.marker).exists() else 0
        if key == "valid_metric" and os.getpid() != self.home and done < self.times:
            with Path(self.marker).open("a") as file:
                file.write("harmed\n")
            self._harm()
        return super().get(key, default)

    def _harm(self) -> None:
        if self.how == "exit":
            os._exit(3)
        elif self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "raise":
            raise RuntimeError("the model\nexploded")
        elif self.how == "refuse":
            raise InputError("the user is wrong")
        print("\nfirst line of somebody's output\nepoch one")
        sys.stderr.buffer.write(b"\xff" + b"x" * 4_000_000 + b"\n")


def deadly_job(marker: Path, times: int, how: str, label: str) -> Job:
    """A run of Pop with :class:`Deadly` options."""
    job = toy_job(label=label)
    return Job(job.dataset, job.contestant, job.seed, Deadly(job.options, marker, times, how), job.settings)


class Memory:
    """A listener that keeps what it is told: ``events`` of each label, records and failures."""

    def __init__(self) -> None:
        self.events: dict[str, list[Any]] = {}
        self.records: dict[str, RunRecord] = {}
        self.failures: dict[str, Failure] = {}

    def _keep(self, job: Job, event: Any) -> None:
        self.events.setdefault(job.contestant.label, []).append(event)

    def started(self, job: Job) -> None:
        self._keep(job, "started")

    def progressed(self, job: Job, progress: Progress) -> None:
        self._keep(job, progress)

    def retried(self, job: Job, reason: str) -> None:
        self._keep(job, f"retried: {reason}")

    def finished(self, job: Job, record: RunRecord) -> None:
        self._keep(job, "finished")
        self.records[job.contestant.label] = record

    def failed(self, failure: Failure) -> None:
        self._keep(failure.job, "failed")
        self.failures[failure.job.contestant.label] = failure


def numbers(record: RunRecord) -> dict[str, Any]:
    """What must be equal between two runs that are the same."""
    return {
        "row": {key: value for key, value in record.row.items() if not key.endswith(MEASURED)},
        "per_user": record.per_user.to_dict("list"),
        "curve": record.curve.drop(columns="train_seconds").to_dict("list"),
    }
