"""What a study is: the runs that a question needs, and what is read from them.

A study is one module with a ``STUDY``, one line in ``STUDIES`` and one file ``properties/study/NAME.yaml``. Runs, their
records, resume and the report are the same for all (:mod:`~recbole_vagnn.experiments.studies.run`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.defaults import read_yaml, variant_file
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.figures import Picture
from recbole_vagnn.experiments.plan import Condition, Contestant, Plan
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.tables import Table
from recbole_vagnn.options import Options
from recbole_vagnn.registry import load_reference

# study → "module:object", and the question that `recbole-vagnn study --help` shows
STUDIES: dict[str, tuple[str, str]] = {
    "ablation": ("recbole_vagnn.experiments.studies.ablation:STUDY", "Which part of VA-GNN carries it?"),
    "sensitivity": (
        "recbole_vagnn.experiments.studies.sensitivity:STUDY",
        "How does accuracy depend on the model's options?",
    ),
    "vlogger-quality": (
        "recbole_vagnn.experiments.studies.vlogger_quality:STUDY",
        "How good must creator data be?",
    ),
    "cold-start": (
        "recbole_vagnn.experiments.studies.cold_start:STUDY",
        "What about new users, new videos and small creators?",
    ),
    "platform": ("recbole_vagnn.experiments.studies.platform:STUDY", "On which platforms do creators help?"),
    "alignment": ("recbole_vagnn.experiments.studies.alignment:STUDY", "Do the two views really align?"),
    "contribution": (
        "recbole_vagnn.experiments.studies.contribution:STUDY",
        "How much of a recommendation comes from the creator?",
    ),
    "new-videos": ("recbole_vagnn.experiments.studies.new_videos:STUDY", "Can truly new videos be recommended?"),
}


@dataclass(frozen=True)
class Request:
    """What is asked of a study.

    Attributes:
        settings: its typed entries of ``properties/study/NAME.yaml``, changed by the command line.
        datasets, seeds: where and how often.
        options: options of every run.
        tuned: folder of tuned options, or None.
        data_path: folder of the data sets, absolute; those of ``datasets`` are there.
    """

    settings: Any
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    tuned: Path | None = None
    data_path: Path = Path("dataset")

    def plan(
        self,
        contestants: Sequence[Contestant],
        *,
        datasets: Sequence[str] | None = None,
        condition: Condition | None = None,
        probe: Probe | None = None,
        ours: Sequence[str] = (),
    ) -> Plan:
        """A plan with the seeds, options and tuned settings that were asked for; ``datasets`` None = all of them."""
        return Plan(
            contestants=tuple(contestants),
            datasets=self.datasets if datasets is None else tuple(datasets),
            seeds=self.seeds,
            options=dict(self.options),
            ours=tuple(ours),
            tuned=self.tuned,
            condition=condition,
            probe=probe,
        )


@dataclass(frozen=True)
class Findings:
    """The runs of a study that are finished; some may be missing.

    Attributes:
        settings: as of the request.
        plans: what was to run.
        records: what did; see :meth:`Plan.jobs` for the keys, ``Records.per_user``, ``curves`` and ``measured`` for
            more than runs.csv.
        data_path: folder of the data sets, absolute.
    """

    settings: Any
    plans: tuple[Plan, ...]
    records: Records
    data_path: Path = Path("dataset")

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of all plans, without conditions."""
        return tuple(dict.fromkeys(name for plan in self.plans for name in plan.datasets))


@dataclass(frozen=True)
class Section:
    """What a study says.

    Attributes:
        words: findings, a sentence or two each.
        tables: in the order of the report.
        pictures: figures; a picture's file is ``figures/DATASET.KIND.png``.
        csv: name of a file, without suffix → its table.
        notes: what a reader must know to judge it: definitions, and what it does not show.
    """

    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    csv: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def _nothing(_request: Request) -> None:
    """Most studies need no data of their own."""


@dataclass(frozen=True)
class Study:
    """One question.

    Attributes:
        title: heading of the report.
        settings: typed entries of the study's file; the fields' defaults are not used, the file says all.
        plans: the runs.
        analyse: what they show; must do with runs missing.
        prepare: makes data sets that the study needs in ``request.data_path``, before anything is checked.
        datasets: the data sets, where they follow from the settings; None = those of the file or the command line.
        alike: whether its data sets are of one size, so that one of them tells what all will cost.
    """

    title: str
    settings: type[Options]
    plans: Callable[[Request], list[Plan]]
    analyse: Callable[[Findings], Section]
    prepare: Callable[[Request], None] = _nothing
    datasets: Callable[[Any], tuple[str, ...]] | None = None
    alike: bool = False


def variant_of(model: str, variant: str) -> Contestant:
    """A shipped variant of a model, with the model's tuned options if there are any, its own winning over them.

    Raises:
        InputError: the model has no variant of that name.
    """
    options = read_yaml(variant_file(model, variant))
    return Contestant(variant.replace("_", " "), model, options, tuned_as=model)


def load_study(name: str) -> Study:
    """A study by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in STUDIES:
        known = list(STUDIES)
        raise InputError(f"There is no study {name!r}.{did_you_mean(name, known)} Studies: {', '.join(known)}.")
    return load_reference(STUDIES[name][0])  # type: ignore[no-any-return]
