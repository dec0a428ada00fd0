"""Keep freed memory in the process.

Every training step allocates and frees the same few megabytes. By default glibc hands such blocks back to the
kernel at once and faults every page in again at the next step, which takes longer than the arithmetic on them.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES = 2**31 - 1  # mallopt takes a C int
_MMAP_BYTES = 32 * 2**20  # the largest value glibc accepts


def keep_freed_memory() -> bool:
    """Let glibc reuse freed blocks of up to 32 MiB instead of returning them to the kernel.

    Affects speed alone. Returns whether it took effect; on other systems nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in musl
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))
