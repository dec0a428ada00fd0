"""Positions of held-out interactions are those of the run's own metrics; what is known of them is counted by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Contestant, Job
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.records import Records, RunRecord
from recbole_vagnn.experiments.studies.positions import REFERENCE, TABLE
from tests.experiments.toy import OPTIONS, numbers, toy_job
from tests.helpers import write_dataset

N_USERS, N_ITEMS = 20, 26


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, int]]:
    """User n has 5 + n % 6 interactions, in the order of the rows of a user; user 19's are over before others begin."""
    rng = np.random.default_rng(3)
    return [
        (f"u{user}", f"i{item}", 1000 * (step + 1) + user if user < 19 else step)
        for user in range(N_USERS)
        for step, item in enumerate(rng.choice(N_ITEMS, 5 + user % 6, replace=False))
    ]


@pytest.fixture(scope="module")
def data(rows: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    items = sorted({item for _, item, _ in rows})
    item = [(name, f"v{int(name[1:]) % 4}" if int(name[1:]) % 5 else "") for name in items]
    return write_dataset(tmp_path_factory.mktemp("data"), rows, item)


def probed(data: Path, model: str, **options: Any) -> RunRecord:
    job = toy_job(model, **options)
    return execute(Job(job.dataset, job.contestant, job.seed, job.options, "authors", probe=Probe(REFERENCE)), data, 1)


@pytest.fixture(scope="module")
def record(data: Path) -> RunRecord:
    return probed(data, "VAGNN")


@pytest.mark.parametrize("model", ["VAGNN", "EASE", "ItemKNN", "Pop", "BPR", "NeuMF"])
def test_positions_give_the_metrics_of_the_run(data: Path, model: str) -> None:
    """Of models that rank by vectors, by matrices, by counts, and of one that cannot rank all items at once."""
    found = probed(data, model)
    table = found.measured[TABLE].set_index("user").loc[found.per_user["user"]]
    position = table["position"].to_numpy()
    assert len(table) == N_USERS
    for k in (5, 10):
        hit = (position > 0) & (position <= k)
        assert hit.astype(float).tolist() == found.per_user[f"recall@{k}"].tolist()
        gain = np.where(hit, 1 / np.log2(np.maximum(position, 1) + 1), 0.0)
        assert gain == pytest.approx(found.per_user[f"ndcg@{k}"].to_numpy(), abs=1e-12)
    assert 0 < (position > 0).sum() < N_USERS


def test_several_test_items_of_a_user_have_a_position_each(data: Path) -> None:
    split = {"eval_args": {"split": {"RS": [0.5, 0.1, 0.4]}, "order": "RO"}}
    found = probed(data, "EASE", **split)
    table = found.measured[TABLE]
    hits = ((table["position"] > 0) & (table["position"] <= 10)).groupby(table["user"]).mean()
    expected = found.per_user.set_index("user")["recall@10"]
    assert hits.loc[expected.index].to_numpy() == pytest.approx(expected.to_numpy())
    assert table.groupby("user").size().max() > 1
    assert len(table) == found.row["test"]


def test_sampled_candidates_are_ranked_as_in_the_evaluation(data: Path) -> None:
    """The candidates are drawn anew for the probe, so only what must hold for every draw can be asked."""
    table = probed(data, "EASE", eval_args={"mode": "uni10"}, topk=[10]).measured[TABLE]
    assert len(table) == N_USERS
    assert table["position"].between(0, 10).all()
    assert (table["position"] > 0).sum() >= N_USERS / 2  # 10 of 11 candidates are listed


def test_what_is_known_of_user_and_video_is_counted_in_training_data(
    rows: list[tuple[str, str, int]], record: RunRecord
) -> None:
    histories: dict[str, list[tuple[str, int]]] = {}
    for user, item, time in rows:
        histories.setdefault(user, []).append((item, time))
    training = [(user, item, time) for user, own in histories.items() for item, time in own[:-2]]
    popularity = Counter(item for _, item, _ in training)
    first = {item: min(t for _, other, t in training if other == item) for item in popularity}
    span = max(t for *_, t in training) - min(t for *_, t in training)
    table = record.measured[TABLE].set_index("user")
    assert {0.0} < set(table["age"].dropna())
    for user, own in histories.items():
        item, time = own[-1]
        row = table.loc[user]
        assert row["item"] == item
        assert row["history"] == len(own) - 2
        assert row["popularity"] == popularity[item]
        age = max(0, time - first[item]) / span if item in first else float("nan")
        assert row["age"] == pytest.approx(age, abs=1e-6, nan_ok=True)


def test_what_is_known_of_the_vlogger(rows: list[tuple[str, str, int]], record: RunRecord) -> None:
    items = {item for _, item, _ in rows}
    owner = {item: f"v{int(item[1:]) % 4}" if int(item[1:]) % 5 else "" for item in items}
    users: dict[str, list[str]] = {}
    for user, item, _ in rows:
        users.setdefault(user, []).append(item)
    training = Counter(owner[item] for own in users.values() for item in own[:-2])
    table = record.measured[TABLE]
    assert (table["vlogger"] == "").any()
    for row in table.to_dict("records"):
        vlogger = owner[row["item"]]
        assert row["vlogger"] == vlogger
        assert row["vlogger_videos"] == (sum(v == vlogger for v in owner.values()) if vlogger else 0)
        assert row["vlogger_popularity"] == (training[vlogger] if vlogger else 0)


def test_vloggers_are_the_true_ones_under_a_degradation(data: Path, record: RunRecord) -> None:
    changed = probed(data, "VAGNN", degradation={"links_removed": 0.9}).measured[TABLE]
    columns = ["user", "item", "vlogger", "vlogger_videos", "vlogger_popularity", "history"]
    pd.testing.assert_frame_equal(changed[columns], record.measured[TABLE][columns])


def test_a_probe_changes_nothing_of_the_run(data: Path, record: RunRecord) -> None:
    assert numbers(execute(toy_job("VAGNN"), data, 1)) == numbers(record)


def test_data_without_time_have_no_ages(tmp_path: Path) -> None:
    rows = [(f"u{u}", f"i{(u + s) % 14}") for u in range(9) for s in range(8)]
    item = [(f"i{n}", f"v{n % 3}") for n in range(14)]
    data = write_dataset(tmp_path, rows, item, inter_header="user_id:token item_id:token")
    split = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}}
    assert probed(data, "Pop", **split).measured[TABLE]["age"].isna().all()


def test_tables_come_back_from_the_records(tmp_path: Path, record: RunRecord) -> None:
    Records(tmp_path).add(record)
    ((key, table),) = Records(tmp_path).measured(TABLE)
    assert key == record.key
    pd.testing.assert_frame_equal(table, record.measured[TABLE])
    assert list(Records(tmp_path).measured("other")) == []
    assert (tmp_path / "measured" / TABLE / "toy.VAGNN.2020.parquet").is_file()


def test_conditions_are_data_sets_of_their_own(data: Path) -> None:
    options = {**OPTIONS, "seed": 1, "degradation": {"links_removed": 0.5}}
    job = Job("toy", Contestant("Pop", "Pop"), 1, options, "authors", condition="links-removed-0.5")
    plain = Job("toy", Contestant("Pop", "Pop"), 1, {**OPTIONS, "seed": 1}, "authors")
    one, other = execute(job, data, 1), execute(plain, data, 1)
    assert one.key == ("toy@links-removed-0.5", "Pop", 1)
    assert other.key == ("toy", "Pop", 1)
    assert one.row["fingerprint"] != other.row["fingerprint"]
    assert one.row["protocol"] == other.row["protocol"]
