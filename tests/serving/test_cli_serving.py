"""``recommend`` and ``export`` as a user types them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from recbole_vagnn import load
from recbole_vagnn.cli import main
from tests.runs import REPOSITORY, arguments, options_for, run_toy, subprocess_environment, write_toy


def call(*words: str) -> Any:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run_toy(write_toy(tmp_path_factory.mktemp("toy")), {"epochs": 2}).checkpoint


def csv_of(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_recommend_prints_the_lists_of_the_python_interface(checkpoint: str) -> None:
    for words, asked in (
        ((), {}),
        (("--what", "vloggers"), {"what": "vloggers"}),
        (("--exclude-seen", "none"), {"exclude_seen": "none"}),
        (("--exclude-seen",), {}),
        (("--explain",), {"explain": True}),
    ):
        result = call("recommend", "-c", checkpoint, "--users", "u2, u1,nobody,u2", "-k", "3", *words)
        assert result.exit_code == 0, result.output
        wanted = load(checkpoint).recommend(["u2", "u1", "nobody"], 3, **asked)
        got = csv_of(result.stdout)
        if "because" in got:
            told = [json.loads(text) if isinstance(text, str) else None for text in got.pop("because")]
            because = wanted.pop("because")
            assert told == [None if b is None else list(b) for b in because]
        pd.testing.assert_frame_equal(got, wanted, check_dtype=False, rtol=1e-6)


def test_files_of_users_and_candidates(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("u3\n\nu4\n")
    (tmp_path / "videos").write_text("i1\ni2\r\ni3\n")
    files = ("--users-file", str(tmp_path / "users"), "--candidates", str(tmp_path / "videos"))
    got = csv_of(call("recommend", "-c", checkpoint, *files, "--exclude-seen", "none").stdout)
    assert set(got["user"]) == {"u3", "u4"}
    assert set(got["video"]) == {"i1", "i2", "i3"}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_every_user_into_a_file(checkpoint: str, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"all.{form}"
    result = call("recommend", "-c", checkpoint, "--all", "-k", "4", "--format", form, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "recommendations for 24 users" in result.stderr
    assert result.stdout == ""
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": None}[form]
    if read is None:
        assert len(json.loads(out.read_text())) == 24
    else:
        assert len(read(out)) == 24 * 4


def test_export_writes_and_lists_its_files(checkpoint: str, tmp_path: Path) -> None:
    out = tmp_path / "vectors"
    result = call("export", "-c", checkpoint, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == sorted(str(path) for path in out.iterdir())
    assert call("export", "-c", checkpoint, "--out", str(out)).exit_code == 1
    assert call("export", "-c", checkpoint, "--out", str(out), "--overwrite").exit_code == 0


def test_mistakes_are_one_message(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "none").write_text("\n\n")
    (tmp_path / "latin").write_bytes(b"\xe4\n")
    for words, message in (
        ([], "Say for whom: one of --users a,b, --users-file FILE and --all"),
        (["--users", "u1", "--all"], "Say for whom"),
        (["--users", " , "], "--users names nobody"),
        (["--users-file", str(tmp_path / "none")], "has no ids"),
        (["--users-file", str(tmp_path / "latin")], "cannot be read as UTF-8"),
        (["--users-file", str(tmp_path / "missing")], "cannot be read"),
        (["--all", "--format", "parquet"], "say where to write it with --out"),
        (["--all", "--out", str(tmp_path / "x" / "y.csv")], "does not exist"),
    ):
        result = call("recommend", "-c", checkpoint, *words)
        assert result.exit_code == 1, result.output
        assert result.stderr.startswith("Error: ")
        assert message in result.stderr
        assert result.stdout == ""
    assert "does not exist" in call("recommend", "-c", "nothing", "--all").stderr


def test_ctrl_c_leaves_no_file(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_vagnn.serving.recommending.Engine.batch", stop)
    result = call("recommend", "-c", checkpoint, "--all", "--out", str(tmp_path / "a.csv"))
    assert (result.exit_code, list(tmp_path.iterdir())) == (130, [])
    assert "Nothing was written" in result.stderr


def test_a_reader_that_stops_early_is_no_failure(checkpoint: str) -> None:
    code = "from recbole_vagnn.cli import main; main()"
    command = f"{sys.executable} -c '{code}' recommend -c '{checkpoint}' --all -k 20 | head -1"
    done = subprocess.run(command, shell=True, env=subprocess_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith('"user"')
    assert "Traceback" not in done.stderr


def test_no_pth_keeps_the_folder_alone(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    result = call("run", "--dataset=toy", *arguments(options_for(data, {"epochs": 1})), "--no-pth")
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "saved").iterdir()
    assert f"checkpoint: {folder}" in result.output
    assert call("recommend", "-c", str(folder), "--users", "u1").exit_code == 0
    twice = call("run", "--dataset=toy", "--keep_pth=True", "--no-pth")
    assert (twice.exit_code, "given twice" in twice.output) == (1, True)


def test_recommendations_load_neither_torch_nor_recbole(checkpoint: str) -> None:
    code = (
        "import sys; from recbole_vagnn.cli import main\n"
        f"main(['recommend', '-c', {checkpoint!r}, '--users', 'u1', '--explain'], standalone_mode=False)\n"
        "print({'torch', 'recbole', 'ray'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=subprocess_environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert done.stderr.strip().splitlines()[-1] == "set()"
