"""Records of searches on the disk; damaged ones name file, line and column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.store import read, write_data, write_file
from tests.experiments.tuning.cases import evaluations, search_record, trial


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = trial(0, 0.1 + 0.2, "stopped", 7, node="host, rack 1", error='two\nlines, "quoted"')
    odd = replace(odd, trial="007", config={"rate": 1e-05, "layers": 3, "kind": None, "extra": [64, "7", True]})
    record = search_record(trials=[odd, trial(1, None, "failed", 0)], epochs=evaluations([odd]), label="A, b")
    write_data(record, tmp_path)
    again = read(tmp_path)
    assert again.trials[0] == odd
    assert again.trials[1].config == record.trials[1].config
    assert (again.label, again.space, again.budget) == (record.label, record.space, record.budget)
    pd.testing.assert_frame_equal(again.epochs, record.epochs)


def test_evaluations_that_a_retried_trial_repeated_count_once(tmp_path: Path) -> None:
    record = search_record(2)
    again = record.epochs[record.epochs["epoch"] == 3].assign(loss=99.0)
    write_data(replace(record, epochs=pd.concat([record.epochs, again])), tmp_path)
    epochs = read(tmp_path).epochs
    assert len(epochs) == len(record.epochs)
    assert set(epochs.loc[epochs["epoch"] == 3, "loss"]) == {99.0}


@pytest.mark.parametrize("bigger", [True, False])
def test_the_winner_is_the_best_that_did_not_fail_and_of_equal_ones_the_first(bigger: bool) -> None:
    sign = 1 if bigger else -1
    scores = [(0.1, "finished"), (0.3, "stopped"), (0.3, "finished"), (0.9, "failed"), (float("nan"), "finished")]
    trials = [trial(number, sign * score, state, 4) for number, (score, state) in enumerate(scores)]
    record = search_record(trials=trials, bigger=bigger)
    assert record.best is trials[1]
    assert search_record(trials=[]).best is None


@pytest.mark.parametrize(("bigger", "first", "best"), [(True, 0.2, 0.3), (False, 0.3, 0.15)])
def test_the_gain_is_in_percent_of_the_point_tried_first(bigger: bool, first: float, best: float) -> None:
    trials = [trial(0, first, "finished", 4), trial(1, best, "finished", 4)]
    assert search_record(trials=trials, bigger=bigger).gain() == pytest.approx(50.0)
    trials[0] = replace(trials[0], first=False)
    assert search_record(trials=trials, bigger=bigger).gain() is None


def test_a_shipped_space_begins_with_the_authors_setting() -> None:
    space = search_record().space
    shipped = search_record(space=replace(space, source="/x/properties/search/BPR.yaml"))
    assert (search_record().start_name, shipped.start_name) == ("first point", "authors' setting")


def test_a_record_names_a_shipped_space_without_where_this_machine_has_it(tmp_path: Path) -> None:
    space = search_record().space
    write_data(search_record(space=replace(space, source="/x/properties/search/BPR.yaml")), tmp_path)
    again = read(tmp_path)
    assert (again.space.source, again.start_name) == ("properties/search/BPR.yaml", "authors' setting")


DAMAGE = {
    "no search": (("record.json", None, ""), "holds no search: record.json is missing"),
    "not JSON": (("record.json", "{", "["), "record.json is not of `recbole-vagnn tune`"),
    "state": (("trials.csv", ",plateau,", ",sleeping,"), "trials.csv, line 2: state is 'sleeping'"),
    "column": (("trials.csv", "best_epoch", "besst_epoch"), "has no column best_epoch"),
    "number": (("trials.csv", "t0,0,", "t0,zero,"), "trials.csv, line 2: number is 'zero'"),
    "cells": (("trials.csv", "t1,1,", "t1,1,7,"), "trials.csv, line 3: a row needs"),
    "epochs": (("epochs.csv", "loss", "lost"), "epochs.csv has no column loss"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_with_its_place(tmp_path: Path, case: str) -> None:
    (name, before, after), message = DAMAGE[case]
    write_data(search_record(3), tmp_path)
    path = tmp_path / name
    if before is None:
        path.unlink()
    else:
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))
    with pytest.raises(InputError) as refused:
        read(tmp_path)
    assert message in str(refused.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_file(tmp_path / "deep" / "file", "old")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
