"""Everything that RecBole 1.2.1 needs to run on current numpy, scipy, pandas and torch.

This is the only module that repairs RecBole. Nothing outside RecBole's own modules is altered: where RecBole
uses a name that numpy, scipy or torch no longer has, the module that uses it is given a view of the library
in which the name exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from recbole_vagnn.errors import InputError
from recbole_vagnn.import_hooks import on_import, rebind

RECBOLE_VERSION = "1.2.1"

# Modules that call np.float / np.str, gone since numpy 1.24.
_USE_NUMPY_ALIASES = (
    "recbole.data.interaction",
    "recbole.data.dataset.dataset",
    "recbole.evaluator.metrics",
    "recbole.trainer.hyper_tuning",
)
# Modules that fill a dok_matrix through its private _update, gone since scipy 1.13.
_USE_DOK_UPDATE = tuple(
    f"recbole.model.{module}"
    for module in (
        "general_recommender.lightgcn",
        "general_recommender.ngcf",
        "general_recommender.ncl",
        "general_recommender.gcmc",
        "general_recommender.spectralcf",
        "knowledge_aware_recommender.kgin",
        "knowledge_aware_recommender.mcclk",
    )
)
# Modules that read RecBole's own pickled checkpoints with torch.load.
_LOAD_CHECKPOINTS = (
    "recbole.trainer.trainer",
    "recbole.model.general_recommender.convncf",
    "recbole.model.general_recommender.nais",
    "recbole.model.general_recommender.neumf",
    "recbole.model.general_recommender.ract",
    "recbole.model.context_aware_recommender.kd_dagfm",
    "recbole.model.sequential_recommender.s3rec",
)


class ModuleView(ModuleType):
    """A module with some names replaced or added; every other name is the module's own."""

    def __init__(self, module: ModuleType, **names: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(names)
        self.__dict__["_viewed"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_viewed"], name)


def check_stack() -> None:
    """Stop with one sentence unless the installed RecBole and pandas can work together.

    Only package metadata is read, nothing is imported.

    Raises:
        ImportError: RecBole is missing or not 1.2.1, or pandas is missing or ≥ 3.
    """
    mend = f"run `pip install --no-deps recbole=={RECBOLE_VERSION}`"
    try:
        recbole = version("recbole")
    except PackageNotFoundError:
        raise ImportError(f"recbole-vagnn needs RecBole {RECBOLE_VERSION}, which is not installed: {mend}.") from None
    if recbole != RECBOLE_VERSION:
        raise ImportError(f"recbole-vagnn works with RecBole {RECBOLE_VERSION}, but {recbole} is installed: {mend}.")
    mend = 'run `pip install "pandas>=2.2,<3"`'
    try:
        pandas = version("pandas")
    except PackageNotFoundError:
        raise ImportError(f"recbole-vagnn needs pandas, which is not installed: {mend}.") from None
    if int(pandas.partition(".")[0]) >= 3:
        raise ImportError(f"pandas {pandas} silently corrupts the data RecBole {RECBOLE_VERSION} loads: {mend}.")


def _restore_numpy_aliases(module: ModuleType) -> None:
    """np.float and np.str; and an argsort that takes torch tensors without numpy's deprecated wrapping."""
    import numpy as np
    import torch

    def argsort(values: Any, **kwargs: Any) -> Any:
        order = np.argsort(np.asarray(values), **kwargs)
        return torch.from_numpy(order) if isinstance(values, torch.Tensor) else order

    module.np = ModuleView(np, float=np.float64, str=np.str_, argsort=argsort)  # type: ignore[attr-defined]


def _restore_dok_update(module: ModuleType) -> None:
    import scipy.sparse as sp

    class UpdatableDok(sp.dok_matrix):  # type: ignore[misc]
        def _update(self, entries: dict[tuple[int, int], float]) -> None:
            self._dict.update(entries)

    module.sp = ModuleView(sp, dok_matrix=UpdatableDok)  # type: ignore[attr-defined]


def _trust_own_checkpoints(module: ModuleType) -> None:
    import torch

    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("weights_only", False)  # a RecBole checkpoint pickles its Config
        return torch.load(file, *args, **kwargs)

    module.torch = ModuleView(torch, load=load)  # type: ignore[attr-defined]


def _use_current_grad_scaler(module: ModuleType) -> None:
    import torch

    def grad_scaler(enabled: bool = True) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cuda", enabled=enabled)

    module.amp = ModuleView(module.amp, GradScaler=grad_scaler)  # type: ignore[attr-defined]


def _collect_plain_values(module: ModuleType) -> None:
    """ItemCoverage, GiniIndex and others collect counts; Collector calls ``.cpu()`` on them as on tensors."""
    import torch

    original: Callable[..., Any] = module.Collector.get_data_struct

    @wraps(original)
    def get_data_struct(self: Any) -> Any:
        values = self.data_struct._data_dict
        plain = {key: value for key, value in values.items() if not isinstance(value, torch.Tensor)}
        for key in plain:
            del values[key]
        collected = original(self)
        values.update(plain)
        collected._data_dict.update(plain)
        return collected

    module.Collector.get_data_struct = get_data_struct


def _drop_numpy_patching(module: ModuleType) -> None:
    """Config writes names into numpy that numpy 2 lacks; the views above make that needless."""
    module.Config.compatibility_settings = lambda _self: None


@contextmanager
def _trusting_torch_load() -> Iterator[None]:
    """Let torch.load read pickles while RecBole's loader runs: it imports torch inside its body."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _count_every_interaction(module: ModuleType) -> None:
    """Make RecBole's Pop count: it adds 1 to an item once a batch, however often it occurs, and counts negatives."""
    model = module.Pop
    original_init: Callable[..., None] = model.__init__

    @wraps(original_init)
    def init(self: Any, config: Any, dataset: Any) -> None:
        original_init(self, config, dataset)
        self.label_field = config["LABEL_FIELD"]

    @wraps(model.calculate_loss)
    def calculate_loss(self: Any, interaction: Any) -> Any:
        items = interaction[self.ITEM_ID]
        if self.label_field in interaction:
            items = items[interaction[self.label_field] > 0]
        self.item_cnt.index_add_(0, items, self.item_cnt.new_ones(len(items), 1))
        self.max_cnt = self.item_cnt.max(dim=0)[0]
        return module.torch.nn.Parameter(module.torch.zeros(1)).to(self.device)

    model.__init__, model.calculate_loss = init, calculate_loss


def _refuse_impossible_clusters(module: ModuleType) -> None:
    """NCL imports faiss in its first epoch, whose complaint about too few points names no option."""
    model = module.NCL
    original: Callable[[Any], None] = model.e_step

    @wraps(original)
    def e_step(self: Any) -> None:
        if find_spec("faiss") is None:
            raise InputError(
                "NCL clusters its embeddings with faiss, which is not installed: run `pip install faiss-cpu`."
            )
        most = min(self.n_users, self.n_items)  # RecBole clusters the padding too
        if self.k > most:
            raise InputError(
                f"`num_clusters` is {self.k}, but NCL clusters {self.n_users} users and {self.n_items} items (the "
                f"padding counted): give at most {most}."
            )
        original(self)

    model.e_step = e_step


def _trust_quick_start(module: ModuleType) -> None:
    original: Callable[..., Any] = module.load_data_and_model

    @wraps(original)
    def load_data_and_model(model_file: str) -> Any:
        with _trusting_torch_load():
            return original(model_file)

    rebind(module, "load_data_and_model", load_data_and_model)


def install() -> None:
    """Register every repair; each acts when RecBole loads the module concerned."""
    for name in _USE_NUMPY_ALIASES:
        on_import(name, _restore_numpy_aliases)
    for name in _USE_DOK_UPDATE:
        on_import(name, _restore_dok_update)
    for name in _LOAD_CHECKPOINTS:
        on_import(name, _trust_own_checkpoints)
    on_import("recbole.model.general_recommender.pop", _count_every_interaction)
    on_import("recbole.model.general_recommender.ncl", _refuse_impossible_clusters)
    on_import("recbole.trainer.trainer", _use_current_grad_scaler)
    on_import("recbole.config.configurator", _drop_numpy_patching)
    on_import("recbole.evaluator.collector", _collect_plain_values)
    on_import("recbole.quick_start.quick_start", _trust_quick_start)
