"""The report: says who wins and who loses, tests tuned models only, and needs nothing from outside."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.report import write_reports
from recbole_vagnn.experiments.tables import UNTESTED
from tests.experiments.cases import DATASETS, MODELS, record, write_records

COMMAND = "recbole-vagnn benchmark full --out 'x <y>'"
FAILED = pd.DataFrame(
    [("goods", "NGCF", 2020, "out of <memory> & time", 2)], columns=["dataset", "model", "seed", "reason", "attempts"]
)
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that tags are balanced, and gathers rows, text and links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.tables: list[list[int]] = []
        self.ids: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.links += [(tag, name, value or "") for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append(0)
        if tag in ("td", "th"):
            self.tables[-1][-1] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.pieces.append(" " if tag in ("td", "th", "li", "p", "h2", "h3") else "")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.pieces.append(data)


def report(folder: Path, **arguments: object) -> Page:
    given = {"ours": ["VAGNN"], "order": MODELS, "command": COMMAND, "failures": FAILED}
    files = write_reports(folder, **{**given, **arguments})  # type: ignore[arg-type]
    return Page(files[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("records"), without=[("goods", "SimGCL", 2021)]).folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return report(folder)


def test_all_files_are_written_and_equal_records_give_equal_bytes(folder: Path, page: Page) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files = write_reports(folder, ours=["VAGNN"], order=MODELS, command=COMMAND, failures=FAILED)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    names = {str(path.relative_to(folder)) for path in files}
    assert {"report.html", "table.md", "table.tex", "table.csv", "significance.csv"} <= names
    assert {f"figures/{d}.{kind}.png" for d in ("films", "goods") for kind in ("means", "curves", "cost")} <= names
    assert len(names) == 5 + 4 * len(DATASETS)


def test_the_report_asks_for_nothing_from_outside(page: Page, folder: Path) -> None:
    images = [value for tag, name, value in page.links if (tag, name) == ("img", "src")]
    assert len(images) == 4 * len(DATASETS)
    for image, path in zip(images[:4], ("means", "curves", "cost", "activity"), strict=True):
        content = b64decode(image.removeprefix("data:image/png;base64,"), validate=True)
        assert content == (folder / "figures" / f"films.{path}.png").read_bytes()
    anchors = [value for tag, _, value in page.links if tag != "img"]
    assert all(value.startswith("#") and value[1:] in page.ids for value in anchors)
    text = re.sub(r'src="data:[^"]*"', "", (folder / "report.html").read_text())
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp|<link|<iframe|\ssrc=", text)
    assert "default-src 'none'" in text


def test_every_table_has_rows_of_equal_length(page: Page) -> None:
    assert len(page.tables) == 1 + len(DATASETS) * (2 + 1 + 1 + 2)  # protocol; accuracy ×2, exposure, cost, tests ×2
    for rows in page.tables:
        assert len(rows) >= 4
        assert len(set(rows)) == 1


def test_losses_are_said_as_plainly_as_wins(page: Page) -> None:
    assert (
        "Of 6 comparisons (Recall@10 and NDCG@10 on 3 data sets), VAGNN beats the best rival in 2 (2 significantly), "
        "loses to the best rival in 2 (2 significantly), equals the best rival in 2." in page.text
    )
    assert "Recall@10: VAGNN beats the best rival, SimGCL: 0.1800 against 0.1500, +20.0 % (95 % interval +" in page.text
    assert (
        "Recall@10: VAGNN loses to the best rival, EASE: 0.0800 against 0.1000, −20.0 % (95 % interval −" in page.text
    )
    assert "Recall@10: VAGNN equals the best rival, SimGCL: 0.0900 against 0.0900, 0.0 %" in page.text
    assert "not significant: t test p = 1.000" in page.text
    assert "Of 4 rivals it is above 4 (4 significantly), below 0." in page.text
    assert "Best of 5 models on 4 metrics: EASE on 4 (Recall@10 0.1000, NDCG@10 0.0500," in page.text
    assert "Best of 5 models on 4 metrics: SimGCL and VAGNN on 4" in page.text


def test_protocol_failures_and_missing_runs_are_told(page: Page) -> None:
    for expected in (
        f"Made by {COMMAND}",
        "60 users, 1,000 items, 100 vloggers; 1,200 training, 60 validation, 60 test interactions",
        "split of 5",
        "0012e5",
        "3 seeds (2020, 2021, 2022)",
        "NGCF on goods, seed 2020 (2 attempts): out of <memory> & time",
        "SimGCL on goods: no run with seed 2021",
    ):
        assert expected in page.text


def test_significance_file_is_that_of_the_tests(folder: Path, page: Page) -> None:
    table = pd.read_csv(folder / "significance.csv")
    assert set(table["settings"]) == {"tuned"}
    assert len(table) == len(DATASETS) * 4 * 4  # metrics, rivals
    row = table.set_index(["dataset", "metric", "rival"]).loc[("goods", "recall@10", "EASE")]
    assert row["relative"] == pytest.approx(-0.2)
    assert row["users"] == 60
    low, high = (f"{100 * row[f'relative_{end}']:.1f}".replace("-", "−") for end in ("low", "high"))
    assert f"EASE −0.0200 −20.0 % {low} % to {high} %" in page.text


def test_models_at_their_authors_settings_are_not_tested_in_words_or_tables(tmp_path: Path) -> None:
    write_records(tmp_path, datasets=["films"], settings="authors")
    page = report(tmp_path, failures=None)
    assert UNTESTED in page.text
    assert "VAGNN beats the best rival, SimGCL: 0.1800 against 0.1500, +20.0 %. Of 4 rivals" in page.text
    written = [page.text, (tmp_path / "table.md").read_text(), (tmp_path / "table.tex").read_text()]
    for text in written:
        assert not re.search(r"significantly|t test p|%\\?\*|Significance:", text)
    assert set(pd.read_csv(tmp_path / "significance.csv")["settings"]) == {"authors"}
    assert "Failed none Missing none" in page.text


def test_labels_are_escaped(tmp_path: Path) -> None:
    write_records(tmp_path, datasets=["<i>"], models=["<script>alert(1)</script>", "A&B"], seeds=[1])
    page = report(tmp_path, ours=["A&B"], order=[], failures=None)
    assert "<script>alert(1)</script>" in page.text
    assert "alert(1)</script>" not in (tmp_path / "report.html").read_text()


def test_without_ours_or_rivals_or_users_the_rest_is_reported(tmp_path: Path) -> None:
    records = write_records(tmp_path / "a", datasets=["films"], models=["Pop", "EASE"], seeds=[1])
    page = report(records.folder, ours=[], order=[])
    assert "No model is named as ours" in page.text
    assert (records.folder / "significance.csv").read_text().startswith("settings,dataset,metric,ours,rival")
    page = report(records.folder, ours=["Pop", "EASE"], order=[])
    assert "Nothing was tested" in page.text
    page = report(records.folder, ours=["Unrun"], order=["Unrun", "Pop", "EASE"])
    assert "Unrun on films: no run with seed 1" in page.text
    for key in sorted(records.keys()):
        records.path("per_user", key).unlink()
    page = report(records.folder, ours=["Pop"], order=[])
    assert "Nothing was tested" in page.text
    assert [tag for tag, _, _ in page.links].count("img") == 2  # curves and cost


def test_a_metric_that_some_runs_lack_is_left_out_of_tests_and_figures(tmp_path: Path) -> None:
    records = write_records(tmp_path, datasets=["films"], models=["EASE", "VAGNN"], seeds=[1])
    more = record(("films", "Pop", 1))
    records.add(type(more)(more.row, more.per_user.drop(columns="ndcg@20"), more.curve))
    page = report(tmp_path)
    assert set(pd.read_csv(tmp_path / "significance.csv")["metric"]) == {"recall@10", "ndcg@10", "recall@20"}
    assert "NDCG@20" in page.text


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        report(tmp_path)


def test_runs_that_cannot_be_compared_are_an_error(tmp_path: Path) -> None:
    records = write_records(tmp_path, datasets=["films"], models=["Pop", "EASE"], seeds=[1])
    records.runs.assign(settings=["tuned", "authors"]).to_csv(tmp_path / "runs.csv", index=False)
    assert len(Records(tmp_path).runs) == 2
    with pytest.raises(InputError, match="differ in settings"):
        report(tmp_path)
