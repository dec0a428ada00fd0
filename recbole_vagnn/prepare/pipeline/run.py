"""One preparation: source → database → filters → files, report and manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from recbole_vagnn import registry
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline import manifest
from recbole_vagnn.prepare.pipeline.database import Connection, database
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.loading import load
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.manifest import Recipe
from recbole_vagnn.prepare.pipeline.picture import draw
from recbole_vagnn.prepare.pipeline.report import Report
from recbole_vagnn.prepare.pipeline.rules import parse_rule
from recbole_vagnn.prepare.pipeline.selection import restrict, select
from recbole_vagnn.prepare.pipeline.source import Request, Source
from recbole_vagnn.prepare.pipeline.stages import Stages, Work
from recbole_vagnn.prepare.pipeline.statistics import describe
from recbole_vagnn.prepare.pipeline.whole_folder import whole_folder
from recbole_vagnn.prepare.pipeline.writing import write_files, write_options

MEMORY = "2GB"


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` made.

    Attributes:
        name: of the data set, for ``--dataset``.
        folder: ``<data_path>/<name>``.
        report: what became of the input; None where everything was there already.
    """

    name: str
    folder: Path
    report: Report | None


def prepare(
    source: str,
    path: str | Path | None = None,
    *,
    name: str | None = None,
    data_path: str | Path = "dataset",
    options: Mapping[str, Any] | None = None,
    filters: Mapping[str, Any] | None = None,
    positive: str | Sequence[str] | None = None,
    follow_from: str | Sequence[str] | None = None,
    max_malformed: float = 0.001,
    memory: str = MEMORY,
    threads: int | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Prepared:
    """Turn somebody's files into a RecBole data set, whole or not at all.

    Args:
        source: a name of ``registry.SOURCES``.
        path: file or folder of the source; None for sources that make their data.
        name: of the data set; the source proposes one.
        data_path: folder of the data sets.
        options: the source's own options.
        filters: fields of :class:`Filters` that differ from the source's defaults.
        positive, follow_from: the same fields, for short.
        max_malformed: largest share of a file's rows that may be malformed.
        memory: limit of the database, beside which about 1 GB is used.
        threads: of the database; None = all cores.
        overwrite: replace a data set of that name.
        quiet: print neither progress nor report.

    Returns:
        where the data set is. If it was made from the same input and options before, nothing is touched.

    Raises:
        InputError: the input or an option is wrong, or the name is taken by other data.
    """
    job = _Job.create(source, path, options or {}, _given_filters(filters, positive, follow_from), max_malformed)
    name = name if name is not None else job.source.dataset_name(job.path, job.options)
    _check_name(name)
    target = Path(data_path).expanduser() / name
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, not a folder. Choose another --name, or move it away.")
    console = Console(quiet=quiet, markup=False, emoji=False)  # names and malformed rows may hold brackets
    if not overwrite and manifest.is_up_to_date(target, name, job.recipe(job.inputs_of(target, name))):
        console.print(f"{target} is up to date: same input, same options.", highlight=False, soft_wrap=True)
        return Prepared(name, target, None)
    with whole_folder(target, replace=overwrite) as draft:
        report = job.make(draft, name, memory, threads, quiet)
    report.show(console)
    console.print(f"Written to {target}. Train on it with: python run_recbole.py --model=VAGNN --dataset={name}"
                  + ("" if Path(data_path) == Path("dataset") else f" --data_path={data_path}"),
                  highlight=False, soft_wrap=True)  # fmt: skip
    return Prepared(name, target, report)


def load_source(name: str) -> Source:
    """The source of a name.

    Raises:
        InputError: there is none.
    """
    if name not in registry.SOURCES:
        known = list(registry.SOURCES)
        raise InputError(f"Unknown source {name!r}.{did_you_mean(name, known)} Sources: {', '.join(known)}.")
    found: Source = registry.load_reference(registry.SOURCES[name])
    return found


def _given_filters(
    filters: Mapping[str, Any] | None, positive: str | Sequence[str] | None, follow_from: str | Sequence[str] | None
) -> dict[str, Any]:
    given = dict(filters or {})
    for key, rules in (("positive", positive), ("follow_from", follow_from)):
        if rules is not None:
            given[key] = (rules,) if isinstance(rules, str) else tuple(rules)
    return given


def _checked(kind: type[Options], values: Mapping[str, Any], whose: str) -> Any:
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{whose} has no option {key!r}.{did_you_mean(key, known)} Options: {', '.join(known)}.")
    return kind(**values)


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or any(character in name for character in "/\\\t\r\n"):
        raise InputError(f"--name {name!r} cannot be a folder's name: leave out slashes and a leading dot.")
    if name == "ml-100k":
        raise InputError("--name ml-100k: RecBole reads its own data set of that name, wherever ours is. Take another.")


@dataclass(frozen=True)
class _Job:
    """A checked request, apart from where the result goes."""

    source: Source
    path: Path | None
    options: Any
    filters: Filters
    max_malformed: float

    @classmethod
    def create(
        cls, source: str, path: str | Path | None, options: Mapping[str, Any], given: dict[str, Any], share: float
    ) -> _Job:
        found = load_source(source)
        if found.input is None and path is not None:
            raise InputError(f"Source {source} makes its data and reads no --input. Leave it out.")
        if found.input is not None and path is None:
            raise InputError(f"Source {source} needs --input, the {found.input}.")
        where = Path(path).expanduser() if path is not None else None
        if where is not None and not where.exists():
            raise InputError(f"--input {where} does not exist. Give the {found.input}.")
        if not 0 <= share <= 1:
            raise InputError(f"--max-malformed is {share}; it must be a share between 0 and 1.")
        own = _checked(found.options, options, f"Source {source}")
        defaults = {"positive": found.positive, "follow_from": found.follow_from} | dict(found.defaults)
        filters = _checked(Filters, defaults | given, "`prepare`")
        return cls(found, where, own, filters, share)

    def recipe(self, inputs: dict[str, Any]) -> Recipe:
        options = asdict(self.options) | asdict(self.filters) | {"max_malformed": self.max_malformed}
        named = {key: path.name for key, path in self._paths().items()}
        return Recipe(self.source.name, options | named, inputs)

    def _paths(self) -> dict[str, Path]:
        """The source's options that name a file or folder."""
        found: dict[str, Path] = {}
        for field in fields(self.options):
            value = getattr(self.options, field.name)
            if isinstance(value, str) and value and not field.metadata.get("verbatim"):
                path = Path(os.path.abspath(Path(value).expanduser()))
                found |= {field.name: path} if path.exists() else {}
        return found

    @property
    def places(self) -> manifest.Places:
        """Where the source's files are."""
        flags = {f"--{key.replace('_', '-')}": path for key, path in self._paths().items()}
        roots = (self.source.own_files(),) if self.source.own_files is not None else ()
        if self.path is None:
            return manifest.Places(None, roots, flags)
        path = Path(os.path.abspath(self.path))
        if path.is_dir():
            return manifest.Places(path, (path, *roots), flags)
        return manifest.Places(None, (path.parent, *roots), {"--input": path} | flags)

    def inputs_of(self, folder: Path, name: str) -> dict[str, Any]:
        """What the inputs of a data set made earlier are now, without reading them as data."""
        places = self.places
        found = (places.find(file) for file in manifest.recorded_inputs(folder, name))
        return manifest.describe_inputs((file for file in found if file is not None), places)

    def make(self, draft: Path, name: str, memory: str, threads: int | None, quiet: bool) -> Report:
        """Fill the folder ``draft``."""
        malformed = Malformed(self.max_malformed)
        files: list[Path] = []
        with _scratch(draft) as scratch, database(scratch, memory, threads) as connection:
            stages = Stages(quiet, connection.query_progress)
            with stages.stage("reading") as work:
                data = self.source.read(self._request(malformed, files, work))
                loaded = load(connection, data, self.filters)
            with stages.stage("filtering"):
                steps = select(connection, self.filters)
                pairs = restrict(connection, self.filters)
            with stages.stage("describing"):
                figures = describe(connection, data.has_order)
                report = Report(name, malformed, loaded, steps, pairs, figures, data.remarks)
            with stages.stage("writing"):
                written = self._write(connection, data, report, draft, name)
        inputs = manifest.describe_inputs(files, self.places)
        manifest.write_manifest(draft / f"{name}.prepare.json", self.recipe(inputs), written)
        return report

    def _request(self, malformed: Malformed, files: list[Path], work: Work) -> Request:
        rules = (parse_rule(self.filters.positive, "--positive"), parse_rule(self.filters.follow_from, "--follow-from"))

        def touch(path: Path) -> None:
            files.append(path)
            work.grow(path.stat().st_size)

        return Request(self.path, self.options, rules[0].names | rules[1].names, malformed, work.advance, touch)

    def _write(self, connection: Connection, data: Any, report: Report, draft: Path, name: str) -> list[Path]:
        written = write_files(connection, data, draft, name)
        write_options(data, draft / f"{name}.yaml", name, self.source.name)
        written += [draft / f"{name}.yaml", *report.write(draft), draft / f"{name}.report.png"]
        draw(name, report.statistics, written[-1])
        return written


@contextmanager
def _scratch(draft: Path) -> Iterator[Path]:
    """A folder for the database on the disk that the data set will be on."""
    folder = draft / "scratch"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
