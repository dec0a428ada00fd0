"""The project's goals beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .agreement import TOLERANCE
from .contestants import BASE

PRODUCT_GOAL = 0.80
LINEAR = 1.1  # largest exponent that is called linear growth
MOST_GIB = 8.0


@dataclass(frozen=True)
class Ratio:
    """A goal for a ratio of times.

    Attributes:
        stage: of the results: build, step, epoch, evaluation.
        contestant: whose time is divided ...
        base: ... by whose.
        most: goal.
    """

    stage: str
    contestant: str
    base: str
    most: float


RATIOS = (
    Ratio("step", "VAGNN", BASE, 0.30),
    Ratio("epoch", "VAGNN", BASE, 0.35),
    Ratio("evaluation", "VAGNN", BASE, 0.85),
    Ratio("build", "VAGNN", BASE, 0.05),
    Ratio("step", "SimGCL", BASE, 0.45),
    Ratio("step", "XSimGCL", BASE, 0.25),
    Ratio("step", "GTN", BASE, 0.35),
    Ratio("step", "SGL-fast", "SGL", 0.20),
)


@dataclass(frozen=True)
class Verdict:
    """A goal and what came out.

    Attributes:
        what: the goal's name; threads: of torch, None where they play no part.
        measured: ratio, exponent or size.
        goal: with its sign, e.g. "≤ 0.30".
        met: whether it is.
    """

    what: str
    threads: int | None
    measured: float
    goal: str
    met: bool


def at_most(what: str, threads: int | None, measured: float, most: float, digits: str = ".2f") -> Verdict:
    """A goal that is an upper bound."""
    return Verdict(what, threads, measured, f"≤ {most:{digits}}", measured <= most)


def ratio_verdicts(
    stages: Mapping[str, Mapping[str, Mapping[str, float]]], threads: int, titles: Mapping[str, str]
) -> list[Verdict]:
    """Verdicts of the ratios whose two times were measured.

    Args:
        stages: stage → contestant → summary with ``seconds``.
        threads: they were measured with.
        titles: names of the contestants in tables.
    """
    found = []
    for ratio in RATIOS:
        times = stages.get(ratio.stage, {})
        if ratio.contestant in times and ratio.base in times:
            measured = times[ratio.contestant]["seconds"] / times[ratio.base]["seconds"]
            what = f"{ratio.stage}: {titles[ratio.contestant]} / {titles[ratio.base]}"
            found.append(at_most(what, threads, measured, ratio.most))
    return found


def verdicts(results: Mapping[str, Any], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """All goals that ``bench.py`` measures, as JSON."""
    found: list[Verdict] = []
    for threads, stages in results["threads"].items():
        found += ratio_verdicts({**stages, "build": results["build"]}, int(threads), titles)
        ratio = stages["product"]["ratio"]
        what = "bandwidth of the sparse product / of a pure gather"
        found.append(Verdict(what, int(threads), ratio, f"≥ {PRODUCT_GOAL:.2f}", ratio >= PRODUCT_GOAL))
    errors = [found["error"] for found in results["losses"].values()]
    if errors:
        found.append(at_most("largest relative error of a loss", None, max(errors), TOLERANCE, ".0e"))
    return [asdict(verdict) for verdict in found]
