"""Alignment, uniformity, common neighbours and the map of two views, by hand and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recbole_vagnn.nn import alignment as measures
from recbole_vagnn.nn.alignment import alignment, common_neighbours, cosines, joint_map, uniformity


def random(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def on_circle(*degrees: float) -> Tensor:
    """Vectors in the plane, of different lengths."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    lengths = torch.arange(1, len(degrees) + 1, dtype=torch.float64).unsqueeze(1)
    return lengths * torch.stack([angles.cos(), angles.sin()], dim=1)


def rotation(d: int) -> Tensor:
    return torch.linalg.qr(random(d, d, seed=9))[0]


# ----------------------------------------------------------------------------------------- by hand


def test_alignment_by_hand() -> None:
    """Equal, orthogonal and opposite directions are 0, 2 and 4 apart, whatever their lengths."""
    first, second = on_circle(0, 0, 0), on_circle(0, 90, 180)
    assert cosines(first, second).tolist() == pytest.approx([1, 0, -1])
    assert alignment(first, second) == pytest.approx((0 + 2 + 4) / 3)
    assert alignment(first[:1], 7 * second[:1]) == pytest.approx(0)


def test_uniformity_by_hand() -> None:
    """Of three vectors at 0°, 90° and 180°, two pairs have squared distance 2 and one has 4."""
    assert uniformity(on_circle(0, 90, 180)) == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3))
    assert uniformity(on_circle(30, 30, 30)) == pytest.approx(0)


def test_common_neighbours_by_hand() -> None:
    """Four nodes, at 0°, 10°, 100° and 115° in one view and at 0°, 100°, 110° and 10° in the other."""
    first, second = on_circle(0, 10, 100, 115), on_circle(0, 100, 110, 10)
    # nearest two: first view 0: 1 2; 1: 0 2; 2: 3 1; 3: 2 1; second view 0: 3 1; 1: 2 3; 2: 1 3; 3: 0 1
    assert common_neighbours(first, second, 2).tolist() == [0.5, 0.5, 1.0, 0.5]
    assert common_neighbours(first, second, 1).tolist() == [0.0, 0.0, 0.0, 0.0]


# -------------------------------------------------------------------------------------- against loops


def test_all_measures_equal_plain_loops() -> None:
    first, second, k = random(13, 4), random(13, 4, seed=1), 3
    one, two = (view.numpy() / np.linalg.norm(view.numpy(), axis=1, keepdims=True) for view in (first, second))
    pairs = [(i, j) for i in range(13) for j in range(13) if i != j]
    assert alignment(first, second) == pytest.approx(
        np.mean([((a - b) ** 2).sum() for a, b in zip(one, two, strict=True)])
    )
    potential = np.mean([math.exp(-2 * ((one[i] - one[j]) ** 2).sum()) for i, j in pairs])
    assert uniformity(first) == pytest.approx(math.log(potential))
    shares = []
    for i in range(13):
        nearest = [
            sorted((j for j in range(13) if j != i), key=lambda j: -view[i] @ view[j])[:k] for view in (one, two)
        ]
        shares.append(len(set(nearest[0]) & set(nearest[1])) / k)
    assert common_neighbours(first, second, k).tolist() == pytest.approx(shares)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = random(23, 5), random(23, 5, seed=1)
    whole = uniformity(first), common_neighbours(first, second, 4)
    monkeypatch.setattr(measures, "_BLOCK", 23 * 4)
    assert uniformity(first) == pytest.approx(whole[0])
    assert torch.equal(common_neighbours(first, second, 4), whole[1])


# ------------------------------------------------------------------------------------------ properties


def test_neighbours_and_uniformity_see_no_rotation_but_alignment_does() -> None:
    first = random(40, 6)
    second = first @ rotation(6)
    assert common_neighbours(first, second, 5).tolist() == [1.0] * 40
    assert uniformity(second) == pytest.approx(uniformity(first))
    assert alignment(first, second) > 0.5


def test_views_with_nothing_in_common_share_neighbours_by_chance() -> None:
    shares = common_neighbours(random(2000, 8), random(2000, 8, seed=1), 20)
    assert shares.mean().item() == pytest.approx(20 / 1999, rel=0.15)


# --------------------------------------------------------------------------------------------- the map


def test_the_map_of_views_in_a_plane_is_that_plane() -> None:
    """Unit vectors of a plane in 5 dimensions: distances are kept, and everything is explained."""
    angles = random(30, 1).squeeze() * 3
    plane = torch.stack([angles.cos(), angles.sin()], dim=1) @ rotation(5)[:2]
    first, second = plane[:15], 3 * plane[15:]
    found = joint_map(first, second)
    got, want = torch.cat([found.first, found.second]), torch.cat([first, second / 3])
    torch.testing.assert_close(torch.cdist(got, got), torch.cdist(want, want), rtol=0, atol=1e-7)
    assert found.explained == pytest.approx(1)


def test_the_axes_of_the_map_are_the_directions_of_largest_variance() -> None:
    first, second = random(50, 6), random(50, 6, seed=1) + 2
    found = joint_map(first, second)
    both = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    centred = both - both.mean(0)
    values = torch.linalg.svdvals(centred)
    got = torch.cat([found.first, found.second])
    torch.testing.assert_close(got.square().sum(0), values[:2].square())
    torch.testing.assert_close(got.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (got[:, 0] @ got[:, 1]).item() == pytest.approx(0, abs=1e-9)
    assert found.explained == pytest.approx((values[:2].square().sum() / values.square().sum()).item())


def test_the_map_is_the_same_every_time_and_in_either_precision() -> None:
    first, second = random(20, 4), random(20, 4, seed=1)
    one, again = joint_map(first, second), joint_map(first.float(), second.float())
    torch.testing.assert_close(one.first, again.first, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.second, again.second, rtol=0, atol=1e-5)
