"""Means of what users saw, as a term of their vectors: what came before an interaction, or all but it."""

from __future__ import annotations

from typing import Any, Protocol

import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

from recbole_vagnn.data.history import Bags, Histories
from recbole_vagnn.nn.sparse import SparsePair, sparse_product


class Seen(Protocol):
    """A rule that says which of a user's training items count, and how much."""

    def around(self, users: Tensor, positives: Tensor, sources: Tensor) -> Tensor:
        """Weighted means for training: what counts of a user's items when one of them is the positive.

        Args:
            users, positives: (n,) int64 ids, each pair a training interaction.
            sources: (n_items, d), a vector of every item.

        Returns:
            (n, d); 0 where nothing counts. The positive itself never does.
        """
        ...

    def everything(self, sources: Tensor) -> Tensor:
        """Weighted means for prediction, (n_users, d); 0 for a user without training items."""
        ...


class SeenBefore:
    """The last items before the positive, by weights that decay; in prediction the last of all.

    Args:
        histories: of the training split, in order of time.
    """

    def __init__(self, histories: Histories) -> None:
        self.histories = histories

    def around(self, users: Tensor, positives: Tensor, sources: Tensor) -> Tensor:
        """See :class:`Seen`."""
        return _means(self.histories.before(users.cpu().numpy(), positives.cpu().numpy()), sources)

    def everything(self, sources: Tensor) -> Tensor:
        """See :class:`Seen`."""
        return _means(self.histories.all(), sources)


def _means(bags: Bags, sources: Tensor) -> Tensor:
    items, offsets = (ids.to(sources.device) for ids in (bags.items, bags.offsets))
    weights = bags.weights.to(sources)
    return functional.embedding_bag(
        items, sources, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


class SeenOtherwise:
    r"""All items of the user but the positive, all alike; in prediction all of them.

    For splits that know no order. As in FISM (Kabbur et al., KDD 2013), with its α = 1: the positive is left out,
    or it would be ranked by itself. One product with the interactions R serves a whole batch:
    :math:`((R Y)_u - y_v) / (|N_u| - 1)`.

    Args:
        interactions: R of the training split, (n_users, n_items) of 0 and 1.
    """

    def __init__(self, interactions: sp.csr_matrix) -> None:
        self._interactions = interactions
        self._placed: tuple[Any, SparsePair, Tensor] | None = None

    def around(self, users: Tensor, positives: Tensor, sources: Tensor) -> Tensor:
        """See :class:`Seen`."""
        matrix, counts = self._on_device_of(sources)
        sums = functional.embedding(users, sparse_product(matrix, sources))
        return (sums - functional.embedding(positives, sources)) / (counts[users] - 1).clamp(min=1)

    def everything(self, sources: Tensor) -> Tensor:
        """See :class:`Seen`."""
        matrix, counts = self._on_device_of(sources)
        return sparse_product(matrix, sources) / counts.clamp(min=1)

    def _on_device_of(self, sources: Tensor) -> tuple[SparsePair, Tensor]:
        """R and the users' numbers of items, (n_users, 1), copied again when device or dtype change."""
        key = (sources.device, sources.dtype)
        if self._placed is None or self._placed[0] != key:
            matrix = SparsePair.from_scipy(self._interactions, sources.dtype).to(sources.device)
            counts = torch.from_numpy(self._interactions.getnnz(axis=1)).unsqueeze(1).to(sources)
            self._placed = (key, matrix, counts)
        return self._placed[1:]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out what is computed again when needed."""
        return {**self.__dict__, "_placed": None}
