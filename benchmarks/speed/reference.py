"""The losses computed a second time: numpy, scipy and float64, straight from the equations.

Nothing of ``recbole_vagnn.nn`` or of the models is used; graphs are scipy matrices, tables and logits are dense. What
a step drew at random (augmented graphs, auxiliary triples, noise, dropout) is given, see agreement.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import erf, expit, logsumexp

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class Step:
    """What the loss of one step is computed from, beside the parameters.

    Attributes:
        users, positives, negatives: (B,) ids.
        interactions: R, (n_users, n_items) 0/1.
        owner: (n_items,) vlogger of each item, 0 = unknown.
        options: of the model.
        drawn: what was random, by name.
    """

    users: Ids
    positives: Ids
    negatives: Ids
    interactions: sp.csr_matrix
    owner: Ids
    options: Any
    drawn: Mapping[str, Any] = field(default_factory=dict)


# --- parts of the equations -------------------------------------------------------------------------------------


def bpr(positive: Array, negative: Array) -> float:
    """Mean of −log σ(positive − negative)."""
    return float(np.logaddexp(0.0, negative - positive).mean())


def unit(x: Array) -> Array:
    """Rows at length one; a zero row stays zero."""
    length = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


def info_nce(one: Array, other: Array, tau: float) -> float:
    """Mean of −log softmax of the cosine of each row to its own row of ``other``; 0 of nothing."""
    if not len(one):
        return 0.0
    logits = unit(one) @ unit(other).T / tau
    return float((logsumexp(logits, axis=1) - np.diagonal(logits)).mean())


def normalised(matrix: sp.spmatrix) -> sp.csr_matrix:
    """D^-1/2 M D^-1/2 with row and column sums as degrees."""
    coo = sp.coo_matrix(matrix)
    rows = np.bincount(coo.row, coo.data, coo.shape[0])
    columns = np.bincount(coo.col, coo.data, coo.shape[1])
    weights = coo.data / np.sqrt(rows[coo.row] * columns[coo.col])
    return sp.csr_matrix((weights, (coo.row, coo.col)), shape=coo.shape)


def adjacency(interactions: sp.csr_matrix) -> sp.csr_matrix:
    """Â of the user–item graph, users first."""
    graph = normalised(interactions)
    return sp.csr_matrix(sp.bmat([[None, graph], [graph.T, None]]))


def layers(graph: sp.csr_matrix, start: Array, count: int) -> list[Array]:
    """E⁰ … E^count."""
    found = [start]
    for _ in range(count):
        found.append(graph @ found[-1])
    return found


def mean(of: Sequence[Array]) -> Array:
    """Mean of layers."""
    return np.mean(np.stack(of), axis=0)


def squares(table: Array, rows: Ids) -> float:
    """Σ ‖table[row]‖², repeats counted."""
    return float((table[rows] ** 2).sum())


def inner(one: Array, other: Array) -> Array:
    """Inner product of each row with the same row of the other."""
    return np.asarray((one * other).sum(axis=1))


def _pairwise(step: Step, users: Array, items: Array) -> float:
    u = users[step.users]
    return bpr(inner(u, items[step.positives]), inner(u, items[step.negatives]))


def _item_l2(step: Step, parameters: Parameters) -> float:
    """½‖Θ‖²/B of the rows of users and items."""
    items = np.concatenate([step.positives, step.negatives])
    total = squares(parameters["user_embedding.weight"], step.users)
    return 0.5 * (total + squares(parameters["item_embedding.weight"], items)) / len(step.users)


def _nodes(parameters: Parameters) -> Array:
    return np.concatenate([parameters["user_embedding.weight"], parameters["item_embedding.weight"]])


# --- models -----------------------------------------------------------------------------------------------------


def lightgcn(step: Step, parameters: Parameters) -> float:
    """LightGCN (He et al., SIGIR 2020) with RecBole's regulariser ``require_pow: True``."""
    n_users = len(parameters["user_embedding.weight"])
    nodes = mean(layers(adjacency(step.interactions), _nodes(parameters), step.options["n_layers"]))
    loss = _pairwise(step, nodes[:n_users], nodes[n_users:])
    return loss + step.options["reg_weight"] * _item_l2(step, parameters)


def _noisy_layers(step: Step, graph: sp.csr_matrix, start: Array, draws: Sequence[Array], rows: Ids) -> list[Array]:
    """E⁰ … E^K of a perturbed pass; the last layer's draw is for ``rows`` alone, and only these are right there."""
    found = [start]
    for k, draw in enumerate(draws, 1):
        layer = graph @ found[-1]
        uniform = np.zeros_like(layer)
        uniform[slice(None) if k < len(draws) else rows] = draw
        found.append(layer + step.options.eps * np.sign(layer) * unit(uniform))
    return found


def simgcl(step: Step, parameters: Parameters) -> float:
    """SimGCL (Yu et al., SIGIR 2022); ``drawn["noise"]`` are the uniform draws of both passes, layer by layer."""
    options, start = step.options, _nodes(parameters)
    n_users = len(parameters["user_embedding.weight"])
    graph, k = adjacency(step.interactions), options.n_layers
    types = [np.unique(step.users), n_users + np.unique(step.positives)]
    rows, noise = np.concatenate(types), step.drawn["noise"]
    one, other = (mean(_noisy_layers(step, graph, start, draws, rows)[1:]) for draws in (noise[:k], noise[k:]))
    contrast = sum(info_nce(one[ids], other[ids], options.ssl_tau) for ids in types)
    nodes = mean(layers(graph, start, k)[1:])
    loss = _pairwise(step, nodes[:n_users], nodes[n_users:])
    return loss + options.ssl_weight * contrast + options.reg_weight * _item_l2(step, parameters)


def xsimgcl(step: Step, parameters: Parameters) -> float:
    """XSimGCL (Yu et al., TKDE 2023): one perturbed pass, contrasted with its layer l*."""
    options = step.options
    n_users = len(parameters["user_embedding.weight"])
    items = n_users + np.concatenate([step.positives, step.negatives])
    rows = np.unique(np.concatenate([step.users, items]))
    found = _noisy_layers(step, adjacency(step.interactions), _nodes(parameters), step.drawn["noise"], rows)
    nodes, layer = mean(found[1:]), found[options.contrast_layer]
    types = [np.unique(step.users), n_users + np.unique(step.positives)]
    contrast = sum(info_nce(nodes[ids], layer[ids], options.ssl_tau) for ids in types)
    loss = _pairwise(step, nodes[:n_users], nodes[n_users:])
    return loss + options.ssl_weight * contrast + options.reg_weight * _item_l2(step, parameters)


_COLUMNS = 8  # of Z at once: it has a row for each edge


def gtn(step: Step, parameters: Parameters) -> float:
    """GTN (Fan et al., SIGIR 2022), every layer edge by edge; ``drawn["dropout"]`` multiplies the outputs."""
    options, x = step.options, _nodes(parameters)
    coo = sp.coo_matrix(step.interactions)
    n_users, edges = coo.shape[0], np.arange(coo.nnz)
    items = n_users + coo.col
    degree = np.bincount(np.concatenate([coo.row, items]), minlength=len(x))
    values = np.concatenate([-np.ones(coo.nnz), np.ones(coo.nnz)])
    delta = sp.csr_matrix((values, (np.tile(edges, 2), np.concatenate([coo.row, items]))), shape=(coo.nnz, len(x)))
    delta = sp.csr_matrix(delta @ sp.diags(1 / np.sqrt(degree + 1.0)))
    nodes = np.empty_like(x)
    for start in range(0, x.shape[1], _COLUMNS):
        part = x[:, start : start + _COLUMNS]
        z, y = np.zeros((coo.nnz, part.shape[1])), part
        for _ in range(options.n_layers):
            z = np.clip(z + 0.5 * (delta @ (part - delta.T @ z)), -options.lambda2, options.lambda2)
            y = part - delta.T @ z
        nodes[:, start : start + _COLUMNS] = y
    nodes = nodes * step.drawn["dropout"]
    loss = _pairwise(step, nodes[:n_users], nodes[n_users:])
    return loss + options.reg_weight * _item_l2(step, parameters)


# --- VA-GNN -----------------------------------------------------------------------------------------------------


def vagnn(step: Step, parameters: Parameters) -> float:
    """VA-GNN (arXiv 2405.18260) with both views and the adaptive mix.

    ``drawn``: ``graphs`` = R' and S', ``auxiliary`` = users, vloggers, other vloggers of the auxiliary triples,
    ``heads`` = by node type the factors (0 or 1 / (1 − p)) that dropout put on the outer linear's output of each view.
    """
    options, drawn = step.options, step.drawn
    views = _views(step, parameters)
    users, videos, vloggers = (np.concatenate(parts, axis=1) for parts in zip(*views, strict=True))
    u = users[step.users]
    scores = [_mixed_score(step, parameters, u, videos, vloggers, items) for items in (step.positives, step.negatives)]
    aux_users, known, other = drawn["auxiliary"]
    aux = bpr(inner(users[aux_users], vloggers[known]), inner(users[aux_users], vloggers[other]))
    return (
        bpr(*scores)
        + options.aux_weight * aux
        + options.ssl_weight * _contrast(step, parameters, views)
        + options.reg_weight * _vagnn_l2(step, parameters)
    )


def _views(step: Step, parameters: Parameters) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """(u1, v1, p1) and (u2, v2, p2)."""
    with_walks, count = step.drawn["graphs"], step.options.n_layers
    u1, v1 = _propagated(with_walks[0], parameters, "item_embedding.weight", count)
    u2, p2 = _propagated(with_walks[1], parameters, "vlogger_embedding.weight", count)
    known = np.flatnonzero(step.owner)
    of_vlogger = sp.csr_matrix((np.ones(len(known)), (step.owner[known], known)), shape=(len(p2), len(v1)))
    p1 = unit(of_vlogger @ v1)  # the mean has the direction of the sum
    activity = np.asarray(step.interactions.sum(axis=1)).ravel()
    v2 = unit(step.interactions.T @ (u2 / np.maximum(activity, 1)[:, None]))
    return (u1, v1, p1), (u2, v2, p2)


def _propagated(graph: sp.csr_matrix, parameters: Parameters, side: str, count: int) -> tuple[Array, Array]:
    users, others = parameters["user_embedding.weight"], parameters[side]
    nodes = mean(layers(adjacency(graph), np.concatenate([users, others]), count))
    return nodes[: len(users)], nodes[len(users) :]


def _mixed_score(step: Step, parameters: Parameters, u: Array, videos: Array, vloggers: Array, items: Ids) -> Array:
    owner, d = step.owner[items], videos.shape[1] // 2
    v, p = videos[items], vloggers[owner]
    v_mean, p_mean = ((x[:, :d] + x[:, d:]) / 2 for x in (v, p))
    w = np.where(owner > 0, expit(inner(v_mean @ parameters["mix_matrix"], p_mean)), 1.0)
    return np.asarray(w * inner(u, v) + (1 - w) * inner(u, p))


def _contrast(step: Step, parameters: Parameters, views: Any) -> float:
    owners = step.owner[step.positives]
    nodes = (step.users, step.positives, owners[owners > 0])
    terms = []
    for name, ids, one, other in zip(("user", "video", "vlogger"), nodes, *views, strict=True):
        factors, rows = step.drawn["heads"][name], np.unique(ids)
        first, second = (_head(parameters, name, x[rows], f) for x, f in zip((one, other), factors, strict=True))
        terms.append(info_nce(first, second, step.options.ssl_tau))
    return float(np.mean(terms))


def _head(parameters: Parameters, name: str, x: Array, factor: Array) -> Array:
    """LayerNorm(z + dropout(W2 gelu(z) + b2)), z = W1 x + b1."""

    def of(part: str) -> Array:
        return parameters[f"heads.{name}.{part}"]

    z = x @ of("inner.weight").T + of("inner.bias")
    gelu = 0.5 * z * (1 + erf(z / np.sqrt(2)))
    out = z + factor * (gelu @ of("outer.weight").T + of("outer.bias"))
    centred = out - out.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return np.asarray(centred / scale * of("norm.weight") + of("norm.bias"))


def _vagnn_l2(step: Step, parameters: Parameters) -> float:
    aux_users, known, other = step.drawn["auxiliary"]
    owners = step.owner[np.concatenate([step.positives, step.negatives])]
    users = squares(parameters["user_embedding.weight"], aux_users)
    vloggers = np.concatenate([owners[owners > 0], known, other])
    more = users + squares(parameters["vlogger_embedding.weight"], vloggers)
    return _item_l2(step, parameters) + 0.5 * more / len(step.users)


LOSSES = {"LightGCN": lightgcn, "SimGCL": simgcl, "XSimGCL": xsimgcl, "GTN": gtn, "VAGNN": vagnn}
