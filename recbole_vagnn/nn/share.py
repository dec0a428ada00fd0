"""What one process computes of a batch that several processes hold in common."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """One of ``world`` parts of the rows of a batch; the parts are contiguous, disjoint and together the whole.

    Attributes:
        rank: which part, from 0.
        world: number of parts; 1 = the whole.

    Example:
        >>> Share(0, 2).rows(5), Share(1, 2).rows(5)
        (slice(0, 3, None), slice(3, 5, None))
    """

    rank: int = 0
    world: int = 1

    def rows(self, n: int) -> slice:
        """This part of n rows: sizes differ by one at most, and no part is larger than that of rank 0."""
        start, stop = (-(-n * k // self.world) for k in (self.rank, self.rank + 1))
        return slice(start, stop)

    def of(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """This part of the rows of each tensor, as views."""
        return tuple(tensor[self.rows(len(tensor))] for tensor in tensors)


WHOLE = Share()
