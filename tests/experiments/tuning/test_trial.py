"""A trial needs what it is sent, and nothing of the machine it runs on."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.experiments.tuning.toy_search import curve, data_of, toy_search
from tests.runs import write_toy


def test_a_machine_without_the_data_set_trains_the_same_curve(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path / "data")
    search = toy_search(tmp_path, data_path, model="VAGNN", space="space: {learning_rate: [0.01]}", epochs=3)
    data = data_of(search)
    here = [(told.score, told.loss) for told in curve(search, {"learning_rate": 0.01}, data)]
    shutil.rmtree(data_path)
    there = [(told.score, told.loss) for told in curve(search, {"learning_rate": 0.01}, data)]
    assert len(here) == 3
    assert there == here
