"""``recbole-vagnn tune``: a search for every model on every data set, each with the same budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig, dataset_options
from recbole_vagnn.data.options import DataOptions
from recbole_vagnn.defaults import defaults, overlay
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import PROTOCOL, Job, Plan, seeds
from recbole_vagnn.experiments.ray_session import check_resources, connected
from recbole_vagnn.experiments.records import file_name
from recbole_vagnn.experiments.tuning import records
from recbole_vagnn.experiments.tuning.best import BEST, write_tuned
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.experiment import run_search
from recbole_vagnn.experiments.tuning.final import final_jobs, missing_seeds, run_final
from recbole_vagnn.experiments.tuning.machines import check_machines
from recbole_vagnn.experiments.tuning.points import number_of_trials
from recbole_vagnn.experiments.tuning.report import write_overview
from recbole_vagnn.experiments.tuning.search import Resources, Search
from recbole_vagnn.experiments.tuning.space import Space, check_space, read_space
from recbole_vagnn.experiments.tuning.store import SearchRecord
from recbole_vagnn.experiments.tuning.trial import TrialRequest
from recbole_vagnn.fit import load

FINAL_SEEDS = seeds(3)


@dataclass
class Outcome:
    """What a tuning left.

    Attributes:
        files: of the overview of all searches.
        failures: searches and winners' runs that failed for good, in words.
    """

    files: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tuning:
    """What is tuned, and how.

    Attributes:
        plan: contestants, data sets and options of every run.
        folder: DIR, absolute; a search has ``DIR/DATASET/LABEL``, and ``DIR/tuned`` is for ``benchmark --tuned``.
        budget: of each search.
        data_path: folder of the data sets, absolute.
        resources: of a trial, and of a winner's run.
        space: a file of one's own; None = the shipped spaces.
        final_seeds: seeds of the winners' runs, which read the test data; none = no such runs.
    """

    plan: Plan
    folder: Path
    budget: Budget
    data_path: Path
    resources: Resources = field(default_factory=Resources)
    space: Path | None = None
    final_seeds: Sequence[int] = FINAL_SEEDS


def tune(
    tuning: Tuning, *, resume: bool = False, address: str | None = None, console: Console | None = None
) -> Outcome:
    """Search hyper-parameters by validation scores, then run each winner, test data included.

    Args:
        tuning: what is tuned.
        resume: go on with the searches in the folder; without it they are an error.
        address: of a running Ray cluster; None starts Ray on this machine.
        console: where to print.

    Returns:
        files and failures; a search that fails does not keep the others from theirs.

    Raises:
        InputError: before the first trial: a model, space, option, metric, data set or resource is wrong, a machine of
            the cluster cannot take part, or the folder holds searches (without ``resume``) or other ones.
        KeyboardInterrupt: Ctrl-C; everything can be resumed.
    """
    import ray

    if address is not None and address.startswith("ray://"):
        raise InputError(
            f"A search cannot be driven from outside its cluster ({address}). Start it on a machine of the cluster "
            f"with --ray-address auto."
        )
    console, outcome = console or Console(), Outcome()
    searches = list(_searches(tuning))
    if (begun := [search for search in searches if search.is_begun]) and not resume:
        raise InputError(
            f"{tuning.folder} holds {len(begun)} of these searches already, e.g. {begun[0].name}. Go on with --resume, "
            f"or choose another --out."
        )
    with connected(address):
        check_resources(tuning.resources.cpus, tuning.resources.gpus, "trial")
        check_machines(tuning.folder)
        data_sets = _DataSets(ray.put)
        ready = []
        for search in searches:
            reference, fingerprint = data_sets.of(search.config)
            ready.append((replace(search, fingerprint=fingerprint), reference))
            ready[-1][0].require_same()
        try:
            for number, (search, reference) in enumerate(ready, start=1):
                console.print(f"[{number}/{len(ready)}] {search.name}", highlight=False, markup=False)
                outcome.failures += _run_one(tuning, search, reference, console)
        finally:
            records.write_missing_reports(tuning.folder)
            outcome.files = write_overview(tuning.folder)
    return outcome


def _searches(tuning: Tuning) -> Iterator[Search]:
    """Every search, checked as far as that is possible without its data."""
    plan = tuning.plan
    for dataset in plan.datasets:
        registry.prepare_embedded(dataset, str(tuning.data_path / dataset))
    plan.check(tuning.data_path)
    for job in plan.jobs():
        if job.seed == plan.seeds[0]:
            options = _trial_options(tuning, job)
            search = Search(
                contestant=job.contestant,
                request=TrialRequest(job.contestant.model, job.dataset, options, _space(tuning, job, options)),
                shared={key: value for key, value in job.options.items() if key not in _not_in_best()},
                budget=tuning.budget,
                resources=tuning.resources,
                folder=tuning.folder / job.dataset / file_name(job.contestant.label),
                fingerprint={},
            )
            number_of_trials(search.request.space, search.budget)
            yield search


def _trial_options(tuning: Tuning, job: Job) -> dict[str, Any]:
    """Options of every trial, those of the data set's own file included: not every machine may see it."""
    model, dataset = job.contestant.model, job.dataset
    lower = defaults(model, dataset, job.options.get("variant"))
    given = {
        **job.options,
        "seed": tuning.budget.seed,
        "torch_threads": tuning.resources.threads,
        "show_progress": False,
        "data_path": str(tuning.data_path),
        **({} if tuning.resources.gpus else {"use_gpu": False}),
    }
    return overlay(dataset_options(model, dataset, tuning.data_path, lower), given)


def _space(tuning: Tuning, job: Job, options: dict[str, Any]) -> Space:
    """The space of a job, without what its contestant fixes; a data set's file fixes nothing."""
    model, dataset, data_path = job.contestant.model, job.dataset, tuning.data_path
    try:
        space = read_space(model, tuning.space, dataset=dataset, data_path=data_path, options=job.options)
        if tuning.space is not None:
            _refuse_lost(read_space(model, tuning.space), space)
        given = {key: value for key, value in options.items() if key not in space.names()}
        check_space(space, dataset, data_path, given)
    except InputError as error:
        raise InputError(f"{job.contestant.label} on {dataset}: {error}") from None
    return space


def _refuse_lost(asked: Space, space: Space) -> None:
    """A user's own space must not name what the options fix; of a shipped one it is left out, as it should be."""
    if lost := [name for name in asked.names() if name not in space.names()]:
        raise InputError(
            f"{asked.source}: `{lost[0]}` is fixed for all trials by --set, --epochs, --patience or the model's label; "
            f"it cannot be searched as well. Leave one of them out."
        )


def _not_in_best() -> set[str]:
    """Options that best.yaml does not repeat: of protocol, data and seed, which all models share."""
    return {*PROTOCOL, *_data_options(), "seed"}


def _data_options() -> set[str]:
    from recbole.utils.argument_list import dataset_arguments

    return {*dataset_arguments, *(entry.name for entry in fields(DataOptions)), "eval_args"}


class _DataSets:
    """Training and validation data of each data set, loaded and stored once for all models.

    Args:
        put: stores bytes for all machines and returns a reference.
    """

    def __init__(self, put: Any) -> None:
        self._put = put
        self._known: dict[str, tuple[Any, dict[str, str]]] = {}

    def of(self, config: VloggerConfig) -> tuple[Any, dict[str, str]]:
        """Reference and fingerprint of the data of a configuration."""
        names = sorted(_data_options() | {"dataset", "data_path"})
        key = json.dumps({name: config.as_begun.get(name) for name in names}, sort_keys=True)
        if key not in self._known:
            data = load(config)
            self._known[key] = self._put(data.to_bytes()), data.fingerprint
        return self._known[key]


def _run_one(tuning: Tuning, search: Search, reference: Any, console: Console) -> list[str]:
    """Search, write what was found, and run the winner; returns what failed."""
    before = search.journal().over is not None
    record = run_search(search, reference, console)
    if not (before and (search.folder / BEST).is_file()):
        write_tuned(record, tuning.folder / "tuned")
        records.write(record, search.folder)  # best.yaml last: where it is, all is
    failures = []
    if record.budget["hopeless"]:
        failures = [f"{search.name}: {record.budget['ended']}. Mend it, remove {search.folder} and search again."]
    if record.best is None:
        return failures
    console.print(_found(record), highlight=False, soft_wrap=True)
    return failures + _run_winner(tuning, search, console)


def _found(record: SearchRecord) -> str:
    assert record.best is not None
    gain, compared = record.gain(), ""
    if record.best is record.start:
        compared = f", the {record.start_name}"
    elif gain is not None:
        compared = f", {gain:+.1f} % against the {record.start_name}"
    return f"{record.name} on {record.dataset}: {record.metric} {record.best.score:.4f}{compared}"


def _run_winner(tuning: Tuning, search: Search, console: Console) -> list[str]:
    waiting = missing_seeds(search.folder, tuning.final_seeds)
    if not waiting:
        return []
    jobs = final_jobs(search, tuning.plan, tuning.folder / "tuned", waiting)
    failures = run_final(search, jobs, tuning.data_path, console, partial(records.add_final, search.folder))
    return [f"{search.name}, seed {failure.job.seed}: {failure.reason}" for failure in failures]
