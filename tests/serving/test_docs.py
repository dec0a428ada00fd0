"""docs/tutorial.md is worked through as it is written; the examples of docs/serving.md run on the model it makes."""

from __future__ import annotations

import doctest
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runs import REPOSITORY, subprocess_environment

TUTORIAL, SERVING = (REPOSITORY / "docs" / f"{name}.md" for name in ("tutorial", "serving"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the page's code blocks, in order."""
    parts = page.read_text(encoding="utf-8").split("```")[1::2]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def shim(folder: Path, name: str, command: str) -> None:
    """A command of that name, whatever is installed."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
    path.chmod(0o755)


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    """The folder of somebody who followed the tutorial, and (command, output) of each step."""
    folder, tools = tmp_path_factory.mktemp("tutorial"), tmp_path_factory.mktemp("bin")
    shim(tools, "python", "")
    shim(tools, "recbole-vagnn", "-c 'from recbole_vagnn.cli import main; main(prog_name=\"recbole-vagnn\")'")
    environment = subprocess_environment()
    environment |= {"PATH": f"{tools}:{environment['PATH']}", "OMP_NUM_THREADS": "1"}
    steps = []
    for language, text in blocks(TUTORIAL):
        if language == "python":
            (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
        elif language == "bash":
            done = subprocess.run(
                ["bash", "-eu", "-o", "pipefail", "-c", text],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            steps.append((text, done.stdout))
    return folder, steps


def output_of(steps: list[tuple[str, str]], *words: str) -> str:
    (found,) = [out for command, out in steps if all(word in command for word in words)]
    return found


def test_users_get_clips_of_their_subject_and_strangers_what_is_popular(worked: tuple[Path, Any]) -> None:
    table = pd.read_csv(io.StringIO(output_of(worked[1], "somebody-new")))
    assert table.columns.tolist() == ["user", "rank", "video", "score", "source", "vlogger"]
    assert len(table) == 9
    for row in table.itertuples():
        if row.user == "somebody-new":
            assert row.source == "popularity"
        else:
            assert (row.source, row.video.split("-")[0]) == ("model", row.user.split("-")[0])
        assert row.vlogger == row.video.replace("clip", "vlogger").rpartition("-")[0]


def test_everybody_gets_ten_unseen_clips_mostly_of_their_subject(worked: tuple[Path, Any]) -> None:
    table = pd.read_parquet(worked[0] / "recommendations.parquet")
    assert table["user"].value_counts().unique().tolist() == [10]
    assert table["user"].nunique() == 120
    fits = [
        user.split("-")[0] == video.split("-")[0] for user, video in zip(table["user"], table["video"], strict=True)
    ]
    assert np.mean(fits) > 0.9
    views = pd.read_csv(worked[0] / "views.csv")
    assert not set(zip(table["user"], table["video"], strict=True)) & set(
        zip(views["user"], views["clip"], strict=True)
    )


def test_explanations_add_up_and_name_what_the_user_watched(worked: tuple[Path, Any]) -> None:
    (user,) = json.loads(output_of(worked[1], "--explain"))
    views = pd.read_csv(worked[0] / "views.csv")
    watched = set(views[views["user"] == user["user"]]["clip"])
    vloggers = {clip.replace("clip", "vlogger").rpartition("-")[0] for clip in watched}
    for item in user["items"]:
        assert item["from_video"] + item["from_vlogger"] == pytest.approx(item["score"], rel=1e-5)
        assert item["because"]
        for reason in item["because"]:
            assert reason["id"] in (watched if reason["kind"] == "video" else vloggers)


def test_the_search_of_the_tutorial_ranks_as_the_model_does(worked: tuple[Path, Any]) -> None:
    from recbole_vagnn import load

    printed = [line.split()[0] for line in output_of(worked[1], "python search.py").splitlines()]
    table = load(worked[0] / "clips-model").recommend(["music-fan-1"], 3, exclude_seen="none")
    assert printed == table["video"].tolist()


@pytest.mark.parametrize("page", [TUTORIAL, SERVING], ids=lambda page: page.name)
def test_the_examples_in_python_print_what_the_page_says(
    worked: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, page: Path
) -> None:
    monkeypatch.chdir(worked[0])
    text = "".join(block for language, block in blocks(page) if language == "pycon")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert len(examples.examples) > 5
    printed: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=printed.append)
    assert results.failed == 0, "".join(printed)


def exact(folder: Path, n_users: int) -> Any:
    users, videos = (np.load(folder / "clips-vectors" / f"{name}.npy") for name in ("users", "videos"))
    return np.argsort(-(users[:n_users] @ videos.T), axis=1, kind="stable")[:, :10]


def ids_of(folder: Path, name: str) -> list[str]:
    return (folder / "clips-vectors" / f"{name}.ids.txt").read_text().splitlines()


@pytest.mark.parametrize("library", ["faiss", "hnswlib", "qdrant_client", "duckdb"])
def test_the_index_examples_find_the_models_best(
    worked: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    pytest.importorskip(library)
    folder = worked[0]
    monkeypatch.chdir(folder)
    (text,) = [block for language, block in blocks(SERVING) if language == "python" and f"{library}" in block]
    space: dict[str, Any] = {}
    exec(text, space)
    if library in ("faiss", "hnswlib"):
        found = space["rows"]
        shared = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact(folder, 5).tolist(), strict=True)]
        assert np.mean(shared) > 0.9
        users, videos = (np.load(f"clips-vectors/{name}.npy") for name in ("users", "videos"))
        np.testing.assert_allclose(space["scores"][0, 0], users[0] @ videos[found[0, 0]], rtol=1e-4)
        return
    if library == "qdrant_client":
        names, wanted = [hit.payload["video"] for hit in space["hits"]], exact(folder, 1)[0]
    else:
        names = [name for name, _ in space["nearest"]]
        wanted = exact(folder, 120)[ids_of(folder, "users").index("music-fan-1")]
    assert names == [ids_of(folder, "videos")[row] for row in wanted]
