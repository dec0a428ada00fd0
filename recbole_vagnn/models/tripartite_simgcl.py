"""Tripartite SimGCL: SimGCL given the vloggers as nodes, a control for VA-GNN."""

from __future__ import annotations

from recbole_vagnn.models.simgcl import SimGCL


class TripartiteSimGCL(SimGCL):
    """SimGCL (Yu et al., SIGIR 2022) on one graph of users, items and vloggers.

    The graph is that of :class:`~recbole_vagnn.models.tripartite_lightgcn.TripartiteLightGCN`: edges R, C and the
    support of S. Loss, noise and score u·v are SimGCL's; the contrast is summed over users, items and the known
    vloggers of the batch's positive items. Options are those of SimGCL.

    Args:
        config: RecBole's Config; options are those of :class:`~recbole_vagnn.models.simgcl.SimGCLOptions`.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range, or the data set has no vloggers.
    """

    vlogger_nodes = True
