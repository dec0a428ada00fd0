"""Creator-aware recommendation for RecBole: VA-GNN and its rivals under one protocol.

Importing the package registers its models with RecBole and repairs RecBole for the current Python stack; it
loads neither RecBole nor torch itself, so that it stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recbole_vagnn import compat, import_hooks, registry
from recbole_vagnn.errors import InputError

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset
    from recbole_vagnn.models.vagnn import VAGNN
    from recbole_vagnn.result import Result
    from recbole_vagnn.runner import run
    from recbole_vagnn.serving.recommender import Recommender, load

__version__ = "0.1.0"
__all__ = ["VAGNN", "InputError", "Recommender", "Result", "VloggerDataset", "__version__", "load", "run"]

_LAZY = {
    "VAGNN": "recbole_vagnn.models.vagnn",
    "VloggerDataset": "recbole_vagnn.data.dataset",
    "Result": "recbole_vagnn.result",
    "run": "recbole_vagnn.runner",
    "Recommender": "recbole_vagnn.serving.recommender",
    "load": "recbole_vagnn.serving.recommender",
}

compat.check_stack()
import_hooks.install()
compat.install()
registry.install()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
