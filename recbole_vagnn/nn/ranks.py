"""Data-parallel steps: what the processes of a group tell each other so that together they compute one batch.

Every process ("rank") holds all parameters and propagates over the whole graph; only the batch is divided. Gradients
are averaged over ranks afterwards (DistributedDataParallel), so a loss that is a mean over the batch needs nothing.
A contrastive loss compares the batch's nodes with each other: its ranks must see the nodes of all.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from recbole_vagnn.nn.losses import info_nce


def in_group() -> bool:
    """Whether this process is one of a group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Number of this process in its group; 0 when it is alone."""
    return dist.get_rank() if in_group() else 0


def world_size() -> int:
    """Number of processes of the group; 1 when there is none."""
    return dist.get_world_size() if in_group() else 1


def joined(ids: Tensor) -> Tensor:
    """The ids of all ranks, rank after rank; every rank gets the same. Alone, ``ids`` themselves.

    Args:
        ids: (n,) int64; n may differ between ranks.

    Returns:
        (sum of n,) int64.
    """
    if world_size() == 1:
        return ids
    sizes = [torch.zeros(1, dtype=torch.int64, device=ids.device) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor([len(ids)], device=ids.device))
    longest = int(max(size.item() for size in sizes))
    padded = ids.new_zeros(longest)
    padded[: len(ids)] = ids
    parts = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes, strict=True)])


def own_rows(n: int) -> slice:
    """This rank's share of n rows; the ranks' shares are disjoint and cover all, none is larger by more than one."""
    size, at = world_size(), rank()
    return slice(n * at // size, n * (at + 1) // size)


def joined_info_nce(first: Tensor, second: Tensor, tau: float) -> Tensor:
    """InfoNCE over nodes that all ranks hold, each rank computing its share of the rows.

    Args:
        first, second: (n, d), the same on every rank: vectors of the nodes of :func:`joined` batches.
        tau: temperature, > 0.

    Returns:
        scalar whose mean over the ranks, and whose gradient's, is that of :func:`~recbole_vagnn.nn.losses.info_nce`
        of all rows; alone, just that.
    """
    if world_size() == 1:
        return info_nce(first, second, tau)
    return world_size() * info_nce(first, second, tau, rows=own_rows(first.shape[0]))
