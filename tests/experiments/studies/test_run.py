"""A study runs what its file and the command line say, once each, under one protocol, and goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.events import Listener
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Condition, Contestant, Job
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies import run as module
from recbole_vagnn.experiments.studies import study as studies
from recbole_vagnn.experiments.studies.run import Asked, make_request, run_study
from recbole_vagnn.experiments.studies.study import Request, Section, Study, load_study, variant_of
from recbole_vagnn.options import Options
from tests.experiments.studies.cases import USERS, Written, clock, conduct

OURS = ("ablation", "sensitivity", "vlogger-quality", "cold-start")  # studies of the given data sets, in this folder


def level(job: Job) -> np.ndarray:
    return np.full(USERS, 0.5)


# --- files and command line -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_shipped_files_say_all_that_their_study_needs(data: Path, name: str) -> None:
    study = load_study(name)
    request = make_request(name, study, Asked(datasets=("toy",)), data)
    plans = study.plans(request)
    assert plans
    for plan in plans:
        plan.check(data)
    assert make_request(name, study, Asked(), data).datasets == ("ml-100k-director",)


def test_the_command_line_changes_the_file(data: Path) -> None:
    asked = Asked(("toy",), 2, {"epochs": 7}, {"users_held_down": 0.3}, Path("t"))
    request = make_request("cold-start", load_study("cold-start"), asked, data)
    assert (request.datasets, request.seeds, request.options) == (("toy",), (2020, 2021), {"epochs": 7})
    assert (request.settings.users_held_down, request.settings.held_down_from) == (0.3, 10)
    assert (request.tuned, request.data_path) == (Path("t"), data)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("ablatoin", Asked(), "There is no study 'ablatoin'. Did you mean 'ablation'?"),
        ("ablation", Asked(entries={"variant": []}), "has no entry 'variant'. Did you mean 'variants'? Entries: model"),
        ("ablation", Asked(entries={"variants": []}), "`variants` is []; it must be a list of variants of VAGNN"),
        ("ablation", Asked(entries={"variants": ["no_hope"]}), "VAGNN has no variant 'no_hope'; its variants:"),
        ("ablation", Asked(entries={"model": "GTN"}), "GTN has no variant 'no_contrast'; its variants: none"),
        ("ablation", Asked(("gone",)), "Data set 'gone' is not in"),
        ("ablation", Asked(("toy",), options={"epoch": 3}), "Unknown option 'epoch'"),
        ("ablation", Asked(("toy",), options={"seed": 3}), "cannot set `seed`"),
        ("platform", Asked(("toy",)), "Study platform makes its own data sets: leave --datasets out"),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    data: Path, tmp_path: Path, name: str, asked: Asked, message: str
) -> None:
    schedule = Written(level)
    with pytest.raises(InputError) as caught:
        run_study(name, tmp_path / "out", schedule, clock, asked, data_path=data, console=Console(file=StringIO()))
    assert message in str(caught.value)
    assert schedule.jobs == []
    assert not (tmp_path / "out").exists()


def test_variants_start_from_the_tuned_model_and_keep_their_own_change(data: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "toy" / "VAGNN.yaml"
    tuned.parent.mkdir()
    tuned.write_text("ssl_weight: 0.3\nn_layers: 3\n")
    asked = Asked(("toy",), 1, tuned=tmp_path)
    (plan,) = load_study("ablation").plans(make_request("ablation", load_study("ablation"), asked, data))
    plan.check(data)
    options = {job.contestant.label: job.options for job in plan.jobs()}
    assert (options["VAGNN"]["ssl_weight"], options["VAGNN"]["n_layers"]) == (0.3, 3)
    assert (options["no contrast"]["ssl_weight"], options["no contrast"]["n_layers"]) == (0.0, 3)
    assert options["vlogger free"] | {"views": "video", "mix": "video"} == options["vlogger free"]
    assert variant_of("VAGNN", "no_contrast") == Contestant("no contrast", "VAGNN", {"ssl_weight": 0.0}, "VAGNN")


# --- the runs ---------------------------------------------------------------------------------------------------

SMALL = {"datasets": ("toy",), "seeds": 2, "entries": {"variants": ["no_contrast"]}}


def test_a_dry_run_says_the_cost_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    said, schedule = StringIO(), Written(level)
    screen = Console(file=said, width=200)
    outcome = conduct("ablation", schedule, tmp_path / "out", data, dry_run=True, console=screen, **SMALL)
    assert (schedule.jobs, outcome.files) == ([], [])
    assert not (tmp_path / "out").exists()
    text = " ".join(said.getvalue().split())
    assert "4 runs to make, 0 finished before: about 1.3 CPU hours, at most 4.0 CPU hours if none stops" in text


def test_seeds_come_first_over_all_plans(data: Path, tmp_path: Path) -> None:
    schedule = Written(level)
    entries = {"models": ["Pop", "EASE"], "ours": "EASE", "held_down_to": [1]}
    conduct("cold-start", schedule, tmp_path, data, datasets=("toy",), seeds=2, entries=entries | {"held_down_from": 5})
    assert [(job.seed, job.data, job.contestant.label) for job in schedule.jobs] == [
        (seed, data, label) for seed in (2020, 2021) for data in ("toy", "toy@held-down-1") for label in ("Pop", "EASE")
    ]


def test_files_are_written_whatever_fails(data: Path, tmp_path: Path) -> None:
    outcome = conduct("ablation", Written(level, failing="no contrast"), tmp_path, data, **SMALL)
    assert [failure.job.key for failure in outcome.failures] == [("toy", "no contrast", s) for s in (2020, 2021)]
    text = (tmp_path / "report.html").read_text()
    assert "no contrast on toy, seed 2020 (2 attempts): out of luck" in text
    assert "no contrast on toy: no run with seed 2020, 2021" in text
    assert "Made by <code>the command</code>" in text
    nothing = conduct("ablation", Written(level, failing="VAGNN"), tmp_path / "n", data, datasets=("toy",), seeds=1,
                      entries={"variants": ["no_contrast"]})  # fmt: skip
    assert (tmp_path / "n" / "report.html").is_file()
    assert nothing.records.keys() == {("toy", "no contrast", 2020)}


def test_an_interrupted_study_goes_on_with_resume_and_only_then(data: Path, tmp_path: Path) -> None:
    """Runs are real here: what stands in the folder must fit what a later process computes."""

    class Some:
        def __init__(self, most: int) -> None:
            self.most, self.ran = most, list[Any]()

        def __call__(self, jobs: Iterable[Job], data_path: str, listener: Listener) -> None:
            for job in jobs:
                if len(self.ran) == self.most:
                    raise KeyboardInterrupt
                self.ran.append(job.key)
                listener.finished(job, execute(job, data_path, 1))

    def go(schedule: Some, **more: Any) -> Any:
        asked = Asked(
            ("toy",), 1, {"topk": [5, 10]}, {"models": ["Pop", "EASE"], "ours": "EASE", "held_down_to": [1, 2],
                                             "held_down_from": 5, "users_held_down": 0.5})  # fmt: skip
        console = Console(file=StringIO())
        return run_study("cold-start", tmp_path, schedule, clock, asked, data_path=data, console=console, **more)

    with pytest.raises(KeyboardInterrupt):
        go(Some(3))
    assert len(Records(tmp_path).keys()) == 3
    assert "no run with seed 2020" in (tmp_path / "report.html").read_text()
    with pytest.raises(InputError, match=r"holds 3 finished run.*--resume"):
        go(Some(9))
    rest = Some(9)
    outcome = go(rest, resume=True)
    assert len(rest.ran) == 3
    assert outcome.records.keys() == {
        (data, label, 2020) for data in ("toy", "toy@held-down-1", "toy@held-down-2") for label in ("Pop", "EASE")
    }
    runs = outcome.records.runs
    assert runs.groupby("dataset")["fingerprint"].nunique().tolist() == [1, 1, 1]
    assert runs["fingerprint"].nunique() == 3
    assert runs["protocol"].nunique() == 1
    words = (tmp_path / "report.html").read_text()
    assert "12 users held down" in words
    assert pd.read_csv(tmp_path / "cold_start.csv")["group"].astype(str).isin(["1", "2", "all"]).any()


# --- plans that contradict each other ---------------------------------------------------------------------------


class _Empty(Options):
    pass


def stand_in(monkeypatch: pytest.MonkeyPatch, plans: Any) -> None:
    """A study whose plans are these, in place of the ablation."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Settings(_Empty):
        model: str
        variants: list[str]

    found = Study("Test", Settings, plans, lambda findings: Section())
    monkeypatch.setattr(module, "load_study", lambda name: found)


def test_no_run_stands_for_two(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plans(request: Request) -> list[Any]:
        return [request.plan([Contestant("A", "Pop")]), request.plan([Contestant("A", "EASE")])]

    stand_in(monkeypatch, plans)
    with pytest.raises(InputError, match="The study would run A on toy twice"):
        conduct("ablation", level, tmp_path, data, datasets=("toy",))


def test_conditions_share_the_protocol_of_their_data(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plans(request: Request) -> list[Any]:
        a = [Contestant("A", "Pop")]
        return [request.plan(a), request.plan(a, condition=Condition("odd", {"mask_valid_at_test": False}))]

    stand_in(monkeypatch, plans)
    with pytest.raises(InputError, match="another protocol on toy@odd than on toy"):
        conduct("ablation", level, tmp_path, data, datasets=("toy",))


def test_every_study_is_in_the_table_once() -> None:
    references = [reference for reference, _ in studies.STUDIES.values()]
    assert len(set(references)) == len(references)
    assert set(OURS) | {"platform"} <= set(studies.STUDIES)
