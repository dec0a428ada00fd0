"""Time and memory of VA-GNN from 10^5 to 10^7 interactions, on simulated platforms that grow.

Run: make bench-scale                                 (writes benchmarks/results/speed/scale.json)
     python benchmarks/bench_scale.py --models VAGNN SimGCL --sizes 100000 1000000
     python benchmarks/bench_scale.py --small         (tiny data, to see that it works; writes nothing without --out)

Every size is loaded, built, trained and evaluated in a process of its own, whose peak memory is thus the size's. The
epoch is extrapolated from its beginning. The exponent b of time or memory ~ interactions^b is fitted by least squares
of the logarithms; memory is counted above what the imports take.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from bench import RESULTS, progress, provenance
from speed import alone, data, goals, tables
from speed.contestants import CONTESTANTS, OURS

SIZES = (100_000, 1_000_000, 10_000_000)
SMALL_SIZES = (1_500, 3_000, 6_000)
TIMED = ("load", "build", "step", "epoch", "evaluation")
LINEAR = ("step", "memory")  # what has to grow linearly; an epoch has more steps and larger ones


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    models = [key for key, one in CONTESTANTS.items() if one.kind == OURS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=models, default=["VAGNN"])
    parser.add_argument("--sizes", nargs="+", type=int, help="interactions (100000 1000000 10000000)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--repeats", type=int, default=10, help="steps at most (10)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of steps and of an epoch, then no more begin (15)")
    parser.add_argument("--small", action="store_true", help="tiny data")
    parser.add_argument("--out", type=Path, help="JSON file (benchmarks/results/speed/scale.json)")
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # a fresh process's part
    given = parser.parse_args(arguments)
    given.sizes = sorted(given.sizes or (SMALL_SIZES if given.small else SIZES))
    if len(set(given.sizes)) < 2 or min(given.threads, given.repeats) < 1 or given.seconds < 0:
        parser.error("Growth needs two sizes; --threads and --repeats are at least 1, --seconds at least 0.")
    return given


def size_of(interactions: int, small: bool) -> data.Size:
    """A platform of so many interactions; the simulation chooses the rest."""
    if small:
        return data.Size(interactions, batch=data.SMALL.batch, embedding=data.SMALL.embedding)
    return data.Size(interactions)


def measure(given: argparse.Namespace, told: Callable[[str], None]) -> dict[str, Any]:
    """Simulate each size, run each model on it in a process of its own, and fit the exponents."""
    runs: dict[str, list[dict[str, Any]]] = {key: [] for key in given.models}
    sizes = [size_of(interactions, given.small) for interactions in given.sizes]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            told(f"simulating {size.interactions:,} interactions")
            data.simulate(Path(folder), size)
            for key in given.models:
                told(f"{key} on {size.interactions:,} interactions, in a process of its own")
                job = alone.Job(key, folder, size, given.threads, 0, given.repeats, given.seconds, epoch=True)
                runs[key].append(alone.run_in_child(__file__, job))
    exponents = {key: growth(found) for key, found in runs.items()}
    return {
        "threads": given.threads,
        "batch": sizes[0].batch,
        "embedding": sizes[0].embedding,
        "runs": runs,
        "exponents": exponents,
        "goals": verdicts(runs, exponents, given.threads),
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """b of the least-squares fit log(value) = a + b log(size).

    Example:
        >>> round(exponent([1, 10, 100], [3, 30, 300]), 6)
        1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def growth(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Exponents of the phases' times and of the memory, over all sizes and over the last two."""
    sizes = [run["train"] for run in runs]
    columns = {name: [run["phases"][name]["seconds"] for run in runs] for name in TIMED}
    columns["memory"] = [run["peak_mib"] - run["imports_mib"] for run in runs]
    return {
        name: {"all": exponent(sizes, values), "last": exponent(sizes[-2:], values[-2:])}
        for name, values in columns.items()
    }


def verdicts(
    runs: dict[str, list[dict[str, Any]]], exponents: dict[str, dict[str, dict[str, float]]], threads: int
) -> list[dict[str, Any]]:
    """The goals of growth."""
    found = []
    for key, fitted in exponents.items():
        title, largest = CONTESTANTS[key].title, runs[key][-1]
        for name in LINEAR:
            what = f"{title}: exponent of growth, {name}"
            found.append(goals.at_most(what, threads, fitted[name]["all"], goals.LINEAR))
        what = f"{title}: GiB at {largest['train']:,} training interactions"
        found.append(goals.at_most(what, threads, largest["peak_mib"] / 1024, goals.MOST_GIB))
    return [asdict(verdict) for verdict in found]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parse(arguments)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if given.alone:
        print(json.dumps(alone.measure(alone.Job.from_json(given.alone))))
        return
    results = {**provenance(Path(__file__).name, words), **measure(given, progress())}
    print(tables.scale(results))
    target = given.out or (None if given.small else RESULTS / "scale.json")
    if target is not None:
        tables.write_whole(target, json.dumps(results, indent=1) + "\n")
        print(f"\nWritten to {target}.")


if __name__ == "__main__":
    main()
