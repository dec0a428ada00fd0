"""Whole preparations: repeated, interrupted, replaced, moved."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.options import Options
from recbole_vagnn.prepare.pipeline import database, run, whole_folder
from recbole_vagnn.prepare.pipeline.reader import Column, read_rows
from recbole_vagnn.prepare.pipeline.run import prepare
from recbole_vagnn.prepare.pipeline.source import Log, RawData, Request, Source, option
from tests.prepare.toys import (
    COLUMNS,
    EXAMPLE_FILES,
    FOLLOWS,
    ITEMS,
    LOG,
    contents,
    prepare_example,
    write_example,
    write_text,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_example(tmp_path / "raw")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where data sets go; not there yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    prepare_example(write_example(folder), folder)
    return folder / "toy"


@pytest.fixture
def prepared(template: Path, data: Path) -> Path:
    """``data`` with the example prepared in it."""
    shutil.copytree(template, data / "toy")
    return data


@pytest.fixture(autouse=True)
def _no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture takes longer than all the rest."""
    if "picture" not in request.fixturenames:
        monkeypatch.setattr(run, "draw", lambda _name, _figures, path: path.write_bytes(b"picture"))


@pytest.fixture
def picture() -> None:
    """Asks for the real picture."""


def _state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Time of change, inode and content of everything in a folder and of the folder itself."""
    files = [folder, *sorted(folder.rglob("*"))]
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes() if path.is_file() else b"")
        for path in files
    }


# --- a rerun ----------------------------------------------------------------------------------------------------


def test_the_folder_holds_these_files_and_nothing_is_beside_it(source: Path, data: Path) -> None:
    made = prepare_example(source, data)
    assert sorted(path.name for path in made.folder.iterdir()) == EXAMPLE_FILES
    assert [path.name for path in data.iterdir()] == ["toy"]
    assert made.folder == data / "toy"
    assert made.folder.stat().st_mode & 0o777 == 0o755


def test_a_rerun_changes_nothing(source: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _state(prepared)
    monkeypatch.setattr(run, "database", lambda *_: pytest.fail("prepared again"))
    again = prepare_example(source, prepared, memory="1GB", threads=1)
    assert again.report is None
    assert _state(prepared) == before


def test_input_with_another_date_or_in_another_folder_is_the_same(source: Path, prepared: Path, tmp_path: Path) -> None:
    before = _state(prepared)
    os.utime(source / "log.csv", (1, 1))
    assert prepare_example(source, prepared).report is None
    moved = shutil.move(source, tmp_path / "moved" / "elsewhere")
    assert prepare_example(Path(moved), prepared).report is None
    assert _state(prepared) == before


def _change(file: str, text: str) -> Callable[[Path, Path], dict[str, Any]]:
    def change(source: Path, _data: Path) -> dict[str, Any]:
        write_text(source / file, text)
        return {}

    return change


def _tamper(action: Callable[[Path], object]) -> Callable[[Path, Path], dict[str, Any]]:
    def change(_source: Path, data: Path) -> dict[str, Any]:
        action(data / "toy")
        return {}

    return change


CHANGES = {
    "the log": (
        _change("log.csv", LOG + "u2,i1,90,1\n"),
        r"made from something else: changed input: --input log\.csv\.",
    ),
    "one byte": (_change("log.csv", LOG.replace("90", "91").replace("80", "81")), r"changed input: --input log\.csv\."),
    "the items": (_change("items.csv", ITEMS.replace("p2", "p1")), r"changed input: --items items\.csv\."),
    "the follows": (_change("follows.csv", FOLLOWS + "u1,p2,3\n"), r"changed input: --follows follows\.csv\."),
    "a filter": (lambda *_: {"filters": {"min_history": 4}}, r"made from something else: min_history 3, now 4\."),
    "a rule": (lambda *_: {"positive": "rating>=2"}, r"positive \['all'\], now \['rating>=2'\]"),
    "an output": (
        _tamper(lambda folder: write_text(folder / "toy.inter", "mine")),
        r"toy\.inter was changed or removed",
    ),
    "a lost output": (_tamper(lambda folder: (folder / "toy.yaml").unlink()), r"toy\.yaml was changed or removed"),
    "no manifest": (_tamper(lambda folder: (folder / "toy.prepare.json").unlink()), r"toy exists and was not made by"),
    "a broken manifest": (
        _tamper(lambda folder: write_text(folder / "toy.prepare.json", "[1, 2]")),
        r"toy exists and was not made by",
    ),
    "an older format": (
        _tamper(lambda folder: _edit(folder / "toy.prepare.json", '"format": 1', '"format": 0')),
        r"format 0, now 1",
    ),
}


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("changed", CHANGES)
def test_what_changed_is_named_and_overwrite_replaces_it(source: Path, prepared: Path, changed: str) -> None:
    change, message = CHANGES[changed]
    more = change(source, prepared)
    before = _state(prepared)
    with pytest.raises(InputError, match=message) as caught:
        prepare_example(source, prepared, **more)
    assert "Choose another --name, or replace it with --overwrite." in str(caught.value)
    assert str(prepared / "toy") in str(caught.value)
    assert _state(prepared) == before
    assert prepare_example(source, prepared, overwrite=True, **more).report is not None
    assert sorted(path.name for path in (prepared / "toy").iterdir()) == EXAMPLE_FILES
    assert [path.name for path in prepared.iterdir()] == ["toy"]
    assert prepare_example(source, prepared, **more).report is None


def test_two_files_of_one_name_are_told_apart(source: Path, data: Path, tmp_path: Path) -> None:
    log = write_text(tmp_path / "a" / "data.csv", "user_id,item_id,timestamp\nu,i,1\nu,j,2\nu,k,3\n")
    items = write_text(tmp_path / "b" / "data.csv", "item_id,creator_id\ni,p\n")

    def again() -> object:
        return prepare("table", log, name="toy", data_path=data, options={"items": str(items)}).report

    assert again() is not None
    assert again() is None
    _edit(items, "i,p", "i,q")
    with pytest.raises(InputError, match=r"changed input: --items data\.csv\."):
        again()
    _edit(items, "i,q", "i,p")
    _edit(log, "u,k,3", "u,k,4")
    with pytest.raises(InputError, match=r"changed input: --input data\.csv\."):
        again()


def test_another_input_is_not_taken_for_the_old_one_beside_it(source: Path, prepared: Path) -> None:
    shutil.copy(source / "log.csv", source / "other.csv")
    given = {"items": str(source / "items.csv")}
    with pytest.raises(InputError, match=r"changed input: .*--input log\.csv, --input other\.csv"):
        prepare("table", source / "other.csv", name="toy", data_path=prepared, options=COLUMNS | given)


def test_an_option_that_happens_to_be_a_folder_is_no_input(data: Path, tmp_path: Path) -> None:
    """A separator of creators "/" is the root folder, too."""
    log = write_text(tmp_path / "log.csv", "user_id,item_id,creator_id\nu,i,p / q\nu,j,q\nu,k,\n")
    for first in (True, False):
        report = prepare("table", log, name="toy", data_path=data, options={"creator_separator": "/"}).report
        assert (report is not None) == first
    assert '"creator_separator": "/"' in (data / "toy" / "toy.prepare.json").read_text()


# --- the same bytes everywhere ----------------------------------------------------------------------------------


def test_bytes_depend_on_neither_folder_nor_threads_nor_memory(tmp_path: Path, picture: None) -> None:
    made = []
    for number, (threads, memory) in enumerate([(1, "2GB"), (2, "100MB"), (None, "1GB")]):
        folder = tmp_path / f"number {number}"
        prepare_example(write_example(folder / f"raw{number}"), folder / "out", threads=threads, memory=memory)
        made.append(contents(folder / "out" / "toy"))
    assert made[0] == made[1] == made[2]
    assert sorted(made[0]) == EXAMPLE_FILES


def test_no_folder_is_named_in_any_file(source: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(source / "log.csv", LOG + "u1,i4,late,1\n")
    monkeypatch.chdir(source)
    prepare_example(Path("."), data, max_malformed=0.5)
    before = contents(data)
    shutil.rmtree(data)
    prepare_example(source, data, max_malformed=0.5)
    assert contents(data) == before
    for name, content in before.items():
        for folder in (source.name, source.parent.name, "scratch"):
            assert folder.encode() not in content, name
        assert b"/tmp" not in content, name


# --- failures ---------------------------------------------------------------------------------------------------


def _raise(error: type[BaseException]) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


STEPS = ["load", "select", "restrict", "describe", "write_files", "write_options", "draw", "manifest.write_manifest"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(
    source: Path, data: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    monkeypatch.setattr(f"recbole_vagnn.prepare.pipeline.run.{step}", _raise(error))
    with pytest.raises(error):
        prepare_example(source, data)
    assert not data.exists()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_an_old_data_set_as_it_was(
    source: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    before = _state(prepared / "toy")
    monkeypatch.setattr(f"recbole_vagnn.prepare.pipeline.run.{step}", _raise(error))
    with pytest.raises(error):
        prepare_example(source, prepared, overwrite=True)
    assert _state(prepared / "toy") == before
    assert [path.name for path in prepared.iterdir()] == ["toy"]


def test_bad_input_leaves_nothing_and_the_folders_that_were_there(source: Path, data: Path) -> None:
    write_text(source / "log.csv", LOG + "u1,i4,late,1\n")
    with pytest.raises(InputError, match=r"log\.csv, line 12: `time` is not a whole number \('late'\)"):
        prepare_example(source, data / "not" / "there")
    assert not data.exists()
    data.mkdir()
    with pytest.raises(InputError, match="1 of 11 rows are malformed"):
        prepare_example(source, data)
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interruption_while_folders_are_exchanged_brings_the_old_one_back(
    source: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    before = contents(prepared)
    real, calls = os.rename, []

    def rename(old: Path, new: Path) -> None:
        calls.append(new)
        if len(calls) == 2:
            raise error
        real(old, new)

    monkeypatch.setattr(whole_folder.os, "rename", rename)
    with pytest.raises(error):
        prepare_example(source, prepared, overwrite=True, filters={"min_history": 4})
    assert len(calls) == 3
    assert contents(prepared) == before


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_running_statement_at_once(tmp_path: Path, threads: int) -> None:
    """With several threads the database itself would run it to its end, here for minutes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    began = time.monotonic()
    try:
        with database.database(tmp_path, "100MB", threads) as connection:
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                database.run(connection, "SELECT count(*) FROM range(20000000000) a WHERE a.range % 7 = 3")
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 20


def test_a_process_that_was_faster_keeps_its_folder(
    source: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    real = run.draw

    def slow(*given: Any) -> None:
        write_text(data / "toy" / "theirs", "theirs")
        real(*given)

    monkeypatch.setattr(run, "draw", slow)
    prepare_example(source, data)
    assert contents(data) == {"toy/theirs": b"theirs"}
    assert [path.name for path in data.iterdir()] == ["toy"]


# --- requests that cannot be met --------------------------------------------------------------------------------


def test_a_foreign_folder_is_left_alone_unless_it_may_be_replaced(source: Path, data: Path) -> None:
    write_text(data / "toy" / "notes.txt", "mine")
    with pytest.raises(InputError, match=r"toy exists and was not made by `recbole-vagnn prepare`"):
        prepare_example(source, data)
    assert contents(data) == {"toy/notes.txt": b"mine"}
    prepare_example(source, data, overwrite=True)
    assert sorted(path.name for path in (data / "toy").iterdir()) == EXAMPLE_FILES


def test_an_empty_folder_is_filled(source: Path, data: Path) -> None:
    (data / "toy").mkdir(parents=True)
    assert prepare_example(source, data).report is not None
    assert sorted(path.name for path in (data / "toy").iterdir()) == EXAMPLE_FILES


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_of_that_name_is_never_replaced(source: Path, data: Path, overwrite: bool) -> None:
    write_text(data / "toy", "mine")
    with pytest.raises(InputError, match="toy is a file, not a folder"):
        prepare_example(source, data, overwrite=overwrite)
    assert contents(data) == {"toy": b"mine"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "a/b"}, r"--name 'a/b' cannot be a folder's name"),
        ({"name": ""}, r"--name '' cannot be a folder's name"),
        ({"name": ".."}, r"--name '\.\.' cannot be a folder's name"),
        ({"name": "ml-100k"}, r"--name ml-100k: RecBole reads its own"),
        ({"max_malformed": 2}, r"--max-malformed is 2; it must be a share"),
        ({"filters": {"min_histroy": 2}}, r"`prepare` has no option 'min_histroy'. Did you mean 'min_history'"),
        ({"options": {"user_column": "u"}}, r"Source table has no option 'user_column'. Did you mean"),
        ({"positive": ["ratng>=1"]}, r"no column 'ratng' .* Did you mean 'rating'"),
    ],
)
def test_a_wrong_request_is_refused_at_once(source: Path, data: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare_example(source, data, **more)
    assert not data.exists()


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("tabel", "log.csv", r"Unknown source 'tabel'. Did you mean 'table'"),
        ("table", None, r"Source table needs --input, the file of interactions"),
        ("table", "nowhere.csv", r"--input .*nowhere\.csv does not exist"),
        ("table", ".", r"is not a file. Give the file of interactions"),
        ("ml-100k", "log.csv", r"Source ml-100k makes its data and reads no --input"),
    ],
)
def test_a_wrong_source_or_input_is_refused(
    source: Path, data: Path, name: str, path: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(name, source / path if path else None, name="toy", data_path=data)
    assert not data.exists()


def test_one_rule_may_be_given_as_text(source: Path, data: Path) -> None:
    one = prepare_example(source, data, positive="rating>=2", follow_from="rating==5", name="one")
    many = prepare_example(source, data, positive=["rating>=2"], follow_from=("rating==5",), name="many")
    assert one.report is not None
    assert many.report is not None
    assert one.report.rows() == many.report.rows()
    assert one.report.loaded.negative == 1


def test_the_name_is_the_files_unless_one_is_given(tmp_path: Path) -> None:
    log = write_text(tmp_path / "my.songs.csv", "user_id,item_id,creator_id\nu,i,p\nu,j,q\nu,k,\n")
    assert prepare("table", log, data_path=tmp_path).name == "my"


# --- sources that look for their files --------------------------------------------------------------------------


@dataclass(frozen=True)
class _NoOptions(Options):
    """A source without flags of its own."""


def _folder_source() -> Source:
    """Reads data/log.csv below a folder."""

    def read(request: Request) -> RawData:
        columns = {"user": Column("token"), "item": Column("token"), "time": Column("int")}
        rows = read_rows(request, [request.folder / "data" / "log.csv"], columns)
        return RawData(Log(rows, "user", "item", "time"))

    return Source("folder", "", "folder", _NoOptions, read, lambda *_: "toy")


@dataclass(frozen=True)
class _FolderOption(Options):
    """A source that makes its data from a folder that an option names."""

    release: str = option("", "Folder.")


def test_a_folder_that_an_option_names_is_known_by_its_files(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: Request) -> RawData:
        columns = {"user": Column("token"), "item": Column("token"), "time": Column("int")}
        rows = read_rows(request, [Path(request.options.release) / "log.csv"], columns)
        return RawData(Log(rows, "user", "item", "time"))

    made = Source("option", "", None, _FolderOption, read, lambda *_: "toy")
    monkeypatch.setattr(run, "load_source", lambda _: made)
    write_text(tmp_path / "here" / "release" / "log.csv", LOG)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert prepare("option", data_path=data, options={"release": str(tmp_path / "here" / "release")}).report is not None
    assert str(tmp_path) not in (data / "toy" / "toy.prepare.json").read_text()
    assert prepare("option", data_path=data, options={"release": str(tmp_path / "there" / "release")}).report is None
    monkeypatch.chdir(tmp_path / "there" / "release")
    assert prepare("option", data_path=data, options={"release": "."}).report is None
    _edit(Path("log.csv"), "u3,i1,5,5", "u3,i1,6,5")
    with pytest.raises(InputError, match=r"changed input: --release log\.csv\."):
        prepare("option", data_path=data, options={"release": "."})


def test_a_folder_of_input_is_known_by_the_files_read_and_their_kind(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_source", lambda _: _folder_source())
    raw = tmp_path / "raw"
    write_text(raw / "data" / "log.csv", LOG)

    def again() -> object:
        return prepare("folder", raw, data_path=data).report

    assert again() is not None
    write_text(raw / "backup" / "log.csv", "an older copy, which comes first in the alphabet")
    write_text(raw / "data" / "readme.txt", "of another kind")
    assert again() is None
    write_text(raw / "data" / "log2.csv", LOG)
    with pytest.raises(InputError, match=r"changed input: files of this kind beside them\."):
        again()
    (raw / "data" / "log2.csv").unlink()
    (raw / "data" / "log.csv").unlink()
    with pytest.raises(InputError, match=r"changed input: data/log\.csv, files of this kind"):
        again()
