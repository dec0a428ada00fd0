"""What is to be compared: contestants × data sets × seeds, from a YAML file or the command line, checked beforehand."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from recbole_vagnn.defaults import defaults, overlay, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.probe import Probe

if TYPE_CHECKING:
    from recbole_vagnn.config import VloggerConfig

FIRST_SEED = 2020
METRICS = ("Recall", "NDCG", "MRR", "Hit", "Precision", "ItemCoverage", "GiniIndex", "AveragePopularity")
TOPK = (10, 20, 50)
# Options that every run of an experiment shares, whatever a model's own file says: one protocol for all.
PROTOCOL = (
    "eval_args",
    "mask_valid_at_test",
    "valid_metric",
    "valid_metric_bigger",
    "stopping_step",
    "eval_step",
    "epochs",
    "split_seed",
    "rm_dup_inter",
    "items_without_row",
    "sampler",
    "neg_scope",
    "metrics",
    "topk",
)
# What the benchmark itself gives every run → where a user says it.
_GIVEN = {
    "model": "the plan's `models`",
    "dataset": "the plan's `datasets`",
    "seed": "the plan's `seeds`",
    "data_path": "--data-path",
    "checkpoint_dir": "nowhere, checkpoints are not kept",
    "show_progress": "nowhere, the benchmark shows it",
    "torch_threads": "--cpus-per-run",
}
_OUR_DATA = (
    "VLOGGER_ID_FIELD",
    "FOLLOW_USER_ID_FIELD",
    "FOLLOW_VLOGGER_ID_FIELD",
    "FOLLOW_TIME_FIELD",
    "degradation",
    "new_video_share",
)
_SEED_LIMIT = 2**32
_KEYS = ("models", "datasets", "seeds", "options", "ours", "tuned")


@dataclass(frozen=True)
class Contestant:
    """A model with settings of its own.

    Attributes:
        label: its name in tables; unique in a plan.
        model: name of the model.
        options: options beyond the model's property file.
        tuned_as: label whose tuned options this contestant starts from, its own winning over them; None = its own
            label's, which win over its options.
    """

    label: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    tuned_as: str | None = None


@dataclass(frozen=True)
class Condition:
    """A change of the data under which all contestants of a plan run.

    Records and tables take the data under a condition for a data set of its own, ``DATASET@LABEL``.

    Attributes:
        label: short and fit for a file's name, e.g. ``links-removed-0.5``.
        options: options of every run under it.
    """

    label: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        dataset: data set.
        contestant: who runs.
        seed: of the model; the split has a seed of its own, which all runs share.
        options: every option given to the run.
        settings: "authors" or "tuned".
        condition: label of the plan's condition; empty without one.
        probe: measured after training, if anything.
    """

    dataset: str
    contestant: Contestant
    seed: int
    options: dict[str, Any]
    settings: str
    condition: str = ""
    probe: Probe | None = None

    @property
    def data(self) -> str:
        """What records and tables call the data: the data set, and its condition if there is one."""
        return data_label(self.dataset, self.condition)

    @property
    def key(self) -> tuple[str, str, int]:
        """Data (:attr:`data`), label and seed."""
        return self.data, self.contestant.label, self.seed

    @property
    def options_hash(self) -> str:
        """Short hash of the model and all options but the seed: runs that differ in it are other runs."""
        return _hash([self.contestant.model, {key: value for key, value in self.options.items() if key != "seed"}])


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        contestants, datasets, seeds: what is run, in the order of the tables.
        options: options of every run; a contestant's own win over them, except those of the protocol.
        ours: labels whose gain over the others is reported.
        tuned: folder with ``DATASET/LABEL.yaml``, tuned options; None = the authors' settings of the property files.
        condition: change of the data, for all runs; None = the data as they are.
        probe: what every run measures beyond its metrics, if anything.
    """

    contestants: tuple[Contestant, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...] = (FIRST_SEED,)
    options: dict[str, Any] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    tuned: Path | None = None
    condition: Condition | None = None
    probe: Probe | None = None

    def __post_init__(self) -> None:
        named: dict[str, tuple[Any, ...]] = {"models": self.labels, "datasets": self.datasets, "seeds": self.seeds}
        for what, values in {**named, "ours": self.ours}.items():
            if not values and what in named:
                raise InputError(f"The plan has no {what}. Give at least one.")
            if repeated := sorted({str(value) for value in values if values.count(value) > 1}):
                raise InputError(f"The plan names {', '.join(repeated)} twice among its {what}. Remove one.")
        _refuse_given(self.options, "The plan's `options`")
        for contestant in self.contestants:
            _refuse_given(contestant.options, contestant.label)
        for label in self.ours:
            if label not in self.labels:
                raise InputError(
                    f"`ours` names {label!r}, which is not among the models.{did_you_mean(label, self.labels)}"
                )

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the contestants."""
        return tuple(contestant.label for contestant in self.contestants)

    @property
    def settings(self) -> str:
        """Where the models' settings come from."""
        return "authors" if self.tuned is None else "tuned"

    def jobs(self) -> Iterator[Job]:
        """Every run; the seeds outermost, so that an interrupted experiment has something of everybody."""
        for seed in self.seeds:
            for dataset in self.datasets:
                for contestant in self.contestants:
                    options = {**self._options(dataset, contestant), "seed": seed}
                    condition = self.condition.label if self.condition else ""
                    yield Job(dataset, contestant, seed, options, self.settings, condition, self.probe)

    def _options(self, dataset: str, contestant: Contestant) -> dict[str, Any]:
        tuned = self._tuned_options(dataset, contestant)
        own = overlay(contestant.options, tuned) if contestant.tuned_as is None else overlay(tuned, contestant.options)
        of_data = self.condition.options if self.condition else {}
        common = {"metrics": list(METRICS), "topk": list(TOPK), **self.options, **of_data}
        if fixed := sorted(own.keys() & set(PROTOCOL)):
            raise InputError(
                f"{contestant.label} has options of its own that all runs must share: {', '.join(fixed)}. Put them "
                f"into the plan's `options`."
            )
        return overlay(common, own)

    def _tuned_options(self, dataset: str, contestant: Contestant) -> dict[str, Any]:
        if self.tuned is None:
            return {}
        path = self._tuned_file(dataset, contestant)
        options = read_yaml(path)
        _refuse_given(options, str(path))
        return options

    def _tuned_file(self, dataset: str, contestant: Contestant) -> Path:
        assert self.tuned is not None
        return self.tuned / dataset / f"{contestant.tuned_as or contestant.label}.yaml"

    def check(self, data_path: str | Path) -> None:
        """Build every run's configuration, so that no mistake is found after hours.

        Raises:
            InputError: unknown model, option or data set, tuned settings are missing, or a model would run on other
                data or by another protocol than the rest.
        """
        from recbole_vagnn import registry

        self._check_tuned()
        for dataset in self.datasets:
            folder = Path(data_path, dataset)
            if dataset not in registry.EMBEDDED_DATASETS and not (folder / f"{dataset}.inter").is_file():
                raise InputError(f"Data set {dataset!r} is not in {data_path}: make it with `recbole-vagnn prepare`.")
        first: dict[str, tuple[str, dict[str, Any]]] = {}  # data set → label and protocol
        for job in self.jobs():
            if job.seed == self.seeds[0]:
                self._check_data_options(job)
                protocol = _protocol(job, configuration(job, data_path).as_begun)
                _require_one_protocol(job, protocol, *first.setdefault(job.dataset, (job.contestant.label, protocol)))

    def _check_data_options(self, job: Job) -> None:
        """Options of one model must not change the data that all share."""
        from recbole.utils.argument_list import dataset_arguments

        common = self.options.keys() | (self.condition.options.keys() if self.condition else set())
        if fixed := sorted(job.options.keys() & {*dataset_arguments, *_OUR_DATA} - common):
            raise InputError(
                f"{job.contestant.label} has options of its own that change the data: {', '.join(fixed)}. Put them "
                f"into the plan's `options`."
            )

    def _check_tuned(self) -> None:
        if self.tuned is None:
            return
        wanted = [self._tuned_file(dataset, who) for dataset in self.datasets for who in self.contestants]
        files = list(dict.fromkeys(wanted))
        if missing := [str(file) for file in files if not file.is_file()]:
            raise InputError(
                f"{len(missing)} of {len(files)} tuned settings are missing, first {missing[0]}. Tune these too: a "
                f"table never mixes tuned and untuned models."
            )


def data_label(dataset: str, condition: str = "") -> str:
    """What records and tables call a data set under a condition (its label)."""
    return f"{dataset}@{condition}" if condition else dataset


def read_plan(name: str) -> Plan:
    """A plan from a YAML file, or one that we ship by its name (``properties/benchmark/NAME.yaml``).

    Raises:
        InputError: there is no such plan, or it is wrong.
    """
    path = Path(name)
    if not path.suffix:
        found = property_file("benchmark", name)
        if found is None:
            raise InputError(f"There is no plan {name!r}; give `paper`, `full` or a YAML file.")
        path = found
    content = read_yaml(path)
    for key in content:
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise InputError(f"{path}: unknown entry {key!r}.{did_you_mean(str(key), _KEYS)} Entries: {known}.")
    tuned = _entry(content, "tuned", str, path)
    return Plan(
        contestants=contestants(_entry(content, "models", list, path), str(path)),
        datasets=tuple(map(str, _entry(content, "datasets", list, path))),
        seeds=seeds(content.get("seeds", 1)),
        options=_entry(content, "options", dict, path),
        ours=tuple(map(str, _entry(content, "ours", list, path))),
        tuned=Path(tuned).expanduser() if tuned else None,
    )


def _entry(content: Mapping[str, Any], key: str, kind: type[Any], path: Path) -> Any:
    """An entry of a plan; an empty one where it is missing."""
    value = content.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        wanted = {"list": "a list: [A, B]", "dict": "a mapping: {option: value}", "str": "the path of a folder"}
        raise InputError(f"{path}: `{key}` is {value!r}; it must be {wanted[kind.__name__]}.")
    return value


def seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    """A number of seeds, counted from ``FIRST_SEED``, or the seeds themselves.

    Raises:
        InputError: neither.
    """
    if _is_whole(given) and given >= 1:
        return tuple(range(FIRST_SEED, FIRST_SEED + given))
    if isinstance(given, (list, tuple)) and given and all(_is_whole(s) and 0 <= s < _SEED_LIMIT for s in given):
        return tuple(given)
    raise InputError(f"`seeds` is {given!r}; give how many, or a list of whole numbers from 0 and below 2^32.")


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def contestants(entries: Iterable[Any], where: str) -> tuple[Contestant, ...]:
    """Contestants as files name them: ``NAME``, or ``LABEL: {model: NAME, option: value, …}``.

    Raises:
        InputError: an entry is neither; the message begins with ``where``.
    """
    return tuple(_contestant(entry, where) for entry in entries)


def _contestant(entry: Any, where: str) -> Contestant:
    if isinstance(entry, str):
        return Contestant(entry, entry)
    if isinstance(entry, dict) and len(entry) == 1:
        label, options = next(iter(entry.items()))
        if isinstance(options, dict):
            model = options.get("model", label)
            return Contestant(str(label), str(model), {k: v for k, v in options.items() if k != "model"})
    raise InputError(
        f"{where}: model {entry!r} is not understood. Write NAME, or LABEL: {{model: NAME, option: value}}."
    )


def with_changes(plan: Plan, **changes: Any) -> Plan:
    """The plan with those of ``changes`` that are not None; options are added to its own."""
    given: Mapping[str, Any] = {key: value for key, value in changes.items() if value is not None}
    options = overlay(plan.options, given.get("options", {}))
    ours = given.get("ours", plan.ours)
    if "contestants" in given and "ours" not in given:
        labels = [contestant.label for contestant in given["contestants"]]
        ours = tuple(label for label in plan.ours if label in labels)
    return replace(plan, **{**given, "options": options, "ours": ours})


def configuration(job: Job, data_path: str | Path) -> VloggerConfig:
    """The configuration of a run; nothing is loaded.

    Raises:
        InputError: an option is wrong; the message names model and data set.
    """
    from recbole_vagnn.config import VloggerConfig

    try:
        with _kept_environment():
            return VloggerConfig(job.contestant.model, job.dataset, {**job.options, "data_path": str(data_path)})
    except InputError as error:
        raise InputError(f"{job.contestant.label} on {job.data}: {error}") from None


@contextmanager
def _kept_environment() -> Iterator[None]:
    """A configuration chooses the GPU of this process by a variable, which would hide the others from the runs."""
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)


def protocol_hash(config: Mapping[str, Any]) -> str:
    """Short hash of the options that make runs comparable, from a configuration of plain values."""
    return _hash({key: config.get(key) for key in PROTOCOL})


def protocol_of(job: Job, config: Mapping[str, Any]) -> str:
    """:func:`protocol_hash` of a run, from its configuration: ``Result.config`` or ``VloggerConfig.as_begun``."""
    return protocol_hash(_protocol(job, config))


def _protocol(job: Job, config: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the protocol, ``eval_step`` as it was asked for: linear models train once and always have 1."""
    from recbole_vagnn.config import dataset_options

    values = {key: config.get(key) for key in PROTOCOL}
    if "TRADITIONAL" in str(config["MODEL_TYPE"]):
        lower = defaults("", job.dataset)
        of_data = dataset_options("", job.dataset, Path(config["data_path"]).parent, lower)
        values["eval_step"] = {**lower, **of_data, **job.options}["eval_step"]
    return values


def _require_one_protocol(job: Job, protocol: dict[str, Any], label: str, of_first: dict[str, Any]) -> None:
    for key, value in protocol.items():
        if value != of_first[key]:
            raise InputError(
                f"On {job.data} {job.contestant.label} would run with `{key}` {value!r}, {label} with "
                f"{of_first[key]!r}: all runs share it. Put it into the plan's `options`."
            )


def _refuse_given(options: Mapping[str, Any], where: str) -> None:
    for key in options:
        if key in _GIVEN:
            raise InputError(f"{where} cannot set `{key}`. Its place: {_GIVEN[key]}.")


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
