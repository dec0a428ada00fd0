"""Bags of what a user saw before: a hand-worked case, plain loops, and the order of a split."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recbole_vagnn.data.history import Bags, Histories
from tests.helpers import load_splits, write_dataset


def listed(bags: Bags) -> list[list[tuple[int, float]]]:
    """(item, weight) of each bag, rounded."""
    cuts = bags.offsets.tolist()
    pairs = list(zip(bags.items.tolist(), (round(w, 12) for w in bags.weights.tolist()), strict=True))
    return [pairs[a:b] for a, b in pairwise(cuts)]


def test_a_hand_worked_history() -> None:
    users, items = np.array([2, 1, 2, 2, 1]), np.array([5, 5, 3, 4, 1])
    histories = Histories(users, items, 4, 6, decay=0.5, length=2)
    assert listed(histories.before(np.array([2, 2, 2, 1]), np.array([5, 4, 3, 1]))) == [
        [],
        [(3, round(2 / 3, 12)), (5, round(1 / 3, 12))],
        [(5, 1.0)],
        [(5, 1.0)],
    ]
    thirds = [round(2 / 3, 12), round(1 / 3, 12)]
    assert listed(histories.all()) == [
        [],
        list(zip([1, 5], thirds, strict=True)),
        list(zip([4, 3], thirds, strict=True)),
        [],
    ]


@pytest.mark.parametrize(("decay", "length"), [(1.0, 1), (1.0, 100), (0.7, 3), (0.9, 100)])
def test_bags_equal_plain_loops(decay: float, length: int) -> None:
    rng = random.Random(3)
    pairs = rng.sample([(u, v) for u in range(1, 7) for v in range(1, 12)], 40)
    users, items = (np.array(column) for column in zip(*pairs, strict=True))
    histories = Histories(users, items, 8, 12, decay, length)

    def bag(u: int, end: int) -> list[tuple[int, float]]:
        seen = [v for w, v in pairs[:end] if w == u][::-1][:length]
        weights = [decay**j for j in range(len(seen))]
        return [(v, round(w / sum(weights), 12)) for v, w in zip(seen, weights, strict=True)]

    assert listed(histories.before(users, items)) == [bag(u, row) for row, (u, _) in enumerate(pairs)]
    assert listed(histories.all()) == [bag(u, len(pairs)) for u in range(8)]


def test_the_order_is_that_of_time_and_held_out_items_are_in_no_bag(tmp_path: Path) -> None:
    rows = [["u", f"v{time}", time] for time in (4, 1, 5, 3, 2)]
    write_dataset(
        tmp_path, [*rows, *(["w", f"v{t}", 10 + t] for t in range(1, 6))], [[f"v{t}", "a"] for t in range(1, 6)]
    )
    train = load_splits(tmp_path, {"topk": [2], "valid_metric": "Recall@2"})[1][0]
    user = train.token2id(train.uid_field, "u")
    bag = listed(Histories.from_dataset(train, 0.5, 10).all())[user]
    assert [train.id2token(train.iid_field, item) for item, _ in bag] == ["v3", "v2", "v1"]
