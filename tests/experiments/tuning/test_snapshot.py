"""Ray's record of a search is kept whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from recbole_vagnn.experiments.tuning import snapshot

OLD, NEW, LATEST = "2026-11-28_09-00-00", "2026-11-28_10-00-00", "2026-11-28_11-00-00"
FILES = ("experiment_state-{}.json", "search_gen_state-{}.json", "searcher-state-{}.pkl")


def write(folder: Path, session: str, content: str, files: tuple[str, ...] = FILES) -> None:
    folder.mkdir(exist_ok=True)
    for name in files:
        (folder / name.format(session)).write_text(content, encoding="utf-8")


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of a folder with two sessions and a file that was being written."""
    write(tmp_path / "staging", OLD, "old")
    write(tmp_path / "staging", NEW, "new")
    (tmp_path / "staging" / f".1234-tmp-search_gen_state-{NEW}.json").write_text("half", encoding="utf-8")
    snapshot.keep(tmp_path / "staging", tmp_path / "kept.zip")
    return tmp_path / "kept.zip"


def test_only_the_record_of_the_newest_session_is_put_back_in_place_of_every_other(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ray"
    write(folder, LATEST, "ha", FILES[:2])
    write(folder, "", "the search", ("tuner.pkl",))
    (folder / "trial_1").mkdir()
    monkeypatch.setattr(time, "strftime", lambda _form: "2026-11-28_12-00-00")
    snapshot.put_back(archive, folder)
    assert texts(folder) == {"tuner.pkl": "the search", **{name.format("2026-11-28_12-00-00"): "new" for name in FILES}}
    assert (folder / "trial_1").is_dir()


def test_the_name_of_what_is_put_back_is_one_that_ray_reads_first(archive: Path, tmp_path: Path) -> None:
    """Ray takes the last name; a folder may hold files of a session that came after what was kept."""
    folder = tmp_path / "ray"
    folder.mkdir()
    snapshot.put_back(archive, folder)
    write(folder, NEW, "stale")
    assert {texts(folder)[max(path.name for path in folder.glob(name.format("*")))] for name in FILES} == {"new"}


def test_what_is_kept_is_replaced_as_a_whole(archive: Path, tmp_path: Path) -> None:
    write(tmp_path / "staging", LATEST, "latest", FILES[:1])
    snapshot.keep(tmp_path / "staging", archive)
    folder = tmp_path / "ray"
    folder.mkdir()
    snapshot.put_back(archive, folder)
    assert list(texts(folder).values()) == ["latest"]


def test_nothing_is_kept_of_a_folder_without_trials(archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    write(tmp_path / "begun", NEW, "new", FILES[1:])
    snapshot.keep(tmp_path / "begun", archive)
    assert archive.read_bytes() == before
