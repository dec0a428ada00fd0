"""What VA-GNN's computation passes on: vectors of all nodes, matrices, rows of a batch, parts of scores."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from recbole_vagnn.nn.sparse import SparsePair


class View(NamedTuple):
    """Vectors of every node in one view.

    Attributes:
        users: (n_users, d).
        videos: (n_videos, d).
        vloggers: (n_vloggers, d).
    """

    users: Tensor
    videos: Tensor
    vloggers: Tensor


class Operators(NamedTuple):
    """The constant matrices of a forward pass, each with its transpose.

    Attributes:
        user_video: norm(R'), (n_users, n_videos).
        user_vlogger: norm(S'), (n_users, n_vloggers).
        video_to_vlogger: (n_vloggers, n_videos), mean over a vlogger's videos.
        user_to_video: (n_videos, n_users), R[u, v] / deg(u).
    """

    user_video: SparsePair
    user_vlogger: SparsePair
    video_to_vlogger: SparsePair
    user_to_video: SparsePair


class ScoreParts(NamedTuple):
    """Every score as what comes from the video plus what comes from its vlogger.

    s(u, v) = users[u] · videos[v] + users[u] · vloggers[v].

    Attributes:
        users: (n_users, k), k = d × number of views.
        videos: (n_items, k), w v.
        vloggers: (n_items, k), (1 − w) p of the video's vlogger; 0 where that is unknown.
        weights: (n_items,), w.
    """

    users: Tensor
    videos: Tensor
    vloggers: Tensor
    weights: Tensor


class Rows(NamedTuple):
    """Vectors of the nodes of a batch, both views side by side: (n, views · d).

    Attributes:
        users: of the triples.
        good, bad: the positive and the negative videos, and their vloggers.
        triple: auxiliary users, positive and negative vloggers.
        contrasted: of each view, users, videos and vloggers, each (m, d).
    """

    users: Tensor
    good: tuple[Tensor, Tensor]
    bad: tuple[Tensor, Tensor]
    triple: tuple[Tensor, ...]
    contrasted: list[list[Tensor]]
