"""Vectors of new videos, those without a training interaction, from their vlogger's other videos (docs/cold_start.md).

For every model whose score is an inner product: VA-GNN and our rivals may all be given it, so that it is no advantage
of one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_vagnn.nn.sparse import Csr
from recbole_vagnn.options import Options

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class NewVideoOptions(Options):
    """How new videos are ranked.

    Attributes:
        new_videos: "embedding" = by their own embedding, as published; "vlogger" = as their vlogger's other videos.

    Raises:
        InputError: another value.
    """

    new_videos: str = "embedding"

    def __post_init__(self) -> None:
        self.require_choice("new_videos", ("embedding", "vlogger"))


class VloggerMeans:
    r"""Puts the mean over its vlogger's trained videos in the place of what belongs to a new video.

    With :math:`T_p` the videos of vlogger p that have training interactions, a new video n of p gets

    .. math:: x_n = \frac{1}{|T_p|} \sum_{v \in T_p} x_v
        \quad\Rightarrow\quad s(u, n) = \frac{1}{|T_p|} \sum_{v \in T_p} s(u, v)

    for every user u, as scores are linear in the vectors x. A new video whose vlogger is unknown, or has no trained
    video, keeps its own row: there is nothing to take another from.

    Args:
        interactions: R, (n_users, n_videos), of training alone.
        vlogger_of: (n_videos,) int64, 0 = unknown.
    """

    def __init__(self, interactions: sp.csr_matrix, vlogger_of: IntArray) -> None:
        trained = np.bincount(interactions.indices, minlength=len(vlogger_of)) > 0
        trained_videos = np.bincount(vlogger_of[trained], minlength=int(vlogger_of.max(initial=0)) + 1)
        new = np.flatnonzero(~trained & (vlogger_of > 0) & (trained_videos[vlogger_of] > 0))
        vloggers, group = np.unique(vlogger_of[new], return_inverse=True)
        self.videos = torch.from_numpy(new)
        self._group = torch.from_numpy(group)
        self._means = _mean_over_trained(trained, vlogger_of, vloggers)

    def fill(self, values: Tensor) -> Tensor:
        """Values of all videos with those of the new ones replaced; the others are copied to the last bit.

        Args:
            values: (n_videos, k) float.

        Returns:
            (n_videos, k).
        """
        means = Csr.from_scipy(self._means, values.dtype).to(values.device).matmul(values)
        filled = values.clone()
        filled[self.videos.to(values.device)] = means[self._group.to(values.device)]
        return filled


def _mean_over_trained(trained: NDArray[np.bool_], vlogger_of: IntArray, vloggers: IntArray) -> sp.csr_matrix:
    """(len(vloggers), n_videos): row i averages the trained videos of ``vloggers[i]``, of which there are some."""
    videos = np.flatnonzero(trained & np.isin(vlogger_of, vloggers))
    rows = np.searchsorted(vloggers, vlogger_of[videos])
    weights = 1.0 / np.bincount(rows, minlength=len(vloggers))
    return sp.csr_matrix((weights[rows], (rows, videos)), shape=(len(vloggers), len(vlogger_of)))
