"""The linear last step into the users' vectors of a trained model (see ``propagation.py``), checked against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from recbole_vagnn.models.graph_recommender import GraphRecommender
from recbole_vagnn.models.vagnn import VAGNN
from recbole_vagnn.nn.passes import Pass, bipartite_adjacency, layer_mean, run_passes
from recbole_vagnn.nn.propagation import light_propagation
from recbole_vagnn.nn.sparse import Csr
from recbole_vagnn.serving.arrays import Array, Lists, MemoryRows
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER, Channel, Propagation

_TOLERANCE = 1e-4  # of the largest entry
_LIKE_LIGHTGCN = ("LightGCN", "SGL", "NCL")  # of RecBole: the mean of layers 0 … K on the normalised user–item graph


@dataclass(frozen=True)
class _Part:
    """A channel before its arrays are laid out; ids are RecBole's, padding included."""

    nodes: str
    graph: int
    start: int
    counted: bool
    messages: Tensor
    edges: sp.csr_matrix
    degrees: Array


@torch.no_grad()
def model_propagation(model: Any, train: Any, users: Array) -> Propagation | None:
    """The last step into each user's vector, or None if the model has no such linear step.

    Args:
        model: the trained model.
        train: the training split, which the model's graph was built from.
        users: (n_users, k) the model's vectors of users, padding left out.
    """
    read = _reader(model)
    if read is None:
        return None
    own, parts = read(model, train)
    if not parts:
        return None
    channels = tuple(_channel(part) for part in parts)
    return Propagation(users.shape[1], channels) if _adds_up(parts, own, users) else None


def _reader(model: Any) -> Any:
    if isinstance(model, VAGNN):
        return _vagnn
    if isinstance(model, GraphRecommender):
        return _graph_recommender
    if any(base.__name__ in _LIKE_LIGHTGCN and base.__module__.startswith("recbole.") for base in type(model).__mro__):
        return _recbole_lightgcn
    return None


def _channel(part: _Part) -> Channel:
    """Without the padding ids."""
    edges = sp.csr_matrix(part.edges[1:, 1:])
    edges.sort_indices()
    columns = {"nodes": edges.indices.astype(np.int32), "weights": edges.data.astype(np.float32)}
    lists = Lists(edges.indptr.astype(np.int64), {name: MemoryRows(values) for name, values in columns.items()})
    messages = part.messages[1:].detach().to("cpu").contiguous().numpy()
    stop = part.start + messages.shape[1]
    return Channel(
        part.nodes, part.graph, part.start, stop, part.counted, MemoryRows(messages), part.degrees[1:], lists
    )


def _adds_up(parts: Sequence[_Part], own: Tensor, users: Array) -> bool:
    """Whether own embedding and neighbours give the users' vectors; a model may override its propagation."""
    total = own.detach().to("cpu", torch.float64).numpy()[1:].copy()
    degrees: dict[int, Array] = {}
    for part in parts:
        degrees[part.graph] = degrees.get(part.graph, 0.0) + _sums(part.edges, 1)
    for part in parts:
        scaled = _over_roots(part.edges, degrees[part.graph], part.degrees)
        messages = part.messages.detach().to("cpu", torch.float64).numpy()
        total[:, part.start : part.start + messages.shape[1]] += (scaled @ messages)[1:]
    return bool(np.abs(total - users).max(initial=0.0) <= _TOLERANCE * max(np.abs(users).max(initial=0.0), 1e-12))


def _over_roots(matrix: sp.csr_matrix, rows: Array, columns: Array) -> sp.csr_matrix:
    """m_ij / sqrt(rows_i · columns_j), 0 where a degree is 0."""
    left, right = (np.where(d > 0, 1 / np.sqrt(np.maximum(d, 1e-300)), 0.0) for d in (rows, columns))
    return sp.csr_matrix(sp.diags(left) @ matrix @ sp.diags(right))


def _sums(matrix: sp.csr_matrix, axis: int) -> Array:
    return np.asarray(matrix.sum(axis=axis), dtype=np.float64).ravel()


# --- models -----------------------------------------------------------------------------------------------------


def _vagnn(model: VAGNN, _train: Any) -> tuple[Tensor, list[_Part]]:
    """One channel a view: videos fill the first, vloggers the second."""
    layers, d = model.options.n_layers, model.options.embedding_size
    matrix, table = model._operators(), model.user_embedding.weight
    views = zip(
        (VIDEO, VLOGGER),
        (matrix.user_video, matrix.user_vlogger),
        (model.item_embedding, model.vlogger_embedding),
        model.augmented_graphs(),
        strict=True,
    )
    on = [(nodes, pair, module.weight, edges) for nodes, pair, module, edges in views if module is not None]
    own = torch.cat([table / (layers + 1)] * len(on), dim=1)
    if layers == 0:
        return own, []
    parts = []
    for number, (nodes, operator, neighbours, edges) in enumerate(on):
        # Σ_{l<L} X^(l) / (L + 1): the mean of layers 0 … L − 1, L of them.
        _, mean = light_propagation(operator, table, neighbours, layers - 1)
        messages = mean * (layers / (layers + 1))
        parts.append(_Part(nodes, number, number * d, True, messages, edges, _sums(edges, 0)))
    return own, parts


def _graph_recommender(model: GraphRecommender, train: Any) -> tuple[Tensor, list[_Part]]:
    """Videos and, where they are nodes, vloggers share one graph and one vector space."""
    weights, start = model.layer_weights(), model.layer_zero()
    own = weights[0] * start[: model.n_users]
    if len(weights) < 2:
        return own, []
    every = torch.arange(len(start), device=start.device)
    (messages,) = run_passes(model.adjacency(), start, [Pass(every, (weights[1:],))])
    interactions = train.interactions()
    videos = messages[model.n_users : model.n_users + model.n_items]
    if not model.vlogger_nodes:
        return own, [_Part(VIDEO, 0, 0, True, videos, interactions, _sums(interactions, 0))]
    creators = train.creators()
    met = sp.csr_matrix(interactions @ creators)
    met.data[:] = 1.0
    video_degrees = _sums(interactions, 0) + _sums(creators, 1)
    vlogger_degrees = _sums(met, 0) + _sums(creators, 0)
    vloggers = messages[model.n_users + model.n_items :]
    return own, [
        _Part(VIDEO, 0, 0, True, videos, interactions, video_degrees),
        _Part(VLOGGER, 0, 0, False, vloggers, met, vlogger_degrees),
    ]


def _recbole_lightgcn(model: Any, train: Any) -> tuple[Tensor, list[_Part]]:
    """RecBole's LightGCN, SGL and NCL, propagated here: whatever fast path the class has, the result is the same."""
    table, items, layers = model.user_embedding.weight, model.item_embedding.weight, int(model.n_layers)
    own = table / (layers + 1)
    if layers == 0:
        return own, []
    interactions = train.interactions()
    adjacency = Csr.from_scipy(bipartite_adjacency(interactions), table.dtype).to(table.device)
    start = torch.cat([table, items])
    every = torch.arange(len(start), device=start.device)
    (mean,) = run_passes(adjacency, start, [Pass(every, (layer_mean(layers - 1),))])
    messages = mean[model.n_users :] * (layers / (layers + 1))
    return own, [_Part(VIDEO, 0, 0, True, messages, interactions, _sums(interactions, 0))]
