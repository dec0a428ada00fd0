"""Splits and the loader of full rankings against RecBole's own, row for row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataset import Dataset

from recbole_vagnn.data.loader import VloggerFullSortLoader
from recbole_vagnn.data.splitting import leave_one_out_rows, ratio_rows
from recbole_vagnn.errors import InputError
from tests.helpers import load_loaders, load_splits
from tests.runs import options_for, write_toy

KEYS = st.lists(st.integers(0, 6), max_size=40).map(lambda keys: np.array(keys, dtype=np.int64))
RATIOS = st.sampled_from([[0.8, 0.1, 0.1], [0.5, 0.5], [0.7, 0.3, 0.0], [0.05, 0.9, 0.05], [1.0], [0.34, 0.33, 0.33]])
RECBOLE: Any = Dataset.__new__(Dataset)  # its arithmetic of splits needs no data


def lists(parts: Any) -> list[list[int]]:
    return [[int(row) for row in part] for part in parts]


@given(KEYS, st.integers(1, 2))
def test_leave_one_out_selects_recboles_rows_in_its_order(keys: np.ndarray, held_out: int) -> None:
    theirs = RECBOLE._split_index_by_leave_one_out(RECBOLE._grouped_index(keys), held_out)
    assert lists(leave_one_out_rows(keys, held_out)) == theirs


@given(KEYS, RATIOS)
def test_ratios_select_recboles_rows_in_its_order(keys: np.ndarray, ratios: list[float]) -> None:
    theirs: list[list[int]] = [[] for _ in ratios]
    for group in RECBOLE._grouped_index(keys):
        ends = RECBOLE._calcu_split_ids(tot=len(group), ratios=ratios)
        for part, start, end in zip(theirs, [0, *ends], [*ends, len(group)], strict=True):
            part.extend(group[start:end])
    assert lists(ratio_rows(keys, ratios, RECBOLE._calcu_split_ids)) == theirs


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


SPLITS: list[dict[str, Any]] = [
    {"split": {"LS": "valid_and_test"}, "order": "TO"},
    {"split": {"LS": "test_only"}, "order": "TO"},
    {"split": {"LS": "valid_and_test"}, "order": "RO"},
    {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"},
    {"split": {"RS": [6, 1, 3]}, "order": "TO"},
    {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": None},
]


@pytest.mark.parametrize("arguments", SPLITS, ids=str)
def test_the_data_set_is_split_as_recbole_splits_it(
    toy: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    from recbole_vagnn.data.dataset import VloggerDataset

    options = options_for(toy, {"eval_args": {"group_by": "user", **arguments}, "valid_metric": "Recall@10"})
    ours = [split.inter_feat.interaction for split in load_splits(toy, options)[1]]
    for name in ("leave_one_out", "split_by_ratio"):
        monkeypatch.delattr(VloggerDataset, name)
    theirs = [split.inter_feat.interaction for split in load_splits(toy, options)[1]]
    assert [list(columns) for columns in ours] == [list(columns) for columns in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_an_unknown_leave_one_out_is_refused_by_name(toy: Path) -> None:
    options = options_for(toy, {"eval_args": {"split": {"LS": "last_two"}, "order": "TO"}})
    with pytest.raises(InputError, match=r"last_two.*valid_and_test, valid_only, test_only"):
        load_splits(toy, options)


@pytest.mark.parametrize("changes", [{}, {"mask_valid_at_test": False}, {"eval_batch_size": 100}], ids=str)
def test_the_loader_holds_and_yields_what_recboles_does(toy: Path, changes: dict[str, Any]) -> None:
    config, (_, *evaluated) = load_loaders(toy, options_for(toy, changes))
    for ours in evaluated:
        assert type(ours) is VloggerFullSortLoader
        theirs = FullSortEvalDataLoader(config, ours._dataset, ours._sampler)
        assert (ours.step, len(ours), ours.sample_size) == (theirs.step, len(theirs), theirs.sample_size)
        assert ours.uid2items_num.tolist() == theirs.uid2items_num.tolist()
        for name in ("uid2positive_item", "uid2history_item"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert [None if row is None else row.tolist() for row in mine] == [
                None if row is None else sorted(row.tolist()) for row in other
            ]
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine[0]["user_id"], other[0]["user_id"])
            for (rows, items), (their_rows, their_items) in ((mine[1], other[1]), (mine[2:], other[2:])):
                pairs = set(zip(rows.tolist(), items.tolist(), strict=True))
                assert pairs == set(zip(their_rows.tolist(), their_items.tolist(), strict=True))
                assert len(pairs) == len(rows) == len(their_rows)
