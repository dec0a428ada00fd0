"""Loss terms shared by the models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BLOCK_ROWS = 512  # block of logits: 512 × 4096 float32 = 8 MB, small enough for a CPU's cache


def bpr_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Bayesian personalised ranking: mean of softplus(−(positive − negative)).

    Rendle et al., UAI 2009. softplus stays finite where log(sigmoid) underflows.

    Args:
        positive, negative: (B,) scores.

    Returns:
        scalar.
    """
    return functional.softplus(negative - positive).mean()


def squared_norm_of_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Σ ‖table[i]‖² over ``rows``, each row counted as often as it occurs.

    Counting first costs one pass over the table and no gather, whose backward would scatter.

    Args:
        table: (n, d).
        rows: (k,) int64.

    Returns:
        scalar.
    """
    counts = torch.bincount(rows, minlength=table.shape[0]).to(table.dtype)
    return torch.dot(counts, table.square().sum(dim=1))


class _InfoNce(Function):
    """Both gradients are found while a block of logits is at hand, so no n×n matrix outlives its block."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, targets: Tensor, tau: float) -> Tensor:
        n = anchors.shape[0]
        grad_anchors = torch.empty_like(anchors)
        grad_targets = anchors * -1.0  # the pull of each target to its own anchor
        loss = anchors.new_zeros(())
        for start in range(0, n, _BLOCK_ROWS):
            block = anchors[start : start + _BLOCK_ROWS]
            own = targets[start : start + _BLOCK_ROWS]
            weights = torch.mm(block, targets.t()).div_(tau)
            top = weights.amax(dim=1, keepdim=True)
            weights.sub_(top).exp_()
            total = weights.sum(dim=1, keepdim=True)
            loss += (total.log() + top).sum() - (block * own).sum() / tau
            weights.div_(total)  # now softmax over the targets
            grad_anchors[start : start + _BLOCK_ROWS] = torch.mm(weights, targets).sub_(own)
            grad_targets.addmm_(weights.t(), block)
        scale = 1.0 / (n * tau)
        ctx.save_for_backward(grad_anchors.mul_(scale), grad_targets.mul_(scale))
        return loss / n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_anchors, grad_targets = ctx.saved_tensors
        return grad * grad_anchors, grad * grad_targets, None


def info_nce(first: Tensor, second: Tensor, tau: float) -> Tensor:
    """InfoNCE between two views of the same nodes, with cosine similarity.

    mean over i of −log( exp(cos(x_i, y_i)/τ) / Σ_j exp(cos(x_i, y_j)/τ) ), by log-sum-exp and therefore finite
    for every τ > 0. Always computed in float32 or wider, also under autocast.

    Args:
        first, second: (n, d); row i of both is node i. n = 0 gives 0.
        tau: temperature, > 0.

    Returns:
        scalar, differentiable once.

    Example:
        >>> import torch
        >>> round(float(info_nce(torch.eye(2), torch.eye(2), tau=1.0)), 4)  # log(1 + e^-1)
        0.3133
    """
    if first.shape[0] == 0:
        return first.sum()
    with torch.autocast(device_type=first.device.type, enabled=False):
        wide = torch.promote_types(first.dtype, torch.float32)
        anchors = functional.normalize(first.to(wide), dim=1)
        targets = functional.normalize(second.to(wide), dim=1)
        return _InfoNce.apply(anchors, targets, tau)  # type: ignore[no-any-return]
