"""Steps, epochs, evaluation and device memory of the contestants, in single and in mixed precision."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from recbole_vagnn.nn import sparse

from ..contestants import Competitor
from .clock import Clock, peak_mib, reset_peak
from .field import Field

_WARM_UP, _STEPS, _EVALUATIONS = 5, 40, 2
_SHOWN = 15


class Stepper:
    """Training steps as RecBole's loop takes them.

    Args:
        competitor: who.
        amp: mixed precision.
    """

    def __init__(self, competitor: Competitor, amp: bool) -> None:
        self._one, self._amp = competitor, amp
        self._device = competitor.config["device"]
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=competitor.config["enable_scaler"])
        self._at = 0
        self.loss = float("nan")

    def __call__(self) -> None:
        """One step."""
        one = self._one
        batch = one.batches[self._at % len(one.batches)]
        self._at += 1
        one.trainer.optimizer.zero_grad()
        with torch.autocast(self._device.type, enabled=self._amp):
            losses = one.model.calculate_loss(batch)
        total: Any = sum(losses) if isinstance(losses, tuple) else losses
        self.loss = total.item()  # RecBole does so at each step, and waits for the device
        self._scaler.scale(total).backward()
        self._scaler.step(one.trainer.optimizer)
        self._scaler.update()


def measure(
    field: Field, key: str, amp: bool, clock: Clock, epoch_seconds: float, steps: int = _STEPS
) -> dict[str, Any]:
    """Time and peak device memory of one contestant.

    Returns:
        ``step``, ``evaluation``, ``epoch``: seconds; ``build``; ``loss`` of the last step; ``step_mib`` and
        ``evaluation_mib``: peak device memory, None on a CPU.
    """
    reset_peak(field.device)
    built: list[Competitor] = []
    build = clock.wall(lambda: built.append(field.compete(key, amp=amp)))
    competitor = built[0]
    step = Stepper(competitor, amp)
    found: dict[str, Any] = {"build": build, "step": _median_step(step, clock, steps), "loss": step.loss}
    found["step_mib"] = peak_mib(field.device)
    reset_peak(field.device)
    times = []
    for _ in range(_EVALUATIONS):
        step()
        times.append(clock.wall(lambda: competitor.trainer.evaluate(competitor.loaded.valid, load_best_model=False)))
        nn.Module.train(competitor.model)
    found["evaluation"], found["evaluation_mib"] = min(times), peak_mib(field.device)
    epoch = competitor.epoch(epoch_seconds)
    found["epoch"], found["epoch_batches"] = epoch.wall, dict(epoch.notes)
    return found


def _median_step(step: Stepper, clock: Clock, steps: int) -> float:
    for _ in range(_WARM_UP):
        step()
    return statistics.median(clock.wall(step) for _ in range(steps))


@contextmanager
def _kernel(device: torch.device, kernel: sparse.Kernel) -> Iterator[None]:
    before = sparse.KERNELS[device.type]
    sparse.KERNELS[device.type] = kernel
    try:
        yield
    finally:
        sparse.KERNELS[device.type] = before


def by_kernel(field: Field, key: str, name: str, clock: Clock, steps: int = _STEPS) -> float:
    """Seconds of a step when ``sparse.<name>`` serves the device."""
    with _kernel(field.device, getattr(sparse, name)):
        return _median_step(Stepper(field.compete(key), False), clock, steps)


def profile(field: Field, key: str, amp: bool, steps: int = 5) -> dict[str, Any]:
    """Where a step's time goes on the device, per step.

    Returns:
        ``kernels``: those that take longest, with seconds and calls; ``device_seconds``: of all; ``launches``;
        ``waits``: how often the host waits for the device; ``copies``: between host and device.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step = Stepper(field.compete(key, amp=amp), amp)
    for _ in range(_WARM_UP):
        step()
    on_gpu = field.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profiler(activities=activities) as watched:
        for _ in range(steps):
            step()
        if on_gpu:
            torch.cuda.synchronize()

    def seconds(event: Any) -> float:
        return float(event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6 / steps

    def calls(*names: str) -> float:
        return sum(event.count for event in events if event.key.startswith(names)) / steps

    events = watched.key_averages()
    kernels = [event for event in events if not on_gpu or "CUDA" in str(event.device_type)]
    longest = sorted(kernels, key=seconds, reverse=True)[:_SHOWN]
    return {
        "kernels": [{"name": e.key[:120], "seconds": seconds(e), "calls": e.count / steps} for e in longest],
        "device_seconds": sum(map(seconds, kernels)),
        "launches": calls("cudaLaunchKernel", "cuLaunchKernel"),
        "waits": calls("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"),
        "copies": calls("cudaMemcpyAsync"),
    }
