"""How two views of the same nodes agree: alignment, uniformity, common nearest neighbours, and a map of both.

Sources: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere", ICML 2020 (arXiv 2005.10242), eqs. 4 and 5. Vectors are compared by direction: each is divided by its
length first.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK = 2**24  # entries of a similarity matrix at a time


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """Cosine between the two vectors of each node.

    Args:
        first, second: (n, d).

    Returns:
        (n,).
    """
    return functional.cosine_similarity(first, second, dim=1)


def alignment(first: Tensor, second: Tensor) -> float:
    r"""Mean squared distance :math:`\mathbb E \|\hat x - \hat y\|^2` of the two vectors of a node (eq. 4, α = 2).

    0 = equal, 2 = orthogonal on average, 4 = opposite; it is 2 − 2 × the mean cosine.

    Args:
        first, second: (n, d), no row zero.
    """
    return float((2 - 2 * cosines(first, second)).mean())


def uniformity(vectors: Tensor) -> float:
    r"""How evenly nodes spread over the sphere (eq. 5, t = 2), over all pairs, exactly, in blocks of rows.

    .. math:: \log \mathbb E_{i \ne j} e^{-2\|\hat x_i - \hat x_j\|^2}

    0 = all in one direction; the smaller, the more even.

    Args:
        vectors: (n, d), n ≥ 2, no row zero.
    """
    unit = functional.normalize(vectors, dim=1)
    n = len(unit)
    size = max(1, _BLOCK // n)
    total = sum(float(torch.exp(4 * _similarities(unit, i, size).double() - 4).sum()) for i in range(0, n, size))
    return log(total / (n * (n - 1)))


def _similarities(unit: Tensor, start: int, size: int) -> Tensor:
    """(rows, n) cosines of ``size`` rows from ``start`` on with all; −∞ of a node with itself."""
    found = unit[start : start + size] @ unit.t()
    found.diagonal(offset=start).fill_(-torch.inf)
    return found


def common_neighbours(first: Tensor, second: Tensor, k: int) -> Tensor:
    """Share of a node's k nearest neighbours by cosine in one view that are among those in the other.

    Exact, in blocks of rows. Two views without anything in common share k / (n − 1) on average.

    Args:
        first, second: (n, d).
        k: number of neighbours, below n; the node itself is none.

    Returns:
        (n,) float64.
    """
    units = [functional.normalize(view, dim=1) for view in (first, second)]
    size = max(1, _BLOCK // len(first))
    shares = []
    for start in range(0, len(first), size):
        nearest = [_similarities(unit, start, size).topk(k, dim=1).indices for unit in units]
        both = (nearest[0].unsqueeze(2) == nearest[1].unsqueeze(1)).sum((1, 2))
        shares.append(both.double() / k)
    return torch.cat(shares)


class Map(NamedTuple):
    """Two views in a plane.

    Attributes:
        first, second: (n, 2) coordinates.
        explained: share of the variance that the plane shows.
    """

    first: Tensor
    second: Tensor
    explained: float


def joint_map(first: Tensor, second: Tensor) -> Map:
    """Principal components of both views together, by direction, so that they lie in one plane.

    Deterministic: the largest entry of each axis is made positive.

    Args:
        first, second: (n, d), d ≥ 2.
    """
    both = functional.normalize(torch.cat([first, second]).double(), dim=1)
    centred = both - both.mean(dim=0)
    variances, axes = torch.linalg.eigh(centred.t() @ centred)  # ascending
    plane = axes[:, -2:].flip(1)
    largest = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True))
    places = centred @ (plane * largest.sign())
    explained = float(variances[-2:].sum() / variances.sum().clamp(min=1e-300))
    of_first, of_second = places.split(len(first))
    return Map(of_first, of_second, explained)
