"""Toy data and quick statistics for the tests of studies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import write_file
from tests.runs import write_toy


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets ``toy`` and ``followed``, which has follow pairs."""
    folder = write_toy(tmp_path_factory.mktemp("data"))
    for path in (folder / "toy").iterdir():
        target = folder / "followed" / path.name.replace("toy", "followed")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    pairs = [(f"u{user}", f"v{(user + step) % 6}") for user in range(24) for step in range(2)]
    write_file(folder / "followed" / "followed.follow", "follow_user_id:token follow_vlogger_id:token", pairs)
    return folder


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_vagnn.experiments.studies.compare.SAMPLES", 300)
