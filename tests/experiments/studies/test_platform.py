"""Platform: the platforms have the effects asked for, and a model pays from where it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.studies.platform import Settings, dataset_of, pays_from, where_told_apart
from tests.experiments.studies.cases import Written, conduct, noise

ENTRIES = {"models": ["VAGNN", "EASE", "Pop"], "effects": [0.0, 0.5, 1.0], "interactions": 900}
NAMES = [f"simulated-n900-e{effect}-s2020" for effect in ("0", "0.5", "1")]
# By effect 0, 0.5, 1.
MEANS = {"VAGNN": (0.10, 0.20, 0.30), "EASE": (0.16, 0.18, 0.20), "Pop": (0.05, 0.05, 0.05)}


def values(job: Job) -> np.ndarray:
    return MEANS[job.contestant.label][NAMES.index(job.dataset)] + 0.005 * noise(job.contestant.label, job.dataset)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("platform")
    schedule = Written(values)
    conduct("platform", schedule, folder / "out", folder / "data", seeds=1, entries=ENTRIES)
    assert {job.dataset for job in schedule.jobs} == set(NAMES)
    return folder


def test_platforms_are_made_with_their_effects_and_kept(out: Path) -> None:
    assert sorted(path.name for path in (out / "data").iterdir()) == NAMES
    before = {}
    for name, effect in zip(NAMES, (0.0, 0.5, 1.0), strict=True):
        recipe = json.loads((out / "data" / name / f"{name}.prepare.json").read_text())
        assert f'"vlogger_effect": {effect}' in json.dumps(recipe)
        before[name] = (out / "data" / name / f"{name}.inter").stat().st_mtime_ns
    conduct("platform", Written(values), out / "again", out / "data", seeds=1, entries=ENTRIES, dry_run=True)
    assert before == {name: (out / "data" / name / f"{name}.inter").stat().st_mtime_ns for name in NAMES}


def test_gains_are_those_over_each_rival(out: Path) -> None:
    table = pd.read_csv(out / "out" / "platform.csv")
    recall = table[table["metric"] == "recall@10"].set_index(["rival", "effect"])["difference"].round(9)
    assert recall.to_dict() == {
        ("EASE", 0.0): -0.06, ("EASE", 0.5): 0.02, ("EASE", 1.0): 0.1,
        ("Pop", 0.0): 0.05, ("Pop", 0.5): 0.15, ("Pop", 1.0): 0.25,
    }  # fmt: skip


def test_words_tell_where_it_pays(out: Path) -> None:
    text = (out / "out" / "report.html").read_text()
    assert "Recall@10: of 3 models, VAGNN is best at effect 0.5, 1." in text
    gains = "VAGNN against EASE: −37.5 %* at 0, +11.1 %* at 0.5, +50.0 %* at 1"
    where = "the mean is ahead from an effect of about 0.38 on, significantly ahead at 0.5, 1 and significantly behind"
    assert f"{gains}; {where} at 0." in text
    assert "+500.0 %* at 1; the mean is ahead on all of these platforms, significantly ahead at 0, 0.5, 1." in text
    names = {path.name for path in (out / "out" / "figures").iterdir()}
    assert names == {"simulated-platforms.accuracy.png", "simulated-platforms.gain.png"}


def test_only_significant_differences_are_called_so() -> None:
    sure, unsure = {"t_p_two_sided_holm": 0.01}, {"t_p_two_sided_holm": 0.2}
    rows = {0.0: {**unsure, "difference": -0.1}, 0.5: {**unsure, "difference": 0.1}, 1.0: {**sure, "difference": 0.2}}
    assert where_told_apart(rows) == "significantly ahead at 1"
    assert where_told_apart({0.0: {**sure, "difference": -0.2}}) == "significantly behind at 0"
    assert where_told_apart({0.0: rows[0.0]}) == "significant nowhere"


def test_where_differences_stay_above_0() -> None:
    effects = (0.0, 0.5, 1.0)
    assert pays_from(effects, (-0.06, 0.02, 0.1)) == pytest.approx(0.375)
    assert pays_from(effects, (0.1, -0.1, 0.1)) == pytest.approx(0.75)
    assert pays_from(effects, (0.1, 0.1, 0.0)) is None
    assert pays_from(effects, (0.1, 0.2, 0.3)) == 0.0
    assert pays_from((), ()) is None


def test_a_platforms_name_says_what_it_is_made_from() -> None:
    settings = Settings(["VAGNN"], "VAGNN", [0.25], 5000, 7)
    assert dataset_of(settings, 0.25) == "simulated-n5000-e0.25-s7"
    with pytest.raises(InputError, match=r"`effects` is \[2\]; it must be a list of numbers from 0 to 1"):
        Settings(["VAGNN"], "VAGNN", [2], 5000, 7)
    with pytest.raises(InputError, match="`ours` is 'EASE', which is not among the models"):
        Settings(["VAGNN"], "EASE", [0.5], 5000, 7)
