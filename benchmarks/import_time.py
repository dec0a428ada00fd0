"""Median time of ``import recbole_vagnn`` in fresh processes, beside the imports it avoids.

Run: python benchmarks/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

MODULES = ("recbole_vagnn", "torch", "recbole.quick_start")
RUNS = 5
_CODE = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    """Time of one import in a process of its own, in seconds."""
    command = [sys.executable, "-W", "ignore", "-c", _CODE.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Take the modules in turn, so that a disturbance hits all of them, and print the medians."""
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(RUNS):
        for module in MODULES:
            times[module].append(seconds(module))
    for module, values in times.items():
        print(f"{module:20} {statistics.median(values):.2f} s")


if __name__ == "__main__":
    main()
