"""Commands in the documentation are accepted as they are written."""

from __future__ import annotations

import shlex
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import click
import pytest

from recbole_vagnn.cli import main
from recbole_vagnn.prepare.pipeline.filters import Filters
from recbole_vagnn.prepare.pipeline.run import load_source
from recbole_vagnn.registry import SOURCES
from tests.runs import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "dataset" / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def commands(beginning: str) -> list[str]:
    """Lines of the pages' code blocks that begin so."""
    found = []
    for page in PAGES:
        blocks = page.read_text(encoding="utf-8").split("```")[1::2]
        found += [line.strip() for block in blocks for line in block.splitlines() if line.startswith(beginning)]
    return found


PREPARE = sorted(set(commands("recbole-vagnn prepare ")) - {"recbole-vagnn prepare SOURCE --input PATH --name NAME"})


@pytest.mark.parametrize("line", PREPARE)
def test_every_prepare_command_of_the_docs_is_accepted(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for release in (tmp_path / "takatak", tmp_path / "DATA" / "takatak"):
        release.mkdir(parents=True)
        for name in ("vlogger_video_data.txt", "user_vlogger_data2.txt"):
            (release / name).touch()
    _, _, source, *arguments = shlex.split(line, comments=True)
    group = main.commands["prepare"]
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), source)
    assert command is not None
    given = command.make_context(source, arguments).params
    for kind in (load_source(source).options, Filters):
        kind(**{field.name: given[field.name] for field in fields(kind)})  # type: ignore[arg-type]


OTHERS = ("benchmark", "tune", "study", "recommend", "export")


@pytest.mark.parametrize(
    "line", sorted({line for name in OTHERS for line in commands(f"recbole-vagnn {name} ") if " [" not in line})
)
def test_every_other_command_of_the_docs_has_options_that_exist(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, name, *arguments = shlex.split(line, comments=True)
    for option, value in pairwise(arguments):
        if option == "--tuned":  # a folder that must be there
            (tmp_path / value).mkdir(parents=True)
    main.commands[name].make_context(name, arguments)


def test_every_source_has_a_line_in_the_docs() -> None:
    assert {line.split()[2] for line in PREPARE} == set(SOURCES)


def test_every_file_that_a_page_links_to_exists() -> None:
    missing = []
    for page in PAGES:
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            if target and "://" not in target and not Path(page.parent, target).exists():
                missing.append(f"{page.name}: {target}")
    assert not missing
