"""The processes of one training, and what they tell each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from recbole_vagnn.errors import InputError
from recbole_vagnn.nn.share import Share

_MEETING = timedelta(minutes=30)  # how long the first process waits for the last one to start
_PATIENCE = timedelta(hours=6)  # how long processes wait for one that works alone, e.g. writes or draws candidates
CPU_BACKEND, GPU_BACKEND = "gloo", "cpu:gloo,cuda:nccl"


class RanksDiffer(RuntimeError):
    """Processes that must hold the same do not; going on would train something else than one process does."""


@dataclass(frozen=True)
class Meeting:
    """Where the processes find each other.

    Attributes:
        file: a file that does not exist yet, for processes of one machine; None = over the network.
        ip, port: address of the process of rank 0.
    """

    file: Path | None = None
    ip: str = "localhost"
    port: int = 5678


@dataclass(frozen=True)
class Ranks:
    """This process among all of them. Every method that talks must be called by all, in the same order.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
    """

    rank: int
    world: int

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports: one does."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """The part of each batch that this process computes."""
        return Share(self.rank, self.world)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, in float64; the same to the last bit in each."""
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()  # type: ignore[no-any-return]

    def gather(self, value: Any) -> list[Any] | None:
        """What each process gave, by rank, in the first one; None in the others."""
        values: list[Any] | None = [None] * self.world if self.first else None
        dist.gather_object(value, values, dst=0)
        return values

    def from_first(self, value: Any) -> Any:
        """What the first process gave, in all of them. Tensors must be on the CPU."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def copied_from_first(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """The first process's tensors, in all of them; the others give tensors of the same shapes and types."""
        copies = [tensor.detach().clone() for tensor in tensors]
        for copy in copies:
            dist.broadcast(copy, src=0)
        return copies

    def require_equal(self, what: str, value: Any) -> None:
        """Stop all processes unless they gave the same.

        Raises:
            RanksDiffer: they did not; the message names ``what`` and the ranks.
        """
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        different = [rank for rank in range(self.world) if values[rank] != values[0]]
        if different:
            raise RanksDiffer(f"{what} of process {', '.join(map(str, different))} differ from those of process 0.")


@contextmanager
def joined(rank: int, world: int, meeting: Meeting, backend: str) -> Iterator[Ranks]:
    """Meet the other processes and be one of them while the block runs.

    Raises:
        InputError: the address cannot be used, or the others did not come.
    """
    try:
        store: Any
        if meeting.file is not None:
            store = dist.FileStore(str(meeting.file), world)  # type: ignore[attr-defined]
        else:
            address = (meeting.ip, meeting.port)
            store = dist.TCPStore(*address, world, rank == 0, timeout=_MEETING)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:  # torch's network errors are RuntimeErrors
        raise InputError(
            f"Process {rank} of {world} could not meet the others at {meeting.file or f'{meeting.ip}:{meeting.port}'} "
            f"({str(error).splitlines()[0]}). Check `--ip`, choose another `--port`, and start all {world} processes."
        ) from error
    yield Ranks(rank, world)
    dist.destroy_process_group()  # not after an error: it could wait for those that wait for this process
