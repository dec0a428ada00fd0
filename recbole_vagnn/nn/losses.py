"""Loss terms shared by the models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BLOCK_ENTRIES = 2**19  # of a block of logits: 2 MiB in float32, which a CPU's cache holds
_FEWEST_ROWS, _MOST_ROWS = 96, 512  # of a block: fewer make its products slow
_GPU_BLOCK_ENTRIES = 2**26  # 256 MiB: there the number of operations counts
_SAFE_TAU = 0.05  # from here on exp(1/τ) ≤ e^20 needs no shift: sums over 10^9 rows stay within float32


def bpr_loss(positive: Tensor, negative: Tensor, size: int | None = None) -> Tensor:
    """Bayesian personalised ranking: mean of softplus(−(positive − negative)).

    Rendle et al., UAI 2009. softplus stays finite where log(sigmoid) underflows.

    Args:
        positive, negative: (B,) scores.
        size: of the batch that these are a part of; the parts of a batch add up to its mean. None = B.

    Returns:
        scalar.
    """
    losses = functional.softplus(negative - positive)
    return losses.mean() if size is None or size == len(losses) else losses.sum() / size


def squared_norm_of_rows(table: Tensor, rows: Tensor, but: int | None = None) -> Tensor:
    """Σ ‖table[i]‖² over ``rows``, each row counted as often as it occurs.

    Counting first costs one pass over the table and no gather, whose backward would scatter. Neither counting nor
    leaving a row out waits for a GPU, as bincount and a selection by mask do.

    Args:
        table: (n, d).
        rows: (k,) int64.
        but: a row that is not counted, however often it occurs.

    Returns:
        scalar.
    """
    counts = rows.new_zeros(len(table)).index_add_(0, rows, torch.ones_like(rows))  # integers: in any order the same
    if but is not None:
        counts[but] = 0
    return torch.dot(counts.to(table.dtype), table.square().sum(dim=1))


def _rows_of_block(anchors: Tensor, targets: Tensor) -> int:
    """How many rows of logits to have at once."""
    if anchors.device.type == "cpu":
        return min(max(_BLOCK_ENTRIES // len(targets), _FEWEST_ROWS), _MOST_ROWS)
    return min(max(_GPU_BLOCK_ENTRIES // len(targets), _FEWEST_ROWS), len(anchors))


class _InfoNce(Function):
    """Both gradients are found while a block of logits is at hand, so no m×n matrix outlives its block.

    Anchors and targets have length ≤ 1, so a logit is at most 1/τ.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, targets: Tensor, own: Tensor, weights: Tensor, tau: float) -> Tensor:
        scaled = anchors / tau
        log_totals = torch.empty_like(weights)
        grad_anchors = torch.empty_like(anchors)
        grad_targets = targets.new_zeros(targets.shape[::-1])  # transposed: the products that fill it are faster so
        size = _rows_of_block(anchors, targets)
        buffer = anchors.new_empty(size, len(targets))
        for start in range(0, len(anchors), size):
            rows = slice(start, start + size)
            block = torch.mm(scaled[rows], targets.t(), out=buffer[: len(anchors) - start])
            shift = scaled.new_zeros(()) if tau >= _SAFE_TAU else block.amax(dim=1)
            exponentials = block.exp_() if tau >= _SAFE_TAU else block.sub_(shift[:, None]).exp_()
            totals = exponentials.sum(dim=1)
            log_totals[rows] = totals.log() + shift
            # The softmax is divided by its totals after the products: there it is m×d, not m×n.
            share = (weights[rows] / totals)[:, None]
            grad_anchors[rows] = torch.mm(exponentials, targets).mul_(share)
            grad_targets.addmm_((scaled[rows] * share).t(), exponentials)
        pull = targets.index_select(0, own)
        ctx.save_for_backward(
            grad_anchors.addcmul_(weights[:, None], pull, value=-1.0).div_(tau),
            grad_targets.t().contiguous().index_add_(0, own, weights[:, None] * scaled, alpha=-1.0),
        )
        return torch.dot(weights, log_totals - (scaled * pull).sum(dim=1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_anchors, grad_targets = ctx.saved_tensors
        return grad * grad_anchors, grad * grad_targets, None, None, None


def _counted_info_nce(first: Tensor, second: Tensor, own: Tensor, counts: Tensor, tau: float) -> Tensor:
    """Σ_i count_i · −log( exp(cos(x_i, y_own(i))/τ) / Σ_j exp(cos(x_i, y_j)/τ) ), the entries of own all different."""
    with torch.autocast(device_type=first.device.type, enabled=False):
        wide = torch.promote_types(first.dtype, torch.float32)
        anchors = functional.normalize(first.to(wide), dim=1)
        targets = functional.normalize(second.to(wide), dim=1)
        return _InfoNce.apply(anchors, targets, own, counts.to(wide), tau)  # type: ignore[no-any-return]


def info_nce(first: Tensor, second: Tensor, tau: float, rows: slice | None = None) -> Tensor:
    """InfoNCE between two views of the same nodes, with cosine similarity.

    mean over i of −log( exp(cos(x_i, y_i)/τ) / Σ_j exp(cos(x_i, y_j)/τ) ), finite for every τ > 0. Always computed
    in float32 or wider, also under autocast.

    Args:
        first, second: (n, d); row i of both is node i. n = 0 gives 0.
        tau: temperature, > 0.
        rows: compute these terms of the sum only; it is still divided by n. None = all.

    Returns:
        scalar, differentiable once.

    Example:
        >>> import torch
        >>> round(float(info_nce(torch.eye(2), torch.eye(2), tau=1.0)), 4)  # log(1 + e^-1)
        0.3133
    """
    n = first.shape[0]
    if n == 0:
        return first.sum()
    rows = slice(None) if rows is None else rows
    own = torch.arange(n, device=first.device)[rows]
    return _counted_info_nce(first[rows], second, own, torch.ones_like(own), tau) / n


def info_nce_against_all(first: Tensor, second: Tensor, nodes: Tensor, tau: float) -> Tensor:
    """InfoNCE of some nodes between two views, against every node of the second view, summed.

    Σ over i in ``nodes`` of −log( exp(cos(x_i, y_i)/τ) / Σ_j exp(cos(x_i, y_j)/τ) ), j running over all rows: the
    contrastive loss of SGL (Wu et al., SIGIR 2021, eq. 10). A node that is named c times is computed once and
    counted c times. Precision as in :func:`info_nce`.

    Args:
        first, second: (n, d); row i of both is node i.
        nodes: (m,) int64, with repetitions. m = 0 gives 0.
        tau: temperature, > 0.

    Returns:
        scalar, differentiable once.

    Example:
        >>> import torch
        >>> eye = torch.eye(2)
        >>> round(float(info_nce_against_all(eye, eye, torch.tensor([1, 1]), tau=1.0)), 4)  # 2 log(1 + e^-1)
        0.6265
    """
    counts = torch.bincount(nodes, minlength=first.shape[0])
    own = counts.nonzero().squeeze(1)
    return _counted_info_nce(first.index_select(0, own), second, own, counts[own], tau)
