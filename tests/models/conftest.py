"""The small data set that the graph baselines are compared on."""

from __future__ import annotations

import pytest

from tests.models.dense import Data, small_split


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    return folder, small_split(folder)
