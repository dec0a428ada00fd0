"""From options to RecBole's Config: checked keys, typed values, no argv and no eval.

RecBole's Config reads sys.argv wherever it is built, evaluates every string as Python and accepts unknown keys
in silence. This one takes a dictionary of typed values and refuses what it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from recbole.config import Config
from recbole.evaluator import metric_types
from recbole.utils import ModelType
from recbole.utils import argument_list as recbole_arguments

from recbole_vagnn import registry
from recbole_vagnn.defaults import defaults, parse_yaml, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean

# Dictionaries of which a user may give some keys; the others keep their defaults. RecBole would fall back to
# its own defaults, e.g. `eval_args: {mode: uni100}` would silently turn leave-one-out into a random split.
_MERGED = ("eval_args", "train_neg_sample_args")
_NESTED_KEYS = {
    "eval_args": ("split", "group_by", "order", "mode"),
    "train_neg_sample_args": ("distribution", "sample_num", "alpha", "dynamic", "candidate_num"),
}
_SPLIT_KEYS = ("RS", "LS", "TS")
# RecBole reads these although none of its property files lists them.
_UNLISTED = (
    "encoding",
    "numerical_features",
    "wandb_project",
    "worker",
    "shuffle",
    "transform",
    "MODEL_TYPE",
    "loss_type",
)
_SEED_LIMIT = 2**32


class VloggerConfig(Config):
    """RecBole's Config built from a dictionary alone.

    Args:
        model: model name, or None to take it from ``options`` or the defaults.
        dataset: data set name, likewise.
        options: typed values that override every default; see :func:`parse_option` for text.
        config_files: YAML files; later ones override earlier ones, ``options`` override all.

    Raises:
        InputError: unknown model, variant, key or metric, or a value of the wrong type.

    Example:
        >>> VloggerConfig("VAGNN", "ml-100k-director", {"n_layers": 3})["n_layers"]
        3
    """

    def __init__(
        self,
        model: str | None = None,
        dataset: str | None = None,
        options: Mapping[str, Any] | None = None,
        config_files: Iterable[str | Path] = (),
    ) -> None:
        given: dict[str, Any] = {}
        for file in config_files:
            given.update(read_yaml(Path(file)))
        given.update(options or {})
        overall = defaults("", "")
        model = model or given.get("model") or overall["model"]
        dataset = dataset or given.get("dataset") or overall["dataset"]
        registry.model_class(model)  # refuses unknown names before anything else
        own = defaults(model, dataset, given.get("variant"))
        self._check(model, dataset, own, given)
        self.own_defaults = own
        merged = {key: _merge(own, key, value) for key, value in given.items()}
        merged |= {"model": model, "dataset": dataset}
        self.request = dict(given)
        super().__init__(model=model, dataset=dataset, config_dict=merged)

    @staticmethod
    def _check(model: str, dataset: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        recbole = _recbole_defaults(model, dataset)
        known = known_keys(model, dataset) | own.keys()
        for key, value in given.items():
            if key not in known:
                raise InputError(
                    f"Unknown option {key!r} for {model}.{did_you_mean(key, known)} "
                    f"`recbole-vagnn options {model}` lists all."
                )
            _check_type(key, value, own.get(key, recbole.get(key)))
            _check_nested(key, value)

    # --- RecBole's steps that differ ----------------------------------------------------------------------------

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}  # sys.argv belongs to whoever started the process: a test runner, a Ray worker, our CLI

    def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return config_dict  # values are typed already; RecBole would eval() every string

    def _load_internal_config_dict(self, model: str, model_class: type, dataset: str) -> None:
        super()._load_internal_config_dict(model, model_class, dataset)
        self.internal_config_dict.update(self.own_defaults)

    def _set_default_parameters(self) -> None:
        options = self.final_config_dict
        options["data_path"] = str(Path(options["data_path"]).expanduser().resolve())
        options["checkpoint_dir"] = str(Path(options["checkpoint_dir"]).expanduser().resolve())
        # What was asked for, with folders made absolute: enough to build the same run again anywhere.
        self.request |= {key: options[key] for key in ("data_path", "checkpoint_dir")}
        self._check_values()
        super()._set_default_parameters()
        if options["MODEL_TYPE"] == ModelType.TRADITIONAL:
            # One pass, one checkpoint: with a longer step RecBole would save none and then fail to load it.
            options["eval_step"] = 1

    def _init_device(self) -> None:
        """Use the GPU that is visible; RecBole would overwrite CUDA_VISIBLE_DEVICES, in a Ray worker too."""
        options = self.final_config_dict
        if "CUDA_VISIBLE_DEVICES" not in os.environ and options["use_gpu"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = str(options["gpu_id"])
        use_gpu = bool(options["use_gpu"]) and torch.cuda.is_available()
        options.update(
            single_spec=True, local_rank=0, device=torch.device("cuda" if use_gpu else "cpu")
        )

    def _check_values(self) -> None:
        options = self.final_config_dict
        metrics = options["metrics"]
        metrics = [metrics] if isinstance(metrics, str) else metrics
        for metric in [*metrics, options["valid_metric"].partition("@")[0]]:
            if metric.lower() not in metric_types:
                known = [name for name in metric_types if isinstance(name, str)]
                raise InputError(
                    f"Unknown metric {metric!r}.{did_you_mean(metric, known)} Metrics: {', '.join(known)}."
                )
        self._check_valid_metric(metrics)
        for key in ("seed", "split_seed"):
            if not 0 <= options[key] < _SEED_LIMIT:
                raise InputError(f"`{key}` is {options[key]}; it must be at least 0 and below 2^32.")

    def _check_valid_metric(self, metrics: list[str]) -> None:
        """Early stopping looks its metric up among the computed ones; name a mismatch before training."""
        options = self.final_config_dict
        name, _, k = options["valid_metric"].partition("@")
        topk = options["topk"]
        topk = [topk] if isinstance(topk, int) else topk
        if name.lower() not in {m.lower() for m in metrics} or (k and int(k) not in topk):
            raise InputError(
                f"`valid_metric` is {options['valid_metric']!r}, but `metrics` are {metrics} and `topk` is {topk}: "
                f"add it there."
            )


def parse_option(key: str, text: str) -> Any:
    """Turn the text of ``--key=text`` into a typed value, as YAML; nothing is evaluated.

    ``None`` means no value, as in RecBole. Intervals such as ``[5,inf)`` stay text, RecBole parses them.

    Example:
        >>> parse_option("topk", "[10, 20]"), parse_option("learning_rate", "1e-3"), parse_option("x", "None")
        ([10, 20], 0.001, None)
    """
    if key.endswith("_interval") and key != "val_interval":
        return text
    if text == "None":
        return None
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        return text


@cache
def _recbole_property_dir() -> Path:
    spec = find_spec("recbole")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "properties")


@cache
def _recbole_defaults(model: str, dataset: str) -> dict[str, Any]:
    """RecBole's own defaults of a model, read from its property files."""
    folder = _recbole_property_dir()
    merged: dict[str, Any] = {}
    for name in ("overall", f"model/{model}", "dataset/sample", f"dataset/{dataset}"):
        path = folder / f"{name}.yaml"
        if path.is_file():
            merged.update(read_yaml(path))
    return merged


def known_keys(model: str, dataset: str) -> set[str]:
    """Every option a run of this model may set."""
    keys = set(_recbole_defaults(model, dataset)) | set(defaults("", "")) | set(_UNLISTED)
    for name in ("general", "training", "evaluation", "dataset"):
        keys |= set(getattr(recbole_arguments, f"{name}_arguments"))
    for kind, name in (("model", model), ("dataset", dataset)):
        path = property_file(kind, name)
        keys |= set(read_yaml(path)) if path else set()
    return keys - {"config_file"}


def _check_type(key: str, value: Any, default: Any) -> None:
    """Refuse text where the default is a number or a flag; other types are left to RecBole."""
    if value is None or default is None or isinstance(default, str):
        return
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "True or False"
    elif isinstance(default, int):
        flexible = key in ("eval_batch_size", "topk", "gpu_id")
        fits = flexible or (isinstance(value, int) and not isinstance(value, bool))
        wanted = "a whole number"
    elif isinstance(default, float):
        fits, wanted = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
    elif isinstance(default, dict):
        fits, wanted = isinstance(value, dict), "a mapping such as {key: value}"
    else:
        return
    if not fits:
        raise InputError(f"`{key}` is {value!r}; it must be {wanted} (default: {default!r}).")


def _check_nested(key: str, value: Any) -> None:
    if key not in _NESTED_KEYS or not isinstance(value, dict):
        return
    for nested in value:
        if nested not in _NESTED_KEYS[key]:
            known = _NESTED_KEYS[key]
            raise InputError(
                f"`{key}` has no entry {nested!r}.{did_you_mean(str(nested), known)} Entries: {', '.join(known)}."
            )
    split = value.get("split")
    if isinstance(split, dict) and (len(split) != 1 or next(iter(split)) not in _SPLIT_KEYS):
        raise InputError(f"`eval_args.split` is {split!r}; give one of {', '.join(_SPLIT_KEYS)}.")


def _merge(own: Mapping[str, Any], key: str, value: Any) -> Any:
    base = own.get(key)
    if key in _MERGED and isinstance(value, dict) and isinstance(base, dict):
        return {**base, **value}
    return value
