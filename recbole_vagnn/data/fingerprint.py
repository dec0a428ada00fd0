"""Fingerprint of a split: equal fingerprints mean that two models saw the same data.

Hashes depend on original ids and on nothing else: not on seeds of the model, order of rows, or machine. How the test
items are ranked (``eval_args.mode``, ``mask_valid_at_test``, ``topk``) is no property of the data and not in them: it
is in the configuration of the result.
"""

from __future__ import annotations

import hashlib

import numpy as np

from recbole_vagnn.data.dataset import IntArray, VloggerDataset

_DIGITS = 16


def fingerprint(train: VloggerDataset, valid: VloggerDataset, test: VloggerDataset) -> dict[str, str]:
    """Hashes of the three splits and of the creators the training split sees."""
    return {
        "train": split_hash(train),
        "valid": split_hash(valid),
        "test": split_hash(test),
        "creators": creators_hash(train),
    }


def split_hash(split: VloggerDataset) -> str:
    """Hash of a split's user–item pairs in original ids."""
    feat = split.inter_feat
    users, items = np.asarray(feat[split.uid_field]), np.asarray(feat[split.iid_field])
    user_rank, user_hash = _ranked_vocabulary(split, split.uid_field)
    item_rank, item_hash = _ranked_vocabulary(split, split.iid_field)
    pairs = np.sort(user_rank[users] * split.item_num + item_rank[items])
    return hashlib.sha256(user_hash + item_hash + pairs.tobytes()).hexdigest()[:_DIGITS]


def creators_hash(split: VloggerDataset) -> str:
    """Hash of the items' vloggers and the follow pairs in original ids; empty without a vlogger field."""
    if split.vlogger_field is None:
        return ""
    item_rank, item_hash = _ranked_vocabulary(split, split.iid_field)
    vlogger_rank, vlogger_hash = _ranked_vocabulary(split, split.vlogger_field)
    by_item = np.empty(split.item_num, dtype=np.int64)
    by_item[item_rank] = vlogger_rank[split.vlogger_of_item]
    digest = hashlib.sha256(item_hash + vlogger_hash + by_item.tobytes())
    if split.follow is not None:
        user_rank, user_hash = _ranked_vocabulary(split, split.uid_field)
        pairs = user_rank[split.follow.users] * split.vlogger_num + vlogger_rank[split.follow.vloggers]
        digest.update(user_hash + np.unique(pairs).tobytes())
    return digest.hexdigest()[:_DIGITS]


def _ranked_vocabulary(split: VloggerDataset, field: str) -> tuple[IntArray, bytes]:
    """Rank of each internal id among the field's sorted original ids, and a hash of those."""
    tokens = split.field2id_token[field].astype(str)
    order = np.argsort(tokens, kind="stable")
    rank = np.empty(len(tokens), dtype=np.int64)
    rank[order] = np.arange(len(tokens))
    return rank, hashlib.sha256("\n".join(tokens[order].tolist()).encode()).digest()
