from __future__ import annotations

import csv

import numpy as np
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare import simulate as module
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.run import prepare
from recbole_vagnn.prepare.simulate import SOURCE, SimulateOptions
from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import simulate
from tests.prepare.raw import Reading, rows, tuples, types
from tests.simulation.cases import blocks_release

SIZES = {"users": 40, "videos": 200, "vloggers": 20, "interactions": 400}


def test_rows_are_those_of_the_platform(monkeypatch):
    monkeypatch.setattr(module, "_BATCH_ROWS", 37)
    data = Reading(options=SimulateOptions(**SIZES, feature_quality=0.5)).read(SOURCE)
    p = simulate(SimulationOptions(**SIZES, feature_quality=0.5))
    batches = list(data.log.batches)
    assert max(batch.num_rows for batch in batches) == 37
    assert types(batches) == {"user": "int64", "video": "int64", "time": "int64"}
    assert tuples(batches) == list(zip(*(x.tolist() for x in (p.views.user, p.views.video, p.views.time)), strict=True))
    items = rows(data.items.batches)
    assert [row["video"] for row in items] == list(range(200))
    assert [row["vlogger"] for row in items] == p.catalogue.vlogger_of.tolist()
    assert [row["topic"] for row in items] == p.shown_topic.tolist()
    assert data.items.keep == {"topic": "token"}
    follows = [p.follows.user, p.follows.vlogger, p.follows.time]
    assert tuples(data.follows.batches) == list(zip(*(x.tolist() for x in follows), strict=True))
    assert data.remarks == p.remarks()


def test_nothing_is_drawn_before_the_rows_are_read(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "simulate", lambda *args: calls.append(args) or simulate(*args))
    data = Reading(options=SimulateOptions(**SIZES)).read(SOURCE)
    assert calls == []
    assert data.remarks == []
    for part in (data.items, data.log, data.follows):
        assert rows(part.batches)
    assert len(calls) == 1


def test_defaults_are_the_models():
    assert SimulateOptions().model == SimulationOptions()
    assert SOURCE.positive == ("all",)
    assert SOURCE.input is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vlogger_effect": 1.5}, "`vlogger_effect` is 1.5"),
        ({"users": 100, "interactions": 200}, "100 users with at least 3 views"),
        ({"calibrate": "/nowhere/at/all"}, "--calibrate /nowhere/at/all is not a folder"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        SimulateOptions(**options)


def test_no_completeness_means_no_follows():
    assert Reading(options=SimulateOptions(**SIZES, follow_completeness=0.0)).read(SOURCE).follows is None


def test_follows_that_come_out_empty_are_an_error():
    data = Reading(options=SimulateOptions(**SIZES, follow_completeness=1e-6)).read(SOURCE)
    with pytest.raises(InputError, match="--follow-completeness 1e-06 leaves no follow pair"):
        rows(data.follows.batches)


def test_names_say_release_effect_and_seed(tmp_path):
    assert SOURCE.dataset_name(None, SimulateOptions()) == "simulated-e0.5-s2020"
    assert SOURCE.dataset_name(None, SimulateOptions(vlogger_effect=1, seed=3)) == "simulated-e1-s3"
    folder = tmp_path / "takatak"
    folder.mkdir()
    assert SOURCE.dataset_name(None, SimulateOptions(calibrate=str(folder))) == "simulated-takatak-e0.5-s2020"


def test_a_release_is_read_recorded_and_kept(tmp_path):
    release = blocks_release(tmp_path / "blocks")
    reading = Reading(options=SimulateOptions(calibrate=str(tmp_path / "blocks"), topics=2, interactions=100))
    data = reading.read(SOURCE)
    assert reading.touched == ["vlogger_video_data.txt", "user_vlogger_data2.txt", "data_size.txt"]
    assert reading.bytes_read == sum(path.stat().st_size for path in release.files)
    assert [row["vlogger"] for row in rows(data.items.batches)] == release.vlogger_of.tolist()


def test_sizes_beside_a_release_are_refused(tmp_path):
    blocks_release(tmp_path / "blocks")
    with pytest.raises(InputError, match="`videos` is 90, but --calibrate takes it from the release"):
        Reading(options=SimulateOptions(calibrate=str(tmp_path / "blocks"), videos=90)).read(SOURCE)


def test_prepared_files_hold_the_sizes_asked_for(tmp_path):
    prepared = prepare("simulate", data_path=tmp_path, options=SIZES | {"seed": 5})
    assert prepared.name == "simulated-e0.5-s5"

    def column(suffix, name):
        with (prepared.folder / f"{prepared.name}.{suffix}").open() as file:
            return [row[name] for row in csv.DictReader(file, delimiter="\t")]

    assert len(column("inter", "item_id:token")) == 400
    assert len(set(column("inter", "user_id:token"))) == 40
    assert len(set(column("item", "item_id:token"))) == 200  # with those that nobody watched
    assert len(set(column("item", "vlogger_id:token"))) == 20
    times = np.array(column("inter", "timestamp:float"), dtype=float)
    assert (times.astype(np.float32) == times).all()
    remarks = (prepared.folder / f"{prepared.name}.report.md").read_text()
    assert "of the views were chosen by loyalty" in remarks


def test_defaults_of_the_filters_are_valid():
    assert Filters(**SOURCE.defaults).cold_items
