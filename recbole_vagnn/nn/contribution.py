"""What part of a recommendation is due to the video and what to its vlogger.

VA-GNN's score is a sum, s(u, v) = A(u, v) + B(u, v) with A = w (u₁·v₁ + u₂·v₂) from the video and
B = (1 − w)(u₁·p₁ + u₂·p₂) from its vlogger (arXiv 2405.18260, prediction). A part may be negative: then it speaks
against the video, and what recommends it is the other part alone. So the vlogger's share is that of the positive parts,
B⁺ / (A⁺ + B⁺): 0 for w = 1, 1 for w = 0, B / s where both are positive, and between 0 and 1 always.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Parts(NamedTuple):
    """The two parts of some scores.

    Attributes:
        video, vlogger: (n, k), A and B.
    """

    video: Tensor
    vlogger: Tensor


def parts_of(users: Tensor, videos: Tensor, vloggers: Tensor, items: Tensor) -> Parts:
    """A and B of some videos for some users.

    Args:
        users: (n, d) vectors.
        videos, vloggers: (m, d), whose inner products with a user are A and B.
        items: (n, k) int64 rows of these.

    Returns:
        two (n, k) tables.
    """
    video, vlogger = (torch.einsum("nd,nkd->nk", users, part[items]) for part in (videos, vloggers))
    return Parts(video, vlogger)


def vlogger_share(parts: Parts) -> Tensor:
    """B⁺ / (A⁺ + B⁺): 0 = the video alone recommends it, 1 = the vlogger alone; NaN where neither does.

    Args:
        parts: two (n, k) tables.

    Returns:
        (n, k).
    """
    video, vlogger = (part.clamp(min=0) for part in parts)
    return vlogger / (video + vlogger)
