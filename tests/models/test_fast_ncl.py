"""What NCL needs for its clusters is said before the first epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_vagnn import InputError, compat
from tests.runs import run_toy, write_toy


def test_without_faiss_ncl_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compat, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"faiss, which is not installed: run `pip install faiss-cpu`\.$"):
        run_toy(write_toy(tmp_path), {"epochs": 1, "num_clusters": 5}, "NCL")


@pytest.mark.parametrize(("users", "items", "most"), [(11, 30, 12), (24, 13, 14)])
def test_more_clusters_than_users_or_items_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: int, items: int, most: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compat, "find_spec", lambda name: object())
    data_path = write_toy(tmp_path, users=users, items=items)
    with pytest.raises(InputError, match=rf"`num_clusters` is {most + 1}, .*give at most {most}\."):
        run_toy(data_path, {"epochs": 1, "num_clusters": most + 1}, "NCL")


def test_the_most_clusters_that_are_allowed_can_be_found_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.chdir(tmp_path)
    options = {"epochs": 1, "num_clusters": 14, "warm_up_step": 0}
    result = run_toy(write_toy(tmp_path, users=24, items=13), options, "NCL")
    assert result.history[0]["losses"]["loss3"] > 0
