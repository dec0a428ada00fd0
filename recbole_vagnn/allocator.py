"""Keep freed memory in the process, and keep it in one piece.

Every training step allocates and frees the same few megabytes. By default glibc hands such blocks back to the
kernel at once and faults every page in again at the next step, which takes longer than the arithmetic on them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_TRIM_BYTES = 2**31 - 1  # mallopt takes a C int
_MMAP_BYTES = 32 * 2**20  # the largest value glibc accepts
_MMAPPED_BLOCKS = 65_536  # glibc's own
_KERNELS, _MOST_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", 16  # a step of VA-GNN compiles six


def keep_freed_memory() -> bool:
    """Let glibc reuse freed blocks of up to 32 MiB instead of returning them to the kernel; larger ones go back.

    Affects speed alone. Returns whether it took effect; on other systems nothing is done.
    """
    return _set((_M_MMAP_THRESHOLD, _MMAP_BYTES), (_M_TRIM_THRESHOLD, _TRIM_BYTES))


@contextmanager
def large_blocks_kept() -> Iterator[bool]:
    """Keep freed blocks of any size as long as the block of code runs; yields whether it took effect.

    For training: from some 10^5 users on a table of vectors is larger than 32 MiB, and a step frees dozens. While data
    are loaded it would keep in the process what is needed once.
    """
    try:
        yield _set((_M_MMAP_MAX, 0))
    finally:
        _set((_M_MMAP_MAX, _MMAPPED_BLOCKS))


def keep_few_kernels() -> None:
    """Let oneDNN keep 16 compiled kernels instead of 1,024, unless the environment asks for another number.

    It compiles one for each shape, of gelu for instance, and a batch of ours has another number of different nodes
    each time. These kernels are never used again, and lie in the heap between the blocks of the steps, which then
    no longer fit into the gaps: VA-GNN's memory grew with every step (docs/performance.md).

    To be called before oneDNN's first kernel; later it does nothing. Affects memory and speed alone.
    """
    os.environ.setdefault(_KERNELS, str(_MOST_KERNELS))


def _set(*options: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in musl
    return mallopt is not None and all(mallopt(*option) for option in options)
