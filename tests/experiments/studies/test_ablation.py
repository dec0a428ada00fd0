"""Ablation: what a change costs is found, with its sign, size and significance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.compare import (
    Where,
    change_percent,
    is_significant,
    paired_interval,
    point,
    runs_of,
    user_means,
)
from tests.experiments.studies.cases import USERS, conduct, noise

# Change of every user's metric, and how much it scatters over users.
CHANGES = {"VAGNN": (0.0, 0.0), "no contrast": (-0.1, 0.01), "no auxiliary": (0.05, 0.01), "no meta paths": (0.0, 0.02)}
ENTRIES = {"variants": ["no_contrast", "no_auxiliary", "no_meta_paths"]}


def values(job: Job) -> np.ndarray:
    """0.5 on average for the full model, whatever the seed; users differ, in the same way for all variants."""
    change, scatter = CHANGES[job.contestant.label]
    shift = 0.001 * (job.seed - 2021)
    return (
        0.5
        + 0.03 * noise("users")
        + change
        + scatter * noise(job.contestant.label)
        + (0 if job.contestant.label == "VAGNN" else shift)
    )


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    conduct("ablation", values, folder, data, datasets=("toy", "followed"), seeds=3, entries=ENTRIES)
    return folder


def test_words_say_what_costs_and_what_helps(out: Path) -> None:
    text = (out / "report.html").read_text()
    for dataset in ("toy", "followed"):
        assert (
            f"<li>{dataset}, Recall@10: 1 change significantly lower it: no contrast (−20.0 %); 1 change significantly "
            "raise it: no auxiliary (+10.0 %); not told apart from the full model: no meta paths (0.0 %).</li>"
        ) in text


def test_tables_hold_the_tests_of_every_variant(out: Path) -> None:
    table = pd.read_csv(out / "ablation.csv")
    assert set(table["rival"]) == CHANGES.keys() - {"VAGNN"}
    assert set(table["metric"]) == {"recall@10", "ndcg@10"}
    row = table.set_index(["dataset", "metric", "rival"]).loc[("toy", "recall@10", "no contrast")]
    assert (row["ours"], row["users"], row["ours_seeds"]) == ("VAGNN", USERS, 3)
    assert row["difference"] == pytest.approx(0.1, abs=1e-9)
    assert row["difference_low"] < 0.1 < row["difference_high"]
    text = (out / "report.html").read_text()
    together, of_toy, _ = (
        part.partition("</table>")[0] for part in text.split("Recall@10 of each variant against VAGNN")[1:]
    )
    row = re.findall(r"<td[^>]*>(?:<b>)?([^<>]+)", of_toy.partition("no contrast")[2].partition("</tr>")[0])
    assert (row[:2], row[3:6]) == (["−0.1000", "−20.0 %"], ["0", "0", "60"])
    assert re.fullmatch(r"−20\.[0-9] % to −19\.[0-9] %", row[2])
    assert row[6:] == ["&lt; 0.001", "&lt; 0.001"]
    assert re.findall(r">([^<>]+ %[*]?)</td>", together) == [*2 * ["−20.0 %*"], *2 * ["+10.0 %*"], *2 * ["0.0 %"]]


def test_runs_are_named_with_their_models_in_order(out: Path) -> None:
    text = (out / "report.html").read_text()
    assert text.count("<td>VAGNN, no contrast, no auxiliary, no meta paths</td>") == 2
    assert "−0.0000" not in text


def test_figures_are_written(out: Path) -> None:
    names = {path.name for path in (out / "figures").iterdir()}
    assert names == {"toy.ablation.png", "followed.ablation.png"}


# --- comparisons ------------------------------------------------------------------------------------------------


def test_users_are_averaged_over_seeds_and_paired(out: Path) -> None:
    runs = runs_of(Records(out), "x", {"full": Where("toy", "VAGNN"), "less": Where("toy", "no contrast")})
    assert {key[:2] for key in runs} == {("x", "full"), ("x", "less")}
    names = sorted(f"u{i}" for i in range(USERS))
    by_user = 0.4 + 0.03 * noise("users") + 0.01 * noise("no contrast")
    expected = pd.Series(by_user, [f"u{i}" for i in range(USERS)])[names]
    assert user_means(runs, "less", "recall@10") == pytest.approx(expected.to_numpy(), abs=1e-12)
    mean, half = point(runs, "less", "recall@10")
    assert mean == pytest.approx(0.4)
    per_deviation = 2.0009953 / np.sqrt(USERS)  # t quantile of 59 degrees of freedom
    assert half == pytest.approx(per_deviation * by_user.std(ddof=1), rel=1e-6)
    of_difference = 0.01 * np.sqrt(USERS / (USERS - 1))  # whatever the users have in common
    assert paired_interval(runs, "less", "full", "recall@10") == pytest.approx(per_deviation * of_difference, rel=1e-6)
    assert half > 2 * per_deviation * of_difference
    assert np.isnan(point(runs, "gone", "recall@10")).all()
    assert np.isnan(paired_interval(runs, "less", "gone", "recall@10"))


def test_runs_have_the_metrics_that_all_have(out: Path, tmp_path: Path) -> None:
    records = Records(out)
    path = records.path("per_user", ("toy", "VAGNN", 2020))
    before = pd.read_parquet(path)
    before.assign(**{"mrr@10": 0.0}).to_parquet(path, index=False)
    try:
        runs = runs_of(records, "toy", {"VAGNN": Where("toy", "VAGNN")})
    finally:
        before.to_parquet(path, index=False)
    assert {tuple(frame.columns) for frame in runs.values()} == {("recall@10", "ndcg@10")}


def test_significance_is_of_the_corrected_t_test() -> None:
    assert is_significant({"t_p_two_sided_holm": 0.049})
    assert not is_significant({"t_p_two_sided_holm": 0.05})


def test_a_change_is_in_percent_of_the_full_model() -> None:
    assert change_percent({"difference": -0.01, "ours_mean": 0.2}) == pytest.approx(5.0)
    assert np.isnan(change_percent({"difference": 0.01, "ours_mean": 0.0}))
