"""Replacing a function reaches the copies that scripts have made."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from recbole_vagnn.import_hooks import on_import, rebind


def test_rebinding_reaches_copies_in_every_loaded_module_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, script, bystander = (ModuleType(name) for name in ("owner", "script", "bystander"))
    for module in (owner, script, bystander):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def original() -> int:
        return 1

    def replacement() -> int:
        return 2

    owner.f = script.f = original  # type: ignore[attr-defined]
    bystander.f = bystander_f = lambda: 3  # type: ignore[attr-defined]
    rebind(owner, "f", replacement)
    assert owner.f is replacement
    assert script.f is replacement
    assert bystander.f is bystander_f


def test_an_action_on_a_loaded_module_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("loaded_module")
    monkeypatch.setitem(sys.modules, "loaded_module", module)
    acted: list[ModuleType] = []
    on_import("loaded_module", acted.append)
    assert acted == [module]


def test_a_package_imported_twice_leaves_one_finder_that_works() -> None:
    code = (
        "import sys, recbole_vagnn\n"
        "for name in [n for n in sys.modules if n.partition('.')[0] == 'recbole_vagnn']: del sys.modules[name]\n"
        "import recbole_vagnn\n"
        "assert sum(type(f).__name__ == '_ActingFinder' for f in sys.meta_path) == 1\n"
        "from recbole.utils import get_model\n"
        "print(get_model('VAGNN').__name__)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "VAGNN", done.stderr[-500:]
