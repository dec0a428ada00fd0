"""Act on a module at the moment it is imported, without importing it now.

RecBole drags in torch, pandas and tensorboard. Importing it only to change a few of its names would make
``import recbole_vagnn`` take seconds, so each change waits until its module is loaded; a module that is
loaded already is changed at once.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Action = Callable[[ModuleType], None]

_actions: dict[str, list[Action]] = {}


def on_import(module_name: str, action: Action) -> None:
    """Run ``action(module)`` when ``module_name`` is imported, or now if it has been."""
    _actions.setdefault(module_name, []).append(action)
    loaded = sys.modules.get(module_name)
    if loaded is not None:
        action(loaded)


def rebind(module: ModuleType, name: str, replacement: object) -> None:
    """Replace ``module.name`` and every copy of it that a loaded module holds under the same name.

    ``from m import f`` copies a reference, and sorted imports put RecBole before this package: a script's own
    copies must follow too. They are found by identity.
    """
    original = getattr(module, name)
    setattr(module, name, replacement)
    for other in list(sys.modules.values()):
        names = getattr(other, "__dict__", {})
        if names.get(name) is original:
            names[name] = replacement


class _ActingLoader(Loader):
    """Delegates to the real loader, then runs the actions."""

    def __init__(self, real: Loader, actions: list[Action]) -> None:
        self._real = real
        self._act = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        for action in self._act:
            action(module)

    def __getattr__(self, name: str) -> object:  # get_source, get_data … for tracebacks and tools
        return getattr(self._real, name)


class _ActingFinder(MetaPathFinder):
    """Finds the registered modules through the other finders and wraps their loaders."""

    of_recbole_vagnn = True  # another copy of this class is known by it: two that ask each other never end

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _actions:
            return None
        for finder in sys.meta_path:
            if _is_ours(finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _ActingLoader(spec.loader, _actions[fullname])
                return spec
        return None


def _is_ours(finder: object) -> bool:
    return hasattr(finder, "of_recbole_vagnn")


def install() -> None:
    """Put the finder in front of Python's own, in place of one that an earlier import of this package left."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
    sys.meta_path.insert(0, _ActingFinder())
    importlib.invalidate_caches()
