"""Where the time of a training step goes, from torch.profiler."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .timing import Stopwatch

# The first pattern that the name of an outermost operation matches says its group. Backward of an operation is
# called autograd::engine::evaluate_function: NameBackward0.
GROUPS: dict[str, str] = {
    "propagation (sparse products)": r"_LightPropagation|_SparseProduct|_Passes|_TrendFiltering",
    "contrast (InfoNCE)": r"_InfoNce",
    "optimiser": r"Optimizer\.",
    "projection heads": r"aten::(linear|gelu|dropout|layer_norm)$|(Addmm|T|Gelu|NativeLayerNorm|NativeDropout)Backward",
    "look-ups of rows": r"aten::(embedding|index)$|EmbeddingBackward|Index\w*Backward",
    "unique nodes": r"aten::_unique",
}
REST = "other operations (products of rows, norms, sums, weights)"
PYTHON = "between operations (Python, sampling of auxiliary triples)"
_PATTERNS = {name: re.compile(pattern) for name, pattern in GROUPS.items()}


def group_of(operation: str) -> str:
    """Group of an outermost operation."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.search(operation)), REST)


def profile(step: Callable[[], object], steps: int) -> dict[str, Any]:
    """Profile some steps.

    Args:
        step: takes one training step.
        steps: how many.

    Returns:
        ``seconds`` of a step while it is watched; ``groups``: seconds of a step by group, which add up to it;
        ``operations``: the ten operations that take longest by themselves, with seconds and calls of a step.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step()
    with profiler(activities=[ProfilerActivity.CPU]) as watched:
        watch = Stopwatch()
        for _ in range(steps):
            step()
        seconds = watch.wall / steps
    groups = dict.fromkeys([*GROUPS, REST, PYTHON], 0.0)
    for event in watched.events():
        if event.cpu_parent is None and not event.is_async:
            groups[group_of(event.name)] += event.cpu_time_total / 1e6 / steps
    groups[PYTHON] = max(0.0, seconds - sum(groups.values()))
    averages = sorted(watched.key_averages(), key=lambda found: -found.self_cpu_time_total)[:10]
    operations = [
        {"name": found.key, "seconds": found.self_cpu_time_total / 1e6 / steps, "calls": found.count / steps}
        for found in averages
    ]
    return {"seconds": seconds, "groups": groups, "operations": operations}
