"""The files of an experiment: whole or not at all, exact, and never of two protocols."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.records import Records, file_name
from tests.experiments.cases import MODELS, SEEDS, record, write_records

KEY = ("films", "EASE", 2020)


def test_what_was_added_is_read_back_to_the_last_digit(tmp_path: Path) -> None:
    added = record(KEY, test_seconds=0.1 + 0.2)
    Records(tmp_path).add(added)
    read = Records(tmp_path)
    row = read.runs.iloc[0]
    for name, value in added.row.items():
        assert pd.isna(row[name]) if value is None else row[name] == value, name
    ((key, per_user),) = read.per_user()
    assert key == KEY
    pd.testing.assert_frame_equal(per_user, added.per_user, check_exact=True)
    ((key, curve),) = read.curves()
    assert key == KEY
    pd.testing.assert_frame_equal(curve, added.curve, check_exact=True)


def test_an_empty_or_missing_folder_has_no_runs(tmp_path: Path) -> None:
    records = Records(tmp_path / "none")
    assert records.keys() == set()
    assert list(records.per_user()) == list(records.curves()) == []


def test_keys_of_what_is_finished_survive_a_restart(tmp_path: Path) -> None:
    without = [("films", "EASE", 2021)]
    written = write_records(tmp_path, datasets=["films"], without=without)
    expected = {("films", model, seed) for model in MODELS for seed in SEEDS} - set(without)
    assert written.keys() == Records(tmp_path).keys() == expected


def test_a_run_of_the_same_key_is_replaced(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add(record(KEY, test_seconds=1.0))
    records.add(record(("films", "Pop", 2020)))
    records.add(record(KEY, test_seconds=2.0))
    assert len(Records(tmp_path).runs) == 2
    runs = Records(tmp_path).runs.set_index("model")
    assert runs.at["EASE", "test_seconds"] == 2.0


def test_a_kill_while_a_run_is_added_leaves_no_row_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row means that everything of the run is there; also when a run is replaced."""
    records = Records(tmp_path)
    records.add(record(("films", "Pop", 2020)))
    records.add(record(KEY))
    write = pd.DataFrame.to_csv

    def killed_at_the_curve(self: pd.DataFrame, path: Path, **options: object) -> None:
        if "curves" in str(path):
            raise KeyboardInterrupt
        write(self, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", killed_at_the_curve)
    for key in (KEY, ("films", "LightGCN", 2020)):
        with pytest.raises(KeyboardInterrupt):
            records.add(record(key))
    assert Records(tmp_path).keys() == {("films", "Pop", 2020)}
    assert not list(tmp_path.rglob("*.draft"))


@pytest.mark.parametrize("name", ["fingerprint", "protocol", "version", "settings"])
def test_runs_of_another_split_protocol_version_or_settings_are_refused(tmp_path: Path, name: str) -> None:
    records = Records(tmp_path)
    records.add(record(KEY))
    with pytest.raises(InputError, match=rf"1 run\(s\) on films with {name} '.*', this run has 'other'.*another --out"):
        records.add(record(("films", "Pop", 2020), **{name: "other"}))
    assert Records(tmp_path).keys() == {KEY}
    records.add(record(("goods", "Pop", 2020), **{name: "other"}))  # another data set is another table


@pytest.mark.parametrize("text", ["1.0", "1.10", "007", "1e5", "nan", "NA", "None"])
def test_names_that_look_like_numbers_stay_text(tmp_path: Path, text: str) -> None:
    """A second process must find equal what the first one wrote."""
    changes = {"fingerprint": text, "protocol": text, "version": text}
    Records(tmp_path).add(record((text, text, 1), **changes))
    records = Records(tmp_path)
    assert records.keys() == {(text, text, 1)}
    records.add(record((text, text, 2), **changes))
    assert records.keys() == {(text, text, 1), (text, text, 2)}
    assert len(list(records.per_user())) == 2


def test_odd_labels_never_share_a_file(tmp_path: Path) -> None:
    labels = ["TripartiteLightGCN+C", "A B", "A_B", "A/B", "A.B", "../A", "VA‑GNN λ=0,5", 'quote"d, label']
    records = Records(tmp_path)
    for label in labels:
        records.add(record(("films", label, 1), test_seconds=float(labels.index(label))))
    again = Records(tmp_path)
    assert again.keys() == {("films", label, 1) for label in labels}
    assert {key[1] for key, _ in again.per_user()} == {key[1] for key, _ in again.curves()} == set(labels)
    assert len(list((tmp_path / "per_user").iterdir())) == len(labels)
    assert {path.parent.name for path in tmp_path.rglob("*.parquet")} == {"per_user"}
    assert file_name("TripartiteLightGCN+C") == "TripartiteLightGCN+C"


def test_files_of_one_data_set_are_read_alone(tmp_path: Path) -> None:
    records = write_records(tmp_path, datasets=["films", "goods"], models=["Pop"], seeds=[1], users=3)
    assert [key for key, _ in records.per_user("goods")] == [("goods", "Pop", 1)]
    assert [key for key, _ in records.curves("goods")] == [("goods", "Pop", 1)]
    records.path("per_user", ("goods", "Pop", 1)).unlink()
    assert not list(records.per_user("goods"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("a,b\n1,2\n", "no column dataset, model, seed, fingerprint, protocol, version, settings"),
        ("dataset,model,seed,fingerprint,protocol,version,settings\nd,m,x,f,p,v,tuned\n", "not whole numbers"),
        (
            "dataset,model,seed,fingerprint,protocol,version,settings\n" + "d,m,1,f,p,v,tuned\n" * 2,
            "1 of 2 rows repeat",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "runs.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        Records(tmp_path)
