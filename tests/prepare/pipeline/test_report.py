"""What is told about a preparation: the hand-worked example with two malformed rows."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from recbole_vagnn.prepare.pipeline import picture
from recbole_vagnn.prepare.pipeline.report import Report
from recbole_vagnn.prepare.pipeline.statistics import KNOWN_SHARE, Distribution, Statistics
from tests.prepare.toys import LOG, contents, prepare_example, write_example

BAD = LOG.replace("u2,i1,40,3\n", "u2,i1,40,3\nu2,i5,late [/red] :smile:,1\n") + "u2,i5\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example: window [0, 80), ratings of 2 or more, follow pairs from ratings of 5."""
    data = tmp_path_factory.mktemp("data")
    prepare_example(
        write_example(data / "raw", BAD), data, max_malformed=0.2, filters={"until": "80", "min_history": 2},
        positive="rating>=2", follow_from="rating==5",
    )  # fmt: skip
    return data / "toy"


@pytest.fixture(scope="module")
def plain(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "toy.report.json").read_text(encoding="utf-8"))
    return content


def test_rows_and_steps_by_hand(plain: dict[str, Any]) -> None:
    """10 rows; u1 i4 is too late; u1 i3 is rated 1; u1 i1 occurs twice; u3 has one left."""
    assert plain["rows"] == {
        "read": 10, "malformed": 2, "rows": 10, "outside": 1, "negative": 1, "conflicts": 0, "without_row": 1,
    }  # fmt: skip
    keys = ("title", "dropped", "interactions", "users", "items", "vloggers")
    assert [tuple(step[key] for key in keys) for step in plain["steps"]] == [
        ("to begin with", 0, 8, 3, 4, 2),
        ("repeated user-item pairs (the first stays)", 1, 7, 3, 4, 2),
        ("users with fewer than 2 interactions", 1, 6, 2, 4, 2),
    ]


def test_figures_by_hand(plain: dict[str, Any]) -> None:
    """Left are u1: i1 (p1), i2 (p2); u2: i9 (unknown), i1 (p1), i2 (p2), i3 (unknown)."""
    assert plain["numbers"] == {
        "users": 2,
        "items": 4,
        "vloggers": 2,
        "interactions": 6,
        "follow pairs": 3,
        "follow pairs without time": 1,
        "density": 0.75,
        "items of unknown vlogger": 2,
        "interactions with items of unknown vlogger": 2,
        "oldest time": 10,
        "newest time": 70,
        "interactions per user, median": 2,
        "interactions per item, median": 1,
        "Gini of interactions per item": 0.1667,  # 1, 1, 2, 2: the 8 pairs that differ, by 1, / (2 · 4 · 6)
        "items per vlogger, median": 1,
        "Gini of interactions per vlogger": 0.0,
        "share of interactions with vloggers of 3 or more items": 0.0,
        KNOWN_SHARE: 0.0,
    }


def test_follow_pairs_by_hand(plain: dict[str, Any]) -> None:
    """Of the file u1 p1, u2 p2, u3 p1, u1 p3; of the log u1 p2 (u1 p1 and u3 p1 again; i9 has no vlogger)."""
    assert plain["follow pairs"] == {"read": 5, "no_user": 1, "no_vlogger": 1, "kept": 3, "untimed": 1}


def test_malformed_rows_are_counted_and_the_first_shown_with_file_and_line(plain: dict[str, Any]) -> None:
    malformed = plain["malformed"]
    assert malformed["by file"] == {"log.csv": 2}
    assert malformed["by reason"] == {"`time` is not a whole number": 1, "2 fields instead of 4": 1}
    assert sorted(malformed["first"]) == [
        "log.csv, line 13: 2 fields instead of 4 ('u2,i5')",
        "log.csv, line 7: `time` is not a whole number ('late [/red] :smile:')",
    ]


def test_notes_say_what_a_person_should_know(plain: dict[str, Any]) -> None:
    notes = plain["notes"]
    assert notes[0].startswith("2 of 22 rows are malformed and left out: 1 × 2 fields instead of 4; 1 × `time`")
    assert notes[1] == "1 items of the log have no row of their own; vlogger unknown."
    assert notes[2].startswith("Of 5 follow pairs, 1 have a user and 1 a vlogger that is not in the data; 3 stay.")
    assert notes[3].startswith("1 follow pairs have no time: they may be younger than held-out interactions.")


def test_markdown_holds_the_same_counts_notes_and_rows(folder: Path, plain: dict[str, Any]) -> None:
    text = (folder / "toy.report.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[:3] == ["# toy", "", "![distributions](toy.report.png)"]
    assert [line for line in lines if line.startswith("| ") and line.count("|") == 4][1:] == [
        "| readable rows of interactions | 0 | 10 |",
        "| outside the time window | 1 | 9 |",
        "| no interaction by --positive | 1 | 8 |",
        "| repeated user-item pairs (the first stays) | 1 | 7 |",
        "| users with fewer than 2 interactions | 1 | 6 |",
    ]
    for name, value in plain["numbers"].items():
        assert f"| {name} | {value} |" in lines
    for sentence in plain["notes"] + plain["malformed"]["first"]:
        assert f"- {sentence}" in lines
    assert text.endswith("\n")


def _report(folder: Path, **more: Any) -> Report:
    given = {"filters": {"min_history": 2}, "max_malformed": 0.2} | more
    report = prepare_example(folder, folder / "out", overwrite=True, **given).report
    assert report is not None
    return report


def test_it_is_printed_as_it_is_with_brackets_in_rows_and_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "[bold] :smile:"
    _report(write_example(tmp_path, BAD), name=name, quiet=False)
    printed = capsys.readouterr().out
    assert f"Interactions of {name}" in printed
    assert "late [/red] :smile:" in printed
    assert "users with fewer than 2 interactions" in printed
    assert f"--dataset={name}" in printed


def test_numbers_are_printed_for_reading(tmp_path: Path) -> None:
    report = _report(write_example(tmp_path))
    report.loaded.rows += 12_345
    report.statistics.numbers["oldest time"] = 1_650_000_000
    output = Console(file=io.StringIO(), width=100)
    report.show(output)
    text = output.file.getvalue()  # type: ignore[attr-defined]
    assert "12,355" in text
    assert "1650000000" in text


# --- the picture ------------------------------------------------------------------------------------------------


def _pixels(path: Path) -> np.ndarray:
    return matplotlib.image.imread(path)


def test_the_picture_has_four_panels_with_something_in_each(tmp_path: Path) -> None:
    some = _statistics()
    picture.draw("toy", replace(some, reach=some.history, catalogue=some.history), tmp_path / "x.png")
    pixels = _pixels(tmp_path / "x.png")
    assert pixels.shape[:2] == (864, 1200)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    for top in (0, height):
        for left in (0, width):
            panel = pixels[top : top + height, left : left + width, :3]
            coloured = np.ptp(panel, axis=2) > 0.2
            assert coloured.sum() > 300


def _statistics(shift: int = 0) -> Statistics:
    some = Distribution(np.array([1, 2, 9]), np.array([5, 3, 1 + shift]))
    none = Distribution(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    numbers = {"users": 9, "items": 9, "vloggers": 0, "interactions": 20, "follow pairs": 0, KNOWN_SHARE: 1.0}
    return Statistics(numbers, some, some, none, none, np.arange(20))


def test_the_same_figures_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, shift in zip(paths, (0, 0, 1), strict=True):
        picture.draw("toy", _statistics(shift), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not np.array_equal(_pixels(paths[0]), _pixels(paths[2]))


def test_a_name_with_dollar_signs_is_no_formula(tmp_path: Path) -> None:
    picture.draw(r"a$\nothing^$b", _statistics(), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_a_panel_shows_the_share_of_users_with_at_least_x(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    real = picture.Axes.plot

    def plot(axes: Any, x: Any, y: Any, **options: Any) -> Any:
        lines.setdefault(options["label"], (list(x), list(y)))
        return real(axes, x, y, **options)

    monkeypatch.setattr(picture.Axes, "plot", plot)
    picture.draw("toy", _statistics(), tmp_path / "x.png")
    assert lines["user"][0] == [1, 2, 9]
    assert lines["user"][1] == pytest.approx([1, 4 / 9, 1 / 9])


def test_all_files_are_in_the_manifest(folder: Path) -> None:
    listed = json.loads((folder / "toy.prepare.json").read_text())["outputs"]
    assert sorted(listed) == sorted(contents(folder).keys() - {"toy.prepare.json"})
