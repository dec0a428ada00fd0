"""RecBole's loader of a full ranking, set up by arrays: it makes two tensors a user, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from logging import getLogger
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction

IntArray = NDArray[np.int64]


class VloggerFullSortLoader(FullSortEvalDataLoader):
    """RecBole's FullSortEvalDataLoader for a :class:`~recbole_vagnn.data.dataset.VloggerDataset`.

    The attributes and batches are RecBole's; a user's items are in ascending order, and share memory with those of
    all other users.

    Args:
        config, dataset, sampler, shuffle: as RecBole's. ``shuffle`` is not possible and warned of.
    """

    def __init__(self, config: Any, dataset: Any, sampler: Any, shuffle: bool = False) -> None:
        self.logger = getLogger()
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.is_sequential = False
        dataset.sort(by=self.uid_field, ascending=True)
        users, items = (np.asarray(dataset.inter_feat[name]) for name in (self.uid_field, self.iid_field))
        positives = np.unique(users.astype(np.int64) * dataset.item_num + items)
        evaluated = np.unique(users)
        known = np.setdiff1d(_keys(evaluated, sampler.used_ids, dataset.item_num), positives, assume_unique=True)

        self.uid_list = torch.from_numpy(evaluated.astype(np.int64))
        self.uid2positive_item = _by_user(positives, evaluated, dataset)
        self.uid2history_item = _by_user(known, evaluated, dataset)
        self.uid2items_num = np.bincount(positives // dataset.item_num, minlength=dataset.user_num)
        self.user_df = dataset.join(Interaction({self.uid_field: self.uid_list}))
        self.sample_size = len(self.user_df)
        if shuffle:
            self.logger.warning("FullSortEvalDataLoader can't shuffle")
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)


def _keys(users: IntArray, used: Sequence[set[int]], n_items: int) -> IntArray:
    """(n,) user × n_items + item of the items that a sampler says were used, ascending and different."""
    sets = [used[user] for user in users]
    sizes = np.fromiter(map(len, sets), dtype=np.int64, count=len(sets))
    items = np.fromiter(chain.from_iterable(sets), dtype=np.int64, count=int(sizes.sum()))
    return np.sort(np.repeat(users, sizes) * n_items + items)


def _by_user(keys: IntArray, evaluated: IntArray, dataset: Any) -> NDArray[np.object_]:
    """(n_users,) the items of each evaluated user as a tensor, None for the others."""
    users, items = np.divmod(keys, dataset.item_num)
    counts = np.bincount(users, minlength=dataset.user_num)[evaluated]
    found = np.full(dataset.user_num, None)
    parts = torch.from_numpy(items).split(counts.tolist())
    found[evaluated] = np.fromiter(parts, dtype=object, count=len(parts))  # an assignment would look into each tensor
    return found
