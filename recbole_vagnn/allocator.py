"""Keep freed memory in the process for the next step, and give what has piled up back now and then.

Every training step allocates and frees the same few megabytes. By default glibc hands such blocks back to the
kernel at once and faults every page in again at the next step, which takes longer than the arithmetic on them.

Kept blocks have other sizes in each step (a batch has another number of different nodes), so the gaps between them
grow: by 12 MB a step of VA-GNN with batches of 32,768 on 10^7 interactions, that is by 3 GiB an epoch.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 2**31 - 1  # mallopt takes a C int
_MMAP_BYTES = 32 * 2**20  # the largest value glibc accepts
# Between two returns: faulting the pages in again takes some tenths of a second at a GiB.
RETURN_SECONDS = 30.0


def keep_freed_memory() -> bool:
    """Let glibc reuse freed blocks of up to 32 MiB instead of returning them to the kernel.

    Affects speed alone. Returns whether it took effect; on other systems nothing is done.
    """
    mallopt = _of_glibc("mallopt")
    return bool(mallopt and mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))


def give_back_freed_memory() -> bool:
    """Let glibc return every page of the heap on which nothing lives to the kernel.

    Affects speed alone. Returns whether any was returned; on other systems nothing is done.
    """
    trim = _of_glibc("malloc_trim")
    return bool(trim and trim(ctypes.c_size_t(0)))


class FreedMemory:
    """Gives freed memory back at most once in some seconds.

    Args:
        seconds: between two returns, and before the first.
        clock: seconds on a clock that only goes forward.
    """

    def __init__(self, seconds: float = RETURN_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._due = clock() + seconds

    def give_back_if_due(self) -> bool:
        """To be called often, from where much has just been freed. Returns whether it was due."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + self._seconds
        give_back_freed_memory()
        return True


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library; None outside of Linux, or where its library (musl) lacks it."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
