"""Hardest negatives and the sampled softmax against brute force, dense sums, expectations and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recbole_vagnn.nn import objectives
from recbole_vagnn.nn.objectives import hardest, sampled_softmax_loss


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("block", [1, 40, 2**21])
def test_the_hardest_is_the_one_that_brute_force_finds(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(objectives, "_BLOCK_ENTRIES", block)
    users, items = draws(0, 9, 4), draws(1, 7, 4)
    candidates = torch.randint(0, 7, (9, 5), generator=torch.Generator().manual_seed(2))
    scores = [
        [sum(float(a) * float(b) for a, b in zip(u, items[j], strict=True)) for j in row]
        for u, row in zip(users, candidates.tolist(), strict=True)
    ]
    want = [max(range(5), key=row.__getitem__) for row in scores]
    assert hardest(users, items, candidates).tolist() == want
    assert len(set(want)) > 1


def test_of_one_candidate_it_is_the_hardest_and_of_none_there_is_none() -> None:
    assert hardest(draws(0, 3, 4), draws(1, 7, 4), torch.tensor([[1], [2], [6]])).tolist() == [0, 0, 0]
    assert hardest(draws(0, 0, 4), draws(1, 7, 4), torch.zeros(0, 3, dtype=torch.int64)).shape == (0,)


def test_no_gradient_passes_through_the_choice() -> None:
    users = draws(0, 3, 4).requires_grad_()
    assert not hardest(users, users, torch.tensor([[0, 1]] * 3)).requires_grad


def test_over_all_other_items_it_is_the_dense_log_softmax() -> None:
    scores = draws(0, 6, 10)
    positive = torch.tensor([0, 3, 9, 9, 1, 5])
    others = torch.stack([torch.cat([row[:i], row[i + 1 :]]) for row, i in zip(scores, positive, strict=True)])
    loss = sampled_softmax_loss(scores[range(6), positive], others, torch.zeros(9))
    want = -torch.log_softmax(scores, dim=1)[range(6), positive].mean()
    torch.testing.assert_close(loss, want, rtol=1e-12, atol=0)


def test_weights_multiply_the_exponentials_and_minus_infinity_leaves_out() -> None:
    positive, negative, weights = draws(0, 4), draws(1, 4, 3), draws(2, 4, 3).exp()
    weights[1, 2] = weights[3, 0] = 0
    total = 0.0
    for s, row, w in zip(positive.tolist(), negative.tolist(), weights.tolist(), strict=True):
        z = math.exp(s) + sum(a * math.exp(x) for a, x in zip(w, row, strict=True))
        total -= math.log(math.exp(s) / z)
    assert sampled_softmax_loss(positive, negative, weights.log()).item() == pytest.approx(total / 4, rel=1e-12)


def test_the_parts_of_a_batch_add_up_to_it() -> None:
    positive, negative, log_weights = draws(0, 5), draws(1, 5, 3), draws(2, 5, 3)
    whole = sampled_softmax_loss(positive, negative, log_weights)
    parts = [
        sampled_softmax_loss(positive[rows], negative[rows], log_weights[rows], 5)
        for rows in (slice(0, 3), slice(3, 5), slice(5, 5))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-12)


def test_the_corrected_sum_has_the_full_sum_as_its_expectation() -> None:
    """Negatives drawn with unequal probabilities: without the correction the mean is far off."""
    generator = torch.Generator().manual_seed(4)
    scores, q = draws(0, 6), torch.tensor([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], dtype=torch.float64)
    k, n = 3, 200_000
    drawn = torch.multinomial(q, n * k, replacement=True, generator=generator).view(n, k)
    positive = torch.zeros(n, dtype=torch.float64)
    # exp of the loss of one row is 1 + Σ w exp(s) as exp(s⁺) = 1
    logits = scores[drawn] - (k * q[drawn]).log()
    estimates = torch.stack(
        [sampled_softmax_loss(positive[:1], row[None], torch.zeros(k)) for row in logits[:50]]
    ).exp()
    torch.testing.assert_close(estimates, 1 + logits[:50].exp().sum(1), rtol=1e-12, atol=0)
    mean = 1 + logits.exp().sum(1).mean()
    want = 1 + scores.exp().sum()
    error = logits.exp().sum(1).std() / math.sqrt(n)
    assert abs(mean - want) < 5 * error < 0.02 * want
    assert abs(1 + scores[drawn].exp().sum(1).mean() - want) > 50 * error


def test_gradients_equal_finite_differences() -> None:
    inputs = draws(0, 4).requires_grad_(), draws(1, 4, 3).requires_grad_()
    log_weights = draws(2, 4, 3)
    log_weights[0, 1] = float("-inf")
    assert torch.autograd.gradcheck(lambda p, n: sampled_softmax_loss(p, n, log_weights), inputs)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_large_scores_stay_finite(scale: float) -> None:
    positive, negative = (draws(0, 4) * scale).requires_grad_(), (draws(1, 4, 3) * scale).requires_grad_()
    loss = sampled_softmax_loss(positive, negative, torch.zeros(3))
    loss.backward()
    assert loss.isfinite()
    assert positive.grad.isfinite().all()


def test_half_precision_is_computed_in_single() -> None:
    positive, negative = draws(0, 4).bfloat16(), draws(1, 4, 3).bfloat16()
    assert sampled_softmax_loss(positive, negative, torch.zeros(3)).dtype == torch.float32
