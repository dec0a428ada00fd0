"""Clocks: contestants measured in turns, and what is kept of their samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        wall: seconds.
        cpu: seconds of processor time of this process, all threads together.
        parts: seconds of the parts of ``wall`` that were timed apart.
        notes: other numbers that belong to it.
    """

    wall: float
    cpu: float
    parts: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)


class Stopwatch:
    """Wall and processor time since its making."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._wall

    def sample(self, parts: Mapping[str, float] | None = None, notes: Mapping[str, float] | None = None) -> Sample:
        """What has passed until now."""
        return Sample(self.wall, time.process_time() - self._cpu, parts or {}, notes or {})


def timed(action: Callable[[], object]) -> Sample:
    """Time of one call."""
    watch = Stopwatch()
    action()
    return watch.sample()


def in_turn(
    turns: Mapping[str, Callable[[], list[Sample]]],
    rounds: int,
    seconds: float,
    told: Callable[[str], None] = lambda _: None,
    least: int = 1,
) -> dict[str, list[Sample]]:
    """Measure the contestants in turns, so that a disturbance hits all of them.

    Args:
        turns: name → one turn of the contestant; it returns its samples.
        rounds: turns of each contestant at most.
        seconds: a contestant that has taken so long drops out, once it had ``least`` turns.
        told: called with a line after each round.
        least: turns of each contestant at least.

    Returns:
        name → all samples.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in turns}
    spent = dict.fromkeys(turns, 0.0)
    for number in range(rounds):
        names = [name for name in turns if number < least or spent[name] < seconds]
        if not names:
            break
        start = number % len(names)  # nobody always follows the same one
        for name in names[start:] + names[:start]:
            watch = Stopwatch()
            samples[name] += turns[name]()
            spent[name] += watch.wall
        told(f"round {number + 1} of {rounds}, {len(names)} contestants")
    return samples


def summary(samples: list[Sample]) -> dict[str, Any]:
    """Medians and quartiles of samples, as JSON.

    Returns:
        ``seconds`` (median wall time), ``low`` and ``high`` (quartiles), ``cpu`` (median), ``n``, and the medians of
        parts and notes.
    """
    walls = [sample.wall for sample in samples]
    low, _, high = statistics.quantiles(walls, n=4, method="inclusive") if len(walls) > 1 else [walls[0]] * 3
    return {
        "seconds": statistics.median(walls),
        "low": low,
        "high": high,
        "cpu": statistics.median(sample.cpu for sample in samples),
        "n": len(samples),
        "parts": _medians([sample.parts for sample in samples]),
        **_medians([sample.notes for sample in samples]),
    }


def _medians(rows: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def summaries(samples: Mapping[str, list[Sample]]) -> dict[str, dict[str, Any]]:
    """:func:`summary` of each contestant."""
    return {name: summary(found) for name, found in samples.items()}
