"""Time and peak memory of building RecBole's EASE and ours (``fast_propagation``), on random interactions.

Run: python benchmarks/ease.py 2000 4000 --threads 1
Each build has a process of its own; the two take turns. Memory is the peak above what the imports take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

CLASSES = {
    "RecBole EASE": ("recbole.model.general_recommender.ease", "EASE"),
    "EASE, fast": ("recbole_vagnn.models.recbole_fast.ease", "FastEASE"),
}
DENSITY, REG_WEIGHT = 0.005, 250.0


class _Config(dict[str, Any]):
    device = "cpu"


def peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(name: str, n_items: int) -> dict[str, float]:
    """Seconds and MiB of one build, from (n_items / 2, n_items) random interactions."""
    import importlib

    import numpy as np
    import scipy.sparse as sp

    import recbole_vagnn  # noqa: F401 - RecBole is adapted to this stack when it is imported

    module, attribute = CLASSES[name]
    cls = getattr(importlib.import_module(module), attribute)
    generator, n_users = np.random.default_rng(1), n_items // 2
    pairs = [generator.integers(size, size=int(DENSITY * n_users * n_items)) for size in (n_users, n_items)]
    rows = sp.csr_matrix((np.ones(len(pairs[0])), pairs), shape=(n_users, n_items))
    sizes = {"user_id": rows.shape[0], "item_id": n_items}
    dataset = SimpleNamespace(num=sizes.__getitem__, inter_matrix=lambda form: rows.asformat(form))
    config = _Config(USER_ID_FIELD="user_id", ITEM_ID_FIELD="item_id", NEG_PREFIX="neg_", device="cpu")
    config["reg_weight"] = REG_WEIGHT
    before, start = peak_mib(), time.perf_counter()
    cls(config, dataset)
    return {"seconds": time.perf_counter() - start, "mib": peak_mib() - before}


def in_a_process(name: str, n_items: int, threads: int) -> dict[str, float]:
    """:func:`build` in a process of its own with so many threads."""
    command = [sys.executable, "-W", "ignore", __file__, str(n_items), "--build", name]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a table: medians of both classes for each number of items, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=int, nargs="+", help="numbers of items")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", choices=list(CLASSES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        print(json.dumps(build(given.build, given.items[0])))
        return
    print(f"{given.threads} thread(s), median of {given.rounds}")
    for n_items in given.items:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in CLASSES}
        for _ in range(given.rounds):
            for name, found in runs.items():
                found.append(in_a_process(name, n_items, given.threads))
        stock: dict[str, float] = {}
        for name, found in runs.items():
            median = {key: statistics.median(run[key] for run in found) for key in ("seconds", "mib")}
            stock = stock or median
            ratios = ", ".join(f"{median[key] / stock[key]:.2f}" for key in median)
            print(f"{n_items:7,} items  {name:12}  {median['seconds']:8.2f} s  {median['mib']:8,.0f} MiB  × {ratios}")


if __name__ == "__main__":
    main()
