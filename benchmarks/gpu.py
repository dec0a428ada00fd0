"""Correctness and speed on a GPU: checks, sparse products, training with and without mixed precision.

Run: python benchmarks/gpu.py --out gpu.json                (one GPU, minutes)
     python benchmarks/gpu.py --device cpu --small           (tiny data, to see that it works)
     python benchmarks/gpu.py --sections checks products     (some of it)

Each part is guarded: one that fails is reported with its error, the others go on. When --minutes have passed no
further part begins. The JSON file is written again after each part, so that a killed run leaves what it had.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from speed import data, machine
from speed.contestants import CONTESTANTS, FAST, RECBOLE
from speed.gpu import checks, products, training
from speed.gpu.clock import Clock
from speed.gpu.field import Field
from speed.tables import duration, table, write_whole

SECTIONS = ("checks", "products", "training", "profile")
LARGE = (145_710, 41_530, 10_000_000)  # users, videos, interactions of the larger graph
KERNELS = ("bag_product", "split_bag_product", "csr_product")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda or cpu (cuda)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--models", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="MODEL")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further part begins (8)")
    parser.add_argument("--epoch-seconds", type=float, default=2.0, help="of an epoch that are trained (2)")
    parser.add_argument("--small", action="store_true", help="tiny data")
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here. Give --device cpu to see that the program works.")
    return given


def chip(device: torch.device) -> dict[str, Any]:
    """What the device is."""
    if device.type != "cuda":
        return {"name": machine.cpu_model()}
    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "multiprocessors": found.multi_processor_count,
        "l2_mib": round(getattr(found, "L2_cache_size", 0) / 2**20, 1),
        "cuda": torch.version.cuda,
        "driver": _driver(),
    }


def _driver() -> str | None:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text().splitlines()[0].strip() if path.is_file() else None


class Report:
    """Results so far, and a guarded way to add to them.

    Args:
        out: where they are written after each part, or None.
        seconds: after which no further part begins.
        head: what they begin with.
    """

    def __init__(self, out: Path | None, seconds: float, head: dict[str, Any]) -> None:
        self.results: dict[str, Any] = {**head, "errors": {}, "left_out": []}
        self._out, self._seconds, self._start = out, seconds, time.perf_counter()

    def over(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() - self._start > self._seconds

    def told(self, line: str) -> None:
        """A line of progress."""
        print(f"[{time.perf_counter() - self._start:5.0f} s] {line}", file=sys.stderr, flush=True)

    def add(self, section: str, name: str, part: Callable[[], Any]) -> None:
        """Put what ``part`` returns into the results, or its error."""
        if self.over():
            self.results["left_out"].append(f"{section}: {name}")
            return
        self.told(f"{section}: {name}")
        try:
            self.results.setdefault(section, {})[name] = part()
        except Exception as error:  # a part that fails leaves the others
            traceback.print_exc()
            self.results["errors"][f"{section}: {name}"] = f"{type(error).__name__}: {error}"[:500]
        if self._out is not None:
            write_whole(self._out, json.dumps(self.results, indent=1) + "\n")


# --- sections ---------------------------------------------------------------------------------------------------


def run_checks(report: Report, field: Field, models: Sequence[str]) -> None:
    """Losses, gradients, reproducibility and evaluation."""
    for key in models:
        kind = CONTESTANTS[key].kind
        report.add("losses", key, lambda k=key: checks.loss(field, k))
        if kind != RECBOLE:
            report.add("repeated", key, lambda k=key: checks.repeated(field, k))
            report.add("gradients", key, lambda k=key: checks.gradients(field, k))
        if kind != RECBOLE and (kind != FAST or key == "LightGCN-fast"):
            report.add("evaluations", key, lambda k=key: checks.evaluation(field, k))
    if "VAGNN" in models:
        report.add("gradients", "VAGNN, mixed precision", lambda: checks.gradients(field, "VAGNN", amp=True))


def run_products(report: Report, field: Field, clock: Clock, small: bool) -> None:
    """Sparse products on the platform's graph and on a larger one."""
    report.add("bandwidth", "copy", lambda: products.copy_bandwidth(clock, small))
    size = data.SMALL.embedding if small else data.TAKATAK.embedding
    large = tuple(max(2, n // 1000) for n in LARGE) if small else LARGE
    graphs = {"platform": field.ours.split.interactions, "larger": lambda: products.random_interactions(*large)}
    for name, graph in graphs.items():
        bench = lambda g=graph: products.ProductBench(g(), size, clock).run(report.told, report.over)  # noqa: E731
        report.add("products", name, bench)


def run_training(report: Report, field: Field, clock: Clock, models: Sequence[str], seconds: float) -> None:
    """Steps, epochs and evaluations; and VA-GNN's step by kernel."""
    for amp in (False, True):
        for key in models:
            name = f"{key}, mixed precision" if amp else key
            report.add("training", name, lambda k=key, a=amp: training.measure(field, k, a, clock, seconds))
        for kernel in KERNELS if not amp else ():
            for key in ("VAGNN", "SimGCL"):
                if key in models:
                    make = lambda k=key, n=kernel: training.by_kernel(field, k, n, clock)  # noqa: E731
                    report.add("kernels", f"{key}, {kernel}", make)


def run_profile(report: Report, field: Field, models: Sequence[str]) -> None:
    """Where the time of a step goes."""
    for key in ("VAGNN", "SimGCL", "GTN-clipping"):
        if key in models:
            report.add("profiles", key, lambda k=key: training.profile(field, k, False))


# --- the table --------------------------------------------------------------------------------------------------


def render(results: dict[str, Any]) -> str:
    """What a screen shows."""
    where = ", ".join(f"{name} {value}" for name, value in results["chip"].items())
    parts = [f"{where}; torch {results['machine']['torch']}; {results['date']}; {results['command']}"]
    parts += [_checks_table(results), *_product_tables(results), _training_table(results), *_profiles(results)]
    parts += [f"FAILED {name}: {error}" for name, error in results["errors"].items()]
    parts += [f"left out, no time: {', '.join(results['left_out'])}"] if results["left_out"] else []
    return "\n\n".join(part for part in parts if part)


def _checks_table(results: dict[str, Any]) -> str:
    columns = [results.get(name, {}) for name in ("losses", "gradients", "repeated", "evaluations")]
    rows = []
    for key in dict.fromkeys(name for column in columns for name in column):
        loss, gradient, repeated, evaluation = (column.get(key) or {} for column in columns)
        cells = [f"{loss['error']:.1e}" if loss else "", f"{gradient['largest']:.1e}" if gradient else ""]
        cells += [str(repeated["identical"]) if repeated else ""]
        rows.append([key, *cells, f"{evaluation['largest_difference']:.1e}" if evaluation else ""])
    head = ["check", "error of the loss", "error of the gradient", "same twice", "metrics, device − CPU"]
    return table(head, rows) if rows else ""


def _product_tables(results: dict[str, Any]) -> list[str]:
    tables = [f"copy: {results['bandwidth']['copy']:.0f} GB/s read and written"] if "bandwidth" in results else []
    for name, found in results.get("products", {}).items():
        sizes, rows = found["sizes"], []
        for way, one in found["ways"].items():
            if "error" in one:
                rows.append([way, "failed", "", "", ""])
                continue
            error = "" if one["error_to_float64"] is None else f"{one['error_to_float64']:.0e}"
            times = [duration(one[kind]["seconds"]) for kind in ("warm", "cold")]
            rows.append([way, *times, f"{one['gb_s']:.0f}", error])
        title = (
            f"{name}: {sizes['nodes']:,} nodes, {sizes['nonzeros']:,} non-zeros, longest row {sizes['longest_row']:,}"
        )
        tables.append(table([title, "cache warm", "cold", "GB/s of rows", "error"], rows))
    return tables


def _training_table(results: dict[str, Any]) -> str:
    rows = []
    for name, one in results.get("training", {}).items():
        times = [duration(one[stage]) for stage in ("step", "epoch", "evaluation", "build")]
        memory = ["–" if one[k] is None else f"{one[k]:,.0f}" for k in ("step_mib", "evaluation_mib")]
        rows.append([name, *times, *memory])
    rows += [[f"step of {name}", duration(one), *[""] * 5] for name, one in results.get("kernels", {}).items()]
    head = ["", "step", "epoch", "evaluation", "build", "MiB, steps", "MiB, evaluation"]
    return table(head, rows) if rows else ""


def _profiles(results: dict[str, Any]) -> list[str]:
    tables = []
    for name, found in results.get("profiles", {}).items():
        rows = [[k["name"][:70], duration(k["seconds"]), f"{k['calls']:.0f}"] for k in found["kernels"]]
        title = (
            f"{name}: {duration(found['device_seconds'])} on the device, {found['launches']:.0f} launches, "
            f"{found['waits']:.0f} waits, {found['copies']:.0f} copies a step"
        )
        tables.append(table([title, "a step", "calls"], rows))
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    given = parse(arguments)
    device = torch.device(given.device)
    words = sys.argv[1:] if arguments is None else arguments
    head = {
        "command": " ".join(["python", "benchmarks/gpu.py", *words]),
        "date": str(date.today()),
        "machine": machine.describe(),
        "chip": chip(device),
    }
    report = Report(given.out, given.minutes * 60, head)
    with tempfile.TemporaryDirectory() as folder:
        report.told("simulating and loading the data")
        field = Field.simulated(Path(folder), data.SMALL if given.small else data.TAKATAK, device)
        clock = Clock(device, 0.02 if given.small else 0.15)
        if "products" in given.sections:
            run_products(report, field, clock, given.small)
        if "training" in given.sections:
            run_training(report, field, clock, given.models, given.epoch_seconds)
        if "checks" in given.sections:
            run_checks(report, field, given.models)
        if "profile" in given.sections:
            run_profile(report, field, given.models)
    print(render(report.results))


if __name__ == "__main__":
    main()
