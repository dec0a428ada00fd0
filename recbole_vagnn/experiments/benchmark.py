"""``recbole-vagnn benchmark``: every contestant on every data set, under one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console

from recbole_vagnn import __version__, registry
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Board, Failure, Listener
from recbole_vagnn.experiments.execute import fingerprint_text
from recbole_vagnn.experiments.plan import Job, Plan, configuration, protocol_of
from recbole_vagnn.experiments.records import Records, RunRecord
from recbole_vagnn.experiments.report import write_reports

Scheduler = Callable[[Iterable[Job], str, Listener], None]


@dataclass
class Outcome:
    """What a benchmark left.

    Attributes:
        records: all runs in the folder.
        failures: jobs that failed for good.
        files: reports written.
    """

    records: Records
    failures: list[Failure] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


class _Keeper(Board):
    """Adds finished runs to the records at once, and remembers failures."""

    records: Records
    failures: list[Failure]

    def finished(self, job: Job, record: RunRecord) -> None:
        self.records.add(record)
        super().finished(job, record)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        super().failed(failure)


def benchmark(
    plan: Plan,
    folder: str | Path,
    schedule: Scheduler,
    *,
    data_path: str | Path = "dataset",
    resume: bool = False,
    command: str = "",
    console: Console | None = None,
) -> Outcome:
    """Run what is missing of a plan and write tables, tests, figures and report.

    Args:
        plan: what is compared.
        folder: DIR; a finished run is never lost, whatever happens afterwards.
        schedule: runs jobs and tells a listener.
        data_path: folder of the data sets.
        resume: go on with the runs that are in the folder; without it they are an error.
        command: the command line, for the reports.
        console: where to print.

    Returns:
        records, failures and files.

    Raises:
        InputError: the plan or the data are wrong, some user has too few interactions for leave-one-out, the folder
            holds runs (without ``resume``), or runs of another split, protocol, version, settings or options.
        KeyboardInterrupt: after the reports of what is finished are written.
    """
    path = Path(data_path).expanduser().resolve()
    todo = prepare([plan], folder, path, resume=resume)
    files: list[Path] = []

    def report(records: Records, failures: list[Failure]) -> None:
        files.extend(_reports(plan, records, failures, command))

    failures = carry_out(todo, schedule, path, report, console or Console())
    return Outcome(todo.records, failures, files)


@dataclass(frozen=True)
class Todo:
    """The runs of plans, checked.

    Attributes:
        jobs: all of them.
        waiting: those that are not in the records.
        records: where finished runs are and go.
    """

    jobs: list[Job]
    waiting: list[Job]
    records: Records


def prepare(plans: Sequence[Plan], folder: str | Path, data_path: Path, *, resume: bool) -> Todo:
    """Check plans whose runs share a folder, and find out what is to be run.

    Args:
        plans: what is compared; no two have the same run.
        folder: DIR of the records.
        data_path: folder of the data sets, absolute.
        resume: whether the folder may hold runs.

    Raises:
        InputError: see :func:`benchmark`.
    """
    for dataset in dict.fromkeys(name for plan in plans for name in plan.datasets):
        registry.prepare_embedded(dataset, str(data_path / dataset))
    for plan in plans:
        plan.check(data_path)
    records = Records(folder)
    jobs = [job for plan in plans for job in plan.jobs()]
    waiting = _waiting(jobs, records, resume)
    for job in {job.data: job for job in reversed(waiting)}.values():
        _check_data(job, data_path, records)
    return Todo(jobs, waiting, records)


def carry_out(
    todo: Todo,
    schedule: Scheduler,
    data_path: Path,
    report: Callable[[Records, list[Failure]], None],
    console: Console,
) -> list[Failure]:
    """Run what is missing, and report, whatever happens.

    Args:
        todo: see :func:`prepare`.
        schedule: runs jobs and tells a listener.
        data_path: folder of the data sets, absolute.
        report: called at the end, also of an interrupted experiment.
        console: where to print.

    Returns:
        jobs that failed for good.
    """
    jobs, waiting = todo.jobs, todo.waiting
    console.print(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before.", highlight=False)
    metric = f"valid_{jobs[0].options.get('valid_metric', 'Recall@10').lower()}"
    keeper = _Keeper(len(waiting), console, metric)
    keeper.records, keeper.failures = todo.records, []
    try:
        with keeper:
            if waiting:
                schedule(waiting, str(data_path), keeper)
    finally:
        report(todo.records, keeper.failures)
    return keeper.failures


def _waiting(jobs: list[Job], records: Records, resume: bool) -> list[Job]:
    finished = records.keys()
    if finished and not resume:
        raise InputError(
            f"{records.folder} holds {len(finished)} finished run(s). Go on with --resume, or choose another --out."
        )
    settings = set(records.runs.get("settings", pd.Series(dtype=str)).unique())
    if different := settings - {jobs[0].settings}:
        raise InputError(
            f"{records.folder} holds runs with {', '.join(different)} settings, this plan has {jobs[0].settings}: they "
            f"are never mixed in one table. Choose another --out."
        )
    _require_same_options([job for job in jobs if job.key in finished], records)
    return [job for job in jobs if job.key not in finished]


def _require_same_options(done: list[Job], records: Records) -> None:
    """A finished run stands for a job of the plan only if it had the job's options."""
    if "options" not in records.runs:
        return
    before = {(row["dataset"], row["model"], row["seed"]): row["options"] for row in records.runs.to_dict("records")}
    if changed := [job for job in done if before[job.key] not in ("", job.options_hash)]:
        names = list(dict.fromkeys(f"{job.contestant.label} on {job.data}" for job in changed))
        raise InputError(
            f"{records.folder} holds {len(changed)} finished run(s) of {', '.join(names)} with other options than this "
            f"plan's. Go on with the options they had, or choose another --out."
        )


def _check_data(job: Job, data_path: Path, records: Records) -> None:
    """Split a data set once beforehand: what would be refused after a training is refused now."""
    config = configuration(job, data_path)
    row = {"dataset": job.data, "settings": job.settings, "protocol": protocol_of(job, config.as_begun)}
    split = registry.create_dataset(config).build()
    sizes, users = [len(part) for part in split], len(split[0].inter_feat[split[0].uid_field].unique())
    leave_one_out = (config["eval_args"]["split"] or {}).get("LS") == "valid_and_test" and not config["new_video_share"]
    if leave_one_out and {*sizes[1:]} != {users}:
        raise InputError(
            f"{job.data}: leave-one-out finds {sizes[1]} validation and {sizes[2]} test interactions of {users} "
            f"users, so some users have fewer than 3 interactions. Make the data with `recbole-vagnn prepare … "
            f"--min-history 3`, or give --set 'user_inter_num_interval=[3,inf)'."
        )
    records.require_same({**row, "version": __version__, "fingerprint": fingerprint_text(fingerprint(*split))})


def _reports(plan: Plan, records: Records, failures: list[Failure], command: str) -> list[Path]:
    """The reports of what is finished; nothing without a run."""
    if records.runs.empty:
        return []
    table = pd.DataFrame(
        [(*failure.job.key, failure.reason, failure.attempts) for failure in failures],
        columns=["dataset", "model", "seed", "reason", "attempts"],
    )
    return write_reports(
        records.folder, ours=plan.ours, order=plan.labels, command=command, failures=table, sections=_tuning(plan)
    )


def _tuning(plan: Plan) -> list[str]:
    """How the models were tuned, where the searches lie beside their tuned settings."""
    if plan.tuned is None:
        return []
    from recbole_vagnn.experiments.tuning.report import tuned_section  # brings Optuna

    return [text] if (text := tuned_section(plan.tuned, plan.datasets, plan.labels)) else []
