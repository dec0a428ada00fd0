r"""A user's vector taken apart into what each neighbour brought, and put together for a user the model never saw.

In a graph model that propagates linearly (LightGCN: :math:`E^{(k+1)} = \hat A E^{(k)}`, output
:math:`\sum_k w_k E^{(k)}`) the last step into a user's vector is a sum over the user's edges:

.. math:: u = w_0 e_u + \sum_{n \in N(u)} \frac{m_{un}}{\sqrt{d_u d_n}}\, M_n, \qquad
          M_n = \sum_{k \ge 1} w_k E^{(k-1)}_n

m is the weight of an edge and d the sum of a node's weights. M, the *message* of a node, does not depend on the
edge, so the same sum over new edges gives the vector of a new user: one step of propagation, without retraining.
VA-GNN (arXiv 2405.18260) does this once for each view: users' edges to videos fill the first half of the vector,
edges to vloggers the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_vagnn.serving.arrays import Array, Lists, Rows

IntArray = NDArray[np.int64]
VIDEO, VLOGGER = "video", "vlogger"


@dataclass(frozen=True)
class Channel:
    """Edges from users to one kind of node, in one graph.

    Attributes:
        nodes: "video" or "vlogger".
        graph: number of the graph; a user's degree is the sum over the channels of one graph.
        start, stop: the part of the user's vector that it fills.
        counted: whether an edge weighs the number of interactions, or 1.
        messages: (n_nodes, stop − start) M.
        degrees: (n_nodes,) float64 d.
        edges: for each user the columns ``nodes`` (rows of nodes, ascending) and ``weights`` m.
    """

    nodes: str
    graph: int
    start: int
    stop: int
    counted: bool
    messages: Rows
    degrees: Array
    edges: Lists

    def description(self) -> dict[str, Any]:
        """What the arrays do not say."""
        return {name: getattr(self, name) for name in ("nodes", "graph", "start", "stop", "counted")}


@dataclass(frozen=True)
class Edges:
    """Edges of one user in one channel.

    Attributes:
        nodes: (m,) int64 rows of nodes, all different.
        weights: (m,) float64 m_un.
        added: (m,) float64, the part of the weight that the training graph does not hold.
    """

    nodes: IntArray
    weights: Array
    added: Array

    @classmethod
    def of(cls, nodes: IntArray, weights: Array) -> Edges:
        """Edges of the training graph."""
        return cls(nodes, weights.astype(np.float64), np.zeros(len(nodes)))

    def with_more(self, nodes: IntArray, counted: bool) -> Edges:
        """With one new interaction for each entry of ``nodes``, which may repeat.

        Args:
            nodes: (k,) rows.
            counted: every interaction adds 1; else an edge that is there stays as it is and a new one weighs 1.
        """
        together, places = np.unique(np.concatenate([self.nodes, nodes]), return_inverse=True)
        weights, added = np.zeros(len(together)), np.zeros(len(together))
        old, new = places[: len(self.nodes)], places[len(self.nodes) :]
        weights[old], added[old] = self.weights, self.added
        more = np.bincount(new, minlength=len(together)).astype(np.float64)
        if not counted:
            more = np.where(weights > 0, 0.0, np.minimum(more, 1.0))
        return Edges(together, weights + more, added + more)


@dataclass(frozen=True)
class Contribution:
    """What a user's edges of one channel bring to the user's vector.

    Attributes:
        channel: the channel.
        nodes: (m,) int64 rows of nodes.
        vectors: (m, stop − start) float64; their sum is the channel's part of the user's vector.
    """

    channel: Channel
    nodes: IntArray
    vectors: Array


@dataclass(frozen=True)
class Propagation:
    """The linear last step into every user's vector (see the module's text).

    Attributes:
        size: length of a user's vector.
        channels: all of them; together they fill the vector, those of one graph the same part.
    """

    size: int
    channels: tuple[Channel, ...]

    def edges_of(self, user: int) -> list[Edges]:
        """The user's edges in the training graph, one entry a channel."""
        return [Edges.of(c.edges.of(user, "nodes"), c.edges.of(user, "weights")) for c in self.channels]

    def no_edges(self) -> list[Edges]:
        """The edges of a user who has none."""
        return [Edges.of(np.zeros(0, dtype=np.int64), np.zeros(0)) for _ in self.channels]

    def add(self, edges: Sequence[Edges], videos: IntArray, vloggers: IntArray) -> list[Edges]:
        """A user's edges after new interactions.

        Args:
            edges: those before, one entry a channel.
            videos: (k,) rows of different videos that the user has not interacted with before.
            vloggers: (j,) rows of the vloggers of those videos that have a known one, repeats included.
        """
        new = {VIDEO: videos, VLOGGER: vloggers}
        pairs = zip(self.channels, edges, strict=True)
        return [own.with_more(new[channel.nodes], channel.counted) for channel, own in pairs]

    def contributions(self, edges: Sequence[Edges]) -> list[Contribution]:
        """The terms of the sum in the module's text, for one user's edges, one entry a channel."""
        degree: dict[int, float] = {}
        for channel, own in zip(self.channels, edges, strict=True):
            degree[channel.graph] = degree.get(channel.graph, 0.0) + float(own.weights.sum())
        found = []
        for channel, own in zip(self.channels, edges, strict=True):
            d_nodes = channel.degrees[own.nodes] + own.added
            scale = own.weights / np.sqrt(degree[channel.graph] * d_nodes)
            vectors = scale[:, None] * channel.messages.take(own.nodes).astype(np.float64)
            found.append(Contribution(channel, own.nodes, vectors))
        return found

    def gather(self, contributions: Sequence[Contribution]) -> Array:
        """(size,) float64 sum of the contributions: the user's vector without the user's own embedding."""
        total = np.zeros(self.size)
        for part in contributions:
            total[part.channel.start : part.channel.stop] += part.vectors.sum(axis=0)
        return total
