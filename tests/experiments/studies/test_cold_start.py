"""Cold start: groups, users held down and their accuracy, from positions that are known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.cold_start import Settings, breakdowns
from recbole_vagnn.experiments.studies.cold_start_figures import told_apart
from recbole_vagnn.experiments.studies.positions import REFERENCE, TABLE
from tests.experiments.studies.cases import USERS, Written, conduct

ENTRIES = {
    "models": ["Pop", "EASE"],
    "ours": "EASE",
    "held_down_to": [1, 2],
    "users_held_down": 0.5,
    "held_down_from": 5,
}
HELD = np.arange(1, USERS + 1) > 50  # those whose history the scheduler cuts


def values(job: Job) -> np.ndarray:
    """Of users held down: 0.1 with one interaction, 0.2 with two, 0.6 with all; others 0.4. Pop is 0.05 below."""
    length = (job.options.get("degradation") or {}).get("held_down_to")
    of_held = {1: 0.1, 2: 0.2, None: 0.6}[length]
    return np.where(HELD, of_held, 0.4) - 0.05 * (job.contestant.label == "Pop")


def measured(job: Job) -> dict[str, pd.DataFrame]:
    """User n's interaction: history and popularity n, found by EASE unless its video is one of the 15 rarest."""
    n = np.arange(1, USERS + 1)
    found = (n > 15) & (job.contestant.label == "EASE") | (n > 45)
    position = np.where(found, 1 + (n + job.seed) % 14, 0)  # 1 … 14: half of the seeds have it behind the tenth place
    table = {
        "user": [f"u{i}" for i in range(USERS)],
        "item": [f"i{i}" for i in range(USERS)],
        "position": position,
        "history": n,
        "popularity": n,
        "age": np.where(n % 6 == 0, np.nan, n / 100),
        "vlogger": np.where(n % 4 == 0, "", "v"),
        "vlogger_videos": np.where(n % 4 == 0, 0, 1 + n % 2),
        "vlogger_popularity": n,
    }
    return {TABLE: pd.DataFrame(table).sample(frac=1, random_state=job.seed)}  # the order of rows means nothing


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cold")
    schedule = Written(values, measured=measured)
    conduct("cold-start", schedule, folder, data, datasets=("toy",), seeds=2, entries=ENTRIES)
    assert {job.probe.reference for job in schedule.jobs if job.probe} == {REFERENCE}
    return folder


def hits(n: np.ndarray, label: str) -> np.ndarray:
    """(users,) hits at 10 averaged over the seeds 2020 and 2021, by the definition above."""
    found = (n > 15) & (label == "EASE") | (n > 45)
    return np.mean([found & (1 + (n + seed) % 14 <= 10) for seed in (2020, 2021)], axis=0)


def test_groups_are_quarters_with_their_means(out: Path) -> None:
    table = pd.read_csv(out / "cold_start.csv")
    popularity = table[table["by"] == "popularity of the video"]
    assert popularity["group"].unique().tolist() == ["1–15", "16–30", "31–45", "46–60"]
    assert popularity["interactions"].unique().tolist() == [15]
    for label in ("Pop", "EASE"):
        own = popularity[popularity["model"] == label]["hit@10"].tolist()
        expected = [hits(np.arange(low, low + 15), label).mean() for low in (1, 16, 31, 46)]
        assert own == pytest.approx(expected)
        assert (own[0] == 0) & (own[3] > 0.5)


def test_what_nothing_is_known_of_is_a_group_of_its_own(out: Path) -> None:
    table = pd.read_csv(out / "cold_start.csv")
    n = np.arange(1, USERS + 1)
    sizes = table[(table["by"] == "size of the vlogger") & (table["model"] == "EASE")].set_index("group")
    assert sizes["interactions"].to_dict() == {"1": 15, "2": 30, "unknown": 15}
    assert sizes.loc["unknown", "hit@10"] == pytest.approx(hits(n[n % 4 == 0], "EASE").mean())
    ages = table[(table["by"] == "age of the video") & (table["model"] == "EASE")]
    assert ages["group"].iloc[-1] == "unknown"
    assert ages["interactions"].iloc[-1] == 10
    assert ages["group"].iloc[0].startswith("1–")
    assert ages["interactions"].sum() == USERS


def test_users_held_down_are_followed_from_short_to_whole_histories(out: Path) -> None:
    table = pd.read_csv(out / "cold_start.csv")
    held = table[table["by"] == "users held down"].set_index(["model", "group"])
    assert held["interactions"].unique().tolist() == [10]
    assert held["recall@10"].round(9).to_dict() == {
        ("Pop", "1"): 0.05, ("Pop", "2"): 0.15, ("Pop", "all"): 0.55,
        ("EASE", "1"): 0.1, ("EASE", "2"): 0.2, ("EASE", "all"): 0.6,
    }  # fmt: skip
    text = (out / "report.html").read_text()
    assert (
        "toy, 10 users held down, EASE: with 1 training interaction Recall@10 0.1000, place 1 of 2 (next: Pop "
        "0.0500*); with 2 training interactions Recall@10 0.2000"
    ) in text
    assert {path.name for path in (out / "figures").iterdir()} == {"toy.cold-start.png", "toy.held-down.png"}


def test_stars_mark_differences_that_are_told_apart(out: Path) -> None:
    """EASE finds what Pop finds and the middle popularities too: nothing differs in the first and last quarter."""
    text = (out / "report.html").read_text()
    assert "1–15: 0.000 against 0.000 of Pop; 16–30: " in text
    assert re.search(r"16–30: 0\.[1-9]\d\d against 0\.000\* of Pop", text)
    rows = pd.read_csv(out / "cold_start.csv")
    groups = rows[rows["by"] != "users held down"].groupby(["by", "group"]).ngroups
    found = re.search(
        r"of (\d+) groups of interactions, EASE finds significantly more than the best rival in (\d+)", text
    )
    assert found is not None
    assert int(found[1]) == groups
    assert 0 < int(found[2]) < groups
    assert "significantly less in 0, and" in text
    difference = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    assert told_apart(difference, np.zeros(8)) == (stats.ttest_rel(difference, np.zeros(8)).pvalue < 0.05)
    assert told_apart(np.ones(12), np.r_[np.zeros(6), np.ones(6)])
    assert stats.ttest_rel(np.ones(12), np.r_[np.zeros(6), np.ones(6)]).pvalue < 0.05
    assert not told_apart(np.ones(1), np.zeros(1))


def test_data_without_vloggers_or_time_have_fewer_groups(data: Path, tmp_path: Path) -> None:
    def poor(job: Job) -> dict[str, pd.DataFrame]:
        (table,) = measured(job).values()
        return {TABLE: table.assign(age=np.nan, vlogger="", vlogger_videos=0)}

    conduct("cold-start", Written(values, measured=poor), tmp_path, data, datasets=("toy",), seeds=1, entries=ENTRIES)
    found = breakdowns(Records(tmp_path), "toy", ["Pop", "EASE"])
    assert [breakdown.name for breakdown in found] == ["activity of the user", "popularity of the video"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"ours": "VAGN"}, "`ours` is 'VAGN', which is not among the models"),
        ({"held_down_to": [1, 5]}, "`held_down_to` is [1, 5]; it must be a list of whole numbers above 0 and below"),
        ({"held_down_to": [0]}, "above 0 and below `held_down_from` (5)"),
    ],
)
def test_mistakes_are_explained(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**{**ENTRIES, "change_seed": 1, **entries})
    assert message in str(caught.value)
