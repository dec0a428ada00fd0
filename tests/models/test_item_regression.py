"""The closed form of EASE, and the EASE that is built on it, against RecBole's class and solves in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.model.general_recommender.ease import EASE
from recbole.quick_start import load_data_and_model

from recbole_vagnn import registry
from recbole_vagnn.errors import InputError
from recbole_vagnn.models import item_regression
from recbole_vagnn.models.item_regression import item_regression_weights
from recbole_vagnn.models.recbole_fast.ease import FastEASE
from tests.helpers import make_config
from tests.models.dense import Data, all_scores, interaction, random_triples
from tests.runs import run_toy, write_toy


def random_rows(n_rows: int = 40, n_items: int = 23) -> sp.csr_matrix:
    generator = np.random.default_rng(5)
    dense = (generator.random((n_rows, n_items)) < 0.2) * generator.uniform(0.5, 2, (n_rows, n_items))
    return sp.csr_matrix(dense.astype(np.float32))


@pytest.mark.parametrize("block", [1, 7, 23, 1024])
def test_weights_are_those_of_the_inverse_in_float64_however_the_rows_are_cut(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(item_regression, "_BLOCK", block)
    rows = random_rows()
    dense = rows.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 1.5 * np.eye(23))
    want = np.where(np.eye(23, dtype=bool), 0, -inverse / np.diag(inverse)[None, :])
    found = item_regression_weights(rows, 1.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, atol=2e-6)


def test_a_singular_matrix_is_refused_with_the_option_to_raise() -> None:
    twins = sp.csr_matrix(np.full((4000, 2), 1000, dtype=np.float32))
    with pytest.raises(InputError, match=r"2 items is singular at `reg_weight` 1e-06.*Raise `reg_weight`"):
        item_regression_weights(twins, 1e-6)


def test_the_option_picks_the_fast_ease_and_its_scores_are_recboles(data: Data) -> None:
    folder, train = data
    pairs = random_triples(train)
    found: dict[bool, Any] = {}
    for fast in (True, False):
        config = make_config(folder, {"reg_weight": 3.0, "fast_propagation": fast}, "EASE")
        model = registry.model_class("EASE", config)(config, train)
        assert type(model) is (FastEASE if fast else EASE)
        found[fast] = all_scores(model), model.predict(interaction(model, pairs))
    for ours, theirs in zip(found[True], found[False], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert found[True][0].abs().sum() > 0


def test_a_run_takes_the_fast_ease_and_recbole_loads_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    built: list[FastEASE] = []
    original = FastEASE.__init__
    monkeypatch.setattr(FastEASE, "__init__", lambda self, *given: built.append(self) or original(self, *given))
    result = run_toy(write_toy(tmp_path), {}, "EASE")
    assert len(built) == 1
    loaded = load_data_and_model(result.checkpoint)[1]
    assert type(loaded) is EASE
    np.testing.assert_array_equal(loaded.item_similarity, built[0].item_similarity)
