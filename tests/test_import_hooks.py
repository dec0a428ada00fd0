"""Replacing a function reaches the copies that scripts have made."""

from __future__ import annotations

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
