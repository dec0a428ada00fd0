"""The matrices of the user–video–vlogger graph (VA-GNN, arXiv 2405.18260)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from recbole_vagnn.data.dataset import IntArray, VloggerDataset
from recbole_vagnn.data.walks import WalkGraph
from recbole_vagnn.errors import InputError


@dataclass(frozen=True)
class TripartiteGraph:
    """Training interactions and creators, float64, id 0 of each type being the padding id.

    Attributes:
        user_video: R, (n_users, n_videos), 0/1.
        video_vlogger: C, (n_videos, n_vloggers), at most one 1 a row; an empty row = vlogger unknown.
        user_vlogger: S = R C, (n_users, n_vloggers), counts.
        vlogger_of: (n_videos,) int64, 0 = unknown.
    """

    user_video: sp.csr_matrix
    video_vlogger: sp.csr_matrix
    user_vlogger: sp.csr_matrix
    vlogger_of: IntArray

    @classmethod
    def from_dataset(cls, train: VloggerDataset) -> TripartiteGraph:
        """Build from the training split.

        Raises:
            InputError: the data set has no vlogger field, or no video has a known vlogger.
        """
        if train.vlogger_field is None:
            raise InputError(
                "This model needs the vlogger of each item: set `VLOGGER_ID_FIELD` to a column of the .item file."
            )
        creators = train.creators()
        if creators.nnz == 0:
            raise InputError(f"No item of {train.dataset_name} has a vlogger: column {train.vlogger_field!r} is empty.")
        interactions = train.interactions()
        counts = sp.csr_matrix(interactions @ creators)
        counts.sort_indices()
        return cls(interactions, creators, counts, train.vlogger_of_item)

    def walk_graph(self) -> WalkGraph:
        """The adjacency lists that meta-path walks follow."""
        vlogger_video = sp.csr_matrix(self.video_vlogger.T)
        vlogger_video.sort_indices()
        return WalkGraph(self.user_video, _support(self.user_vlogger), vlogger_video)

    def mean_over_videos(self) -> sp.csr_matrix:
        """(n_vloggers, n_videos): each vlogger's row averages its videos."""
        return _rows_to_means(sp.csr_matrix(self.video_vlogger.T))

    def users_of_video(self) -> sp.csr_matrix:
        """(n_videos, n_users): R[u, v] / deg(u), deg(u) the number of u's videos."""
        return sp.csr_matrix(_rows_to_means(self.user_video).T)

    def auxiliary_pairs(self, train: VloggerDataset, source: str) -> sp.csr_matrix:
        """F, (n_users, n_vloggers) binary: the positives of the auxiliary task.

        Args:
            train: the training split.
            source: "follow" (the ``.follow`` file), "interactions" (support of S) or "auto" (the file if any).

        Raises:
            InputError: "follow" without a ``.follow`` file.
        """
        follow = train.follow_matrix() if source != "interactions" else None
        if follow is None and source == "follow":
            raise InputError(
                f"`aux_pairs: follow` needs the file {train.dataset_name}.follow; add it or set `aux_pairs: auto`."
            )
        return _support(self.user_vlogger) if follow is None else follow


def _support(matrix: sp.csr_matrix) -> sp.csr_matrix:
    binary = matrix.copy()
    binary.data[:] = 1.0
    binary.sort_indices()
    return binary


def _rows_to_means(matrix: sp.csr_matrix) -> sp.csr_matrix:
    degree = np.diff(matrix.indptr)
    return sp.csr_matrix(sp.diags(1.0 / np.maximum(degree, 1)) @ matrix)
