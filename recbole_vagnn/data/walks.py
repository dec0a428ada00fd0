"""Meta-path walks that add edges to the user–video and user–vlogger graphs.

Source: VA-GNN (arXiv 2405.18260), heterogeneous graph with meta-path edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class WalkGraph:
    """The adjacency lists that walks follow, each a binary CSR matrix with sorted columns.

    Attributes:
        user_video: (n_users, n_videos) support of R, training interactions.
        user_vlogger: (n_users, n_vloggers) support of S = R C.
        vlogger_video: (n_vloggers, n_videos) transpose of C; row 0 is empty.
    """

    user_video: sp.csr_matrix
    user_vlogger: sp.csr_matrix
    vlogger_video: sp.csr_matrix


def meta_path_edges(
    graph: WalkGraph, walk_prob: float, user_hop_prob: float, rng: np.random.Generator
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Draw the meta-path edges of every user: two independent draws each.

    First draw, with probability ``walk_prob``: one of the user's vloggers a, uniformly; then with probability
    ``user_hop_prob`` (U–P–U) another user w of a, who gets +1 on each video of the starting user; otherwise
    (U–P–V) one video v of a, on which the starting user gets +1.
    Second draw, with probability ``walk_prob``: one of the user's videos; then with probability
    ``user_hop_prob`` (U–V–U) another user w of it, who gets +1 on each vlogger of the starting user.
    A walk that has nowhere to go (no history, nobody else) adds nothing.

    Args:
        graph: built from training interactions only.
        walk_prob: probability p of each draw, in [0, 1].
        user_hop_prob: probability q of the user hop, in [0, 1].
        rng: owner of the randomness.

    Returns:
        Additions to R, shape (n_users, n_videos), and to S, shape (n_users, n_vloggers); float64 counts.
    """
    walkers = _draw_walkers(graph.user_vlogger, walk_prob, rng)
    vloggers = _pick(graph.user_vlogger, walkers, rng)
    hops = rng.random(len(walkers)) < user_hop_prob
    via_user = _hop_to_other_users(
        walkers[hops], vloggers[hops], sp.csr_matrix(graph.user_vlogger.T), graph.user_video, rng
    )
    walkers, vloggers = walkers[~hops], vloggers[~hops]
    via_vlogger = _count(walkers, _pick(graph.vlogger_video, vloggers, rng), graph.user_video.shape)

    walkers = _draw_walkers(graph.user_video, walk_prob, rng)
    videos = _pick(graph.user_video, walkers, rng)
    hops = rng.random(len(walkers)) < user_hop_prob
    to_vloggers = _hop_to_other_users(
        walkers[hops], videos[hops], sp.csr_matrix(graph.user_video.T), graph.user_vlogger, rng
    )
    return sp.csr_matrix(via_user + via_vlogger), to_vloggers


def _draw_walkers(neighbours: sp.csr_matrix, prob: float, rng: np.random.Generator) -> IntArray:
    """Users who take the walk and have somewhere to start."""
    takes = rng.random(neighbours.shape[0]) < prob
    return np.flatnonzero(takes & (np.diff(neighbours.indptr) > 0))


def _pick(neighbours: sp.csr_matrix, rows: IntArray, rng: np.random.Generator) -> IntArray:
    """One neighbour of each row, uniformly; every row must have one."""
    start = neighbours.indptr[rows].astype(np.int64)
    degree = neighbours.indptr[rows + 1] - start
    return neighbours.indices[start + rng.integers(0, degree)].astype(np.int64)


def _pick_other(users_of: sp.csr_matrix, nodes: IntArray, walkers: IntArray, rng: np.random.Generator) -> IntArray:
    """One user of each node other than the walker, uniformly; the node must have another user.

    The walker is one of the node's sorted users: drawing among the others means skipping its position.
    """
    start = users_of.indptr[nodes].astype(np.int64)
    drawn = start + rng.integers(0, users_of.indptr[nodes + 1] - start - 1)
    return users_of.indices[drawn + (users_of.indices[drawn] >= walkers)].astype(np.int64)


def _hop_to_other_users(
    walkers: IntArray,
    nodes: IntArray,
    users_of: sp.csr_matrix,
    given: sp.csr_matrix,
    rng: np.random.Generator,
) -> sp.csr_matrix:
    """Walk user → node → other user, and give that user the starting user's whole row of ``given``."""
    users_of.sort_indices()
    others_exist = np.diff(users_of.indptr)[nodes] > 1
    walkers, nodes = walkers[others_exist], nodes[others_exist]
    reached = _pick_other(users_of, nodes, walkers, rng)
    return _count(reached, walkers, (given.shape[0], given.shape[0])) @ given


def _count(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> sp.csr_matrix:
    """Matrix that counts how often each (row, column) occurs."""
    ones = np.ones(len(rows), dtype=np.float64)
    return sp.csr_matrix((ones, (rows, columns)), shape=shape)
