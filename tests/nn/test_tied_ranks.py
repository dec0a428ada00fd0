"""Expected metrics under ties: against every order of the tied items, by hand, and against RecBole without ties."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator.metrics import NDCG, Recall

from recbole_vagnn.nn import tied_ranks
from recbole_vagnn.nn.tied_ranks import expected_metrics, expected_share, places

INF = float("inf")


def by_every_order(scores: list[float], relevant: set[int], k: int) -> tuple[float, float, list[float]]:
    """Mean Recall@k and NDCG@k over all orders that respect the scores, and how often each item is in the top k."""
    candidates = [i for i, score in enumerate(scores) if score > -INF]
    orders = [
        order
        for order in itertools.permutations(candidates)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    recalls, ndcgs, listed = [], [], [0.0] * len(scores)
    best = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))
    for order in orders:
        hits = [rank for rank, item in enumerate(order[:k]) if item in relevant]
        recalls.append(len(hits) / len(relevant))
        ndcgs.append(sum(1 / math.log2(rank + 2) for rank in hits) / best)
        for item in order[:k]:
            listed[item] += 1 / len(orders)
    return sum(recalls) / len(recalls), sum(ndcgs) / len(ndcgs), listed


@given(data=st.data())
def test_metrics_and_shares_are_the_mean_over_every_order_of_equal_scores(data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.sampled_from([-INF, 0.0, 1.0, 2.0]), min_size=3, max_size=6))
    candidates = [i for i, score in enumerate(scores) if score > -INF]
    if not candidates:
        return
    relevant = data.draw(st.sets(st.sampled_from(candidates), min_size=1))
    k = data.draw(st.integers(1, len(candidates)))
    recall, ndcg, listed = by_every_order(scores, relevant, k)
    table = torch.tensor([scores, [0.0] * len(scores)])  # a second row must not matter
    rows, columns = [0] * len(relevant) + [1], [*relevant, 0]
    found = expected_metrics(table, torch.tensor(rows), torch.tensor(columns), [k])
    assert found[f"recall@{k}"][0].item() == pytest.approx(recall)
    assert found[f"ndcg@{k}"][0].item() == pytest.approx(ndcg)
    chosen = torch.tensor([i % 2 == 0 for i in range(len(scores))])
    want = sum(share for i, share in enumerate(listed) if i % 2 == 0) / k
    assert expected_share(table, chosen, k)[0].item() == pytest.approx(want)


def test_a_tie_across_the_cut_off_by_hand() -> None:
    """One item above, three equal, of which two are relevant; two places are left at the cut-off 3."""
    scores = torch.tensor([[5.0, 1.0, 1.0, 1.0, 0.0]])
    rows, columns = torch.tensor([0, 0]), torch.tensor([1, 3])
    above, equal = places(scores, rows, columns)
    assert above.tolist() == [1, 1]
    assert equal.tolist() == [3, 3]
    found = expected_metrics(scores, rows, columns, [1, 3])
    assert found["recall@1"].tolist() == found["ndcg@1"].tolist() == [0.0]
    assert found["recall@3"].item() == pytest.approx(2 / 3)  # each is in with 2/3
    gain = 2 * (1 / math.log2(3) + 1 / math.log2(4)) / 3
    assert found["ndcg@3"].item() == pytest.approx(gain / (1 + 1 / math.log2(3)))
    assert expected_share(scores, torch.tensor([True, True, False, False, False]), 3).item() == pytest.approx(5 / 9)


def test_without_ties_the_metrics_are_recboles() -> None:
    rng = np.random.default_rng(0)
    n, m, topk = 40, 30, [1, 5, 10]
    scores = rng.permuted(np.arange(n * m).reshape(n, m), axis=1).astype(np.float64)
    relevant = rng.random((n, m)) < 0.2
    relevant[np.arange(n), rng.integers(m, size=n)] = True
    rows, columns = map(torch.from_numpy, np.nonzero(relevant))
    found = expected_metrics(torch.from_numpy(scores), rows, columns, topk)
    hits = np.take_along_axis(relevant, np.argsort(-scores, axis=1)[:, : max(topk)], axis=1)
    numbers = relevant.sum(1)
    for metric in (Recall, NDCG):
        of_recbole = metric.metric_info(SimpleNamespace(topk=topk), hits, numbers)
        for k in topk:
            name = f"{metric.__name__.lower()}@{k}"
            np.testing.assert_allclose(found[name], of_recbole[:, k - 1], rtol=1e-12, err_msg=name)


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(4, (6, 9), generator=generator).double()
    rows, columns = (torch.randint(n, (31,), generator=generator) for n in scores.shape)
    whole = places(scores, rows, columns)
    monkeypatch.setattr(tied_ranks, "_BLOCK", 20)
    for part, of_whole in zip(places(scores, rows, columns), whole, strict=True):
        assert torch.equal(part, of_whole)
