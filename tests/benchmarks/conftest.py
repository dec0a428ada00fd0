"""The benchmarks as importable modules, and small data as both programs load them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runs import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, list[Any]]:
    """The small platform as we load it and as RecBole does, and batches of it."""
    from speed import contestants, data

    folder: Path = tmp_path_factory.mktemp("data")
    data.simulate(folder, data.SMALL)
    ours = data.load_ours(folder, data.SMALL)
    recbole = data.load_recbole(folder, data.SMALL, ours.options["eval_batch_size"])
    return ours, recbole, contestants.first_batches(ours)
