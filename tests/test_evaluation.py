"""What is collected for the metrics is what RecBole's collector collects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator import Collector

from recbole_vagnn.evaluation import TopkCollector, hits_and_positives


def test_hits_by_hand() -> None:
    """Row 0 finds 7 and misses 2; row 1 has no positives; row 2 names its positive twice and finds it first."""
    top = torch.tensor([[5, 7], [1, 2], [4, 9]])
    rows, items = torch.tensor([0, 0, 2, 2]), torch.tensor([7, 2, 4, 4])
    assert hits_and_positives(top, rows, items).tolist() == [[0, 1, 2], [0, 0, 0], [1, 0, 1]]


class Config(dict[str, Any]):
    """Of an evaluation; what is not given is None, as in RecBole's."""

    def __missing__(self, key: str) -> None:
        return None


def config(metrics: list[str], k: int) -> Config:
    return Config(metrics=metrics, topk=[1, k], eval_args={"mode": "full"}, device=torch.device("cpu"))


@given(seed=st.integers(0, 2**16), metrics=st.sampled_from([["Recall"], ["NDCG", "ItemCoverage"], ["GAUC", "MRR"]]))
def test_collected_as_recbole_collects(seed: int, metrics: list[str]) -> None:
    rng = torch.Generator().manual_seed(seed)
    ours, theirs = TopkCollector(config(metrics, 4)), Collector(config(metrics, 4))
    for users in (3, 5):
        scores = torch.randint(0, 6, (users, 9), generator=rng).float()
        rows, items = (torch.rand(users, 9, generator=rng) < 0.3).nonzero(as_tuple=True)
        for collector in (ours, theirs):
            collector.eval_batch_collect(scores, None, rows, items)
    mine, other = ours.get_data_struct()._data_dict, theirs.get_data_struct()._data_dict
    assert mine.keys() == other.keys()
    for name in mine:
        assert mine[name].dtype == other[name].dtype
        assert torch.equal(mine[name], other[name]), name


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_without_positives_has_no_hit(n: int) -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert hits_and_positives(torch.zeros(n, 2, dtype=torch.int64), none, none).tolist() == [[0, 0, 0]] * n
