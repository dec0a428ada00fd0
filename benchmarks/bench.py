"""Speed and memory of VA-GNN and its rivals beside RecBole's own classes, on a simulated platform of TakaTak's size.

Run: make bench                                   (all, minutes; writes benchmarks/results/speed/bench.json)
     python benchmarks/bench.py --full            (whole epochs of everybody, SGL's too: an hour)
     python benchmarks/bench.py --profile         (where the time of a VA-GNN step goes)
     python benchmarks/bench.py --write-docs      (measures nothing: fills docs/performance.md from the JSON files)
     python benchmarks/bench.py --small           (tiny data, to see that it works; writes nothing without --out)

Contestants take turns in one process; medians and ratios to RecBole's LightGCN. Every contestant's loss is first
compared with an independent float64 computation, or with RecBole's class. Peak memory is measured in a process of its
own each. A warning names the stages that other processes disturbed. docs/performance.md says more.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from speed import alone, data, goals, machine, tables
from speed.contestants import CONTESTANTS
from speed.suite import Plan, Suite

from recbole_vagnn.errors import InputError

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "speed"
PAGE = HERE.parent / "docs" / "performance.md"
PROFILED = ("VAGNN",)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=CONTESTANTS, metavar="MODEL", help=", ".join(CONTESTANTS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="threads of torch, each in turn (1 2)")
    parser.add_argument("--repeats", type=int, default=10, help="turns of each contestant in a stage at most (10)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a contestant in a stage, then it drops out (4)")
    parser.add_argument("--full", action="store_true", help="train whole epochs instead of their beginnings")
    parser.add_argument("--profile", action="store_true", help="profile training steps instead")
    parser.add_argument("--small", action="store_true", help="tiny data")
    parser.add_argument("--out", type=Path, help="JSON file (benchmarks/results/speed/bench.json or profile.json)")
    parser.add_argument("--write-docs", action="store_true", help="fill the page from the JSON files; measure nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # a fresh process's part
    given = parser.parse_args(arguments)
    if min(given.threads) < 1 or given.repeats < 1 or given.seconds < 0:
        parser.error("--threads and --repeats must be at least 1, --seconds at least 0.")
    return given


def plan_of(given: argparse.Namespace) -> Plan:
    """What the options ask for."""
    keys = given.models or (PROFILED if given.profile else CONTESTANTS)
    size = data.SMALL if given.small else data.TAKATAK
    return Plan(
        [key for key in CONTESTANTS if key in keys], given.threads, size, given.repeats, given.seconds, given.full
    )


def measure(plan: Plan, profiled: bool, told: Callable[[str], None]) -> dict[str, Any]:
    """Run the plan's stages; the results as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        suite = Suite(plan, Path(folder), told)
        if profiled:
            found: dict[str, Any] = {"profiles": suite.profiles()}
        else:
            found = {
                "losses": suite.losses(),
                "build": suite.build(),
                "threads": {str(threads): suite.with_threads(threads) for threads in plan.threads},
                "memory": suite.memory(__file__),
            }
        load = {name: one.to_json() for name, one in suite.loads.items()}
        results = {
            "data": suite.data(),
            "contestants": list(plan.contestants),
            "full": plan.full,
            **found,
            "load": load,
        }
    if not profiled:
        results["goals"] = goals.verdicts(results, {key: one.title for key, one in CONTESTANTS.items()})
    return results


def provenance(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Where results come from: command, date, machine."""
    words = " ".join(["python", f"benchmarks/{script}", *arguments])
    command = re.sub(r" --out[ =]\S+", "", words)  # where the results went says nothing about them
    return {"command": command, "date": str(date.today()), "machine": machine.describe()}


def progress() -> Callable[[str], None]:
    """A function that prints a line with the time since now to the standard error stream."""
    start = time.perf_counter()
    return lambda line: print(f"[{time.perf_counter() - start:4.0f} s] {line}", file=sys.stderr, flush=True)


def write_docs(page: Path, results: Path) -> None:
    """Fill the marked blocks of a page from ``bench.json``, ``profile.json`` and ``scale.json``, where they are.

    Raises:
        InputError: none of them is there.
    """
    files = {name: results / f"{name}.json" for name in tables.BLOCKS}
    there = {name: path for name, path in files.items() if path.is_file()}
    if not there:
        raise InputError(f"{results} holds none of {', '.join(path.name for path in files.values())}. Measure first.")
    text = page.read_text(encoding="utf-8")
    for name, path in there.items():
        text = tables.fill(text, name, tables.BLOCKS[name](json.loads(path.read_text(encoding="utf-8"))))
    tables.write_whole(page, text)
    print(f"{page.name}: {', '.join(there)} written.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, or fill the page."""
    given = parse(arguments)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if given.alone:
        print(json.dumps(alone.measure(alone.Job.from_json(given.alone))))
        return
    if given.write_docs:
        write_docs(given.page, given.results)
        return
    name = "profile" if given.profile else "bench"
    results = {**provenance(Path(__file__).name, words), **measure(plan_of(given), given.profile, progress())}
    print(tables.BLOCKS[name](results))
    target = given.out or (None if given.small else given.results / f"{name}.json")
    if target is not None:
        tables.write_whole(target, json.dumps(results, indent=1) + "\n")
        print(f"\nWritten to {target}.")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
