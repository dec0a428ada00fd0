"""``recbole-vagnn prepare``: arguments, screen and exit codes."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recbole_vagnn import registry
from recbole_vagnn.cli import main
from recbole_vagnn.prepare.pipeline import run
from recbole_vagnn.prepare.pipeline.filters import Filters
from tests.prepare.toys import EXAMPLE_FILES, LOG, write_example, write_text

THERE = [
    name
    for name, reference in registry.SOURCES.items()
    if importlib.util.find_spec(reference.partition(":")[0]) is not None
]
COLUMNS = ["--user-col", "user", "--item-col", "item", "--time-col", "time", "--creator-col", "creator"]


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)], env={"COLUMNS": "200"})


def _example(source: Path, *more: object) -> Result:
    files = ["--input", source / "log.csv", "--items", source / "items.csv"]
    return _call("table", *files, *COLUMNS, "--name", "toy", "--data_path", source / "data", *more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_example(tmp_path / "raw")


# --- help -------------------------------------------------------------------------------------------------------


def test_help_of_the_group_lists_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SOURCES", {name: registry.SOURCES[name] for name in THERE})
    result = _call("--help")
    assert result.exit_code == 0
    for name in THERE:
        assert any(line.split()[:1] == [name] for line in result.output.splitlines())


@pytest.mark.parametrize("name", registry.SOURCES)
def test_help_of_a_source_shows_its_own_flags_and_the_common_ones(name: str) -> None:
    if name not in THERE:
        pytest.skip(f"{name} has no module yet")
    result = _call(name, "--help")
    assert result.exit_code == 0
    loaded = run.load_source(name)
    assert "".join(loaded.summary.split()) in "".join(result.output.split())
    own = [field.name for field in fields(loaded.options)]  # type: ignore[arg-type]
    for flag in [*own, *(field.name for field in fields(Filters)), "name", "max_malformed", "memory", "threads"]:
        assert f"--{flag.replace('_', '-')}" in result.output
    assert ("--input" in result.output) == (loaded.input is not None)
    assert "--data_path" in result.output


def test_help_shows_the_defaults_of_the_source() -> None:
    text = " ".join(_call("vagnn-release", "--help").output.split())
    assert "[default: last]" in text
    assert "[default: 1]" in text
    assert "[default: first]" in " ".join(_call("table", "--help").output.split())


def test_no_flag_of_a_source_has_the_name_of_a_common_one() -> None:
    common = {field.name for field in fields(Filters)} | {
        "name", "data_path", "input", "max_malformed", "memory", "threads", "overwrite",
    }  # fmt: skip
    for name in THERE:
        own = {field.name for field in fields(run.load_source(name).options)}  # type: ignore[arg-type]
        assert not own & common, name


# --- a conversion -----------------------------------------------------------------------------------------------


def test_a_conversion_writes_the_files_and_prints_the_report(source: Path) -> None:
    result = _example(source, "--positive", "rating>=2", "--positive", "rating==1", "--keep", "title", "--keep", "year")
    assert result.exit_code == 0, result.output
    folder = source / "data" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == [name for name in EXAMPLE_FILES if "follow" not in name]
    assert (folder / "toy.item").read_text().splitlines()[1] == "i1\tp1\tOne, two\t1990"
    shown = " ".join(result.stdout.split())
    assert "users with fewer than 3 interactions │ 1 │ 8" in shown
    assert f"Written to {folder}. Train on it with: python run_recbole.py --model=VAGNN --dataset=toy" in shown
    assert f"--data_path={source / 'data'}" in shown
    stages = [line.partition(":")[0] for line in result.stderr.splitlines()]
    assert stages == ["reading", "filtering", "describing", "writing"]


def test_the_data_sets_are_in_the_folder_dataset_unless_said_otherwise(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source)
    result = _call("table", "--input", "log.csv", *COLUMNS, "--creator-col", "rating")
    assert result.exit_code == 0, result.output
    assert (source / "dataset" / "log" / "log.inter").is_file()
    assert "--data_path" not in result.stdout
    assert (source / "dataset" / "log" / "log.prepare.json").is_file()


def test_flags_reach_the_preparation(source: Path) -> None:
    result = _example(
        source, "--min-history", 2, "--newest", 2, "--cold-items", "--until", 75, "--duplicates", "last",
        "--unknown-vlogger", "drop", "--follow-from", "rating==5", "--threads", 1, "--memory", "300MB",
        "--follows", source / "follows.csv", "--follow-user-col", "user", "--follow-time-col", "time",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    folder = source / "data" / "toy"
    assert (folder / "toy.inter").read_text().splitlines()[1:] == [
        "u1\ti2\t10",
        "u2\ti1\t40",
        "u2\ti2\t60",
        "u1\ti1\t35",
    ]
    follow = (folder / "toy.follow").read_text().splitlines()[1:]
    assert follow == ["u2\tp2\t", "u1\tp3\t9", "u1\tp2\t10", "u1\tp1\t12"]
    assert "i5\tp3" in (folder / "toy.item").read_text().splitlines()


def test_a_second_call_says_that_all_is_up_to_date(source: Path) -> None:
    assert _example(source).exit_code == 0
    result = _example(source)
    assert result.exit_code == 0
    assert result.stdout == f"{source / 'data' / 'toy'} is up to date: same input, same options.\n"


def test_overwrite_replaces(source: Path) -> None:
    assert _example(source).exit_code == 0
    assert _example(source, "--min-history", 4).exit_code == 1
    assert _example(source, "--min-history", 4, "--overwrite").exit_code == 0
    assert 'min_history": 4' in (source / "data" / "toy" / "toy.prepare.json").read_text()


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--min-history", "50"], 1, "No interaction is left after this filter: users with fewer than 50"),
        (["--positive", "ratng>=1"], 1, "no column 'ratng'"),
        (["--user-col", "usr"], 1, "Did you mean 'user'?"),
        (["--memory", "lots"], 1, "--memory lots"),
        (["--max-malformed", "2"], 1, "--max-malformed is 2.0"),
        (["--duplicates", "both"], 2, "'both' is not one of 'first', 'last'"),
        (["--min-history", "few"], 2, "'few' is not a valid integer"),
        (["--min-histroy", "2"], 2, "Did you mean"),
        (["--threads", "0"], 2, "--threads"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(source: Path, more: list[str], code: int, message: str) -> None:
    result = _example(source, *more)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert not (source / "data").exists()


def test_malformed_rows_are_shown_with_file_and_line(source: Path) -> None:
    write_text(source / "log.csv", LOG + "u1,i4,late,1\n")
    result = _example(source)
    assert result.exit_code == 1
    assert "log.csv, line 12: `time` is not a whole number ('late')" in result.stderr
    assert _example(source, "--max-malformed", "0.1").exit_code == 0


def test_an_unknown_source_gets_a_suggestion() -> None:
    result = _call("kuairnd")
    assert result.exit_code == 2
    assert "Unknown source 'kuairnd'. Did you mean 'kuairand'?" in result.output
    assert "vagnn-release" in result.output


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    assert "Missing option '--input'" in _call("table").output
    result = _call("table", "--input", tmp_path / "nowhere.csv")
    assert result.exit_code == 1
    assert "nowhere.csv does not exist. Give the file of interactions" in result.output


def test_ctrl_c_ends_with_130_and_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "select", interrupt)
    result = _example(source)
    assert result.exit_code == 130
    assert result.stderr.endswith("Interrupted. Nothing was written.\n")
    assert not (source / "data").exists()


SLOW = """
import signal, sys, time
from recbole_vagnn.prepare.pipeline import database, run
signal.signal(signal.SIGINT, signal.default_int_handler)
def select(connection, filters):
    print("querying", flush=True)
    database.run(connection, "SELECT count(*) FROM range(20000000000) a WHERE a.range % 7 = 3")
run.select = select
from recbole_vagnn.cli import main
main(sys.argv[1:])
"""


def test_ctrl_c_while_the_database_works_shows_no_traceback(source: Path) -> None:
    arguments = ["prepare", "table", "--input", source / "log.csv", *COLUMNS, "--data_path", source / "data"]
    command = [sys.executable, "-c", SLOW, *map(str, [*arguments, "--creator-col", "rating"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "querying\n"
            time.sleep(0.3)
            os.kill(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.endswith("\nInterrupted. Nothing was written.\n")
    assert "Traceback" not in errors
    assert not (source / "data").exists()
