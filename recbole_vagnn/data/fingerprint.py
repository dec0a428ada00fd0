"""Fingerprint of a split: equal fingerprints mean that two models saw the same data."""

from __future__ import annotations

from recbole_vagnn.data.dataset import VloggerDataset


def fingerprint(train: VloggerDataset, valid: VloggerDataset, test: VloggerDataset) -> dict[str, str]:
    """Hashes of the three splits and of the creators the training split sees.

    They depend on original ids and on nothing else: not on seeds of the model, row order or machine.
    """
    return {
        "train": train.split_hash(),
        "valid": valid.split_hash(),
        "test": test.split_hash(),
        "creators": train.creators_hash(),
    }
