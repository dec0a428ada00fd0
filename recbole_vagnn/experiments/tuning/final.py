"""The winner's own runs: over several seeds, and the only ones of a search that see the test data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_vagnn.experiments.cluster import run_on_ray
from recbole_vagnn.experiments.events import Board, Failure
from recbole_vagnn.experiments.plan import Job, Plan
from recbole_vagnn.experiments.records import RunRecord
from recbole_vagnn.experiments.tuning.search import Search

FINAL = "final.csv"


@dataclass
class _Keeper(Board):
    """Keeps each finished run at once, and remembers failures."""

    keep: Callable[[pd.DataFrame], object] = print
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def finished(self, job: Job, record: RunRecord) -> None:
        self.rows = sorted([*self.rows, record.row], key=lambda row: int(row["seed"]))
        self.keep(pd.DataFrame(self.rows))
        super().finished(job, record)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        super().failed(failure)


def final_jobs(search: Search, plan: Plan, tuned: Path, seeds: Iterable[int]) -> list[Job]:
    """The winner with each seed, exactly as ``recbole-vagnn benchmark --tuned`` would run it.

    Args:
        search: a search that is over.
        plan: the plan it is of.
        tuned: folder with the winner's options, ``DATASET/LABEL.yaml``.
        seeds: of the model.
    """
    who, where = (search.contestant,), (search.request.dataset,)
    only = replace(plan, contestants=who, datasets=where, seeds=tuple(seeds), ours=(), tuned=tuned)
    use_gpu = {} if search.resources.gpus else {"use_gpu": False}
    return [replace(job, options={**job.options, **use_gpu}) for job in only.jobs()]


def missing_seeds(folder: Path, seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds that final.csv has no row of."""
    done = set(read_final(folder).get("seed", ()))
    return tuple(seed for seed in seeds if seed not in done)


def run_final(
    search: Search, jobs: list[Job], data_path: Path, console: Console, keep: Callable[[pd.DataFrame], object]
) -> list[Failure]:
    """Run jobs as Ray tasks: training, validation and test, each read once.

    Args:
        search: whose winner it is; says the resources.
        jobs: see :func:`final_jobs`.
        data_path: folder of the data sets.
        console: where to print.
        keep: called after every run with the rows of final.csv, those of earlier sessions included.

    Returns:
        what failed for good.
    """
    keeper = _Keeper(len(jobs), console, f"test_{search.metric.lower()}")
    keeper.keep, keeper.rows = keep, read_final(search.folder).to_dict("records")
    with keeper:
        run_on_ray(jobs, str(data_path), keeper, cpus=search.resources.cpus, gpus=search.resources.gpus)
    return keeper.failures


def read_final(folder: Path) -> pd.DataFrame:
    """The rows of final.csv, numbers to the last digit; empty without it."""
    path = folder / FINAL
    return pd.read_csv(path, float_precision="round_trip") if path.is_file() else pd.DataFrame()
