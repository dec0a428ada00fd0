"""Loss terms against dense torch formulas, and at their extremes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.nn.losses import bpr_loss, info_nce, info_nce_against_all, squared_norm_of_rows


def random_views(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two correlated views, rows of very different lengths."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, d, generator=generator, dtype=torch.float64)
    second = first + torch.randn(n, d, generator=generator, dtype=torch.float64)
    lengths = torch.rand(n, 1, generator=generator, dtype=torch.float64) * 5 + 0.1
    return (first * lengths).to(dtype).requires_grad_(), (second / lengths).to(dtype).requires_grad_()


def dense_info_nce(first: Tensor, second: Tensor, tau: float) -> Tensor:
    """mean of −log softmax of the cosines over τ, on the diagonal."""
    one, two = (x / x.norm(dim=1, keepdim=True) for x in (first, second))
    return -torch.log_softmax(one @ two.T / tau, dim=1).diagonal().mean()


# ------------------------------------------------------------------------------------- InfoNCE


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 1300])
def test_info_nce_and_its_gradients_equal_the_dense_formula(n: int, tau: float) -> None:
    results = []
    for formula in (info_nce, dense_info_nce):
        views = random_views(n, 6, seed=n)
        loss = formula(*views, tau)
        (3.0 * loss).backward()  # the incoming gradient is not 1
        results.append((loss.detach(), views[0].grad, views[1].grad))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    if n > 2:
        assert results[0][0] > 0.1
        assert all(grad.abs().max() > 1e-6 for grad in results[0][1:])


def test_info_nce_of_two_orthogonal_pairs_is_log_one_plus_e_to_the_minus_one_over_tau() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    for tau in (0.1, 0.5, 1.0, 7.0):
        assert info_nce(eye, 3 * eye, tau).item() == pytest.approx(math.log1p(math.exp(-1 / tau)), rel=1e-12)
        assert info_nce(eye, eye.flip(0), tau).item() == pytest.approx(math.log1p(math.exp(1 / tau)), rel=1e-12)


def test_info_nce_takes_the_softmax_over_the_second_view() -> None:
    """The loss is not symmetric: this fails if the roles of the views are exchanged."""
    first, second = (x.detach() for x in random_views(9, 3, seed=1))
    got, turned = info_nce(first, second, 0.2).item(), info_nce(second, first, 0.2).item()
    assert got == pytest.approx(dense_info_nce(first, second, 0.2).item(), rel=1e-12)
    assert abs(got - turned) > 1e-3


def test_info_nce_of_nothing_is_zero_and_has_a_gradient() -> None:
    views = [torch.zeros(0, 4, requires_grad=True) for _ in range(2)]
    loss = info_nce(*views, 0.05)
    assert loss.shape == ()
    assert loss.item() == 0
    loss.backward()
    assert views[0].grad.shape == (0, 4)


def test_info_nce_of_one_node_is_zero_with_zero_gradient() -> None:
    views = random_views(1, 4, seed=0)
    loss = info_nce(*views, 0.01)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert all(view.grad.abs().max() < 1e-10 for view in views)


@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_info_nce_falls_as_the_views_align(tau: float) -> None:
    first, second = (x.detach() for x in random_views(40, 8, seed=2))
    noise = functional.normalize(second, dim=1)
    target = functional.normalize(first, dim=1)
    losses = [info_nce(first, (1 - a) * noise + a * target, tau).item() for a in torch.linspace(0, 1, 8).tolist()]
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))


def test_a_step_down_the_gradient_of_info_nce_pulls_the_views_together() -> None:
    """The inverted sign of the released program would push them apart."""
    first, second = random_views(30, 8, seed=3)
    before = functional.cosine_similarity(first, second).mean().item()
    info_nce(first, second, 0.2).backward()
    after = functional.cosine_similarity(first - 0.5 * first.grad, second - 0.5 * second.grad).mean().item()
    assert after > before + 1e-4


@pytest.mark.parametrize("tau", [1e-4, 0.01])
@pytest.mark.parametrize("aligned", [1.0, -1.0])
def test_info_nce_is_finite_in_single_precision_at_small_temperatures(tau: float, aligned: float) -> None:
    first = random_views(600, 4, seed=4, dtype=torch.float32)[0]
    second = (aligned * first.detach()).requires_grad_()
    loss = info_nce(first, second, tau)
    loss.backward()
    want = dense_info_nce(first.detach().double(), second.detach().double(), tau).item()
    assert loss.item() == pytest.approx(want, rel=1e-4, abs=1e-3)
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()


def test_info_nce_of_a_zero_vector_is_finite() -> None:
    first, second = random_views(5, 3, seed=5)
    with torch.no_grad():
        first[2] = 0
    loss = info_nce(first, second, 0.05)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_info_nce_computes_in_single_precision_or_wider(dtype: torch.dtype) -> None:
    views = random_views(50, 8, seed=6, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = info_nce(*views, 0.05)
    loss.backward()
    want = dense_info_nce(*(x.detach().double() for x in views), 0.05).item()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(want, rel=1e-4)
    assert views[0].grad.dtype == dtype


@pytest.mark.parametrize("n", [3, 700])
def test_parts_of_info_nce_add_up_to_the_whole_with_its_gradients(n: int) -> None:
    results = []
    for parts in ([None], [slice(0, n // 3), slice(n // 3, n // 3), slice(n // 3, n)]):
        views = random_views(n, 6, seed=8)
        loss = sum(info_nce(*views, 0.1, rows=part) for part in parts)
        loss.backward()
        results.append((loss.detach(), views[0].grad, views[1].grad))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-13)


def test_a_part_of_info_nce_is_its_own_terms_over_all_rows() -> None:
    first, second = (x.detach() for x in random_views(5, 3, seed=9))
    cosines = functional.cosine_similarity(first[:, None], second, dim=2) / 0.2
    want = (cosines.logsumexp(1) - cosines.diagonal())[3:].sum() / 5
    assert info_nce(first, second, 0.2, rows=slice(3, 5)).item() == pytest.approx(want.item(), rel=1e-10)
    assert abs(want.item() - dense_info_nce(first, second, 0.2).item()) > 1e-3


# ------------------------------------------------------------------------- InfoNCE against all nodes


def dense_against_all(first: Tensor, second: Tensor, nodes: Tensor, tau: float) -> Tensor:
    """Σ of −log softmax over all rows of the second view, one term for each time a node is named."""
    one, two = (x / x.norm(dim=1, keepdim=True) for x in (first, second))
    logits = one[nodes] @ two.T / tau
    return -torch.log_softmax(logits, dim=1).gather(1, nodes[:, None]).sum()


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.2, 1.0])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (6, 20), (40, 5), (1300, 2500)])
def test_info_nce_against_all_and_its_gradients_equal_the_dense_formula(n: int, m: int, tau: float) -> None:
    nodes = torch.randint(0, n, (m,), generator=torch.Generator().manual_seed(m))
    results = []
    for formula in (info_nce_against_all, dense_against_all):
        views = random_views(n, 6, seed=n)
        loss = formula(*views, nodes, tau)
        (3.0 * loss).backward()
        results.append((loss.detach(), views[0].grad, views[1].grad))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("tau", [0.03, 0.3])
def test_gradients_of_info_nce_against_all_are_its_slopes(tau: float) -> None:
    nodes = torch.tensor([4, 1, 4, 4, 0])
    assert torch.autograd.gradcheck(lambda x, y: info_nce_against_all(x, y, nodes, tau), random_views(6, 3, seed=0))


def test_info_nce_against_all_counts_a_node_as_often_as_it_is_named_and_in_any_order() -> None:
    views = [x.detach() for x in random_views(30, 4, seed=3)]
    single = [info_nce_against_all(*views, torch.tensor([node]), 0.2).item() for node in (7, 2)]
    together = info_nce_against_all(*views, torch.tensor([7, 2, 7, 7]), 0.2).item()
    assert together == pytest.approx(3 * single[0] + single[1], rel=1e-12)


def test_info_nce_against_all_of_every_node_once_is_the_sum_of_info_nce() -> None:
    views = [x.detach() for x in random_views(30, 4, seed=4)]
    assert info_nce_against_all(*views, torch.randperm(30), 0.2).item() == pytest.approx(
        30 * info_nce(*views, 0.2).item(), rel=1e-12
    )


def test_info_nce_against_all_of_no_node_is_zero_with_zero_gradient() -> None:
    views = random_views(5, 3, seed=0)
    loss = info_nce_against_all(*views, torch.zeros(0, dtype=torch.int64), 0.2)
    loss.backward()
    assert loss.item() == 0
    assert all(view.grad.abs().max() == 0 for view in views)


@pytest.mark.parametrize("tau", [1e-4, 0.0499, 0.05])
@pytest.mark.parametrize("aligned", [1.0, -1.0])
def test_info_nce_against_all_is_right_in_single_precision_at_small_temperatures(tau: float, aligned: float) -> None:
    first = random_views(600, 4, seed=4, dtype=torch.float32)[0]
    second = (aligned * first.detach()).requires_grad_()
    nodes = torch.arange(600).repeat(2)
    loss = info_nce_against_all(first, second, nodes, tau)
    loss.backward()
    want = dense_against_all(first.detach().double(), second.detach().double(), nodes, tau).item()
    assert loss.item() / 1200 == pytest.approx(want / 1200, rel=1e-4, abs=1e-3)
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()


# ----------------------------------------------------------------------------------------- BPR


def test_bpr_loss_is_the_mean_of_minus_log_sigmoid() -> None:
    positive, negative = torch.tensor([2.0, -1.0, 0.5]).double(), torch.tensor([1.0, 1.0, 0.5]).double()
    want = (math.log1p(math.exp(-1)) + math.log1p(math.exp(2)) + math.log(2)) / 3
    assert bpr_loss(positive, negative).item() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(
    ("difference", "value", "slope"), [(1e4, 0.0, 0.0), (-1e4, 1e4, -1.0), (0.0, math.log(2), -0.5)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bpr_loss_is_right_at_extreme_differences(
    difference: float, value: float, slope: float, dtype: torch.dtype
) -> None:
    positive = torch.tensor([difference], dtype=dtype, requires_grad=True)
    loss = bpr_loss(positive, torch.zeros(1, dtype=dtype))
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-6)
    assert positive.grad.item() == pytest.approx(slope)


# ---------------------------------------------------------------------------- norms of rows


def test_squared_norm_counts_a_row_as_often_as_it_is_named() -> None:
    table = torch.tensor([[9.0, 9.0], [1.0, 2.0], [3.0, 0.0], [7.0, 7.0]], requires_grad=True)
    rows = torch.tensor([1, 2, 1, 1])
    total = squared_norm_of_rows(table, rows)
    total.backward()
    assert total.item() == 3 * 5 + 9
    assert table.grad.tolist() == [[0, 0], [6, 12], [6, 0], [0, 0]]


def test_squared_norm_equals_that_of_gathered_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    rows = torch.randint(0, 20, (300,), generator=generator)
    torch.testing.assert_close(squared_norm_of_rows(table, rows), table[rows].square().sum())


def test_squared_norm_leaves_a_row_out_however_often_it_is_named() -> None:
    table = torch.tensor([[9.0, 9.0], [1.0, 2.0], [3.0, 0.0]], requires_grad=True)
    total = squared_norm_of_rows(table, torch.tensor([0, 1, 0, 2, 1]), but=0)
    total.backward()
    assert total.item() == 2 * 5 + 9
    assert table.grad.tolist() == [[0, 0], [4, 8], [6, 0]]


def test_squared_norm_of_no_rows_is_zero() -> None:
    assert squared_norm_of_rows(torch.ones(3, 2), torch.zeros(0, dtype=torch.int64)).item() == 0
