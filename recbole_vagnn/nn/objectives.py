"""What training ranks a positive item against: the hardest of some candidates, or all of them in a softmax."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK_ENTRIES = 2**21  # of the candidates' vectors at hand at once: 8 MiB in float32


@torch.no_grad()
def hardest(users: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """Which of its candidates each user's vector scores highest (dynamic negative sampling, Zhang et al., SIGIR 2013).

    No gradient passes through the choice. Of equal scores the first counts.

    Args:
        users: (n, d) vectors.
        items: (n_items, d) vectors.
        candidates: (n, k) int64 rows of ``items``, k ≥ 1.

    Returns:
        (n,) int64 columns of ``candidates``.

    Example:
        >>> import torch
        >>> hardest(torch.eye(2), torch.eye(2), torch.tensor([[1, 0], [1, 0]]))
        tensor([1, 0])
    """
    n, k = candidates.shape
    found = candidates.new_empty(n)
    size = max(1, _BLOCK_ENTRIES // (k * users.shape[1]))
    for start in range(0, n, size):
        rows = slice(start, start + size)
        vectors = items.index_select(0, candidates[rows].reshape(-1)).view(-1, k, users.shape[1])
        found[rows] = torch.bmm(vectors, users[rows].unsqueeze(2)).squeeze(2).argmax(dim=1)
    return found


def sampled_softmax_loss(positive: Tensor, negative: Tensor, log_weights: Tensor, size: int | None = None) -> Tensor:
    r"""Softmax over a positive item and a sample of the others, corrected for how likely each was to be sampled.

    .. math:: \frac1B \sum_i -\log \frac{e^{s_i^+}}{e^{s_i^+} + \sum_j w_{ij}\, e^{s_{ij}}}

    With :math:`w_{ij} = 1/(k\,q_{ij})`, the k negatives of i drawn independently with probabilities
    :math:`q_{ij}`, the sum is an unbiased estimate of that over all items that can be drawn (Bengio and Senécal, 2008;
    in batches: Yi et al., RecSys 2019). Always computed in float32 or wider.

    Args:
        positive: (n,) scores.
        negative: (n, m) scores.
        log_weights: log w, (n, m) or (m,); −inf leaves an item out.
        size: B, of the batch that these n are a part of; None = n.

    Returns:
        scalar.

    Example:
        >>> import torch
        >>> round(float(sampled_softmax_loss(torch.zeros(1), torch.zeros(1, 2), torch.zeros(2))), 4)  # log 3
        1.0986
    """
    wide = torch.promote_types(positive.dtype, torch.float32)
    own = positive.to(wide).unsqueeze(1)
    logits = torch.cat([own, negative.to(wide) + log_weights.to(wide)], dim=1)
    losses = torch.logsumexp(logits, dim=1) - own.squeeze(1)
    return losses.sum() / (len(losses) if size is None else size)
