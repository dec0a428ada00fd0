"""Where the option files are, and how they are read.

``properties/`` lies at the top of the repository and, in a wheel, inside the package. A prepared data set may carry
an option file of its own beside its data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from recbole_vagnn.errors import InputError

_HERE = Path(__file__).resolve().parent

# Dictionaries of which a user may give some keys; the others keep their defaults. RecBole would fall back to
# its own defaults, e.g. `eval_args: {mode: uni100}` would silently turn leave-one-out into a random split.
MERGED = ("eval_args", "train_neg_sample_args")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-3`` as a number, as RecBole's loader does (YAML 1.1 wants ``1.0e-3``)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
            |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
            |\.[0-9_]+(?:[eE][-+]?[0-9]+)?
            |[-+]?\.(?:inf|Inf|INF)
            |\.(?:nan|NaN|NAN))$""",
        re.X,
    ),
    list("-+0123456789."),
)


@cache
def properties_dir() -> Path:
    """The folder of the option files of this installation.

    Raises:
        InputError: the installation is incomplete.
    """
    for candidate in (_HERE / "properties", _HERE.parent / "properties"):
        if (candidate / "overall.yaml").is_file():
            return candidate
    raise InputError(f"{_HERE} has no properties/ folder: reinstall recbole-vagnn.")


def parse_yaml(text: str) -> Any:
    """Parse YAML text into plain Python values; nothing is evaluated."""
    return yaml.load(text, Loader=_Loader)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        InputError: the file is missing, not valid YAML, or not a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"Configuration file {path} does not exist.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"Configuration file {path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"Configuration file {path} must hold `key: value` lines, found {type(content).__name__}.")
    return content


def property_file(kind: str, name: str) -> Path | None:
    """Our file ``properties/<kind>/<name>.yaml``, or None where we ship none."""
    path = properties_dir() / kind / f"{name}.yaml"
    return path if path.is_file() else None


def dataset_file(data_path: str | Path, dataset: str) -> Path:
    """The option file in a data set's folder, which need not exist: ``<data_path>/NAME/NAME.yaml``."""
    return Path(data_path).expanduser() / dataset / f"{dataset}.yaml"


def overlay(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``more`` on top; of the dictionaries in ``MERGED``, entries that ``more`` leaves out stay."""
    result = dict(base)
    for key, value in more.items():
        if key in MERGED and isinstance(value, dict) and isinstance(base.get(key), dict):
            value = {**base[key], **value}
        result[key] = value
    return result


def defaults(model: str, dataset: str, variant: str | None = None) -> dict[str, Any]:
    """Our defaults for a run: overall, then model, then the model's variant, then data set.

    Args:
        model: model name, e.g. ``"VAGNN"``; models without a file of ours add nothing.
        dataset: data set name; data sets without a file of ours add nothing.
        variant: named setting of the model, a file in ``properties/variant/<model>/``.

    Raises:
        InputError: the variant does not exist.
    """
    merged = read_yaml(properties_dir() / "overall.yaml")
    files = [property_file("model", model)]
    if variant is not None:
        files.append(variant_file(model, variant))
    files.append(property_file("dataset", dataset))
    for path in files:
        if path is not None:
            merged.update(read_yaml(path))
    return merged


def variants(model: str) -> list[str]:
    """Names of the settings shipped for a model, sorted."""
    folder = properties_dir() / "variant" / model
    return sorted(path.stem for path in folder.glob("*.yaml"))


def variant_file(model: str, variant: str) -> Path:
    """File of a setting shipped for a model.

    Raises:
        InputError: there is none of that name.
    """
    path = property_file(f"variant/{model}", variant)
    if path is None:
        known = variants(model)
        listed = ", ".join(known) if known else "none"
        raise InputError(f"{model} has no variant {variant!r}; its variants: {listed}.")
    return path
