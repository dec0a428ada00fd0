"""Vectors of a trained model whose inner product is the model's own score, checked against that score.

A model is not believed to rank by an inner product because of its name: whatever vectors it offers are compared with
its ``full_sort_predict``, and taken only if they give the same scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_vagnn.models.inner_product import InnerProductRecommender
from recbole_vagnn.models.tripartite_lightgcn import TripartiteLightGCN
from recbole_vagnn.models.vagnn import VAGNN
from recbole_vagnn.serving.arrays import Array

IntArray = NDArray[np.int64]
OWN, MEAN = "model", "mean of videos"
_CHECKED_USERS = 64
_TOLERANCE = 1e-4  # of the largest score: float32 sums in another order


@dataclass(frozen=True)
class ModelVectors:
    """Vectors without the padding ids: row i is RecBole's id i + 1.

    Attributes:
        users: (n_users, k); videos: (n_videos, k). s(u, v) = users[u] · videos[v].
        vloggers: (n_vloggers, k), y(u, p) = users[u] · vloggers[p] ranks vloggers; None without vloggers.
        vlogger_source: "model" = vectors that the model itself has of vloggers; "mean of videos" = the mean over a
            vlogger's videos, so that y(u, p) is the mean of s(u, v) over them.
        vlogger_share: (n_videos,) c_v, how much of its vlogger's vector a video's vector contains:
            videos[v] = own part + c_v · vloggers[p(v)]; 0 where the vlogger is unknown. None where the model does not
            score by the vlogger apart.
    """

    users: Array
    videos: Array
    vloggers: Array | None
    vlogger_source: str | None
    vlogger_share: Array | None


@torch.no_grad()
def model_vectors(model: Any, vlogger_of: IntArray, n_vloggers: int) -> ModelVectors | None:
    """The vectors a trained model ranks by, or None if its scores are no inner product.

    Args:
        model: the model; it is put into evaluation mode.
        vlogger_of: (n_items,) int64 RecBole ids, the padding item first; 0 = unknown.
        n_vloggers: number of vloggers, the unknown one included.
    """
    model.eval()
    found = next((pair for pair in _offered(model) if _gives_the_scores(model, *pair)), None)
    if found is None:
        return None
    users, videos = (_plain(table)[1:] for table in found)
    own = _own_vloggers(model)
    if own is not None:
        vloggers, share = own
        share_of_video = None if share is None else _plain(share)[1:]
        return ModelVectors(users, videos, _plain(vloggers)[1:], OWN, share_of_video)
    if n_vloggers == 1:
        return ModelVectors(users, videos, None, None, None)
    return ModelVectors(users, videos, mean_by_vlogger(videos, vlogger_of[1:] - 1, n_vloggers - 1), MEAN, None)


def mean_by_vlogger(values: Array, vlogger_of: IntArray, n_vloggers: int) -> Array:
    """Mean over each vlogger's videos.

    Args:
        values: (n_videos, k).
        vlogger_of: (n_videos,) int64 rows of vloggers, −1 = unknown.
        n_vloggers: number of vloggers.

    Returns:
        (n_vloggers, k) of the same dtype; 0 for a vlogger without videos.
    """
    known = np.flatnonzero(vlogger_of >= 0)
    total = np.zeros((n_vloggers, values.shape[1]))
    np.add.at(total, vlogger_of[known], values[known])
    counts = np.bincount(vlogger_of[known], minlength=n_vloggers)
    return (total / np.maximum(counts, 1)[:, None]).astype(values.dtype)


# --- what models offer ------------------------------------------------------------------------------------------


def _offered(model: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Candidates for the vectors of users and items, padding ids included."""
    for read in (_by_method, _by_forward, _by_cache, _by_embeddings):
        try:
            pair = read(model)
        except Exception:  # a foreign forward() may want arguments, data or a graph: then it offers nothing
            continue
        if pair is not None and _is_pair(model, pair):
            yield pair


def _by_method(model: Any) -> tuple[Tensor, Tensor] | None:
    return model.vectors() if isinstance(model, InnerProductRecommender) else None


def _by_forward(model: Any) -> tuple[Tensor, Tensor] | None:
    """RecBole's graph models: forward() gives users, items and perhaps more."""
    tables = model.forward()
    return (tables[0], tables[1]) if isinstance(tables, (tuple, list)) and len(tables) >= 2 else None


def _by_cache(model: Any) -> tuple[Tensor, Tensor] | None:
    """RecBole's graph models whose forward() wants a graph: what they keep for predicting."""
    predicted(model, torch.ones(1, dtype=torch.int64, device=next(model.parameters()).device))
    return model.restore_user_e, model.restore_item_e


def _by_embeddings(model: Any) -> tuple[Tensor, Tensor] | None:
    """Matrix factorisation: two embeddings."""
    tables = [getattr(model, name, None) for name in ("user_embedding", "item_embedding")]
    users, items = (table.weight if isinstance(table, nn.Embedding) else None for table in tables)
    return None if users is None or items is None else (users, items)


def _is_pair(model: Any, pair: tuple[Any, Any]) -> bool:
    users, items = pair
    if not (isinstance(users, Tensor) and isinstance(items, Tensor) and users.ndim == items.ndim == 2):
        return False
    return (len(users), len(items)) == (model.n_users, model.n_items) and users.shape[1] == items.shape[1]


def _gives_the_scores(model: Any, users: Tensor, items: Tensor) -> bool:
    """Whether the inner products are the model's scores, for users spread over all of them."""
    ids = torch.linspace(1, model.n_users - 1, min(_CHECKED_USERS, model.n_users - 1)).round().long().to(users.device)
    scores = predicted(model, ids)
    if scores is None:
        return False
    gap = (users[ids] @ items.t() - scores)[:, 1:].abs().max()
    return bool(gap <= _TOLERANCE * scores[:, 1:].abs().max().clamp(min=1e-12))


def predicted(model: Any, ids: Tensor) -> Tensor | None:
    """The model's own scores of all items, (B, n_items), for (B,) user ids; None where it has no such method."""
    try:
        scores: Tensor = model.full_sort_predict(Interaction({model.USER_ID: ids}))
    except NotImplementedError:
        return None
    return scores.view(len(ids), model.n_items)


# --- vloggers ---------------------------------------------------------------------------------------------------


def _own_vloggers(model: Any) -> tuple[Tensor, Tensor | None] | None:
    """Vectors of vloggers, (n_vloggers, k), and the share c of them in each video, (n_items,); None without."""
    if isinstance(model, VAGNN):
        return _vagnn_vloggers(model)
    if getattr(model, "vlogger_nodes", False):
        return _node_vloggers(model)
    return None


def _vagnn_vloggers(model: VAGNN) -> tuple[Tensor, Tensor]:
    """y(u, p) = u₁·p₁ + u₂·p₂ and c = 1 − w (arXiv 2405.18260; vectors as in the model's text)."""
    vloggers = torch.cat([view.vloggers for view in model.forward() if view is not None], dim=1)
    return vloggers, 1 - model.score_parts().weights


def _node_vloggers(model: Any) -> tuple[Tensor, Tensor | None]:
    """Vloggers that are nodes of the model's graph; they are part of a video's score in one variant alone."""
    nodes = all_nodes(model)
    vloggers = nodes[model.n_users + model.n_items :]
    if isinstance(model, TripartiteLightGCN) and model.options.score == "video_and_vlogger":
        return vloggers, (model.vlogger_of > 0).to(nodes.dtype)
    return vloggers, None


def all_nodes(model: Any) -> Tensor:
    """Vectors of every node of a :class:`~recbole_vagnn.models.graph_recommender.GraphRecommender`, (n_nodes, d)."""
    from recbole_vagnn.nn.passes import Pass, run_passes

    adjacency = model.adjacency()
    every = torch.arange(adjacency.shape[0], device=model.user_embedding.weight.device)
    return run_passes(adjacency, model.layer_zero(), [Pass(every, (model.layer_weights(),))])[0]


def _plain(table: Tensor) -> Array:
    return table.detach().to("cpu").contiguous().numpy()
