"""What one search is: a model on a data set, a budget, and the folder of its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recbole_vagnn import __version__
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Contestant
from recbole_vagnn.experiments.tuning.budget import Budget
from recbole_vagnn.experiments.tuning.journal import Journal
from recbole_vagnn.experiments.tuning.space_check import run_configuration
from recbole_vagnn.experiments.tuning.store import SearchRecord, write_file
from recbole_vagnn.experiments.tuning.trial import TrialRequest
from recbole_vagnn.result import plain

_REQUEST, _JOURNAL = "search.json", "journal.jsonl"


@dataclass(frozen=True)
class Resources:
    """Of one trial.

    Attributes:
        cpus: CPUs; torch uses as many threads, at least one.
        gpus: GPUs, may be a fraction; with 0 a trial runs on the CPU.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """Threads of torch."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        contestant: model, label and options of its own.
        request: what its trials share.
        shared: options of all trials that are no part of protocol or data; best.yaml repeats them.
        budget, resources: effort.
        folder: of its files, absolute.
        fingerprint: of training and validation data.
    """

    contestant: Contestant
    request: TrialRequest
    shared: dict[str, Any]
    budget: Budget
    resources: Resources
    folder: Path
    fingerprint: dict[str, str]

    @property
    def name(self) -> str:
        """Label and data set."""
        return f"{self.contestant.label} on {self.request.dataset}"

    @property
    def experiment(self) -> Path:
        """Ray Tune's folder: its record of the search, and checkpoints of trials."""
        return self.folder / "ray"

    @property
    def kept(self) -> Path:
        """Ray's record of the search, to go on from; only while it is not over."""
        return self.folder / "ray.zip"

    @cached_property
    def config(self) -> VloggerConfig:
        """A configuration of its trials; for what all of them share."""
        space = self.request.space
        point = space.first[0] if space.first else {p.name: p.extremes()[0] for p in space.parameters}
        options = {**self.request.options, **point}
        return run_configuration(self.request.model, self.request.dataset, options["data_path"], options)

    @property
    def metric(self) -> str:
        """The validation metric, e.g. "Recall@10"."""
        return str(self.config["valid_metric"])

    @property
    def bigger(self) -> bool:
        """Is a larger score better?"""
        return bool(self.config["valid_metric_bigger"])

    @property
    def evaluations(self) -> int:
        """Most evaluations of a trial."""
        return self.epochs // min(int(self.config["eval_step"]), self.epochs)

    @property
    def epochs(self) -> int:
        """Most epochs of a trial; models that are computed, not trained, have one."""
        return 1 if "TRADITIONAL" in str(self.config["MODEL_TYPE"]) else int(self.config["epochs"])

    def journal(self) -> Journal:
        """Its diary, empty for a search that has not begun."""
        return Journal(self.folder / _JOURNAL)

    def open(self) -> Journal:
        """The diary to go on with; a search that was killed before Ray's record of it was kept begins anew.

        Raises:
            InputError: the folder holds another search, or this one with other options.
        """
        journal = self.journal()
        if journal.over is None and not self.kept.is_file():
            shutil.rmtree(self.experiment, ignore_errors=True)
            (self.folder / _JOURNAL).unlink(missing_ok=True)
            write_file(self.folder / _REQUEST, json.dumps(self._description(), indent=2, ensure_ascii=False) + "\n")
            return self.journal()
        self.require_same()
        return journal

    @property
    def is_begun(self) -> bool:
        """Whether its folder holds a search."""
        return (self.folder / _REQUEST).is_file()

    def require_same(self) -> None:
        """Raise InputError if the folder holds a search that differs from this one."""
        if not self.is_begun:
            return
        before = json.loads((self.folder / _REQUEST).read_text(encoding="utf-8"))
        if changed := list(_differences("", before, self._description())):
            raise InputError(
                f"{self.folder} holds another search of {self.name}: {'; '.join(changed)}. Go on with what it had, or "
                f"choose another --out."
            )

    def _description(self) -> dict[str, Any]:
        """All that makes it this search, plain values; where the files are does not."""
        options = {key: value for key, value in self.request.options.items() if key != "data_path"}
        space = asdict(self.request.space)
        del space["source"]
        return plain(  # type: ignore[no-any-return]
            {
                "model": self.request.model,
                "dataset": self.request.dataset,
                "options": options,
                "space": space,
                "budget": asdict(self.budget),
                "resources": asdict(self.resources),
                "data": self.fingerprint,
                "version": __version__,
                **{name: version(name) for name in ("ray", "optuna")},  # their files are theirs alone to read
            }
        )

    def record(self, journal: Journal) -> SearchRecord:
        """All trials, for the files of results."""
        trials, epochs = journal.records(self.request.space.first, self.budget.seed)
        return SearchRecord(
            model=self.request.model,
            dataset=self.request.dataset,
            metric=self.metric,
            bigger=self.bigger,
            space=self.request.space,
            trials=trials,
            epochs=epochs,
            budget={
                **asdict(self.budget),
                "epochs": self.epochs,
                "patience": self.config["stopping_step"],
                **asdict(self.resources),
                "torch_threads": self.resources.threads,
                "date": journal.date,
                "wall_seconds": journal.seconds,
                "ended": journal.over,
                "hopeless": journal.hopeless,
            },
            label=self.contestant.label,
            options=self.shared,
        )


def _differences(path: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(f"{path}.{key}" if path else key, before.get(key), now.get(key))
    elif before != now:
        yield f"`{path}` was {before!r} and is {now!r} now"
