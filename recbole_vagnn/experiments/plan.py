"""What is to be compared: contestants × data sets × seeds, from a YAML file or the command line, checked beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbole_vagnn.defaults import property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean

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
)
_KEYS = ("models", "datasets", "seeds", "options", "ours", "tuned")


@dataclass(frozen=True)
class Contestant:
    """A model with settings of its own.

    Attributes:
        label: its name in tables; unique in a plan.
        model: name of the model.
        options: options beyond the model's property file.
    """

    label: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        dataset: data set.
        contestant: who runs.
        seed: of the model; the split has a seed of its own, which all runs share.
        options: every option given to the run.
        settings: "authors" or "tuned".
    """

    dataset: str
    contestant: Contestant
    seed: int
    options: dict[str, Any]
    settings: str

    @property
    def key(self) -> tuple[str, str, int]:
        """Data set, label and seed."""
        return self.dataset, self.contestant.label, self.seed


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        contestants, datasets, seeds: what is run, in the order of the tables.
        options: options of every run; a contestant's own win over them, except those of the protocol.
        ours: labels whose gain over the others is reported.
        tuned: folder with ``DATASET/LABEL.yaml``, tuned options; None = the authors' settings of the property files.
    """

    contestants: tuple[Contestant, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...] = (FIRST_SEED,)
    options: dict[str, Any] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    tuned: Path | None = None

    def __post_init__(self) -> None:
        for what, values in (("models", self.labels), ("datasets", self.datasets), ("seeds", self.seeds)):
            if not values:
                raise InputError(f"The plan has no {what}. Give at least one.")
            if repeated := sorted({str(value) for value in values if list(values).count(value) > 1}):
                raise InputError(f"The plan names {', '.join(repeated)} twice among its {what}. Remove one.")
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
                    yield Job(dataset, contestant, seed, options, self.settings)

    def _options(self, dataset: str, contestant: Contestant) -> dict[str, Any]:
        own = {**contestant.options, **self._tuned_options(dataset, contestant)}
        common = {"metrics": list(METRICS), "topk": list(TOPK), **self.options}
        if fixed := sorted(own.keys() & set(PROTOCOL)):
            raise InputError(
                f"{contestant.label} has options of its own that all runs must share: {', '.join(fixed)}. Put them "
                f"into the plan's `options`."
            )
        return {**common, **own}

    def _tuned_options(self, dataset: str, contestant: Contestant) -> dict[str, Any]:
        if self.tuned is None:
            return {}
        return read_yaml(self.tuned / dataset / f"{contestant.label}.yaml")

    def check(self, data_path: str | Path) -> None:
        """Build every run's configuration, so that no mistake is found after hours.

        Raises:
            InputError: unknown model, option or data set, or tuned settings are missing.
        """
        from recbole_vagnn import registry
        from recbole_vagnn.config import VloggerConfig

        self._check_tuned()
        for dataset in self.datasets:
            folder = Path(data_path, dataset)
            if dataset not in registry.EMBEDDED_DATASETS and not (folder / f"{dataset}.inter").is_file():
                raise InputError(f"Data set {dataset!r} is not in {data_path}: make it with `recbole-vagnn prepare`.")
        for job in self.jobs():
            if job.seed == self.seeds[0]:
                VloggerConfig(job.contestant.model, job.dataset, {**job.options, "data_path": str(data_path)})

    def _check_tuned(self) -> None:
        if self.tuned is None:
            return
        files = [self.tuned / dataset / f"{label}.yaml" for dataset in self.datasets for label in self.labels]
        if missing := [str(file) for file in files if not file.is_file()]:
            raise InputError(
                f"{len(missing)} of {len(files)} tuned settings are missing, first {missing[0]}. Tune these too: a "
                f"table never mixes tuned and untuned models."
            )


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
            raise InputError(f"{path}: unknown entry {key!r}.{did_you_mean(key, _KEYS)} Entries: {', '.join(_KEYS)}.")
    return Plan(
        contestants=tuple(_contestant(entry, path) for entry in content.get("models") or ()),
        datasets=tuple(map(str, content.get("datasets") or ())),
        seeds=seeds(content.get("seeds", 1)),
        options=dict(content.get("options") or {}),
        ours=tuple(content.get("ours") or ()),
        tuned=Path(content["tuned"]) if content.get("tuned") else None,
    )


def seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    """A number of seeds, counted from ``FIRST_SEED``, or the seeds themselves.

    Raises:
        InputError: neither.
    """
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return tuple(range(FIRST_SEED, FIRST_SEED + given))
    if isinstance(given, (list, tuple)) and given and all(isinstance(seed, int) for seed in given):
        return tuple(given)
    raise InputError(f"`seeds` is {given!r}; give how many, or a list of whole numbers.")


def _contestant(entry: Any, path: Path) -> Contestant:
    """``NAME``, or ``LABEL: {model: NAME, option: value, …}``."""
    if isinstance(entry, str):
        return Contestant(entry, entry)
    if isinstance(entry, dict) and len(entry) == 1:
        label, options = next(iter(entry.items()))
        if isinstance(options, dict):
            model = options.get("model", label)
            return Contestant(str(label), str(model), {k: v for k, v in options.items() if k != "model"})
    raise InputError(
        f"{path}: model {entry!r} is not understood. Write NAME, or LABEL: {{model: NAME, option: value}}."
    )


def with_changes(plan: Plan, **changes: Any) -> Plan:
    """The plan with those of ``changes`` that are not None; options are added to its own."""
    given: Mapping[str, Any] = {key: value for key, value in changes.items() if value is not None}
    options = {**plan.options, **given.get("options", {})}
    ours = given.get("ours", plan.ours)
    if "contestants" in given and "ours" not in given:
        labels = [contestant.label for contestant in given["contestants"]]
        ours = tuple(label for label in plan.ours if label in labels)
    return replace(plan, **{**given, "options": options, "ours": ours})


def protocol_hash(config: Mapping[str, Any]) -> str:
    """Short hash of the options that make runs comparable, from a Result's configuration."""
    text = json.dumps({key: config.get(key) for key in PROTOCOL if key != "eval_step"}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
