"""Short trainings judged on validation data: what led to CreatorRecencyGCN's parts (docs/models.md).

    python benchmarks/validation_tries.py --out tries.jsonl

Each try trains on one thread until its validation Recall@10 has not improved for six evaluations (one every second
epoch), or its CPU time is over; test data are not read (``recbole_vagnn.fit``). results/validation_tries.jsonl has
the tries of 2026-11-28; --again FILE runs the tries of such a file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.fit import Evaluation, fit, load

TRIES = Path(__file__).parent / "results" / "validation_tries.jsonl"
PROTOCOL = {"topk": [10, 20], "stopping_step": 6, "eval_step": 2, "torch_threads": 1, "show_progress": False}


class _OutOfTime(Exception):
    pass


def attempt(model: str, dataset: str, options: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Train once; the best validation Recall@10, NDCG@10 at it, its epoch, the last epoch and the CPU seconds."""
    started = time.process_time()
    best: dict[str, Any] = {"recall@10": -1.0, "cut": False}

    def judge(state: Evaluation) -> None:
        if state.score >= best["recall@10"]:
            best.update({"recall@10": state.score, "ndcg@10": state.metrics["ndcg@10"], "epoch": state.epoch})
        best["last"] = state.epoch
        if time.process_time() - started > seconds:
            raise _OutOfTime

    config = VloggerConfig(model, dataset, {**PROTOCOL, **options})
    try:
        fit(config, load(config), judge)
    except _OutOfTime:
        best["cut"] = True
    return {**best, "cpu": round(time.process_time() - started, 1)}


def main() -> None:
    """Run the tries of a file one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", type=Path, default=TRIES, help="tries to run: JSON, one a line")
    parser.add_argument("--out", type=Path, required=True, help="file that results are added to, JSON, one a line")
    parser.add_argument("--seconds", type=float, default=70.0, help="CPU time of a try (default: 70)")
    parser.add_argument("--data-path", default="dataset", help="folder of the data sets (default: dataset)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for line in given.again.read_text(encoding="utf-8").splitlines():
        one = {key: json.loads(line)[key] for key in ("label", "model", "dataset", "options")}
        options = {"data_path": given.data_path, **one["options"]}
        one |= attempt(one["model"], one["dataset"], options, given.seconds)
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")
        print(f"{one['dataset']} {one['label']}: {one['recall@10']:.4f} {one['ndcg@10']:.4f}", flush=True)


if __name__ == "__main__":
    main()
