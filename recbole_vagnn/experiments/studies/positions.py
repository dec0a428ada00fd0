"""A probe: where each held-out interaction stands in its user's list, and what is known of user, video and vlogger."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import get_trainer

if TYPE_CHECKING:
    from recbole_vagnn.data.dataset import VloggerDataset
    from recbole_vagnn.experiments.probe import Trained

TABLE = "positions"
REFERENCE = "recbole_vagnn.experiments.studies.positions:measure"

IntArray = NDArray[np.int64]


def measure(trained: Trained) -> dict[str, pd.DataFrame]:
    """Position of every test interaction, in the ranking that the test metrics are computed from.

    Columns: ``user``, ``item`` (original ids); ``position`` (int64, from 1; 0 = not among the longest list of
    ``topk``); ``history`` (training interactions of the user), ``popularity`` (of the item), ``age`` (time from the
    item's first training interaction to this one, as a share of the time from the first to the last training
    interaction, 0 if that is later; NaN without times or training interactions); ``vlogger`` (original id, empty =
    unknown), ``vlogger_videos`` (videos of the vlogger), ``vlogger_popularity`` (training interactions with them); the
    vloggers are the true ones, whatever training was told. Numbers are int64 but for ``age``.

    Args:
        trained: the run.
    """
    train, test = trained.train, trained.test
    users, items, position = _positions(trained)
    train_users, train_items = (np.asarray(train.inter_feat[name]) for name in (train.uid_field, train.iid_field))
    popularity = np.bincount(train_items, minlength=train.item_num)
    owner = test.vlogger_of_item
    videos = np.bincount(owner[1:], minlength=test.vlogger_num)
    audience = np.bincount(owner, weights=popularity, minlength=test.vlogger_num).astype(np.int64)
    videos[0] = audience[0] = 0  # unknown vloggers are not one vlogger
    known = owner[items] > 0
    names = test.id2token(test.vlogger_field, owner[items]) if test.vlogger_field else np.full(len(items), "")
    table = {
        "user": test.id2token(test.uid_field, users),
        "item": test.id2token(test.iid_field, items),
        "position": position,
        "history": np.bincount(train_users, minlength=train.user_num)[users],
        "popularity": popularity[items],
        "age": _ages(train, test, users, items),
        "vlogger": np.where(known, names, ""),
        "vlogger_videos": videos[owner[items]],
        "vlogger_popularity": audience[owner[items]],
    }
    return {TABLE: pd.DataFrame(table)}


def _positions(trained: Trained) -> tuple[IntArray, IntArray, IntArray]:
    """(n,) users, items and positions of the test interactions, by the scores and masks of RecBole's evaluation."""
    config, loader = trained.config, trained.test_loader
    longest = max(config["topk"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, trained.model)
    trainer.tot_item_num = trained.test.item_num
    trainer.item_tensor = trained.test.get_item_feature().to(config["device"])
    full = isinstance(loader, FullSortEvalDataLoader)
    evaluate = trainer._full_sort_batch_eval if full else trainer._neg_sample_batch_eval
    found = []
    with torch.no_grad(), closing(trainer.tensorboard):
        for batch in loader:
            interaction, scores, of_user, items = evaluate(batch)
            users = interaction[trained.test.uid_field].cpu().unique_consecutive()
            top = torch.topk(scores, longest, dim=1).indices.cpu()
            hit = top[of_user] == items.unsqueeze(1)
            position = torch.where(hit.any(dim=1), hit.int().argmax(dim=1) + 1, 0)
            found.append([part.numpy() for part in (users[of_user], items, position)])
    of_users, of_items, positions = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return of_users, of_items, positions


def _ages(train: VloggerDataset, test: VloggerDataset, users: IntArray, items: IntArray) -> NDArray[np.float64]:
    """(n,) see :func:`measure`; times are those of RecBole's tensors, single precision."""
    unknown = np.full(len(items), np.nan)
    if train.time_field not in train.inter_feat.columns:
        return unknown
    times = np.asarray(train.inter_feat[train.time_field], dtype=np.float64)
    first = np.full(train.item_num, np.inf)
    np.minimum.at(first, np.asarray(train.inter_feat[train.iid_field]), times)
    held = test.inter_feat
    keys = np.asarray(held[test.uid_field]).astype(np.int64) * test.item_num + np.asarray(held[test.iid_field])
    order = np.argsort(keys, kind="stable")
    place = order[np.searchsorted(keys[order], users * test.item_num + items)]
    now = np.asarray(held[test.time_field], dtype=np.float64)[place]
    span = float(times.max() - times.min())
    with np.errstate(invalid="ignore"):
        age = np.maximum(now - first[items], 0.0) / span if span > 0 else unknown
    return np.where(np.isfinite(first[items]), age, np.nan)
