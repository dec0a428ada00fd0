"""Tables with known answers, and that what is printed can be read by the programs it is for."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import markup, tables
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.summary import Summary, by_cut_off, missing_runs, summarise
from recbole_vagnn.experiments.tables import Table
from tests.experiments.cases import DATASETS, METRICS, MODELS, record, value, write_records

FAILED = pd.DataFrame(
    [("goods", "NGCF", 2020, "out_of_memory | 100% of <1 GB>\nsecond line", 2)],
    columns=["dataset", "model", "seed", "reason", "attempts"],
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return write_records(tmp_path_factory.mktemp("records"))


@pytest.fixture
def summaries(records: Records) -> list[Summary]:
    return summarise(records.runs, ["VAGNN"], MODELS)


def runs(**columns: list[object]) -> pd.DataFrame:
    """Runs on one data set with the given columns; the same of all else."""
    n = len(next(iter(columns.values())))
    same = {"dataset": "d", "seed": 1, "settings": "tuned", "fingerprint": "f", "protocol": "p", "version": "1"}
    return pd.DataFrame({**{name: [value] * n for name, value in same.items()}, **columns})


def accuracy(of: pd.DataFrame, ours: list[str] | None = None, order: list[str] | None = None) -> Table:
    (summary,) = summarise(of, ours or [], order or [])
    return tables.tables(summary)[0]


def texts(table: Table, column: int = 0) -> dict[str, str]:
    return {model: cells[column].text for model, cells in table.rows}


def marks(table: Table, column: int = 0) -> dict[str, str]:
    return {model: cells[column].mark for model, cells in table.rows if cells[column].mark}


def test_means_and_deviations_are_those_that_were_put_in(summaries: list[Summary]) -> None:
    assert [summary.dataset for summary in summaries] == list(DATASETS)
    for summary in summaries:
        assert summary.metrics == METRICS
        for model in MODELS:
            for metric in METRICS:
                expected = value(summary.dataset, model, metric)
                assert summary.means.at[model, f"test_{metric}"] == pytest.approx(expected, rel=1e-12)
                assert summary.stds.at[model, f"test_{metric}"] == pytest.approx(0.002, rel=1e-10)


def test_one_seed_has_no_deviation_and_two_have_that_of_a_sample() -> None:
    table = accuracy(runs(model=["A", "A", "B"], seed=[1, 2, 1], **{"test_recall@10": [0.1, 0.2, 0.3]}))
    assert texts(table) == {"A": "0.1500 ± 0.0707", "B": "0.3000"}  # 0.1 / √2, not 0.1 / 2
    assert texts(table, 1) == {"A": "2", "B": "1"}


def test_best_and_second_and_improvement_by_hand() -> None:
    of = runs(model=["A", "B", "C", "Ours"], **{"test_recall@10": [0.1, 0.16, 0.12, 0.2], "test_hit@10": [5, 3, 4, 1]})
    table = accuracy(of, ["Ours"])
    assert marks(table) == {"Ours": "best", "B": "second"}
    assert marks(table, 1) == {"A": "best", "C": "second"}
    assert table.footer == (("Ours over the best rival", ("+25.0 %", "−80.0 %", "")),)  # 0.2/0.16 and 1/5


def test_values_that_print_alike_share_a_mark() -> None:
    metric = {"test_recall@10": [0.20001, 0.20004, 0.1, 0.1, 0.05]}
    table = accuracy(runs(model=list("ABCDE"), **metric), ["A"])
    assert marks(table) == {"A": "best", "B": "best", "C": "second", "D": "second"}
    assert table.footer[0][1][0] == "0.0 %"
    assert marks(accuracy(runs(model=["A", "B"], **{"test_recall@10": [0.1, 0.1]}))) == {}


def test_ours_are_no_rivals_of_each_other() -> None:
    of = runs(model=["A", "O1", "O2"], **{"test_recall@10": [0.1, 0.2, 0.4]})
    assert accuracy(of, ["O2", "O1"]).footer == (
        ("O1 over the best rival", ("+100.0 %", "")),
        ("O2 over the best rival", ("+300.0 %", "")),
    )


@pytest.mark.parametrize("rival", [0.0, np.nan])
def test_no_improvement_over_nothing(rival: float) -> None:
    table = accuracy(runs(model=["A", "O"], **{"test_recall@10": [rival, 0.2]}), ["O"])
    assert table.footer[0][1][0] == "—"


def test_order_is_the_given_one_and_nobody_is_hidden(records: Records) -> None:
    table = accuracy(records.runs[records.runs["dataset"] == "films"], order=["VAGNN", "Missing", "Pop"])
    assert [model for model, _ in table.rows] == ["VAGNN", "Missing", "Pop", "EASE", "LightGCN", "SimGCL"]
    assert texts(table)["Missing"] == "—"
    assert texts(table, 2)["Missing"] == "0"


def test_missing_runs_are_listed(tmp_path: Path) -> None:
    gone = [("films", "EASE", 2021), *(("films", "Pop", seed) for seed in (2020, 2021, 2022))]
    summaries = summarise(write_records(tmp_path, datasets=["films"], without=gone).runs, [], MODELS)
    assert missing_runs(summaries) == [("films", "Pop", (2020, 2021, 2022)), ("films", "EASE", (2021,))]
    text = markup.markdown(summaries)
    assert "| Pop | — | — | 0 |" in text
    assert "- EASE on films: no run with seed 2021\n" in text


@pytest.mark.parametrize("name", ["settings", "fingerprint", "protocol", "version"])
def test_what_cannot_be_compared_is_never_in_one_table(name: str) -> None:
    mixed = runs(model=["A", "B", "C"], **{"test_recall@10": [1, 2, 3], name: ["x", "y", "x"]})
    with pytest.raises(InputError, match=rf"The runs on d differ in {name}: x \(2\), y \(1\)\..*never mixed"):
        summarise(mixed)


def test_no_runs_no_tables() -> None:
    with pytest.raises(InputError, match="no finished run"):
        summarise(pd.DataFrame(columns=["dataset", "model", "seed"]))


def test_exposure_has_its_own_table_with_directions(summaries: list[Summary]) -> None:
    exposure = next(table for table in tables.tables(summaries[0]) if table.title.startswith("Exposure"))
    assert exposure.headings == (
        *("Model", "Item coverage@10 ↑", "Vlogger coverage@10 ↑", "Vlogger Gini@10 ↓", "Average popularity@10"),
        "Seeds",
    )
    assert marks(exposure, 0) == {"VAGNN": "best", "SimGCL": "second"}
    assert marks(exposure, 2) == {"VAGNN": "best", "SimGCL": "second"}  # the smallest Gini
    assert marks(exposure, 3) == {}
    assert texts(exposure, 3)["Pop"] == "123.5 ± 0.0"


def test_cost_has_seconds_memory_and_parameters(summaries: list[Summary]) -> None:
    cost = tables.tables(summaries[0])[-1]
    assert cost.title == "Cost"
    assert "Peak GPU memory MiB" not in cost.headings  # nobody used one
    column = {heading: i for i, heading in enumerate(cost.headings[1:])}
    assert texts(cost, column["Training s"])["Pop"] == "0.050 ± 0.000"
    assert texts(cost, column["Training s"])["VAGNN"] == "120 ± 0"
    assert texts(cost, column["Epochs"])["VAGNN"] == "35.0 ± 5.0"
    assert texts(cost, column["Parameters"])["VAGNN"] == "64,000"
    assert "Threads of each run: 1." in cost.notes


def test_seconds_of_runs_with_other_threads_are_not_comparable(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add(record(("films", "Pop", 1), threads=1))
    records.add(record(("films", "EASE", 1), threads=2))
    cost = tables.tables(summarise(records.runs)[0])[-1]
    assert "Seconds cannot be compared: runs had 1 or 2 threads." in cost.notes


def test_a_table_for_each_cut_off_in_numerical_order() -> None:
    groups = by_cut_off(["recall@20", "ndcg@20", "recall@5", "ndcg@5", "recall@100"])
    assert list(groups.items()) == [
        ("5", ["recall@5", "ndcg@5"]),
        ("20", ["recall@20", "ndcg@20"]),
        ("100", ["recall@100"]),
    ]


def significance(p: float) -> pd.DataFrame:
    columns = ["dataset", "metric", "ours", "rival", "t_p_two_sided_holm"]
    return pd.DataFrame([("d", "recall@10", "O", "A", 0.9), ("d", "recall@10", "O", "B", p)], columns=columns)


@pytest.mark.parametrize(("p", "settings", "star"), [(0.04, "tuned", "*"), (0.06, "tuned", ""), (0.04, "authors", "")])
def test_stars_stand_in_tuned_tables_only(p: float, settings: str, star: str) -> None:
    of = runs(model=["A", "B", "O"], settings=[settings] * 3, **{"test_recall@10": [0.1, 0.2, 0.1]})
    table = tables.tables(summarise(of, ["O"])[0], significance(p))[0]
    assert table.footer[0][1][0] == f"−50.0 %{star}"
    assert (tables.STAR in table.notes) == bool(star)
    assert (tables.UNTESTED in table.notes) == (settings == "authors")


def test_markdown_is_a_table_of_equal_rows(summaries: list[Summary]) -> None:
    text = markup.markdown(summaries, None, "recbole-vagnn benchmark --out `x`", FAILED)
    assert "``recbole-vagnn benchmark --out `x```" in text
    assert "| VAGNN | **0.1800 ± 0.0020** | **0.0900 ± 0.0020** | 3 |" in text
    assert "| SimGCL | <u>0.1500 ± 0.0020</u> |" in text
    assert "60 users, 1,000 items, 100 vloggers; 1,200 training, 60 validation, 60 test interactions" in text
    assert "Every model tuned. 3 seeds (2020, 2021, 2022)." in text
    same = (
        "the same fingerprint of split and creators (split-of-5), protocol (0012e5) and version of recbole-vagnn (1.0)"
    )
    assert f"All 15 runs, of 5 models, have {same}." in text
    assert r"- NGCF on goods, seed 2020 (2 attempts): out\_of\_memory \| 100% of \<1 GB\> second line" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_tex_escapes_every_special_character() -> None:
    assert markup.tex(r"a_b & 50% $x #1 {y} ~^\ <>|") == (
        r"a\_b \& 50\% \$x \#1 \{y\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}\textgreater{}\textbar{}"
    )
    assert markup.tex("λ2 τ ± − — é") == r"$\lambda$2 $\tau$ $\pm$ $-$ --- é"


def test_latex_has_balanced_environments_and_full_rows(summaries: list[Summary]) -> None:
    """There is no TeX here: braces, environments, columns and special characters are counted instead."""
    text = markup.latex(summaries, None, "recbole-vagnn benchmark --out 50%_x", FAILED)
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    code = "\n".join(lines)
    assert r"VAGNN & \textbf{0.1800 $\pm$ 0.0020} &" in code
    assert r"SimGCL & \underline{0.1500 $\pm$ 0.0020} &" in code
    assert r"on videos \& co." in code
    bare = re.sub(r"\\[{}%]", "", code)
    assert bare.count("{") == bare.count("}")
    assert len(re.findall(r"(?<!\\)\$", code)) % 2 == 0
    assert "%" not in re.sub(r"\\%|%$", "", code, flags=re.MULTILINE)
    begun, ended = (re.findall(rf"^\\{word}{{(\w+)}}", code, re.MULTILINE) for word in ("begin", "end"))
    assert sorted(begun) == sorted([*ended, "document"])  # \endoftables ends the document
    assert text.endswith("\\endoftables\n")
    for columns, body in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", code, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= len(MODELS) + 1
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
        rules = [line for line in body.splitlines() if line.endswith("rule")]
        assert rules in (
            ["\\toprule", "\\midrule", "\\bottomrule"],
            ["\\toprule", "\\midrule", "\\midrule", "\\bottomrule"],
        )


def test_csv_has_all_numbers_unrounded(summaries: list[Summary]) -> None:
    text = tables.wide(summaries).to_csv(index=False)
    table = pd.read_csv(io.StringIO(text), float_precision="round_trip").set_index(["dataset", "model"])
    assert len(table) == len(DATASETS) * (len(MODELS) + 1)
    assert table.at[("goods", "EASE"), "recall@10"] == summaries[1].means.at["EASE", "test_recall@10"]
    assert table.at[("goods", "EASE"), "recall@10 std"] == pytest.approx(0.002)
    assert table.at[("goods", "EASE"), "seeds"] == 3
    assert table.at[("goods", "VAGNN over the best rival (%)"), "recall@10"] == pytest.approx(-20)
    assert table.at[("films", "VAGNN over the best rival (%)"), "ndcg@20"] == pytest.approx(20)
    assert table.at[("videos & co", "VAGNN"), "vloggergini@10"] == pytest.approx(0.81)


@pytest.mark.parametrize(
    ("percent", "text"), [(3.24, "+3.2 %"), (-15.96, "−16.0 %"), (0.04, "0.0 %"), (-0.04, "0.0 %"), (100, "+100.0 %")]
)
def test_percent(percent: float, text: str) -> None:
    assert tables.percent_text(percent) == text
