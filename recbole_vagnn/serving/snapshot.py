"""From a trained model and its data to a checkpoint."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.result import Result, plain
from recbole_vagnn.serving.arrays import Lists, MemoryRows, to_lists
from recbole_vagnn.serving.checkpoint import TEST, TRAIN, VALID, Checkpoint, History, Vectors, write_checkpoint
from recbole_vagnn.serving.extract import model_vectors
from recbole_vagnn.serving.extract_propagation import model_propagation
from recbole_vagnn.serving.manifest import Manifest
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER
from recbole_vagnn.serving.vocabulary import Vocabulary

if TYPE_CHECKING:
    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.data.dataset import VloggerDataset

IntArray = NDArray[np.int64]
OTHER = "other."  # prefix of state that RecBole keeps outside of the state dict
# Of a result: paths of this machine, and what is long.
_NOT_KEPT = ("history", "checkpoint", "per_user", "users", "activity", "vlogger_per_user", "vlogger_users")


def keep_model(
    folder: Path,
    model: Any,
    splits: Sequence[VloggerDataset],
    follow: FollowPairs | None,
    config: VloggerConfig,
    result: Result,
) -> None:
    """Write the checkpoint of a finished run.

    Args:
        folder: where to.
        model: the model with the weights of its best epoch.
        splits: training, validation and test data.
        follow: every pair of the ``.follow`` file, or None.
        config: configuration of the run; result: its outcome.

    Raises:
        InputError: something that is no checkpoint is in the way.
        OSError: the disk refuses.
    """
    checkpoint, weights = snapshot(model, splits, follow, config, result)
    write_checkpoint(checkpoint, weights, folder)


def snapshot(
    model: Any,
    splits: Sequence[VloggerDataset],
    follow: FollowPairs | None,
    config: VloggerConfig,
    result: Result,
) -> tuple[Checkpoint, dict[str, torch.Tensor]]:
    """The checkpoint in memory, and the weights; arguments as in :func:`keep_model`."""
    train = splits[0]
    found = model_vectors(model, train.vlogger_of_item, train.vlogger_num)
    propagation = None if found is None else model_propagation(model, train, found.users)
    vectors = None
    if found is not None:
        tables = (found.users, found.videos, found.vloggers, found.vlogger_share)
        vectors = Vectors(*(None if table is None else MemoryRows(table) for table in tables))  # type: ignore[arg-type]
    manifest = Manifest(
        checkpoint=secrets.token_hex(8),
        model=config["model"],
        dataset=config["dataset"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fields={"user": train.uid_field, VIDEO: train.iid_field, VLOGGER: train.vlogger_field},
        request=plain(config.request),
        result={name: plain(value) for name, value in vars(result).items() if name not in _NOT_KEPT},
        vectors=None if found is None else {"size": found.users.shape[1], "vloggers": found.vlogger_source},
        channels=[] if propagation is None else [channel.description() for channel in propagation.channels],
    )
    users, videos = (_ids(kind, train, field) for kind, field in (("user", train.uid_field), (VIDEO, train.iid_field)))
    vloggers = _ids(VLOGGER, train, train.vlogger_field)
    history = _history(splits, follow)
    weights = model_state(model, with_other=found is None)
    return Checkpoint(None, manifest, users, videos, vloggers, history, vectors, propagation), weights


def model_state(model: Any, with_other: bool) -> dict[str, torch.Tensor]:
    """The model's state dict.

    Args:
        model: the model.
        with_other: add the tensors that RecBole keeps beside it (Pop's counts), named with ``OTHER``. What is computed
            from the data at construction, such as EASE's matrices, is not kept: it is computed again.
    """
    state = dict(model.state_dict())
    if with_other:
        others: Mapping[str, Any] = model.other_parameter() or {}
        state |= {OTHER + name: value for name, value in others.items() if isinstance(value, torch.Tensor)}
    return state


def _ids(kind: str, train: VloggerDataset, field: str | None) -> Vocabulary:
    """Original ids without the padding; row i is RecBole's id i + 1."""
    tokens = [] if field is None else train.field2id_token[field][1:].tolist()
    return Vocabulary(kind, pa.array(tokens, type=pa.large_string()))


def _history(splits: Sequence[VloggerDataset], follow: FollowPairs | None) -> History:
    train = splits[0]
    n_users, n_videos, n_vloggers = train.user_num - 1, train.item_num - 1, train.vlogger_num - 1
    vlogger_of = train.vlogger_of_item[1:] - 1
    users, videos, split = _unique_pairs(*_interactions(splits), n_videos)
    in_training = split == TRAIN
    owners = vlogger_of[videos[in_training]]
    return History(
        vlogger_of=vlogger_of,
        user_counts=np.bincount(users[in_training], minlength=n_users).astype(np.int64),
        video_counts=np.bincount(videos[in_training], minlength=n_videos).astype(np.int64),
        vlogger_counts=np.bincount(owners[owners >= 0], minlength=n_vloggers).astype(np.int64),
        seen=to_lists(users, n_users, videos=videos.astype(np.int32), split=split),
        follows=_follows(splits[2], follow),
    )


def _interactions(splits: Sequence[VloggerDataset]) -> tuple[IntArray, IntArray, NDArray[np.uint8]]:
    """Users, videos and splits; what ``degradation`` withheld from training counts with validation."""
    parts = [(split.inter_feat[split.uid_field], split.inter_feat[split.iid_field]) for split in splits]
    codes = [TRAIN, VALID, TEST]
    if splits[0].withheld is not None:
        parts.append(tuple(splits[0].withheld))
        codes.append(VALID)
    users, videos = (np.concatenate([np.asarray(pair[i]) for pair in parts]).astype(np.int64) - 1 for i in (0, 1))
    return users, videos, np.repeat(np.array(codes, dtype=np.uint8), [len(pair[0]) for pair in parts])


def _unique_pairs(
    left: IntArray, right: IntArray, split: NDArray[np.uint8], n_right: int
) -> tuple[IntArray, IntArray, NDArray[np.uint8]]:
    """Each pair once, with its earliest split, sorted."""
    pairs, first = np.unique((left * n_right + right) * 4 + split, return_index=True)
    keep = first[np.diff(pairs // 4, prepend=-1) != 0]
    return left[keep], right[keep], split[keep]


def _follows(test: VloggerDataset, follow: FollowPairs | None) -> Lists:
    """Every pair; those of the test split are the ones old enough for training, as ``degradation`` leaves them."""
    n_users, n_vloggers = test.user_num - 1, max(test.vlogger_num - 1, 1)
    parts = [(pairs, code) for pairs, code in ((test.follow, TRAIN), (follow, TEST)) if pairs is not None]
    nothing = np.zeros(0, dtype=np.int64)
    users = np.concatenate([nothing, *(pairs.users - 1 for pairs, _ in parts)])
    vloggers = np.concatenate([nothing, *(pairs.vloggers - 1 for pairs, _ in parts)])
    codes = np.concatenate([np.zeros(0, np.uint8), *(np.full(len(p.users), code, np.uint8) for p, code in parts)])
    users, vloggers, codes = _unique_pairs(users, vloggers, codes, n_vloggers)
    return to_lists(users, n_users, vloggers=vloggers.astype(np.int32), split=codes)
