"""Quality of vlogger data: the conditions that are asked for, and where a line meets the floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.studies.run import Asked, make_request
from recbole_vagnn.experiments.studies.study import load_study
from recbole_vagnn.experiments.studies.vlogger_quality import meeting, plans
from tests.experiments.studies.cases import USERS, conduct, noise

ENTRIES = {"models": ["VAGNN"], "shares": [0.5, 0.9], "orders": ["random", "popular"]}


def made(data: Path, datasets: tuple[str, ...], **entries: Any) -> Any:
    asked = Asked(datasets, 1, entries={**ENTRIES, **entries})
    return plans(make_request("vlogger-quality", load_study("vlogger-quality"), asked, data))


def test_conditions_change_what_their_names_say_on_data_that_have_it(data: Path) -> None:
    base, *changed = made(data, ("toy", "followed"))
    assert base.labels == ("VAGNN", "vlogger free")
    assert (base.datasets, base.condition) == (("toy", "followed"), None)
    conditions = {plan.condition.label: (plan.condition.options["degradation"], plan.datasets) for plan in changed}
    assert len(conditions) == len(changed) == 4 * 2 * 2
    assert conditions["links-removed-0.5"] == (
        {"links_removed": 0.5, "order": "random", "seed": 2020}, ("toy", "followed")
    )  # fmt: skip
    assert conditions["follows-corrupted-0.9-popular"] == (
        {"follows_corrupted": 0.9, "order": "popular", "seed": 2020}, ("followed",)
    )  # fmt: skip
    assert all(plan.labels == ("VAGNN",) for plan in changed)
    for plan in changed:
        plan.check(data)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"changes": ["links_lost"]}, "`changes` has 'links_lost'; choose among: links_removed"),
        ({"floor": "LightGCN"}, "`floor` is 'LightGCN'; it must be {model: NAME, variant: NAME}"),
        ({"shares": [0.5, 1]}, "`shares` is [0.5, 1]; it must be a list of numbers above 0 and below 1"),
        ({"models": [{"A": 1}]}, "`models`: model {'A': 1} is not understood"),
    ],
)
def test_mistakes_are_explained(data: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        made(data, ("toy",), **entries)
    assert message in str(caught.value)


# --- where a line meets the floor ---------------------------------------------------------------------------------


def test_lines_meet_the_floor_between_points() -> None:
    shares = (0.0, 0.5, 1.0)
    assert meeting(shares, (0.5, 0.3, 0.1), 0.2) == pytest.approx(0.75)
    assert meeting(shares, (0.5, 0.1, 0.4), 0.2) == pytest.approx(0.375)
    assert meeting(shares, (0.5, 0.3, 0.2), 0.2) is None
    assert meeting(shares, (0.1, 0.3, 0.5), 0.2) == 0.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 0.99))
def test_before_the_meeting_nothing_is_below_the_floor(means: list[float], floor: float) -> None:
    shares = np.linspace(0, 1, len(means)).tolist()
    met = meeting(shares, means, floor)
    before = [mean for share, mean in zip(shares, means, strict=True) if met is None or share < met]
    assert all(mean >= floor for mean in before)
    if met is not None:
        assert min(means) < floor
        assert np.interp(met, shares, means) == pytest.approx(floor, abs=1e-6) or met == 0


# --- what is found ----------------------------------------------------------------------------------------------


def values(job: Job) -> np.ndarray:
    """Removing takes 0.2 a share from 0.5, more of popular ones; the floor is 0.4."""
    change = job.options.get("degradation") or {}
    lost = change.get("links_removed", 0) * (0.4 if change.get("order") == "popular" else 0.1)
    mean = 0.4 if job.contestant.label == "vlogger free" else 0.5 - lost
    return mean + 0.01 * noise(job.contestant.label, job.data)


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    entries = {**ENTRIES, "changes": ["links_removed"]}
    conduct("vlogger-quality", values, folder, data, datasets=("toy",), seeds=2, entries=entries)
    return folder


def test_lines_hold_the_runs_of_their_conditions(out: Path) -> None:
    table = pd.read_csv(out / "vlogger_quality.csv").set_index(["order", "share"])
    assert table["test_recall@10"].round(9).to_dict() == {
        ("random", 0.0): 0.5, ("random", 0.5): 0.45, ("random", 0.9): 0.41,
        ("popular", 0.0): 0.5, ("popular", 0.5): 0.3, ("popular", 0.9): 0.14,
    }  # fmt: skip
    assert table["floor"].round(9).unique().tolist() == [0.4]
    # nothing removed is the same run in both orders, and all differences are far above the scatter
    assert table["differs"].tolist() == [True] * 6


def test_words_tell_where_the_floor_is_met(out: Path) -> None:
    text = (out / "report.html").read_text()
    assert "toy: the floor (vlogger free) has Recall@10 0.4000." in text
    random = "toy, links removed (random), VAGNN: 0.5000 at 0 %, 0.4500 at 50 %, 0.4100 at 90 %."
    assert (
        f"{random} The mean stays above the floor up to 90 %; 3 of 3 points are significantly above the floor." in text
    )
    assert "0.1400 at 90 %. The mean falls below the floor at about 25 %; 1 of 3 points are significantly above" in text


def test_floor_and_unchanged_data_are_trained_once(out: Path) -> None:
    runs = pd.read_csv(out / "runs.csv")
    assert (runs[runs["model"] == "vlogger free"]["dataset"] == "toy").all()
    assert len(runs) == 2 * (2 + 4)
    assert runs.groupby("dataset").size()["toy"] == 4
    assert set(runs["users"]) == {USERS}
