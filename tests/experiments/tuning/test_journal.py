"""The diary of a search: whatever is killed, what was written can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.experiments.tuning import journal as module
from recbole_vagnn.experiments.tuning.journal import Journal


def row(number: int, best: float, **more: Any) -> dict[str, Any]:
    return {
        "evaluation": number,
        "epoch": 2 * number - 1,
        "score": best / 2,
        "best": best,
        "best_epoch": 1,
        "loss": 0.1 + number,
        "seconds": 0.5,
        "total_seconds": 0.5 * number,
        "node": f"host {number}",
        "ended": "",
        "valid_recall@10": best / 3,
        **more,
    }


def written(path: Path) -> Journal:
    """Two trials, of which the second died after its second evaluation and repeats it."""
    journal = Journal(path)
    journal.session()
    journal.started("a", {"rate": 0.1})
    journal.started("b", {"rate": 0.2})
    journal.evaluated("b", row(1, 0.3))
    journal.evaluated("b", row(2, 0.4))
    journal.evaluated("b", row(3, 0.9))
    journal.started("b", {"rate": 0.2})
    journal.evaluated("b", row(2, 1 / 3))
    journal.ended("b", "stopped")
    journal.ended("a", "failed", "wrong")
    return journal


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    journal = written(tmp_path / "journal")
    again = Journal(tmp_path / "journal")
    assert again.trials == journal.trials
    assert again.records([], 7)[0] == journal.records([], 7)[0]


def test_what_a_retried_trial_repeats_takes_the_place_of_what_it_reported_before(tmp_path: Path) -> None:
    trials, epochs = written(tmp_path / "journal").records([{"rate": 0.2}], 7)
    assert list(epochs["epoch"]) == [1, 3]
    assert list(epochs["best"]) == [0.3, 1 / 3]
    assert list(epochs.columns) == [
        "trial", "number", "epoch", "score", "best", "loss", "seconds", "valid_recall@10",
    ]  # fmt: skip
    failed, stopped = trials
    assert (failed.trial, failed.number, failed.state, failed.error) == ("a", 0, "failed", "wrong")
    assert (failed.score, failed.epochs, failed.attempts, failed.first) == (None, 0, 1, False)
    assert (stopped.trial, stopped.number, stopped.state) == ("b", 1, "stopped")
    assert (stopped.score, stopped.best_epoch, stopped.epochs, stopped.seconds) == (1 / 3, 1, 4, 1.0)
    assert (stopped.attempts, stopped.first, stopped.seed, stopped.node) == (2, True, 7, "host 2")


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 20):
        path.write_bytes(whole[:length])
        journal = Journal(path)
        assert path.read_bytes() == whole[:length]  # somebody may be writing
        assert (journal.trials["a"].state, journal.trials["b"].state) == ("", "stopped")
        journal.session()
        journal.ended("a", "finished")
        assert Journal(path).trials["a"].state == "finished"
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_trials_that_ray_forgot_do_not_count_once_the_search_is_over(tmp_path: Path) -> None:
    written(tmp_path / "journal").finish("all trials done", False, ["b"])
    again = Journal(tmp_path / "journal")
    assert (again.over, again.hopeless) == ("all trials done", False)
    assert [(trial.trial, trial.number) for trial in again.records([], 7)[0]] == [("b", 0)]
    assert list(again.records([], 7)[1]["number"]) == [0, 0]


def test_time_between_sessions_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.0, 109.0, 5000.0, 5001.0])
    monkeypatch.setattr(module.time, "time", lambda: next(clock))
    for _ in range(2):
        journal = Journal(tmp_path / "journal")
        journal.session()
        journal.started("a", {})
        if journal.trials["a"].starts == 1:
            journal.ended("a", "failed")
    assert Journal(tmp_path / "journal").seconds == 10.0


def test_of_equal_points_one_counts_as_tried_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for name in ("a", "b"):
        journal.started(name, {"rate": 0.1})
    assert [trial.first for trial in journal.records([{"rate": 0.1}], 7)[0]] == [True, False]
