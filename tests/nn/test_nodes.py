"""The different nodes of a batch."""

from __future__ import annotations

import numpy as np
import torch

from recbole_vagnn.nn.nodes import different_nodes

SIZES = [30, 1, 12, 5]


def test_each_type_has_its_ids_once_ascending_and_without_zero() -> None:
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, size, 40) for size in SIZES]
    found = different_nodes([torch.from_numpy(one) for one in ids], SIZES)
    assert [one.tolist() for one in found] == [sorted(set(one.tolist()) - {0}) for one in ids]


def test_the_first_and_the_last_id_of_neighbouring_types_are_not_mixed_up() -> None:
    found = different_nodes([torch.tensor([3, 3]), torch.tensor([0, 2]), torch.tensor([1, 0])], [4, 3, 2])
    assert [one.tolist() for one in found] == [[3], [2], [1]]


def test_a_type_without_nodes_is_empty() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    found = different_nodes([torch.tensor([2]), none, torch.tensor([0, 0])], [3, 4, 5])
    assert [one.tolist() for one in found] == [[2], [], []]
    assert found[1].dtype == torch.int64
