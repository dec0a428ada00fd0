"""The overview of a tuning, and the section of each search in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from recbole_vagnn.experiments import benchmark
from recbole_vagnn.experiments.page import page
from recbole_vagnn.experiments.plan import Contestant, Plan
from recbole_vagnn.experiments.report import write_reports
from recbole_vagnn.experiments.tuning import records
from recbole_vagnn.experiments.tuning.report import overview, tuned_section, write_overview
from recbole_vagnn.experiments.tuning.section import words
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.experiments.tuning.store import SearchRecord
from tests.experiments.cases import write_records
from tests.experiments.test_report import Page
from tests.experiments.tuning.cases import BUDGET, final_runs, search_record, trial


def lightgcn() -> SearchRecord:
    return search_record(6)


def ngcf() -> SearchRecord:
    """A label of its own; the point tried first was the best."""
    trials = [trial(0, 0.3, "finished", 40), trial(1, 0.2, "stopped", 10)]
    return replace(search_record(trials=trials), model="NGCF", label="NGCF <2 & 3>")


def goods() -> SearchRecord:
    return replace(search_record(3), dataset="goods")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tuned")
    for name, record in (("LightGCN", lightgcn()), ("NGCF", ngcf()), ("Lone", goods())):
        records.write(record, directory / record.dataset / name)
    records.add_final(directory / "films" / "LightGCN", final_runs(tmp_path_factory.mktemp("runs")))
    (directory / "films" / "Unfinished").mkdir()
    (directory / "films" / "Unfinished" / "search.json").write_text("{}")
    return directory


@pytest.fixture(scope="module")
def seen(folder: Path) -> Page:
    files = write_overview(folder)
    assert [file.name for file in files] == ["report.html", "searches.md", "searches.csv"]
    return Page(files[0])


def test_the_overview_has_a_section_for_every_search_and_links_to_it(seen: Page) -> None:
    targets = [value.removeprefix("#") for tag, name, value in seen.links if tag == "a"]
    assert len(targets) == 3
    assert set(targets) <= set(seen.ids)
    assert len(seen.ids) == len(set(seen.ids))
    assert "3 searches, 2 of which found something better than the point tried first." in seen.text
    assert "NGCF <2 & 3> on films" in seen.text
    assert "The winners on test data: films" in seen.text
    assert "The winners on test data: goods" not in seen.text


def test_the_page_asks_for_nothing_and_its_tables_are_even(seen: Page) -> None:
    assert all(value.startswith("data:image/png") for tag, _, value in seen.links if tag == "img")
    assert all(len(set(rows)) == 1 for rows in seen.tables)


def test_the_overview_sums_up(seen: Page) -> None:
    # LightGCN: 2 × 20 + 3 × 10 + 40; NGCF: 40 + 10; goods: 20 + 10 + 40.
    assert "18 of" not in seen.text
    assert "Trials: 11" in seen.text
    assert "230 of at most 440 epochs were trained" in seen.text


def test_searches_csv_has_the_numbers_unrounded(folder: Path, seen: Page) -> None:
    table = pd.read_csv(folder / "searches.csv", float_precision="round_trip")
    assert list(table["model"]) == ["LightGCN", "NGCF <2 & 3>", "LightGCN"]
    assert list(table["dataset"]) == ["films", "films", "goods"]
    assert list(table["best"]) == [0.15, 0.3, 0.12]
    assert list(table["first"]) == [0.1, 0.3, 0.1]
    assert list(table["gain"]) == pytest.approx([50.0, 0.0, 20.0])
    assert list(table["epochs"]) == [110, 50, 70]


def test_searches_md_has_the_sentences_and_the_tables_of_the_page(folder: Path, seen: Page) -> None:
    text = (folder / "searches.md").read_text("utf-8")
    assert "230 of at most 440 epochs were trained" in text
    films, goods = (part.splitlines() for part in text.split("## ")[1:])
    assert films[0] == "films: validation Recall@10"
    assert [row.split(" | ")[:4] for row in films[4:7]] == [
        ["| LightGCN", "0.1500", "0.1000", "+50.0 %"],
        ["| NGCF \\<2 & 3\\>", "0.3000", "0.3000", "0.0 %"],
        ["| *all*", "", "", ""],
    ]
    assert goods[0] == "goods: validation Recall@10"
    assert "Gain: of the best validation score over the point tried first." in text


def test_a_search_without_a_score_has_empty_cells() -> None:
    table = overview([search_record(trials=[trial(0, None, "failed", 0)])])
    assert table.loc[0, ["best", "first", "gain"]].isna().all()


def test_a_search_whose_section_is_not_there_counts_all_the_same(tmp_path: Path) -> None:
    for name in ("A", "B"):
        records.write(replace(search_record(2), label=name), tmp_path / "films" / name)
    (tmp_path / "films" / "A" / "section.html").unlink()
    write_overview(tmp_path)
    assert list(pd.read_csv(tmp_path / "searches.csv")["model"]) == ["A", "B"]
    assert "2 searches" in tuned_section(tmp_path / "tuned", ["films"], ["A", "B"])


def test_without_a_finished_search_there_is_no_overview(tmp_path: Path) -> None:
    assert write_overview(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_winners_of_different_protocols_are_not_put_into_one_table(tmp_path: Path) -> None:
    runs = final_runs(tmp_path / "runs")
    for name, protocol in (("A", "0012e5"), ("B", "ffffff")):
        records.write(replace(search_record(2), label=name), tmp_path / "films" / name)
        records.add_final(tmp_path / "films" / name, runs.assign(model=name, protocol=protocol))
    text = Page(write_overview(tmp_path)[0]).text
    assert "No common table:" in text
    assert text.count("The winner on test data") == 2


def test_budgets_that_differ_are_said(tmp_path: Path) -> None:
    records.write(search_record(2), tmp_path / "films" / "A")
    other = replace(search_record(2), label="B", budget={**BUDGET, "trials": 50})
    records.write(other, tmp_path / "films" / "B")
    text = Page(write_overview(tmp_path)[0]).text
    assert "Budgets differ: 12 trials" in text
    assert "Every search had the same budget" not in text


def test_a_benchmarks_report_says_how_its_models_were_tuned(folder: Path, tmp_path: Path) -> None:
    section = tuned_section(folder / "tuned", ["films"], ["LightGCN", "EASE"])
    path = tmp_path / "page.html"
    path.write_text(page("x", [section]))
    text = Page(path).text
    assert "How the models were tuned" in text
    assert "films: validation Recall@10" in text
    assert "goods" not in text
    assert "NGCF" not in text
    assert tuned_section(tmp_path / "tuned", ["films"], ["LightGCN"]) == ""


def test_the_section_fits_into_the_report_of_a_benchmark(folder: Path, tmp_path: Path) -> None:
    contestants = (Contestant("LightGCN", "LightGCN"),)
    plan = Plan(contestants, ("films",), tuned=folder / "tuned")
    sections = benchmark._tuning(plan)
    runs = write_records(tmp_path, datasets=["films"]).folder
    seen = Page(write_reports(runs, ours=[], order=["LightGCN"], command="x", sections=sections)[0])
    assert seen.text.count("How the models were tuned") == 1
    assert len(seen.ids) == len(set(seen.ids))
    assert all(len(set(rows)) == 1 for rows in seen.tables)
    assert benchmark._tuning(replace(plan, tuned=None)) == []
    assert benchmark._tuning(replace(plan, tuned=tmp_path / "elsewhere" / "tuned")) == []


# The section of a search


def said(record: SearchRecord) -> Sequence[str]:
    return words(record)


def test_the_words_say_what_was_found_and_by_which_effort() -> None:
    found, *_, effort = said(search_record())
    assert found.startswith(
        "Best validation Recall@10: 0.2000 by trial 10, epoch 39: +100.0 % against the first point (0.1000)."
    )
    assert effort.startswith("Budget: 12 trials of at most 40 epochs; optuna, seed 7; a trial ends after 5 evaluations")
    assert "from 10 evaluations on one in 3 outlives each rung; 1 CPU, 0 GPU and 1 thread(s) a trial." in effort


def test_a_first_point_that_wins_is_said_to_win() -> None:
    assert said(ngcf())[0].endswith("epoch 39: the first point. No other trial was better.")


def test_an_end_by_time_is_said() -> None:
    record = search_record(2, budget={**BUDGET, "seconds": 3600.0, "ended": "time budget spent"})
    assert said(record)[-1] == "The search ended before all trials were done: time budget spent."
    assert "12 trials of at most 40 epochs within 1 h 00 min" in said(record)[-2]


def test_trials_are_listed_best_first_and_a_long_list_is_cut(tmp_path: Path) -> None:
    trials = [trial(number, 0.1 + 0.01 * (number % 7), "stopped", 10) for number in range(40)]
    record = search_record(trials=trials, space=Space("LightGCN", (), (), "my.yaml"))  # no forest is grown
    records.write(record, tmp_path)
    text = Page(tmp_path / "report.html").text
    assert "The best 30 of 40; trials.csv has all." in text
    shown = text.partition("Attempts")[2]
    assert shown.index(" 6 0.1600") < shown.index(" 13 0.1600") < shown.index(" 5 0.1500")
