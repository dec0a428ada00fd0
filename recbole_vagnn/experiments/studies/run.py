"""``recbole-vagnn study``: the runs of a study under one protocol, with resume, and what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from recbole_vagnn import registry
from recbole_vagnn.defaults import overlay, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.benchmark import Outcome, Scheduler, Todo, carry_out, prepare
from recbole_vagnn.experiments.events import Failure
from recbole_vagnn.experiments.plan import Plan, configuration, protocol_of, seeds
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.cost import Clock, cost_of, within
from recbole_vagnn.experiments.studies.report import write_study
from recbole_vagnn.experiments.studies.study import Findings, Request, Study, load_study

_COMMON = ("datasets", "seeds", "options")  # entries of every study's file


@dataclass(frozen=True)
class Asked:
    """What the command line says beyond the study's file; None or empty = as the file has it.

    Attributes:
        datasets, seeds: where, and how often.
        options: of every run.
        entries: of the study's file.
        tuned: folder of tuned options.
    """

    datasets: tuple[str, ...] | None = None
    seeds: int | None = None
    options: Mapping[str, Any] | None = None
    entries: Mapping[str, Any] | None = None
    tuned: Path | None = None


def run_study(
    name: str,
    folder: str | Path,
    schedule: Scheduler,
    clock: Clock,
    asked: Asked | None = None,
    *,
    data_path: str | Path = "dataset",
    resume: bool = False,
    dry_run: bool = False,
    hours: float | None = None,
    threads: int = 1,
    command: str = "",
    console: Console | None = None,
) -> Outcome:
    """Run what is missing of a study and write its tables, figures and report.

    Args:
        name: of the study.
        folder: DIR of records and report; a finished run is never lost.
        schedule: runs jobs and tells a listener.
        clock: times a job's first epoch, for the estimate of the cost.
        asked: changes of the study's file.
        data_path: folder of the data sets.
        resume: go on with the runs that are in the folder; without it they are an error.
        dry_run: say what would run and what it costs, and run nothing.
        hours: most CPU hours; a study that may need more is refused.
        threads: of a run.
        command: the command line, for the report.
        console: where to print.

    Returns:
        records, failures and files.

    Raises:
        InputError: see :func:`~recbole_vagnn.experiments.benchmark.benchmark`; or the study's settings are wrong, two
            runs are the same, or the study may need more than ``hours``.
        KeyboardInterrupt: after the report of what is finished is written.
    """
    path, console = Path(data_path).expanduser().resolve(), console or Console()
    study = load_study(name)
    request = make_request(name, study, asked or Asked(), path)
    for dataset in request.datasets:
        registry.prepare_embedded(dataset, str(path / dataset))
    study.prepare(request)
    plans = study.plans(request)
    _require_one_study(plans, path)
    todo = prepare(plans, folder, path, resume=resume or dry_run)
    cost = cost_of(todo, path, clock, threads, alike=study.alike)
    if cost.parts:
        console.print(cost.table())
    console.print(cost.text(), highlight=False)
    if dry_run:
        return Outcome(todo.records)
    within(cost, hours)
    files: list[Path] = []

    def report(records: Records, failures: list[Failure]) -> None:
        if not records.runs.empty:
            findings = Findings(request.settings, tuple(plans), records, path)
            files.extend(write_study(name, study, findings, command, _table_of(failures)))

    failures = carry_out(_seeds_first(todo), schedule, path, report, console)
    return Outcome(todo.records, failures, files)


def _seeds_first(todo: Todo) -> Todo:
    """Every plan's first seed before any second one, so that an interrupted study has something of every part."""
    return Todo(todo.jobs, sorted(todo.waiting, key=lambda job: job.seed), todo.records)


def make_request(name: str, study: Study, asked: Asked, data_path: Path) -> Request:
    """The study's file with the changes of the command line.

    Raises:
        InputError: an entry is unknown, missing or wrong, or data sets are named that follow from the settings.
    """
    file = property_file("study", name)
    if file is None:
        raise InputError(f"properties/study/{name}.yaml is missing: reinstall recbole-vagnn.")
    content = read_yaml(file)
    own = [field.name for field in fields(study.settings)]  # type: ignore[arg-type]
    for key in asked.entries or {}:
        if key not in own:
            raise InputError(f"Study {name} has no entry {key!r}.{did_you_mean(key, own)} Entries: {', '.join(own)}.")
    if unknown := sorted(content.keys() - {*own, *_COMMON}):
        raise InputError(f"{file}: unknown entry {', '.join(unknown)}. Entries: {', '.join([*_COMMON, *own])}.")
    settings = study.settings.from_config({**content, **(asked.entries or {})}.get)
    datasets = asked.datasets or tuple(content.get("datasets") or ())
    if study.datasets is not None:
        if asked.datasets is not None:
            raise InputError(f"Study {name} makes its own data sets: leave --datasets out.")
        datasets = study.datasets(settings)
    return Request(
        settings=settings,
        datasets=datasets,
        seeds=seeds(content.get("seeds", 1) if asked.seeds is None else asked.seeds),
        options=overlay(content.get("options") or {}, asked.options or {}),
        tuned=asked.tuned,
        data_path=data_path,
    )


def _require_one_study(plans: Sequence[Plan], data_path: Path) -> None:
    """No run twice, and one protocol on each data set, whatever its condition."""
    counts = Counter(job.key for plan in plans for job in plan.jobs())
    if repeated := [key for key, count in counts.items() if count > 1]:
        data, label, _ = repeated[0]
        raise InputError(f"The study would run {label} on {data} twice. Change its settings.")
    first: dict[str, tuple[str, str]] = {}
    for plan in plans:
        for job in {job.dataset: job for job in plan.jobs()}.values():
            protocol = protocol_of(job, configuration(job, data_path).as_begun)
            label, other = first.setdefault(job.dataset, (job.data, protocol))
            if other != protocol:
                raise InputError(f"The study has another protocol on {job.data} than on {label}; all runs share one.")


def _table_of(failures: Sequence[Failure]) -> pd.DataFrame:
    rows = [(*failure.job.key, failure.reason, failure.attempts) for failure in failures]
    return pd.DataFrame(rows, columns=["dataset", "model", "seed", "reason", "attempts"])
