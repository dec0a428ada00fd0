"""Hours are what epochs and runs make of what was timed, or of runs that are finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.benchmark import Todo
from recbole_vagnn.experiments.plan import Condition, Contestant, Plan
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.cost import TYPICAL_EPOCHS, Cost, Part, cost_of, hours_text, time_epoch, within
from tests.experiments.studies.cases import USERS, clock, record
from tests.experiments.toy import toy_job

PLAN = Plan(
    (Contestant("A", "VAGNN"), Contestant("B", "VAGNN", {"n_layers": 1}), Contestant("E", "EASE")),
    ("toy",),
    (1, 2),
    {"epochs": 200},
)


def todo(folder: Path, plans: list[Plan], finished: int = 0, **row: float) -> Todo:
    """All runs of plans, the first so many finished."""
    import numpy as np

    jobs = [job for plan in plans for job in plan.jobs()]
    records = Records(folder)
    for job in jobs[:finished]:
        records.add(record(job, np.zeros(USERS), np.ones(USERS, dtype=np.int64), **row))
    return Todo(jobs, jobs[finished:], records)


def test_a_timed_epoch_makes_the_hours(data: Path, tmp_path: Path) -> None:
    """12 s an epoch and 3 s beside: 4 runs of VA-GNN, 2 of a linear model of one epoch."""
    asked: list[str] = []
    cost = cost_of(todo(tmp_path, [PLAN]), data, lambda job: asked.append(job.contestant.label) or clock(job), 2)
    assert asked == ["A", "E"]
    assert [(part.model, part.runs, part.most_epochs, part.epochs) for part in cost.parts] == [
        ("VAGNN", 4, 200, TYPICAL_EPOCHS),
        ("EASE", 2, 1, 1),
    ]
    linear = 2 * (3 + 12)
    assert cost.likely == pytest.approx(2 * (4 * (3 + 100 * 12) + linear) / 3600)
    assert cost.most == pytest.approx(2 * (4 * (3 + 200 * 12) + linear) / 3600)
    assert "6 runs to make, 0 finished before" in cost.text()
    assert "an epoch of each was timed; 2 threads a run" in cost.text()


def test_finished_runs_are_believed_more_than_a_timed_epoch(data: Path, tmp_path: Path) -> None:
    row = {"epochs": 50, "train_seconds": 90.0, "valid_seconds": 10.0, "total_seconds": 110.0}
    one = todo(tmp_path, [PLAN], finished=3, **row)
    cost = cost_of(one, data, lambda job: pytest.fail("nothing is to be timed"), 1)
    vagnn, linear = cost.parts
    assert (vagnn.runs, vagnn.seconds, vagnn.epoch_seconds, vagnn.epochs) == (2, 10.0, 2.0, 50.0)
    assert (linear.runs, linear.most_epochs) == (1, 1)
    assert cost.finished == 3
    assert "from finished runs" in cost.text()


def test_how_long_others_trained_is_expected_of_what_is_timed(data: Path, tmp_path: Path) -> None:
    row = {"epochs": 40, "train_seconds": 80.0, "valid_seconds": 0.0, "total_seconds": 80.0}
    plans = [PLAN, replace(PLAN, contestants=(Contestant("L", "LightGCN"),))]
    cost = cost_of(todo(tmp_path, plans, finished=2, **row), data, clock, 1)
    assert {part.model: part.epochs for part in cost.parts} == {"EASE": 1, "VAGNN": 40, "LightGCN": 40}


def test_conditions_are_one_part_and_data_sets_that_are_alike_too(data: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, contestants=PLAN.contestants[:1], datasets=("toy", "followed"))
    changed = replace(plan, condition=Condition("c", {"degradation": {"links_removed": 0.5}}))
    runs = todo(tmp_path, [plan, changed])
    apart, alike = (cost_of(runs, data, clock, 1, alike=alike) for alike in (False, True))
    assert [(part.dataset, part.runs) for part in apart.parts] == [("toy", 4), ("followed", 4)]
    assert [(part.dataset, part.runs) for part in alike.parts] == [("2 data sets", 8)]
    assert apart.most == alike.most


def test_fewer_epochs_than_typical_are_all_that_is_expected(data: Path, tmp_path: Path) -> None:
    cost = cost_of(todo(tmp_path, [replace(PLAN, options={"epochs": 5})]), data, clock, 1)
    assert cost.parts[0].epochs == cost.parts[0].most_epochs == 5


PARTS = (Part("d", "VAGNN", 10, 60.0, 36.0, 100, 300, True), Part("d", "EASE", 10, 0.0, 36.0, 1, 1, True))


def test_a_budget_is_kept_by_the_epochs_that_the_message_names() -> None:
    cost = Cost(PARTS, 0, 1)
    assert cost.most == pytest.approx((10 * (60 + 300 * 36) + 10 * 36) / 3600)
    within(cost, None)
    within(cost, cost.most)
    with pytest.raises(InputError, match=r"may need 30\.3 CPU hours, more than --hours 8 .*--epochs 77 \(the same"):
        within(cost, 8)
    for epochs, fits in ((77, True), (78, False)):
        cut = replace(PARTS[0], most_epochs=epochs)
        assert (Cost((cut, PARTS[1]), 0, 1).most <= 8) is fits


def test_a_budget_for_less_than_an_epoch_names_none() -> None:
    with pytest.raises(InputError, match=r"stop early as usual\)\. Give fewer --seeds"):
        within(Cost(PARTS, 0, 1), 0.2)


def test_hours_in_words() -> None:
    assert [hours_text(hours) for hours in (3.46, 1.0, 0.5, 1 / 60, 0.001)] == [
        "3.5 CPU hours", "1.0 CPU hours", "30 CPU minutes", "1 CPU minute", "1 CPU minute"
    ]  # fmt: skip


def test_nothing_left_costs_nothing(data: Path, tmp_path: Path) -> None:
    cost = cost_of(todo(tmp_path, [PLAN], finished=6), data, clock, 1)
    assert (cost.parts, cost.most) == ((), 0)
    assert cost.text() == "Nothing to run: all 6 runs are finished."


def test_an_epoch_is_timed_in_a_process_of_its_own(data: Path) -> None:
    row = time_epoch(toy_job("BPR", epochs=50), data, 1)
    assert row["epochs"] == 1
    assert 0 < row["train_seconds"] < row["total_seconds"]


def test_a_run_that_fails_at_once_stops_the_study(data: Path) -> None:
    with pytest.raises(InputError, match=r"VAGNN on toy fails in its first epoch: .*topk.* has 30 items"):
        time_epoch(toy_job("VAGNN", topk=[10, 50]), data, 1)
