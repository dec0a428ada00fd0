"""Which model, data set class and trainer a name stands for, and how RecBole's look-ups find them.

The tables at the top are the whole registration: a new model is one file in ``models/`` and one line here.
After ``install()``, RecBole's own ``run_recbole``, ``load_data_and_model`` and ``Config`` know our models; its
own models and data sets behave as before.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from recbole_vagnn.defaults import defaults, overlay, property_file, read_yaml
from recbole_vagnn.errors import InputError, did_you_mean
from recbole_vagnn.import_hooks import on_import, rebind

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset

# model name → "module:class"
MODELS: dict[str, str] = {
    "VAGNN": "recbole_vagnn.models.vagnn:VAGNN",
    "SimGCL": "recbole_vagnn.models.simgcl:SimGCL",
    "XSimGCL": "recbole_vagnn.models.xsimgcl:XSimGCL",
    "TripartiteLightGCN": "recbole_vagnn.models.tripartite_lightgcn:TripartiteLightGCN",
    "TripartiteSimGCL": "recbole_vagnn.models.tripartite_simgcl:TripartiteSimGCL",
    "SimGCLVlogger": "recbole_vagnn.models.simgcl_vlogger:SimGCLVlogger",
    "VloggerPop": "recbole_vagnn.models.vlogger_pop:VloggerPop",
    "GTN": "recbole_vagnn.models.gtn:GTN",
    "CreatorEASE": "recbole_vagnn.models.creator_ease:CreatorEASE",
    "CreatorItemKNN": "recbole_vagnn.models.creator_item_knn:CreatorItemKNN",
    "CreatorRecencyGCN": "recbole_vagnn.models.creator_recency_gcn:CreatorRecencyGCN",
}
# RecBole's model → its subclass of the same results, which `fast_propagation: True` picks
FAST_MODELS: dict[str, str] = {
    "LightGCN": "recbole_vagnn.models.recbole_fast.lightgcn:FastLightGCN",
    "NGCF": "recbole_vagnn.models.recbole_fast.ngcf:FastNGCF",
    "SGL": "recbole_vagnn.models.recbole_fast.sgl:FastSGL",
    "NCL": "recbole_vagnn.models.recbole_fast.ncl:FastNCL",
    "EASE": "recbole_vagnn.models.recbole_fast.ease:FastEASE",
}
# RecBole's models whose `objective` can be another than bpr: made from whichever class would be picked, so
OBJECTIVE_MODELS = ("BPR", "LightGCN", "NGCF", "SGL", "NCL")
WITH_OBJECTIVE = "recbole_vagnn.models.recbole_objective:with_objective"
DATASET_CLASS = "recbole_vagnn.data.dataset:VloggerDataset"

# data set name → "module:function(folder)": made from material that is already installed, at first use
EMBEDDED_DATASETS: dict[str, str] = {
    f"ml-100k-{creator}": "recbole_vagnn.prepare.ml100k:prepare_embedded"
    for creator in ("director", "producer", "writer", "company")
}

# source of `recbole-vagnn prepare` → "module:object"
SOURCES: dict[str, str] = {
    "table": "recbole_vagnn.prepare.table:SOURCE",
    "vagnn-release": "recbole_vagnn.prepare.vagnn_release:SOURCE",
    "kuairand": "recbole_vagnn.prepare.kuairand:SOURCE",
    "kuairec": "recbole_vagnn.prepare.kuairec:SOURCE",
    "wechat2021": "recbole_vagnn.prepare.wechat2021:SOURCE",
    "icme2019": "recbole_vagnn.prepare.icme2019:SOURCE",
    "ml-100k": "recbole_vagnn.prepare.ml100k:SOURCE",
    "simulate": "recbole_vagnn.prepare.simulate:SOURCE",
}


def load_reference(reference: str) -> Any:
    """The object that "module:name" stands for."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def recbole_folder() -> Path:
    """The folder of the installed RecBole package; RecBole is not imported for it."""
    spec = find_spec("recbole")
    locations = spec.submodule_search_locations if spec else None
    if not locations:
        raise ImportError("RecBole is not installed.")
    return Path(locations[0])


@cache
def recbole_models() -> dict[str, str]:
    """RecBole's general recommenders: class name → module, found without importing the models."""
    package = "recbole.model.general_recommender"
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return {}
    modules = {m.name for m in pkgutil.iter_modules(spec.submodule_search_locations)}
    names = (path.stem for path in (recbole_folder() / "properties" / "model").glob("*.yaml"))
    return {name: f"{package}.{name.lower()}" for name in sorted(names) if name.lower() in modules}


def known_models() -> list[str]:
    """Every model name the command line accepts, ours first."""
    return [*MODELS, *(name for name in recbole_models() if name not in MODELS)]


def model_class(name: str, config: Config | None = None) -> type:
    """The class of a model of ours or of a general recommender of RecBole.

    Args:
        name: model name.
        config: of the run; where its ``fast_propagation`` is True, a class of ``FAST_MODELS`` takes RecBole's place,
            and where its ``objective`` is not bpr, one of ``OBJECTIVE_MODELS`` is given it.

    Raises:
        InputError: no such model; the message suggests the closest name.
    """
    if name in MODELS:
        return load_reference(MODELS[name])  # type: ignore[no-any-return]
    if name in recbole_models():
        if name in FAST_MODELS and config is not None and config["fast_propagation"]:
            found = load_reference(FAST_MODELS[name])
        else:
            found = getattr(importlib.import_module(recbole_models()[name]), name)
        if name in OBJECTIVE_MODELS and config is not None and config["objective"] not in (None, "bpr"):
            found = load_reference(WITH_OBJECTIVE)(name, found)
        return found  # type: ignore[no-any-return]
    known = known_models()
    raise InputError(f"Unknown model {name!r}.{did_you_mean(name, known)} Known models: {', '.join(known)}.")


def dataset_class() -> type[Dataset]:
    """:class:`~recbole_vagnn.data.dataset.VloggerDataset`, imported when first asked for."""
    return load_reference(DATASET_CLASS)  # type: ignore[no-any-return]


def prepare_embedded(dataset: str, folder: str) -> None:
    """Make an embedded data set in ``folder`` unless its files are there; other names are left alone."""
    if dataset in EMBEDDED_DATASETS:
        load_reference(EMBEDDED_DATASETS[dataset])(folder)


def wants_vlogger_dataset(config: Config) -> bool:
    """Our data set class serves our models, and any general model whose options include our data options."""
    from recbole.utils import ModelType

    general = config["MODEL_TYPE"] in (ModelType.GENERAL, ModelType.TRADITIONAL)
    return config["model"] in MODELS or (general and "VLOGGER_ID_FIELD" in config)


def create_dataset(config: Config) -> Dataset:
    """Load a data set with :class:`VloggerDataset`, making it first if it is an embedded one.

    RecBole's pickle cache is never read: it compares none of our options and would return stale data.

    Raises:
        InputError: the configuration asks for that cache, or the data are bad.
    """
    for key in ("save_dataset", "save_dataloaders", "dataset_save_path", "dataloaders_save_path"):
        if config[key]:
            raise InputError(
                f"`{key}` is not supported with VloggerDataset: RecBole's cache ignores the vlogger options "
                f"and would return stale data. Remove `{key}`."
            )
    prepare_embedded(config["dataset"], config["data_path"])
    return dataset_class()(config)


# --- RecBole's look-ups ---------------------------------------------------------------------------------------


def _wire_models(module: ModuleType) -> None:
    original_model: Callable[..., Any] = module.get_model
    original_trainer: Callable[..., Any] = module.get_trainer

    @wraps(original_model)
    def get_model(model_name: str) -> Any:
        if model_name in MODELS:
            return load_reference(MODELS[model_name])
        import torch

        watched = torch.is_anomaly_enabled()
        try:
            return original_model(model_name)
        except ModuleNotFoundError as missing:
            # Looking for a name it does not know, RecBole imports models that need packages nobody asked for.
            if missing.name in ("lightgbm", "xgboost") and missing.name != model_name.lower():
                raise ValueError(f"`model_name` [{model_name}] is not the name of an existing model.") from None
            raise
        finally:  # RecBole's SINE, imported on the way, looks for NaN in every later backward pass of the process
            torch.autograd.set_detect_anomaly(watched)

    @wraps(original_trainer)
    def get_trainer(model_type: Any, model_name: str) -> Any:
        trainer = original_trainer(model_type, model_name)
        if model_name not in MODELS:
            return trainer
        from recbole_vagnn.trainer import resumable

        return resumable(trainer)

    rebind(module, "get_model", get_model)
    rebind(module, "get_trainer", get_trainer)


def _wire_data(module: ModuleType) -> None:
    originals: dict[str, Callable[..., Any]] = {
        name: getattr(module, name)
        for name in ("create_dataset", "create_samplers", "get_dataloader", "load_split_dataloaders")
    }

    @wraps(originals["create_dataset"])
    def create_dataset_or_original(config: Config) -> Dataset:
        if wants_vlogger_dataset(config):
            return create_dataset(config)
        return originals["create_dataset"](config)  # type: ignore[no-any-return]

    @wraps(originals["create_samplers"])
    def create_samplers(config: Config, dataset: Dataset, built_datasets: list[Dataset]) -> Any:
        samplers = originals["create_samplers"](config, dataset, built_datasets)
        if not isinstance(dataset, dataset_class()):
            return samplers
        from recbole_vagnn.data.masking import sampler_for_test
        from recbole_vagnn.data.sampler import training_sampler

        train, valid, test = samplers
        return training_sampler(config, built_datasets[0], train), valid, sampler_for_test(built_datasets, test)

    @wraps(originals["get_dataloader"])
    def get_dataloader(config: Config, phase: str) -> Any:
        loader = originals["get_dataloader"](config, phase)
        if loader is not module.FullSortEvalDataLoader or not wants_vlogger_dataset(config):
            return loader
        from recbole_vagnn.data.loader import VloggerFullSortLoader

        return VloggerFullSortLoader

    @wraps(originals["load_split_dataloaders"])
    def load_split_dataloaders(config: Config) -> Any:
        if wants_vlogger_dataset(config):
            return None  # never from the cache, see create_dataset
        return originals["load_split_dataloaders"](config)

    rebind(module, "create_dataset", create_dataset_or_original)
    rebind(module, "create_samplers", create_samplers)
    rebind(module, "get_dataloader", get_dataloader)
    rebind(module, "load_split_dataloaders", load_split_dataloaders)


def _read_dataset_file(config: Config, model: str, dataset: str) -> None:
    """Add the option file of the data set's folder to the defaults of RecBole's Config; ours reads it by itself."""
    from recbole_vagnn.config import VloggerConfig, dataset_options  # needs RecBole's Config

    if isinstance(config, VloggerConfig):
        return
    lower = config.internal_config_dict
    data_path = config.external_config_dict.get("data_path") or lower["data_path"]
    config.internal_config_dict = overlay(lower, dataset_options(model, dataset, str(data_path), lower))


def _wire_config(module: ModuleType) -> None:
    config_class = module.Config
    original = config_class._load_internal_config_dict

    @wraps(original)
    def load_internal_config_dict(self: Config, model: str, model_class: type, dataset: str) -> None:
        original(self, model, model_class, dataset)
        if model in MODELS:
            variant = self.external_config_dict.get("variant")
            self.internal_config_dict.update(defaults(model, dataset, variant))
        else:
            own = property_file("dataset", dataset)
            self.internal_config_dict.update(read_yaml(own) if own else {})
        _read_dataset_file(self, model, dataset)

    config_class._load_internal_config_dict = load_internal_config_dict


def install() -> None:
    """Register our tables with RecBole's look-ups; each is wired when RecBole loads the module concerned."""
    on_import("recbole.utils.utils", _wire_models)
    on_import("recbole.data.utils", _wire_data)
    on_import("recbole.config.configurator", _wire_config)
