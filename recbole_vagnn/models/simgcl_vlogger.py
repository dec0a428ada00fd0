"""SimGCL with the vlogger in the item's input, a control for VA-GNN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recbole_vagnn.data.tripartite import TripartiteGraph
from recbole_vagnn.models.simgcl import SimGCL
from recbole_vagnn.nn.sparse import SparsePair, sparse_product

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_vagnn.data.dataset import VloggerDataset


class SimGCLVlogger(SimGCL):
    """SimGCL (Yu et al., SIGIR 2022) whose layer-0 input of item v is e_v + e_p, p the vlogger of v.

    An unknown vlogger adds nothing. Graph, noise, loss and score are SimGCL's on users and items; the regulariser
    counts e_v and e_p apart. Options are those of SimGCL.

    Args:
        config: RecBole's Config; options are those of :class:`~recbole_vagnn.models.simgcl.SimGCLOptions`.
        dataset: the training split; nothing else enters the graph.

    Raises:
        InputError: an option is out of range, or the data set has no vloggers.
    """

    embeds_vloggers = True

    def __init__(self, config: Config, dataset: VloggerDataset) -> None:
        super().__init__(config, dataset)
        self._creators = TripartiteGraph.from_dataset(dataset).video_vlogger
        self._creator_pair: tuple[Any, SparsePair] | None = None

    def creators(self) -> SparsePair:
        """C and its transpose on the model's device and in its dtype."""
        table = self.user_embedding.weight
        key = (table.device, table.dtype)
        if self._creator_pair is None or self._creator_pair[0] != key:
            self._creator_pair = (key, SparsePair.from_scipy(self._creators, table.dtype).to(table.device))
        return self._creator_pair[1]

    def layer_zero(self) -> Tensor:
        """E⁰, (n_users + n_items, d): e_u and e_v + e_p."""
        users, items, vloggers = self._tables()
        with torch.autocast(device_type=users.device.type, enabled=False):
            return torch.cat([users, items + sparse_product(self.creators(), vloggers)])

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out what is computed again when needed."""
        return {**super().__getstate__(), "_creator_pair": None}
