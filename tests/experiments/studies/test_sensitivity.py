"""Sensitivity: every setting once, whatever it is called by, and its accuracy at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.studies.run import Asked, make_request
from recbole_vagnn.experiments.studies.sensitivity import Settings, label_of, plans, reduced
from recbole_vagnn.experiments.studies.sensitivity_figures import text_of
from recbole_vagnn.experiments.studies.study import load_study
from tests.experiments.studies.cases import USERS, Written, conduct, noise

VARY = {"ssl_weight": [0.0, 0.05, 0.5], "n_layers": [1, 2]}
GRID = {"ssl_weight": [0.05, 0.5], "ssl_tau": [0.05, 0.2]}
ENTRIES = {"vary": VARY, "grid": GRID}


def options_of(data: Path, dataset: str = "toy", **entries: Any) -> dict[str, dict[str, Any]]:
    request = make_request(
        "sensitivity", load_study("sensitivity"), Asked((dataset,), 1, entries={**ENTRIES, **entries}), data
    )
    (plan,) = plans(request)
    plan.check(data)
    return {contestant.label: contestant.options for contestant in plan.contestants}


def test_every_setting_runs_once(data: Path) -> None:
    """Usual: ssl_weight 0.05, ssl_tau 0.05, 2 layers."""
    assert options_of(data) == {
        "VAGNN": {},
        "ssl_weight=0": {"ssl_weight": 0.0},
        "ssl_weight=0.5": {"ssl_weight": 0.5},
        "n_layers=1": {"n_layers": 1},
        "ssl_tau=0.2": {"ssl_tau": 0.2},
        "ssl_tau=0.2, ssl_weight=0.5": {"ssl_weight": 0.5, "ssl_tau": 0.2},
    }


def test_the_usual_value_is_that_of_the_data_set(data: Path) -> None:
    own = data / "toy" / "toy.yaml"
    own.write_text("n_layers: 1\n")
    try:
        assert "n_layers=2" in options_of(data, grid={})
        assert "n_layers=1" not in options_of(data, grid={})
    finally:
        own.unlink()


def test_a_value_that_is_usual_on_one_data_set_alone_runs_on_both() -> None:
    usual = {"a": {"x": 1, "y": 0}, "b": {"x": 2, "y": 0}}
    assert reduced([{"x": 1}, {"x": 2}, {"y": 0}, {"x": 1, "y": 0}, {"y": 3}], usual) == [
        {"x": 1}, {"x": 2}, {"x": 1}, {"y": 3}
    ]  # fmt: skip


def test_other_models_and_their_options_by_name(data: Path) -> None:
    found = options_of(data, model="SimGCL", vary={"n_layers": [1, 2, 3]}, grid={})
    assert set(found) >= {"SimGCL", "n_layers=1"}


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
@example(0.1, 0.1 + 1e-9)
def test_different_values_have_different_names(a: float, b: float) -> None:
    if a != b:
        assert text_of(a) != text_of(b)
        assert label_of("M", {"x": a}) != label_of("M", {"x": b})
    assert float(text_of(a)) == a


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"vary": {"x": 3}}, "`vary` is {'x': 3}; it must be a mapping"),
        ({"vary": {"x": []}}, "it must be a mapping"),
        ({"vary": [1]}, "`vary` is [1]"),
        ({"vary": {"x": [1, 2, 1.0]}}, "`vary` has a value of `x` twice: [1, 2, 1.0]"),
        ({"grid": {"x": [1]}}, "`grid` has 1 options (x); give two, or {}"),
        ({"vary": {}, "grid": {}}, "`vary` and `grid` are empty"),
    ],
)
def test_mistakes_are_explained(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**{"model": "VAGNN", "vary": VARY, "grid": {}, **entries})
    assert message in str(caught.value)


def test_unknown_options_are_named(data: Path) -> None:
    with pytest.raises(InputError, match=r"Unknown option 'n_layer' for VAGNN. Did you mean 'n_layers'"):
        options_of(data, vary={"n_layer": [1]})


# --- what is found ----------------------------------------------------------------------------------------------

MEANS = {
    "VAGNN": 0.30,
    "ssl_weight=0": 0.24,
    "ssl_weight=0.5": 0.33,
    "n_layers=1": 0.30,
    "ssl_tau=0.2": 0.27,
    "ssl_tau=0.2, ssl_weight=0.5": 0.36,
}


def values(job: Job) -> np.ndarray:
    label = job.contestant.label
    return MEANS[label] + (0.0 if label == "VAGNN" else 0.02) * noise(label)


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensitivity")
    conduct("sensitivity", values, folder, data, datasets=("toy",), seeds=2, entries=ENTRIES)
    return folder


def test_points_stand_at_their_values(out: Path) -> None:
    table = pd.read_csv(out / "sensitivity.csv", dtype={"value": str})
    lines = table[table["option"].isin(VARY)].set_index(["option", "value"])
    assert lines["test_recall@10"].round(9).to_dict() == {
        ("ssl_weight", "0.0"): 0.24,
        ("ssl_weight", "0.05"): 0.30,
        ("ssl_weight", "0.5"): 0.33,
        ("n_layers", "1"): 0.30,
        ("n_layers", "2"): 0.30,
    }
    assert lines["usual"].to_dict() == {key: key[1] in ("0.05", "2") for key in lines.index}
    assert lines["differs"].to_dict() == {
        key: key in (("ssl_weight", "0.0"), ("ssl_weight", "0.5")) for key in lines.index
    }
    assert lines["valid"].to_numpy() == pytest.approx(lines["test_recall@10"].to_numpy() + 0.1)
    half = 2.0009953 * 0.02 * np.sqrt(USERS / (USERS - 1)) / np.sqrt(USERS)
    assert lines.loc[("n_layers", "1"), "paired_half_interval"] == pytest.approx(half, rel=1e-6)
    crossed = table[table["option"] == "ssl_weight × ssl_tau"].set_index("value")["test_recall@10"].round(9)
    assert crossed.to_dict() == {"0.05 × 0.05": 0.30, "0.05 × 0.2": 0.27, "0.5 × 0.05": 0.33, "0.5 × 0.2": 0.36}


def test_words_begin_with_what_moves_accuracy_most(out: Path) -> None:
    found = (out / "report.html").read_text().split("<li>")
    assert found[1].startswith(
        "toy, ssl_weight from 0 to 0.5: Recall@10 moves by 0.0900 (30.0 % of the usual setting&#x27;s), from 0.2400 at "
        "0 to 0.3300 at 0.5; validation prefers 0.5, usual is 0.05; 2 of 3 values differ significantly"
    )
    assert found[2].startswith("toy, n_layers from 1 to 2: Recall@10 moves by 0.0000")
    assert {path.name for path in (out / "figures").iterdir()} == {"toy.sensitivity.png", "toy.heat.png"}


def test_missing_runs_leave_gaps(data: Path, tmp_path: Path) -> None:
    schedule = Written(values, failing="ssl_weight=0.5")
    conduct("sensitivity", schedule, tmp_path, data, datasets=("toy",), seeds=1, entries=ENTRIES)
    table = pd.read_csv(tmp_path / "sensitivity.csv", dtype={"value": str})
    gaps = table[table["test_recall@10"].isna()]["value"].tolist()
    assert gaps == ["0.5", "0.5 × 0.05"]
