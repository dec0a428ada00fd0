"""What sizes that were not measured would take, from the largest that was.

The laws (docs/scaling.md): with users ~ n and videos ~ √n, as the simulation grows, loading, building, a step of a
fixed batch and the memory grow like the interactions n; an epoch has n / batch such steps; an evaluation scores all
users × all videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LAWS: dict[str, float] = {"load": 1.0, "build": 1.0, "step": 1.0, "epoch": 2.0, "evaluation": 1.5}
SIZES = (10**8, 10**9)


@dataclass(frozen=True)
class Forecast:
    """Predicted time and memory.

    Attributes:
        train: training interactions.
        seconds: by phase.
        mib: resident memory.
    """

    train: int
    seconds: dict[str, float]
    mib: float


def forecast(largest: Mapping[str, Any], train: int) -> Forecast:
    """Time and memory of ``train`` interactions by ``LAWS``.

    Args:
        largest: the largest measured run, as ``alone.measure`` returns it.

    Example:
        >>> phases = {name: {"seconds": 1.0} for name in LAWS}
        >>> run = {"train": 100, "imports_mib": 10.0, "peak_mib": 12.0, "phases": phases}
        >>> forecast(run, 400).seconds["evaluation"], forecast(run, 400).mib
        (8.0, 18.0)
    """
    factor = train / largest["train"]
    seconds = {name: largest["phases"][name]["seconds"] * factor**law for name, law in LAWS.items()}
    return Forecast(train, seconds, largest["imports_mib"] + factor * (largest["peak_mib"] - largest["imports_mib"]))


def constants(largest: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of each phase, and bytes, of an interaction in the largest run; of an epoch those of all its steps.

    Memory is counted above what the imports take.
    """
    found = {name: largest["phases"][name]["seconds"] / largest["train"] for name in LAWS}
    found["bytes"] = (largest["peak_mib"] - largest["imports_mib"]) * 2**20 / largest["train"]
    return found
