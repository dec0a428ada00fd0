"""Time and peak memory of loading atomic files, from text to internal ids, by RecBole's Dataset and by ours.

Run: python benchmarks/load_atomic.py                                    (1 million interactions)
     python benchmarks/load_atomic.py --rows 10_000_000 --out load.json  (RecBole needs minutes and gigabytes)

The files are made up with KuaiRand's shape: numbers as ids, times in milliseconds, a few popular items. Each load
runs in a process of its own, contestants in turn; medians are printed. All contestants must come to the same ids.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

CONTESTANTS = {
    "recbole": "RecBole's Dataset",
    "checked": "ours, checked reader",
    "fast": "ours, fast reader",
}
MEASURES = {"read_s": "read s", "rest_s": "filter+remap s", "total_s": "total s", "cpu_s": "CPU s", "peak_gib": "GiB"}
_PACKAGES = ("recbole", "pandas", "pyarrow", "numpy", "torch")


def write_files(folder: Path, rows: int, users: int, items: int) -> None:
    """Write ``folder/made/made.inter`` and ``.item``; RecBole's order of equal times is arbitrary, so all differ."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    rng = np.random.default_rng(0)
    inter = {
        "user_id:token": rng.integers(users, size=rows),
        "item_id:token": (items * rng.random(rows) ** 2).astype(np.int64),
        "timestamp:float": 1_650_000_000_000 + 97 * rng.permutation(rows),
    }
    item = {"item_id:token": np.arange(items), "vlogger_id:token": rng.integers(max(1, items // 5), size=items)}
    (folder / "made").mkdir(parents=True)
    for suffix, columns in (("inter", inter), ("item", item)):
        with (folder / "made" / f"made.{suffix}").open("wb") as file:
            file.write("\t".join(columns).encode() + b"\n")
            options = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
            pa_csv.write_csv(pa.table(columns), file, options)


def load(folder: Path, contestant: str) -> dict[str, Any]:
    """Load the files in this process; seconds, peak memory and a hash of the ids."""
    from recbole.data.dataset import Dataset

    from recbole_vagnn.config import VloggerConfig
    from recbole_vagnn.data import atomic
    from recbole_vagnn.data.dataset import VloggerDataset

    if contestant == "checked":
        atomic.read_fast = lambda *_: None  # type: ignore[assignment]
    kind = Dataset if contestant == "recbole" else VloggerDataset
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "vlogger_id"]}
    config = VloggerConfig("BPR", "made", {"data_path": str(folder), "load_col": columns})
    reading: list[float] = []

    class Timed(kind):  # type: ignore[valid-type, misc]
        def _load_data(self, *arguments: str) -> None:
            start = time.perf_counter()
            super()._load_data(*arguments)
            reading.append(time.perf_counter() - start)

    base, start, cpu = _peak_gib(), time.perf_counter(), time.process_time()
    dataset = Timed(config)
    total = time.perf_counter() - start
    return {
        "read_s": reading[0],
        "rest_s": total - reading[0],
        "total_s": total,
        "cpu_s": time.process_time() - cpu,
        "peak_gib": _peak_gib(),
        "imports_gib": base,
        "ids": _hash_of_ids(dataset),
    }


def _peak_gib() -> float:
    """Largest resident memory of this process; getrusage would count the process that started it, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _hash_of_ids(dataset: Any) -> str:
    digest = hashlib.sha256()
    for feat, fields in ((dataset.inter_feat, ("user_id", "item_id")), (dataset.item_feat, ("item_id", "vlogger_id"))):
        for field in fields:
            digest.update(feat[field].to_numpy().astype("int64").tobytes())
            digest.update(dataset.field2id_token[field].tobytes())
    return digest.hexdigest()[:16]


def run_in_turn(folder: Path, contestants: list[str], runs: int) -> dict[str, list[dict[str, Any]]]:
    """``runs`` loads of each contestant, each in a fresh process."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for run in range(runs):
        for name in contestants:
            command = [sys.executable, "-W", "ignore", __file__, "--load", name, "--folder", str(folder)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results[name].append(json.loads(done.stdout.splitlines()[-1]) | {"load_average": os.getloadavg()[0]})
            print(f"run {run + 1}, {name}: {results[name][-1]['total_s']:.1f} s", file=sys.stderr)
    if len({result["ids"] for rows in results.values() for result in rows}) > 1:
        raise SystemExit("The contestants came to different ids.")
    return results


def medians(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Median of each measure of each contestant."""
    return {
        name: {measure: statistics.median(row[measure] for row in rows) for measure in MEASURES}
        for name, rows in results.items()
    }


def print_table(table: dict[str, dict[str, float]], rows: int, machine: dict[str, Any]) -> None:
    """Medians, and how many times as long as the last contestant the others took."""
    print(f"{rows:,} interactions. " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"{'':22}" + "".join(f"{title:>16}" for title in MEASURES.values()) + f"{'ratio':>9}")
    fastest = list(table.values())[-1]["total_s"]
    for name, values in table.items():
        numbers = "".join(f"{values[measure]:16.2f}" for measure in MEASURES)
        print(f"{CONTESTANTS[name]:22}{numbers}{values['total_s'] / fastest:9.1f}")


def describe_machine() -> dict[str, Any]:
    """Hardware, versions and load."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")), platform.machine()
    )
    versions = {name: version(name) for name in _PACKAGES}
    load = tuple(round(value, 1) for value in os.getloadavg())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
        "load average": load,
    }


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def main() -> None:
    """Make the files, load them in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="interactions (1,000,000)")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="loads of each contestant (3)")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--out", type=Path, help="JSON file for all results")
    parser.add_argument("--load", choices=CONTESTANTS, help=argparse.SUPPRESS)  # a fresh process's part
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        sys.argv = sys.argv[:1]  # RecBole reads the command line
        print(json.dumps(load(arguments.folder, arguments.load)))
        return
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), arguments.rows, arguments.users, arguments.items)
        results = run_in_turn(Path(folder), arguments.contestants, arguments.runs)
    table = medians(results)
    print_table(table, arguments.rows, machine)
    if arguments.out:
        content = {"rows": arguments.rows, "machine": machine, "medians": table, "runs": results}
        arguments.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
