"""The parts of scores and the vlogger's share: by hand, against loops, and in the limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recbole_vagnn.nn.contribution import Parts, parts_of, vlogger_share


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def share(video: float, vlogger: float) -> float:
    tables = (torch.tensor([[value]], dtype=torch.float64) for value in (video, vlogger))
    return vlogger_share(Parts(*tables)).item()


def test_parts_equal_plain_loops_and_add_up_to_the_score() -> None:
    users, videos, vloggers = random(2, 3), random(6, 3, seed=1), random(6, 3, seed=2)
    items = torch.tensor([[1, 5, 2, 0], [4, 4, 1, 3]])
    found = parts_of(users, videos, vloggers, items)
    for u in range(2):
        for place, v in enumerate(items[u].tolist()):
            assert found.video[u, place].item() == pytest.approx(
                sum(users[u, i].item() * videos[v, i].item() for i in range(3))
            )
            assert found.vlogger[u, place].item() == pytest.approx(float(users[u] @ vloggers[v]))
    scores = users @ (videos + vloggers).T
    torch.testing.assert_close(found.video + found.vlogger, scores.gather(1, items))


@pytest.mark.parametrize(
    ("video", "vlogger", "want"), [(3, 1, 0.25), (2, -1, 0), (-1, 2, 1), (0, 2, 1), (2, 0, 0), (1e-9, 1e-9, 0.5)]
)
def test_shares_by_hand(video: float, vlogger: float, want: float) -> None:
    assert share(video, vlogger) == want


def test_no_share_where_neither_part_recommends() -> None:
    assert math.isnan(share(-1, 0))
    assert math.isnan(share(-2, -3))


@given(video=st.floats(-1e3, 1e3), vlogger=st.floats(-1e3, 1e3), scale=st.floats(1e-2, 1e2))
def test_shares_lie_between_0_and_1_do_not_depend_on_scale_and_add_up_to_1(
    video: float, vlogger: float, scale: float
) -> None:
    if max(video, vlogger) < 1e-3:
        return
    found = share(video, vlogger)
    assert 0 <= found <= 1
    assert share(scale * video, scale * vlogger) == pytest.approx(found)
    assert share(vlogger, video) == pytest.approx(1 - found)
    if min(video, vlogger) > 0:
        assert found == pytest.approx(vlogger / (video + vlogger))
