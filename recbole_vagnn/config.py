"""From options to RecBole's Config: checked keys, typed values, no argv and no eval.

RecBole's Config reads sys.argv wherever it is built, evaluates every string as Python and accepts unknown keys
in silence. This one takes a dictionary of typed values and refuses what it does not know.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from recbole.config import Config
from recbole.evaluator import metric_types
from recbole.evaluator.register import metrics_dict
from recbole.utils import EvaluatorType, ModelType
from recbole.utils import argument_list as recbole_arguments

from recbole_vagnn import registry
from recbole_vagnn.defaults import dataset_file, defaults, overlay, parse_yaml, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.result import plain

_NESTED_KEYS = {
    "eval_args": ("split", "group_by", "order", "mode"),
    "train_neg_sample_args": ("distribution", "sample_num", "alpha", "dynamic", "candidate_num"),
}
_SPLIT_KEYS = ("RS", "LS", "TS")
_NESTED_CHOICES: dict[str, tuple[Any, ...]] = {
    "order": ("RO", "TO"),
    "group_by": ("user", "none", None),
    "distribution": ("uniform", "popularity", "none", None),
}
_LEAVE_ONE_OUT = ("valid_and_test", "valid_only", "test_only")
_EVAL_MODE = re.compile(r"full|labeled|(uni|pop)[1-9][0-9]*")
# Options that are text whatever they look like: `--data_path=2024` is a folder.
_TEXT = ("model", "dataset", "variant", "data_path", "checkpoint_dir", "valid_metric", "learner", "state")
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
# What a data set's own file cannot set: it is found by these.
_NOT_OF_A_DATASET = ("model", "dataset", "data_path", "variant")
_SEED_LIMIT = 2**32


class VloggerConfig(Config):
    """RecBole's Config built from a dictionary alone.

    Attributes:
        own_defaults: values of the layers below ``config_files``: ours and the data set's own file.
        request: what was asked for, with folders made absolute.
        as_begun: every option when this object was made, plain values; loading the data resolves some.

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
        # RecBole writes into nested dictionaries; the caller's stay as they are.
        for part in (*(read_yaml(Path(file)) for file in config_files), copy.deepcopy(dict(options or {}))):
            given = overlay(given, part)
        overall = defaults("", "")
        model = model or given.get("model") or overall["model"]
        dataset = dataset or given.get("dataset") or overall["dataset"]
        registry.model_class(model)  # refuses unknown names before anything else
        own = defaults(model, dataset, given.get("variant"))
        self._check(model, dataset, own, given)
        own = overlay(own, dataset_options(model, dataset, given.get("data_path") or own["data_path"], own))
        self.own_defaults = own
        complete = overlay(own, given)
        merged = {key: complete[key] for key in given} | {"model": model, "dataset": dataset}
        self.request = copy.deepcopy(given)
        try:
            super().__init__(model=model, dataset=dataset, config_dict=merged)
        except InputError:
            raise
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"RecBole refuses these options: {error}") from error
        self.as_begun = plain(self.final_config_dict)

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
        options.update(single_spec=True, local_rank=0, device=torch.device("cuda" if use_gpu else "cpu"))

    def _check_values(self) -> None:
        options = self.final_config_dict
        metrics = options["metrics"]
        metrics = [metrics] if isinstance(metrics, str) else metrics
        for metric in [*metrics, options["valid_metric"].partition("@")[0]]:
            if str(metric).lower() not in metric_types:
                known = list(metric_types)
                raise InputError(
                    f"Unknown metric {metric!r}.{did_you_mean(str(metric), known)} Metrics: {', '.join(known)}."
                )
        self._check_valid_metric(metrics)
        self._check_metrics_fit_mode(metrics)
        threads = options["torch_threads"]
        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise InputError(f"`torch_threads` is {threads!r}; it must be a whole number above 0, or None.")
        for key in ("seed", "split_seed"):
            if not 0 <= options[key] < _SEED_LIMIT:
                raise InputError(f"`{key}` is {options[key]}; it must be at least 0 and below 2^32.")

    def _check_valid_metric(self, metrics: list[str]) -> None:
        """Early stopping looks its metric up among the computed ones; name a mismatch before training."""
        options = self.final_config_dict
        topk = options["topk"]
        topk = [topk] if isinstance(topk, int) else topk
        if not isinstance(topk, list) or not all(isinstance(k, int) and k > 0 for k in topk) or not topk:
            raise InputError(f"`topk` is {options['topk']!r}; it must be a list of whole numbers above 0.")
        computed: list[str] = []
        for metric in metrics:
            has_cutoff = {"rec.topk", "rec.items"} & set(metrics_dict[metric.lower()].metric_need)
            computed += [f"{metric}@{k}" for k in topk] if has_cutoff else [metric]
        if options["valid_metric"].lower() not in {name.lower() for name in computed}:
            raise InputError(
                f"`valid_metric` is {options['valid_metric']!r}, which `metrics` {metrics} and `topk` {topk} do not "
                f"give. Add it there, or choose one of: {', '.join(computed)}."
            )

    def _check_metrics_fit_mode(self, metrics: list[str]) -> None:
        by_value = [m for m in metrics if metric_types[m.lower()] == EvaluatorType.VALUE]
        if by_value and len(by_value) < len(metrics):
            raise InputError(
                f"`metrics` {metrics} cannot be computed together: {', '.join(by_value)} judge single scores, the "
                f"others rankings. Run them apart."
            )
        mode = self.final_config_dict["eval_args"].get("mode", "full")
        if by_value and "full" in (mode.values() if isinstance(mode, dict) else [mode]):
            raise InputError(
                f"{', '.join(by_value)} need sampled or labelled items, not full ranking: set `mode` in `eval_args` to "
                f"e.g. uni100 or labeled, or choose ranking metrics such as Recall."
            )


def parse_option(key: str, text: str) -> Any:
    """Turn the text of ``--key=text`` into a typed value, as YAML; nothing is evaluated.

    ``None`` means no value, as in RecBole. Names, folders and intervals such as ``[5,inf)`` stay text.

    Example:
        >>> parse_option("topk", "[10, 20]"), parse_option("learning_rate", "1e-3"), parse_option("x", "None")
        ([10, 20], 0.001, None)
    """
    if text == "None":
        return None
    if _is_text(key):
        return text
    try:
        return parse_yaml(text)
    except yaml.YAMLError:
        return text


def dataset_options(
    model: str, dataset: str, data_path: str | Path, lower: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Options of ``<data_path>/NAME/NAME.yaml`` that concern a model; empty without the file.

    The file serves every model: hyper-parameters of others are passed over.

    Args:
        model, dataset: names.
        data_path: folder of the data sets.
        lower: values of the layers below, which say the types.

    Raises:
        InputError: a key that no model knows or that a data set cannot set, or a value of the wrong type.
    """
    path = dataset_file(data_path, dataset)
    if dataset == "ml-100k" or not path.is_file():  # RecBole reads its own copy of ml-100k wherever data_path is
        return {}
    lower = {**_recbole_defaults(model, dataset), **(lower or {})}
    known = known_keys(model, dataset) | lower.keys()
    options: dict[str, Any] = {}
    for key, value in read_yaml(path).items():
        if key in _NOT_OF_A_DATASET:
            raise InputError(f"{path}: `{key}` cannot be set in a data set's file. Give it on the command line.")
        if key in known:
            _check_option(path, key, value, lower.get(key))
            options[key] = value
        elif key not in _keys_of_every_model():
            everything = known | _keys_of_every_model()
            raise InputError(f"{path}: unknown option {key!r}.{did_you_mean(str(key), everything)}")
    return options


def _check_option(path: Path, key: str, value: Any, default: Any) -> None:
    try:
        _check_type(key, value, default)
        _check_nested(key, value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@cache
def _keys_of_every_model() -> frozenset[str]:
    """Options of any model that can be run, ours or RecBole's."""
    folder = registry.recbole_folder() / "properties" / "model"
    files = [folder / f"{name}.yaml" for name in registry.recbole_models()]
    files += [path for name in registry.known_models() if (path := property_file("model", name))]
    return frozenset(key for path in files for key in read_yaml(path))


@cache
def _recbole_defaults(model: str, dataset: str) -> dict[str, Any]:
    """RecBole's own defaults of a model, read from its property files."""
    folder = registry.recbole_folder() / "properties"
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


def _is_text(key: str) -> bool:
    return key in _TEXT or (key.endswith("_interval") and key != "val_interval")


def _check_type(key: str, value: Any, default: Any) -> None:
    """Refuse text where the default is a number or a flag; other types are left to RecBole."""
    if _is_text(key):
        default = ""
    elif isinstance(default, str):
        return
    if default is None or (value is None and not isinstance(default, (bool, int, float))):
        return
    if isinstance(default, str):
        fits, wanted = isinstance(value, str), "text"
    elif isinstance(default, bool):
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
        if nested in _NESTED_CHOICES and value[nested] not in _NESTED_CHOICES[nested]:
            choices = ", ".join(map(str, _NESTED_CHOICES[nested]))
            raise InputError(f"`{key}.{nested}` is {value[nested]!r}; choose one of: {choices}.")
    _check_mode(value.get("mode", "full"))
    if "split" in value:
        _check_split(value["split"])


def _check_mode(mode: Any) -> None:
    modes = mode if isinstance(mode, dict) else {"valid": mode}
    for phase, name in modes.items():
        if phase not in ("valid", "test") or not isinstance(name, str) or not _EVAL_MODE.fullmatch(name):
            raise InputError(
                f"`eval_args.mode` is {mode!r}; give full, labeled, uniN or popN (N items per positive), or one for "
                f"each of valid and test."
            )


def _check_split(split: Any) -> None:
    if not isinstance(split, dict) or len(split) != 1 or next(iter(split)) not in _SPLIT_KEYS:
        raise InputError(f"`eval_args.split` is {split!r}; give one of {', '.join(_SPLIT_KEYS)}, e.g. {{LS: …}}.")
    if "LS" in split and split["LS"] not in _LEAVE_ONE_OUT:
        raise InputError(f"`eval_args.split.LS` is {split['LS']!r}; choose one of: {', '.join(_LEAVE_ONE_OUT)}.")
