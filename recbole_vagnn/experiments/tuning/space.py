"""Search spaces: which options of a model are searched, over which values, and which points are tried first.

``properties/search/MODEL.yaml`` holds the space of each model of the benchmark; docs/search_spaces.md says where they
come from. A file of one's own is YAML of the same form (:mod:`.space_files`) or RecBole's (:mod:`.hyper_test`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_vagnn import registry
from recbole_vagnn.defaults import properties_dir, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.tuning.hyper_test import read_hyper_test
from recbole_vagnn.experiments.tuning.parameter import Parameter as Parameter
from recbole_vagnn.experiments.tuning.space_check import check_space as check_space
from recbole_vagnn.experiments.tuning.space_check import run_configuration
from recbole_vagnn.experiments.tuning.space_files import read_space_file

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_LARGEST_GRID = 100_000


@dataclass(frozen=True)
class Space:
    """What a search may try for one model.

    Attributes:
        model: its name.
        parameters: the searched options; none for a model without hyper-parameters, whose only trial is its default.
        first: points tried first, the authors' best first; each has a value of the space for every parameter.
        source: the file it came from, for messages and reports.
    """

    model: str
    parameters: tuple[Parameter, ...]
    first: tuple[dict[str, Any], ...]
    source: str

    @property
    def shipped(self) -> bool:
        """Whether it came from ``properties/search``, as far as its path says."""
        return Path(self.source).parent.parts[-2:] == ("properties", "search")

    @property
    def origin(self) -> str:
        """Its file; of a shipped one without where this machine has it."""
        return str(Path(*Path(self.source).parts[-3:])) if self.shipped else self.source

    def names(self) -> tuple[str, ...]:
        """Names of the searched options."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def size(self) -> int | None:
        """Number of points, 1 where nothing is searched; None where a parameter is continuous."""
        counts = [parameter.count() for parameter in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def distributions(self) -> dict[str, BaseDistribution]:
        """The space for Optuna, also as ``OptunaSearch(space=…)``."""
        return {parameter.name: parameter.distribution() for parameter in self.parameters}

    def tune(self) -> dict[str, Any]:
        """The space as Ray Tune's domains, for a random search.

        For Optuna take :meth:`distributions`: a domain forgets that the values of a stepped range have an order.
        """
        return {parameter.name: parameter.domain() for parameter in self.parameters}

    def grid(self) -> list[dict[str, Any]]:
        """Every point: those of ``first``, then the others with the last parameter changing fastest.

        Raises:
            InputError: a parameter is continuous, or there are more than 100,000 points.
        """
        for parameter in self.parameters:
            if parameter.count() is None:
                raise InputError(
                    f"{self.source}: `{parameter.name}` is continuous ({parameter.describe()}), so there is no grid of "
                    f"all points. List its values, {parameter.name}: [a, b, …], or search with optuna or random."
                )
        if self.size is not None and self.size > _LARGEST_GRID:
            raise InputError(
                f"{self.source}: a grid of {self.size} points is too large; at most {_LARGEST_GRID}. List fewer "
                f"values, or search with optuna or random."
            )
        rows = itertools.product(*(parameter.points() for parameter in self.parameters))
        return _distinct([*self.first, *(dict(zip(self.names(), row, strict=True)) for row in rows)])

    def canonical(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A sampler's point as options: exact steps (0.3, not 0.30000000000000004), each value of its option's type.

        Raises:
            InputError: the point lacks a parameter, has another, or a value lies outside the space.
        """
        if missing := [name for name in self.names() if name not in point]:
            raise InputError(f"{self.source}: the point {dict(point)} has no value for {', '.join(missing)}.")
        if foreign := [str(name) for name in point if name not in self.names()]:
            raise InputError(f"{self.source}: {', '.join(foreign)} of the point {dict(point)} is not searched.")
        try:
            return {parameter.name: parameter.canonical(point[parameter.name]) for parameter in self.parameters}
        except InputError as error:
            raise InputError(f"{self.source}: {error}") from None

    def contains(self, point: Mapping[str, Any]) -> bool:
        """Whether a point has a value of the space for every parameter, and nothing else."""
        try:
            self.canonical(point)
        except InputError:
            return False
        return True

    def without(self, names: Collection[str]) -> Space:
        """The space with these options left alone; points that become equal are tried once."""
        parameters = tuple(parameter for parameter in self.parameters if parameter.name not in names)
        first = [{name: value for name, value in point.items() if name not in names} for point in self.first]
        return Space(self.model, parameters, tuple(_distinct(first)), self.source)


def read_space(
    model: str,
    path: Path | None = None,
    *,
    dataset: str | None = None,
    data_path: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Space:
    """The search space of a model.

    What a point of ``first`` leaves out is taken from the model's property file and then the data set's files, as in a
    run: ``{}`` is the run that nobody tuned.

    Args:
        model: its name.
        path: file of one's own, in YAML (``*.yaml``, ``*.yml``) or else in RecBole's format; None =
            ``properties/search/MODEL.yaml``.
        dataset: data set whose files complete the first points; None = the model's file alone.
        data_path: folder of the data sets; None = the default.
        options: options of every trial; those that they (or their ``variant``) set are not searched.

    Raises:
        InputError: unknown model, no space for it, a file that is wrong or empty, or a first point outside the space.
    """
    registry.model_class(model)  # refuses unknown names before anything else
    file = path or property_file("search", model)
    if file is None:
        shipped = ", ".join(sorted(found.stem for found in (properties_dir() / "search").glob("*.yaml")))
        raise InputError(
            f"There is no search space for {model}. Write one and give it with --space (docs/search_spaces.md shows "
            f"the format). Shipped: {shipped}."
        )
    if file.suffix.lower() in (".yaml", ".yml"):
        parameters, first = read_space_file(file)
    else:
        parameters, first = read_hyper_test(file), ()
    if not parameters and path is not None:
        raise InputError(f"{file}: the space is empty, there is nothing to search. Name at least one parameter.")
    given = dict(options or {})
    space = Space(model, parameters, first, str(file)).without(_fixed(model, given))
    return _completed(space, dataset, data_path, given)


def _fixed(model: str, options: Mapping[str, Any]) -> set[str]:
    """Options that are set for all trials, by themselves or by the variant they name."""
    variant = options.get("variant")
    path = property_file(f"variant/{model}", str(variant)) if variant else None
    return {*options, *(read_yaml(path) if path else ())}


def _completed(space: Space, dataset: str | None, data_path: str | Path | None, options: Mapping[str, Any]) -> Space:
    """The space whose first points have a value for every parameter, in the parameter's own form."""
    names = space.names()
    settings: Mapping[str, Any] = {}
    if any(name not in point for point in space.first for name in names):
        settings = run_configuration(space.model, dataset, data_path, options).as_begun
    first: list[dict[str, Any]] = []
    for number, point in enumerate(space.first, start=1):
        where = f"{space.source}: point {number} of `first`"
        for name in names:
            if name not in point and name not in settings:
                raise InputError(f"{where} leaves out `{name}`, which has no default.{did_you_mean(name, settings)}")
        try:
            complete = {name: point.get(name, settings.get(name)) for name in names}
            first.append({p.name: p.canonical(complete[p.name]) for p in space.parameters})
        except InputError as error:
            taken = [f"{name} {settings[name]!r}" for name in names if name not in point]
            origin = f" It takes from the property files: {', '.join(taken)}." if taken else ""
            raise InputError(
                f"{where} lies outside the space: {error}{origin} Change the point or the space."
            ) from None
    return Space(space.model, space.parameters, tuple(_distinct(first)), space.source)


def _distinct(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points without repetition; the first of equal ones stays."""
    found: dict[str, dict[str, Any]] = {}
    for point in points:
        found.setdefault(repr(sorted(point.items())), point)
    return list(found.values())
