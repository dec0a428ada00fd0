"""Memory of this process, and who else was busy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from speed import machine


def test_peak_holds_what_was_given_back_until_it_is_reset() -> None:
    before = machine.resident_mib()
    block = np.ones(2**24)  # 128 MiB
    del block
    assert machine.peak_mib() > before + 100
    if not machine.reset_peak():
        pytest.skip("this system cannot reset the peak")
    assert machine.peak_mib() < before + 100


def clocks(monkeypatch: pytest.MonkeyPatch, *readings: tuple[float, float, float, float]) -> None:
    left = iter(readings)
    monkeypatch.setattr(machine, "_clocks", lambda: next(left))


def test_load_of_others_is_what_is_busy_less_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks(monkeypatch, (100.0, 10.0, 50.0, 1.0), (110.0, 18.0, 63.0, 1.5))
    load = machine.LoadWatch().so_far()
    assert (load.wall_s, load.own_cores, load.other_cores, load.stolen_cores) == pytest.approx((10, 0.8, 0.5, 0.05))
    assert load.disturbed
    assert load.to_json() == {
        "wall_s": 10.0, "own_cores": 0.8, "other_cores": 0.5, "stolen_cores": 0.05, "disturbed": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("end", "disturbed"),
    [
        ((10.0, 9.0, 9.5, 0.0), False),  # others used a twentieth of a core
        ((10.0, 9.0, 11.0, 0.0), True),
        ((10.0, 9.0, 9.0, 2.0), True),  # the hypervisor took a fifth
        ((0.05, 0.05, 0.1, 0.0), False),  # too short for the kernel's clock to say anything
        ((10.0, 9.0, 8.9, 0.0), False),  # the clocks are not read at once: never below nothing
    ],
)
def test_a_load_above_a_tenth_of_a_core_disturbs(
    monkeypatch: pytest.MonkeyPatch, end: tuple[float, float, float, float], disturbed: bool
) -> None:
    clocks(monkeypatch, (0.0, 0.0, 0.0, 0.0), end)
    load = machine.LoadWatch().so_far()
    assert load.disturbed == disturbed
    assert load.other_cores >= 0


def test_our_own_work_is_not_counted_as_another_s() -> None:
    found: dict[str, machine.Load] = {}
    with machine.watched(found, "work"):
        total = sum(range(10**7))
    load = found["work"]
    assert total
    assert load.own_cores > 0
    assert load.own_cores + load.other_cores <= (machine.psutil.cpu_count() or 1) + 0.3


def test_the_description_is_plain_and_names_hardware_and_versions() -> None:
    found = machine.describe()
    assert json.loads(json.dumps(found)) == found
    assert {"cpu", "cores", "memory_gib", "python", "torch", "recbole", "commit"} <= found.keys()
