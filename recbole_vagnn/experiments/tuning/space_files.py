"""Search spaces in YAML, the format of ``properties/search/MODEL.yaml``.

.. code-block:: yaml

    first:                                 # points tried first; {} = the model's and the data set's own files
      - {}
    space:
      learning_rate: {log: [1e-4, 1e-2]}   # evenly by the logarithm
      dropout: {range: [0.0, 0.5]}         # evenly; with `step: 0.1` in steps
      n_layers: {int: [1, 4]}              # whole numbers, both ends included; `step` is possible
      ssl_tau: [0.05, 0.1, 0.2]            # a list = one of these
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_vagnn.defaults import read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.experiments.tuning.parameter import Parameter

_ENTRIES = ("first", "space")
_KINDS = {"log": "loguniform", "range": "uniform", "int": "int"}
_FORMS = "[a, b, c], {range: [low, high]}, {log: [low, high]} or {int: [low, high]}"


def read_space_file(path: Path) -> tuple[tuple[Parameter, ...], tuple[dict[str, Any], ...]]:
    """Parameters and first points of a file, the points as they are written: they may leave parameters out.

    Raises:
        InputError: the file cannot be read, or an entry is not of the format; the message names it.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise InputError(f"Search space {path} cannot be read: {error}.") from None
    for key in content:
        if key not in _ENTRIES:
            raise InputError(f"{path}: unknown entry {key!r}.{did_you_mean(str(key), _ENTRIES)} Entries: first, space.")
    space = content.get("space")
    if not isinstance(space, Mapping):
        raise InputError(f"{path}: `space` is {space!r}; it must be a mapping: {{option: values}}.")
    try:
        parameters = tuple(_parameter(str(name), entry) for name, entry in space.items())
        return parameters, _first(content.get("first"), [parameter.name for parameter in parameters])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _parameter(name: str, entry: Any) -> Parameter:
    if isinstance(entry, list):
        return Parameter(name, "choice", tuple(entry))
    if not isinstance(entry, Mapping):
        raise InputError(f"`{name}` is {entry!r}; write {_FORMS}.")
    known = (*_KINDS, "step")
    for key in entry:
        if key not in known:
            raise InputError(f"`{name}`: unknown entry {key!r}.{did_you_mean(str(key), known)} Write {_FORMS}.")
    kinds = [key for key in entry if key in _KINDS]
    if len(kinds) != 1:
        raise InputError(f"`{name}` has {len(kinds)} of log, range and int; give one. Write {_FORMS}.")
    bounds, step = entry[kinds[0]], entry.get("step")
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise InputError(f"`{name}`: {kinds[0]} is {bounds!r}; it must be two bounds: [low, high].")
    kind = "quniform" if kinds[0] == "range" and step is not None else _KINDS[kinds[0]]
    return Parameter(name, kind, low=bounds[0], high=bounds[1], step=step)


def _first(points: Any, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    if points is None:
        return ()
    if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
        raise InputError(f"`first` is {points!r}; it must be a list of points: [{{option: value}}, …].")
    for number, point in enumerate(points, start=1):
        for name in point:
            if name not in names:
                raise InputError(
                    f"point {number} of `first` gives `{name}`, which `space` does not have."
                    f"{did_you_mean(str(name), names)}"
                )
    return tuple(dict(point) for point in points)
