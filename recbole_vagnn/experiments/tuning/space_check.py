"""Mistakes of a search space that its model would only show in a trial, found before the first one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_vagnn import registry
from recbole_vagnn.defaults import defaults, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.plan import PROTOCOL, Contestant, Job, configuration
from recbole_vagnn.experiments.tuning.parameter import Parameter

if TYPE_CHECKING:
    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.experiments.tuning.space import Space

_NO_DATASET = "ml-100k"  # RecBole's own example: no file of ours, nor one in a folder, sets an option for it
# Options of the training of any model; those of its own are in its property files.
_LEARNING = ("learning_rate", "learner", "train_batch_size", "weight_decay")
_NESTED = ("train_neg_sample_args",)  # no plain values
_SPEED = ("fast_propagation",)  # changes no result


def run_configuration(
    model: str, dataset: str | None, data_path: str | Path | None, options: Mapping[str, Any]
) -> VloggerConfig:
    """The configuration of a trial; nothing is loaded.

    Args:
        model: its name.
        dataset: data set; None = none, so that only the model's own files count.
        data_path: folder of the data sets; None = the default.
        options: every option given to the trial.

    Raises:
        InputError: an option is wrong.
    """
    name = dataset or _NO_DATASET
    job = Job(name, Contestant(model, model), 0, dict(options), "tuned")
    return configuration(job, data_path or defaults("", "")["data_path"])


def check_space(space: Space, dataset: str, data_path: str | Path, options: Mapping[str, Any] | None = None) -> None:
    """Refuse a space that a search would fail with.

    Every parameter must be an option of the model or of its training, and every value one that the model accepts:
    each bound and each listed value must be possible in some point, each point of ``first`` as it is.

    Args:
        space: what is to be searched.
        dataset, data_path: data set and folder of the data sets; the data are not read.
        options: options of every trial.

    Raises:
        InputError: the first mistake found; the message names file and parameter.
    """
    given = dict(options or {})
    run_configuration(space.model, dataset, data_path, given)  # what is wrong already is not the space's mistake
    model_defaults = run_configuration(space.model, None, None, {}).as_begun
    trial = _Trial(space, dataset, data_path, given)
    try:
        for parameter in space.parameters:
            _check_name(space.model, parameter.name, model_defaults, given)
            _check_form(parameter, model_defaults.get(parameter.name))
        for parameter in space.parameters:
            for value in parameter.extremes():
                trial.require_possible(parameter.name, value)
        for point in space.first:
            trial.build(point)
    except InputError as error:
        raise InputError(f"{space.source}: {error}") from None


def _check_name(model: str, name: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    searchable = searchable_options(model)
    if name in given:
        raise InputError(f"`{name}` is fixed at {given[name]!r} for all trials; it cannot be searched as well.")
    if name in searchable:
        return
    if name in PROTOCOL:
        raise InputError(f"`{name}` is part of the protocol, which all trials share; it cannot be searched.")
    if name in known:
        raise InputError(
            f"`{name}` is an option of the run or its data, which all trials share; it cannot be searched."
        )
    raise InputError(
        f"`{name}` is no option of {model}.{did_you_mean(name, searchable)} Options: {', '.join(searchable)}."
    )


def searchable_options(model: str) -> list[str]:
    """Names of the options that a search may vary, sorted: the model's own and, if it is trained, its training's."""
    from recbole.utils import ModelType
    from recbole.utils.argument_list import dataset_arguments

    files = (registry.recbole_folder() / "properties" / "model" / f"{model}.yaml", property_file("model", model))
    found = {key for file in files if file and file.is_file() for key in read_yaml(file)}
    if registry.model_class(model).type != ModelType.TRADITIONAL:  # type: ignore[attr-defined]
        found |= set(_LEARNING)
    return sorted(found - {*PROTOCOL, *dataset_arguments, *_NESTED, *_SPEED})


def _check_form(parameter: Parameter, default: Any) -> None:
    """The kind of values must suit the option, whose default says what it is."""
    name, listed = parameter.name, parameter.kind == "choice"
    if isinstance(default, (bool, str)) and not listed:
        raise InputError(f"`{name}` is {default!r} by default, no number; list its values: [a, b].")
    if isinstance(default, int) and parameter.kind in ("uniform", "loguniform", "quniform"):
        raise InputError(
            f"`{name}` is a whole number (default: {default!r}), but the values {parameter.describe()} are fractions; "
            f"list its values, or write {{int: [low, high]}} in YAML."
        )
    wanted = "text" if isinstance(default, str) else "a list" if isinstance(default, list) else ""
    strange = [value for value in parameter.values if wanted and not isinstance(value, type(default))]
    if wanted and (strange or not listed):
        found = repr(strange[0]) if strange else parameter.describe()
        raise InputError(f"`{name}` has the value {found}; each must be {wanted} (default: {default!r}).")


class _Trial:
    """Configurations of points of a space."""

    def __init__(self, space: Space, dataset: str, data_path: str | Path, options: Mapping[str, Any]) -> None:
        self._model, self._dataset, self._data_path, self._options = space.model, dataset, data_path, options
        self._model_options = getattr(registry.model_class(space.model), "options_class", None)
        ends = [parameter.extremes() for parameter in space.parameters]
        lows, highs = (dict(zip(space.names(), [end[i] for end in ends], strict=True)) for i in (0, -1))
        self._points = [*space.first, lows, highs]

    def build(self, point: Mapping[str, Any]) -> None:
        """Raise InputError unless the configuration of a point can be built, and the model's options from it."""
        config = run_configuration(self._model, self._dataset, self._data_path, {**self._options, **point})
        if self._model_options is not None:
            self._model_options.from_config(config.__getitem__)

    def require_possible(self, name: str, value: Any) -> None:
        """Raise InputError where a value fits none of a few points; an option may limit another, so one is enough."""
        errors: list[InputError] = []
        for point in self._points:
            try:
                return self.build({**point, name: value})
            except InputError as error:
                errors.append(error)
        raise errors[0]
