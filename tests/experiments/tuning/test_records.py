"""The files of a search: complete, readable again, and best.yaml the sign that they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from recbole_vagnn.defaults import read_yaml
from recbole_vagnn.experiments.tuning import records
from recbole_vagnn.experiments.tuning.best import options, write_tuned
from recbole_vagnn.experiments.tuning.importance import importance
from recbole_vagnn.experiments.tuning.store import SearchRecord, read
from tests.experiments.test_report import Page
from tests.experiments.tuning.cases import BUDGET, evaluations, final_runs, search_record, trial

FEW = 6  # trials, for which no forest is grown


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchRecord, Path, list[Path]]:
    folder = tmp_path_factory.mktemp("search") / "films" / "LightGCN"
    record = search_record(FEW)
    return record, folder, records.write(record, folder)


def test_every_file_is_there_and_best_yaml_is_the_last(written: tuple[SearchRecord, Path, list[Path]]) -> None:
    _, folder, files = written
    names = [str(file.relative_to(folder)) for file in files]
    data = ["record.json", "trials.csv", "epochs.csv", "importance.csv"]
    pictures = [f"figures/{kind}.png" for kind in ("history", "curves", "parallel", "slices", "importance")]
    assert names == [*data, *pictures, "section.html", "report.html", "best.yaml"]
    assert sorted(files) == sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_was_written_is_read_again(written: tuple[SearchRecord, Path, list[Path]]) -> None:
    record, folder, _ = written
    again = read(folder)
    assert again.trials == record.trials
    pd.testing.assert_frame_equal(again.epochs, record.epochs)
    assert again.space == record.space
    assert again.budget == record.budget
    table = pd.read_csv(folder / "importance.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(table, importance(record).table, check_dtype=False)


def test_a_report_that_was_left_out_is_made_again_and_others_stay(tmp_path: Path) -> None:
    bare, whole = (tmp_path / "films" / name for name in ("A", "B"))
    for folder in (bare, whole):
        records.write(search_record(FEW), folder)
        records.add_final(folder, final_runs(tmp_path / "runs" / folder.name))
    kept = {path: path.read_bytes() for path in bare.rglob("*") if path.is_file()}
    for path in kept:
        if path.suffix in (".html", ".png"):
            path.unlink()
    (whole / "report.html").write_text("as it was")
    made = records.write_missing_reports(tmp_path)
    assert {path for path in made if path.suffix in (".html", ".png")} == {
        path for path in kept if path.suffix in (".html", ".png")
    }
    for path in made:
        assert path.read_bytes() == kept[path]
    assert (whole / "report.html").read_text() == "as it was"


def test_the_winners_runs_come_to_a_search_whose_report_was_left_out(tmp_path: Path) -> None:
    runs = final_runs(tmp_path / "runs")
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    for folder in (bare, whole):
        records.write(search_record(FEW), folder)
    for path in bare.glob("*.html"):
        path.unlink()
    for folder in (bare, whole):
        records.add_final(folder, runs)
    assert (bare / "report.html").read_bytes() == (whole / "report.html").read_bytes()


def test_best_yaml_has_the_winner_and_says_where_it_is_from(written: tuple[SearchRecord, Path, list[Path]]) -> None:
    record, folder, _ = written
    text = (folder / "best.yaml").read_text()
    assert record.best is not None
    assert read_yaml(folder / "best.yaml") == record.best.config
    assert "# LightGCN on films: validation Recall@10 0.15\n" in text
    assert "# trial 5 (t5) of 6, best epoch 9\n" in text


ODD: dict[str, Any] = {
    "learning_rate": 1e-05,
    "text": "1e-05",
    "whole": 3,
    "fraction": 3.0,
    "nothing": None,
    "flag": True,
    "layers": [64, 64],
    "word": "no",
    "signs": "a: b # c",
}


def test_values_read_back_with_their_types(tmp_path: Path) -> None:
    record = search_record(options={"shared": 0.25}, trials=[trial(0, 0.1, "finished", 4, config=ODD)])
    (path,) = write_tuned(record, tmp_path)
    assert path == tmp_path / "films" / "LightGCN.yaml"
    for content in (read_yaml(path), yaml.safe_load(path.read_text())):
        assert typed(content) == typed({"shared": 0.25, **ODD})
    assert options(record) == {"shared": 0.25, **ODD}


def typed(content: Mapping[str, Any]) -> dict[str, tuple[type, Any]]:
    return {key: (type(value), value) for key, value in content.items()}


def test_a_search_without_a_score_has_a_report_and_no_best(tmp_path: Path) -> None:
    (tmp_path / "best.yaml").write_text("learning_rate: 1\n")
    trials = [trial(0, None, "failed", 0, error="the <user> is wrong")]
    budget = {**BUDGET, "hopeless": True, "ended": "1 trial(s) in a row failed, the last one: the <user> is wrong"}
    record = search_record(trials=trials, epochs=evaluations([]), budget=budget)
    files = records.write(record, tmp_path)
    assert "best.yaml" not in [file.name for file in files]
    assert not (tmp_path / "best.yaml").exists()
    assert write_tuned(record, tmp_path / "tuned") == []
    page = Page(tmp_path / "report.html")
    assert "No trial came to a score." in page.text
    assert "The search was given up: 1 trial(s) in a row failed" in page.text
    assert "Trial 0 (rate 0.01, layers 2, kind a): the <user> is wrong" in page.text
    assert read(tmp_path).trials == record.trials


def test_the_winners_runs_come_into_the_report_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    records.write(search_record(FEW), folder)
    before = (folder / "section.html").read_text()
    assert "The winner on test data" not in before
    runs = final_runs(tmp_path)
    for n in (1, 2, 3):
        records.add_final(folder, runs.head(n))
        page = Page(folder / "report.html")
        assert page.text.count("The winner on test data") == 1
        assert [f"seed {seed}" in page.text for seed in (2020, 2021, 2022)] == [n > 0, n > 1, n > 2]
    assert "mean ± standard deviation 0.1200 ± 0.0020 0.0600 ± 0.0020" in page.text
    assert list(pd.read_csv(folder / "final.csv")["seed"]) == [2020, 2021, 2022]
    records.write(replace(search_record(FEW)), folder)  # as a resumed search does; the runs stay
    assert "seed 2022" in (folder / "section.html").read_text()


def test_text_of_an_error_that_is_no_unicode_costs_nothing(tmp_path: Path) -> None:
    trials = [trial(0, 0.1, "finished", 4), trial(1, None, "failed", 0, error="bad \udcff byte")]
    records.write(search_record(trials=trials), tmp_path)
    assert "bad" in read(tmp_path).trials[1].error
