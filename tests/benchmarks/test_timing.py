"""Turns and summaries, by a clock that stands still unless it is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from speed import timing
from speed.timing import Sample, in_turn, summary


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def turns(clock: list[float], seconds: dict[str, float]) -> tuple[dict[str, Callable[[], list[Sample]]], list[str]]:
    order: list[str] = []

    def turn(name: str) -> list[Sample]:
        order.append(name)
        clock[0] += seconds[name]
        return [Sample(seconds[name], 0.0)]

    return {name: lambda name=name: turn(name) for name in seconds}, order  # type: ignore[misc]


def test_everybody_has_the_same_number_of_turns_and_another_one_begins_each_round(clock: list[float]) -> None:
    given, order = turns(clock, {"a": 0.1, "b": 0.1, "c": 0.1})
    found = in_turn(given, rounds=4, seconds=10)
    assert "".join(order) == "abcbcacababc"
    assert {name: len(samples) for name, samples in found.items()} == {"a": 4, "b": 4, "c": 4}


def test_who_has_used_the_time_up_drops_out_but_not_before_the_least_number_of_turns(clock: list[float]) -> None:
    given, _ = turns(clock, {"slow": 5.0, "middle": 1.0, "fast": 0.1})
    found = in_turn(given, rounds=6, seconds=2.5, least=2)
    assert {name: len(samples) for name, samples in found.items()} == {"slow": 2, "middle": 3, "fast": 6}


def test_no_round_begins_when_all_have_dropped_out(clock: list[float]) -> None:
    lines: list[str] = []
    given, order = turns(clock, {"a": 5.0})
    in_turn(given, rounds=9, seconds=1, told=lines.append)
    assert order == ["a"]
    assert len(lines) == 1


def test_summary_has_medians_and_quartiles_of_every_clock() -> None:
    samples = [Sample(wall, 2 * wall, {"forward": wall / 2}, {"batches": 7}) for wall in (5.0, 1.0, 2.0, 4.0, 3.0)]
    assert summary(samples) == {
        "seconds": 3.0, "low": 2.0, "high": 4.0, "cpu": 6.0, "n": 5, "parts": {"forward": 1.5}, "batches": 7,
    }  # fmt: skip


def test_summary_of_one_sample_is_that_sample() -> None:
    assert summary([Sample(2.0, 1.0)]) == {"seconds": 2.0, "low": 2.0, "high": 2.0, "cpu": 1.0, "n": 1, "parts": {}}
