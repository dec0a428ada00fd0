"""Which items a test ranking leaves out beside the training items."""

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

    Training items that ``degradation`` withheld stay left out, unless they are test items as well: the user has seen
    them, and a model that finds them must not be punished for it.

    Args:
        splits: training, validation and test data.
        recbole_sampler: what RecBole made for this phase; None where nothing is masked. It is not changed.
    """
    train, valid, test = splits
    unmasked = withheld = np.zeros(0, dtype=np.int64)
    if not train.options.mask_valid_at_test:
        unmasked = np.setdiff1d(_pairs(valid), np.concatenate([_pairs(train), _pairs(test)]))
    if train.withheld is not None:
        withheld = np.setdiff1d(train.withheld[0] * train.item_num + train.withheld[1], _pairs(test))
    if recbole_sampler is None or not len(unmasked) + len(withheld):
        return recbole_sampler
    used = recbole_sampler.used_ids.copy()
    for user in np.unique(np.concatenate([unmasked, withheld]) // train.item_num):
        used[user] = set(used[user])
    for pairs, change in ((unmasked, set.discard), (withheld, set.add)):
        for user, item in zip(*(part.tolist() for part in np.divmod(pairs, train.item_num)), strict=True):
            change(used[user], item)
    sampler = copy.copy(recbole_sampler)
    sampler.used_ids = used
    return sampler


def _pairs(split: VloggerDataset) -> IntArray:
    """(n,) int64, one number for each user and item."""
    feat = split.inter_feat
    users, items = np.asarray(feat[split.uid_field]), np.asarray(feat[split.iid_field])
    return users.astype(np.int64) * split.item_num + items
