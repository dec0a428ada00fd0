"""Tables and the page they are put into."""

from __future__ import annotations

import json
from typing import Any

import pytest
from speed import forecast, tables

from tests.runs import REPOSITORY

PAGE = REPOSITORY / "docs" / "performance.md"
RESULTS = REPOSITORY / "benchmarks" / "results" / "speed"


def test_a_table_is_aligned_markdown() -> None:
    assert tables.table(["", "time"], [["LightGCN", "1.00 s"], ["GTN", "20 ms"]]).splitlines() == [
        "|          |   time |",
        "|----------|-------:|",
        "| LightGCN | 1.00 s |",
        "| GTN      |  20 ms |",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234e-5, "12.3 µs"),
        (9.996e-4, "1.00 ms"),
        (0.01234, "12.3 ms"),
        (0.4567, "457 ms"),
        (0.9999, "1.00 s"),
        (59.96, "60.0 s"),
        (754.4, "754 s"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(44.2, "44 s"), (1441, "24 min"), (9000, "2 h"), (90_000, "25 h"), (1.07e6, "12 days"), (1e8, "1,157 days")],
)
def test_long_times_have_a_readable_unit(seconds: float, text: str) -> None:
    assert tables.span(seconds) == text


def test_sizes_beyond_the_measured_follow_the_laws_of_growth() -> None:
    """Four times the interactions: 4 times the load, 16 times the epoch (more steps, larger ones), 8 the evaluation."""
    phases = {name: {"seconds": 2.0} for name in forecast.LAWS}
    largest = {"train": 10**6, "imports_mib": 10.0, "peak_mib": 12.0, "phases": phases}
    found = forecast.forecast(largest, 4 * 10**6)
    assert found.seconds == {"load": 8.0, "build": 8.0, "step": 8.0, "epoch": 32.0, "evaluation": 16.0}
    assert found.mib == 18.0
    assert forecast.forecast(largest, 10**6).seconds == dict.fromkeys(forecast.LAWS, 2.0)
    assert forecast.constants(largest) == {**dict.fromkeys(forecast.LAWS, 2e-6), "bytes": pytest.approx(2.097152)}


def test_filling_replaces_what_is_between_the_markers_and_nothing_else() -> None:
    page = "before\n<!-- a: begin -->\nold\n<!-- a: end -->\nbetween\n<!-- b: begin -->\nb\n<!-- b: end -->\nafter\n"
    filled = tables.fill(page, "a", "new")
    assert filled == page.replace("\nold\n", "\n\nnew\n\n")
    assert tables.fill(filled, "a", "new") == filled


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<!-- a: begin -->",
        "<!-- a: end --> <!-- a: begin -->",
        "<!-- a: begin --> <!-- a: begin --> <!-- a: end -->",
    ],
)
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="a: begin"):
        tables.fill(page, "a", "new")


def load(**cores: float) -> dict[str, dict[str, Any]]:
    return {name: {"other_cores": n, "stolen_cores": 0.0, "disturbed": n > 0.1} for name, n in cores.items()}


def test_a_quiet_machine_is_not_mentioned_and_a_disturbed_stage_is_named() -> None:
    assert tables.disturbance(load(build=0.0, step=0.05)) == ""
    text = tables.disturbance(load(build=0.0, step=1.24, epoch=0.5))
    assert "2 of 3" in text
    assert "1.2 cores" in text
    assert "(step, epoch)" in text


def test_a_missed_goal_is_marked() -> None:
    rows = [
        {"what": "one", "threads": 1, "measured": 0.31, "goal": "≤ 0.30", "met": False},
        {"what": "two", "threads": None, "measured": 2e-8, "goal": "≤ 1e-05", "met": True},
    ]
    lines = tables.goals(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["one", "1", "≤ 0.30", "0.310", "**missed**"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["two", "–", "≤ 1e-05", "2.0e-08", "met"]


@pytest.mark.parametrize("name", tables.BLOCKS)
def test_the_page_shows_what_the_result_files_say(name: str) -> None:
    """After a new measurement: python benchmarks/bench.py --write-docs."""
    path = RESULTS / f"{name}.json"
    text = PAGE.read_text(encoding="utf-8")
    measured = tables.BLOCKS[name](json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    assert tables.fill(text, name, measured or "Not measured yet.") == text
