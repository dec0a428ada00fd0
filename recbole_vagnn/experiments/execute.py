"""One job, in the process that calls it: a run, and what an experiment keeps of it."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.experiments.plan import Job, protocol_of
from recbole_vagnn.experiments.probe import Snapshots, measure
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.result import Result

_SECONDS = {f"{name}_seconds": name for name in ("build", "train", "epoch", "valid", "test", "total")}


def execute(job: Job, data_path: str | Path, threads: int, on_epoch: Callable[[Any], None] | None = None) -> RunRecord:
    """Run a job in a temporary folder, which takes RecBole's logs and checkpoints with it.

    Args:
        job: the run.
        data_path: folder of the data sets, absolute.
        threads: of torch; results depend on it in rounding.
        on_epoch: called with each epoch's record.

    Returns:
        what is kept of the run, and what its probe measured.

    Raises:
        InputError: an option or the data are wrong.
    """
    from recbole_vagnn.runner import run

    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="recbole-vagnn-") as scratch:
        os.chdir(scratch)
        try:
            given = {"data_path": str(data_path), "checkpoint_dir": scratch, "show_progress": False}
            options = {**job.options, **given, "torch_threads": threads}
            snapshots = Snapshots(scratch, job.probe.snapshots if job.probe else ())

            def told(record: Any) -> None:
                snapshots.look()
                if on_epoch is not None:
                    on_epoch(record)

            result = run(job.contestant.model, job.dataset, options, quiet=True, on_epoch=told)
            record = to_record(job, result, threads)
            if job.probe is None:
                return record
            snapshots.look()
            model, dataset = job.contestant.model, job.dataset
            return replace(record, measured=measure(job.probe, model, dataset, options, result, snapshots.kept))
        finally:
            os.chdir(here)


def to_record(job: Job, result: Result, threads: int) -> RunRecord:
    """What an experiment keeps of a run."""
    metric = result.config["valid_metric"].lower()
    row: dict[str, object] = {
        "dataset": job.data,
        "model": job.contestant.label,
        "seed": job.seed,
        "settings": job.settings,
        "fingerprint": fingerprint_text(result.fingerprint),
        "protocol": protocol_of(job, result.config),
        "version": result.versions["recbole_vagnn"],
        "options": job.options_hash,
        **result.sizes,
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        **{f"valid_{name}": value for name, value in (result.valid or {}).items()},
        **{f"test_{name}": value for name, value in result.test.items()},
        **{column: result.seconds[name] for column, name in _SECONDS.items()},
        "peak_memory_mb": result.peak_memory_mb,
        "peak_gpu_memory_mb": result.peak_gpu_memory_mb,
        "parameters": result.parameters,
        "threads": threads,
    }
    per_user = pd.DataFrame({"user": result.users, "history": result.activity, **result.per_user})
    curve = pd.DataFrame([_curve_row(record, metric) for record in result.history])
    return RunRecord(row, per_user, curve)


def fingerprint_text(hashes: Mapping[str, str]) -> str:
    """The hashes of a split and its creators in one text."""
    return "-".join(value[:12] for value in hashes.values())


def _curve_row(record: dict[str, Any], metric: str) -> dict[str, Any]:
    losses = record["losses"]
    return {
        "epoch": record["epoch"],
        "loss": math.fsum(losses.values()) if isinstance(losses, dict) else losses,
        "valid": (record["valid"] or {}).get(metric),
        "train_seconds": record["train_seconds"],
    }
