"""Which items a test ranking leaves out besides the training items."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]


def sampler_for_test(splits: Sequence[VloggerDataset], recbole_sampler: Any) -> Any:
    """The sampler of the test phase, from which RecBole's loaders take what they mask.

    With ``mask_valid_at_test: False`` a user's validation items may be ranked in full ranking, and drawn as candidates
    in sampled ranking, unless they are training or test items of the user as well: the protocol of VA-GNN's authors.

    Args:
        splits: training, validation and test data.
        recbole_sampler: what RecBole made for this phase; None where nothing is masked. It is not changed.
    """
    train, valid, test = splits
    if recbole_sampler is None or train.options.mask_valid_at_test:
        return recbole_sampler
    valid_pairs = _pairs(valid)
    unmasked = valid_pairs[~np.isin(valid_pairs, np.concatenate([_pairs(train), _pairs(test)]))]
    users, items = np.divmod(unmasked, train.item_num)
    used = recbole_sampler.used_ids.copy()
    for user in np.unique(users):
        used[user] = set(used[user])
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        used[user].discard(item)
    sampler = copy.copy(recbole_sampler)
    sampler.used_ids = used
    return sampler


def _pairs(split: VloggerDataset) -> IntArray:
    """(n,) int64, one number for each user and item."""
    feat = split.inter_feat
    users, items = np.asarray(feat[split.uid_field]), np.asarray(feat[split.iid_field])
    return users.astype(np.int64) * split.item_num + items
