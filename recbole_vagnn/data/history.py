"""What a user had seen before an interaction, the latest first, with weights that decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]


class Bags(NamedTuple):
    """Weighted bags of items, as ``embedding_bag`` wants them.

    Attributes:
        items: (m,) int64, the bags one after the other.
        offsets: (n + 1,) int64, start of each bag, and m.
        weights: (m,) float64, those of a bag summing to 1.
    """

    items: Tensor
    offsets: Tensor
    weights: Tensor


class Histories:
    r"""The training items of each user in order, and bags of those before a point of it.

    The bag of a point holds the ``length`` items before it; the j-th last has weight :math:`\gamma^{j-1}`, divided by
    the sum of the bag's. Where there is nothing before, the bag is empty.

    Args:
        users, items: (n,) ids of the training interactions, those of a user in order of time.
        n_users, n_items: numbers of ids.
        decay: γ in (0, 1]; 1 = all alike.
        length: most items of a bag, at least 1.
    """

    def __init__(self, users: IntArray, items: IntArray, n_users: int, n_items: int, decay: float, length: int) -> None:
        order = np.argsort(users, kind="stable")
        self._items = items[order]
        self._first = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
        keys = users[order] * n_items + self._items
        self._by_key = np.argsort(keys, kind="stable")
        self._keys = keys[self._by_key]
        self._n_items = n_items
        self._weights = float(decay) ** np.arange(length, dtype=np.float64)
        self._totals = np.concatenate([[1.0], np.cumsum(self._weights)])

    @classmethod
    def from_dataset(cls, train: VloggerDataset, decay: float, length: int) -> Histories:
        """Of the training split, whose rows keep the order of the split: by time, ties in file order."""
        users, items = (
            np.asarray(train.inter_feat[name]).astype(np.int64) for name in (train.uid_field, train.iid_field)
        )
        return cls(users, items, train.user_num, train.item_num, decay, length)

    def before(self, users: IntArray, items: IntArray) -> Bags:
        """The bag of each training interaction: what its user had seen before it.

        Args:
            users, items: (n,) ids, each pair a training interaction; of repeated ones the first counts.
        """
        places = self._by_key[np.searchsorted(self._keys, users * self._n_items + items)]
        return self._bags(self._first[users], places)

    def all(self) -> Bags:
        """The bag of each user after all their interactions, (n_users) bags."""
        return self._bags(self._first[:-1], self._first[1:])

    def _bags(self, first: IntArray, ends: IntArray) -> Bags:
        """The bags of the items in [first, end), the last ``length`` of them."""
        sizes = np.minimum(ends - first, len(self._weights))
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        back = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)  # 0 = the latest
        items = self._items[np.repeat(ends - 1, sizes) - back]
        weights = self._weights[back] / np.repeat(self._totals[sizes], sizes)
        return Bags(*(torch.from_numpy(array) for array in (items, offsets, weights)))
