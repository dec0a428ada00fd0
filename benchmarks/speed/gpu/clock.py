"""Time on a device: CUDA events where there are any, else the host's clock."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

_WARM_UP, _LEAST, _MOST = 3, 5, 100
_CACHE_BYTES = 2**28  # written between two cold runs: more than any level 2 cache holds


class Clock:
    """Times operations on one device.

    Args:
        device: where they run.
        seconds: how long one operation is repeated, roughly.
    """

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self._seconds = device, seconds
        self._on_gpu = device.type == "cuda"
        self._filler = torch.empty(_CACHE_BYTES // 4, device=device) if self._on_gpu else None

    def wait(self) -> None:
        """Until the device has done all it was asked for."""
        if self._on_gpu:
            torch.cuda.synchronize(self.device)

    def wall(self, action: Callable[[], object]) -> float:
        """Seconds from now until the device has done what ``action`` asks for."""
        self.wait()
        start = time.perf_counter()
        action()
        self.wait()
        return time.perf_counter() - start

    def median(self, action: Callable[[], object], cold: bool = False) -> dict[str, Any]:
        """Repeat an operation.

        Args:
            action: the operation; what it returns is dropped.
            cold: with what it reads out of the device's cache. Does nothing on a CPU.

        Returns:
            ``seconds`` (median), ``low``, ``high`` (extremes) and ``n``.
        """
        for _ in range(_WARM_UP):
            action()
        once = max(self.wall(action), 1e-7)
        repeats = max(_LEAST, min(_MOST, int(self._seconds / once)))
        times = self._events(action, repeats, cold) if self._on_gpu else [self.wall(action) for _ in range(repeats)]
        return {"seconds": statistics.median(times), "low": min(times), "high": max(times), "n": repeats}

    def _events(self, action: Callable[[], object], repeats: int, cold: bool) -> list[float]:
        pairs = []
        for _ in range(repeats):
            if cold and self._filler is not None:
                self._filler.zero_()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            action()
            end.record()
            pairs.append((begin, end))
        self.wait()
        return [begin.elapsed_time(end) / 1e3 for begin, end in pairs]


def peak_mib(device: torch.device) -> float | None:
    """Most memory that tensors held on a GPU since :func:`reset_peak`, MiB; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None


def reset_peak(device: torch.device) -> None:
    """Start counting again, without what nobody uses any more."""
    gc.collect()  # a model and its trainer know each other
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
