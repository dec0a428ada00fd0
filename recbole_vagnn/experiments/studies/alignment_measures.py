"""How the two views of a trained VA-GNN agree, at chosen epochs: what the study of alignment measures on every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.probe import Trained
from recbole_vagnn.models.vagnn import VAGNN
from recbole_vagnn.nn.alignment import alignment, common_neighbours, cosines, joint_map, uniformity

MEASURES, MAP = "alignment", "alignment_map"  # names of the tables
NODES = ("users", "videos", "vloggers")
VIEWS, PROJECTIONS = "views", "projections"  # what is compared: the views, or what the contrast sees of them
NEIGHBOURS = 10
MOST_NODES = 20_000  # of a type; of more, so many are drawn
MAPPED = 400  # of a type, in the map
_SEED = 0  # of both draws

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """The nodes of a type that are compared.

    Attributes:
        name: one of ``NODES``.
        head: key of the projection head.
        ids: (n,) int64, ascending: those with training interactions, for without one a view has no vector.
    """

    name: str
    head: str
    ids: Tensor


def measure(trained: Trained) -> Mapping[str, pd.DataFrame]:
    """Compare the views at every snapshot and at the best epoch.

    Args:
        trained: a run of VA-GNN with both views.

    Returns:
        ``alignment``, a row for each epoch, type of node and space: ``epoch`` (epochs trained), ``best`` (is it the
        tested one?), ``node``, ``space`` (the views, or their projections where the model has heads), ``nodes`` (their
        number), ``cosine`` (mean), ``cosine_low`` and ``cosine_high`` (deciles 1 and 9), ``alignment``,
        ``uniformity_video`` and ``uniformity_vlogger`` (of each view), ``neighbours`` (mean share of common
        neighbours) and ``chance`` (what unrelated views have).
        ``alignment_map``, of the tested epoch: ``node``, ``id``, ``view``, ``x``, ``y``, ``explained``.

    Raises:
        InputError: the model has not both views.
    """
    model = trained.model
    if not isinstance(model, VAGNN) or model.options.views != "both":
        raise InputError(
            f"{trained.config['model']} has not two views: alignment is measured on VAGNN with `views: both`."
        )
    groups = _groups(trained)
    rows = [{**row, "best": True} for row in _compare(model, groups, trained.result.best_epoch + 1)]
    mapped = _map(trained, model, groups)
    for epoch, state in sorted(trained.snapshots.items()):
        model.load_state_dict(state)
        rows += [{**row, "best": False} for row in _compare(model, groups, epoch)]
    return {MEASURES: pd.DataFrame(rows), MAP: mapped}


def _groups(trained: Trained) -> list[Group]:
    """Users, videos and vloggers with training interactions, at most ``MOST_NODES`` of each, drawn by a fixed seed."""
    interactions, creators = trained.train.interactions(), trained.train.creators()
    degrees = {
        "user": np.diff(interactions.indptr),
        "video": np.asarray(interactions.sum(axis=0)).ravel(),
        "vlogger": np.asarray((interactions @ creators).sum(axis=0)).ravel(),
    }
    found = []
    for name, (head, degree) in zip(NODES, degrees.items(), strict=True):
        ids = _sample(np.flatnonzero(degree), MOST_NODES)
        if len(ids) > 2:  # one neighbour and somebody else
            found.append(Group(name, head, torch.from_numpy(ids)))
    return found


def _sample(ids: IntArray, most: int) -> IntArray:
    if len(ids) <= most:
        return ids
    return np.sort(np.random.default_rng(_SEED).choice(ids, most, replace=False))


@torch.no_grad()
def _compare(model: VAGNN, groups: list[Group], epoch: int) -> Iterator[dict[str, Any]]:
    first, second = model.forward()
    assert first is not None
    assert second is not None
    for group in groups:
        ids = group.ids.to(first.users.device)
        both = [getattr(view, group.name)[ids] for view in (first, second)]
        spaces = {VIEWS: both}
        if group.head in model.heads:
            spaces[PROJECTIONS] = [model.heads[group.head](vectors) for vectors in both]
        for space, (one, two) in spaces.items():
            yield {"epoch": epoch, "node": group.name, "space": space, "nodes": len(ids), **_agreement(one, two)}


def _agreement(first: Tensor, second: Tensor) -> dict[str, float]:
    cosine = cosines(first, second).double()
    k = min(NEIGHBOURS, len(first) - 2)
    return {
        "cosine": float(cosine.mean()),
        "cosine_low": float(cosine.quantile(0.1)),
        "cosine_high": float(cosine.quantile(0.9)),
        "alignment": alignment(first, second),
        "uniformity_video": uniformity(first),
        "uniformity_vlogger": uniformity(second),
        "neighbours": float(common_neighbours(first, second, k).mean()),
        "chance": k / (len(first) - 1),
    }


@torch.no_grad()
def _map(trained: Trained, model: VAGNN, groups: list[Group]) -> pd.DataFrame:
    """Some nodes in the plane of the principal components of both views of all compared nodes."""
    fields = dict(
        zip(NODES, (trained.train.uid_field, trained.train.iid_field, trained.train.vlogger_field), strict=True)
    )
    first, second = model.forward()
    frames = []
    for group in groups:
        ids = group.ids.to(model.user_embedding.weight.device)
        found = joint_map(*(getattr(view, group.name)[ids] for view in (first, second)))
        shown = _sample(np.arange(len(ids)), MAPPED)
        tokens = trained.train.id2token(fields[group.name], group.ids.numpy()[shown])
        for view, places in (("video", found.first), ("vlogger", found.second)):
            x, y = places.cpu().numpy()[shown].T
            columns = {"node": group.name, "id": tokens, "view": view, "x": x, "y": y, "explained": found.explained}
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
