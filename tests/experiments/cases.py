"""Records with known means: 3 data sets × 5 models × 3 seeds, written without training anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_vagnn.experiments.records import Key, Records, RunRecord

DATASETS = ("films", "goods", "videos & co")
MODELS = ("Pop", "EASE", "LightGCN", "SimGCL", "VAGNN")
SEEDS = (2020, 2021, 2022)
SHIFT = {2020: -0.002, 2021: 0.0, 2022: 0.002}  # of a seed, else 0: standard deviation 0.002 with n − 1
METRICS = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")
FACTOR = {"recall@10": 1.0, "ndcg@10": 0.5, "recall@20": 1.5, "ndcg@20": 0.75}
# Recall@10 averaged over users and seeds. VAGNN wins on films, loses to EASE on goods, ties with SimGCL on videos.
RECALL = {
    "films": {"Pop": 0.05, "EASE": 0.14, "LightGCN": 0.12, "SimGCL": 0.15, "VAGNN": 0.18},
    "goods": {"Pop": 0.02, "EASE": 0.10, "LightGCN": 0.07, "SimGCL": 0.075, "VAGNN": 0.08},
    "videos & co": {"Pop": 0.03, "EASE": 0.06, "LightGCN": 0.08, "SimGCL": 0.09, "VAGNN": 0.09},
}
SECONDS = {"Pop": 0.05, "EASE": 2.0, "LightGCN": 60.0, "SimGCL": 90.0, "VAGNN": 120.0}
USERS = 60


def value(dataset: str, model: str, metric: str) -> float:
    """Mean of a metric over users and seeds."""
    if dataset in RECALL and model in RECALL[dataset]:
        recall = RECALL[dataset][model]
    else:  # further models of a crowd
        recall = 0.05 + 0.007 * (sum(map(ord, model + dataset)) % 17)
    return recall * FACTOR[metric]


def record(key: Key, *, users: int = USERS, settings: str = "tuned", **changes: Any) -> RunRecord:
    """A run; ``changes`` are columns of runs.csv."""
    dataset, model, seed = key
    per_user = _per_user(key, users)
    epochs = 1 if model in ("Pop", "EASE") else 30 + 5 * (seed % 3)
    curve = _curve(key, epochs)
    row: dict[str, object] = {
        "dataset": dataset,
        "model": model,
        "seed": seed,
        "settings": settings,
        "fingerprint": f"split-of-{len(dataset)}",
        "protocol": "0012e5",
        "version": "1.0",
        **dict.fromkeys(("users", "valid", "test"), users),
        "items": 1000,
        "vloggers": 100,
        "train": 20 * users,
        "best_epoch": int(curve["valid"].argmax()),
        "epochs": epochs,
        "valid_recall@10": curve["valid"].max(),
        **{f"test_{metric}": per_user[metric].mean() for metric in METRICS},
        "test_itemcoverage@10": 0.3 + 0.1 * value(dataset, model, "recall@10"),
        "test_vloggercoverage@10": 0.5,
        "test_vloggergini@10": 0.9 - value(dataset, model, "recall@10"),
        "test_averagepopularity@10": 123.45,
        "build_seconds": 0.5,
        "train_seconds": curve["train_seconds"].sum(),
        "epoch_seconds": curve["train_seconds"].mean(),
        "valid_seconds": 3.0,
        "test_seconds": 0.5,
        "total_seconds": curve["train_seconds"].sum() + 5,
        "peak_memory_mb": 512.0,
        "peak_gpu_memory_mb": None,
        "parameters": 0 if model == "Pop" else 64_000,
        "threads": 1,
    }
    return RunRecord({**row, **changes}, per_user, curve)


def write_records(
    folder: Path,
    *,
    datasets: Sequence[str] = DATASETS,
    models: Sequence[str] = MODELS,
    seeds: Sequence[int] = SEEDS,
    without: Collection[Key] = (),
    **changes: Any,
) -> Records:
    """Records of all runs but ``without``; for ``changes`` see :func:`record`."""
    records = Records(folder)
    for dataset in datasets:
        for model in models:
            for seed in seeds:
                if (dataset, model, seed) not in without:
                    records.add(record((dataset, model, seed), **changes))
    return records


def _rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, "".join(map(str, parts)))))


def _noise(key: Key, metric: str, users: int) -> NDArray[np.float64]:
    """(users,) of mean 0: a part that all models share, and a small one of the run's own."""
    shared, own = _rng(key[0], metric).normal(0, 0.1, users), _rng(*key, metric).normal(0, 0.03, users)
    return (shared - shared.mean()) + (own - own.mean())


def _per_user(key: Key, users: int) -> pd.DataFrame:
    history = 3 + _rng(key[0]).geometric(0.05, users)
    means = {metric: value(key[0], key[1], metric) + SHIFT.get(key[2], 0.0) for metric in METRICS}
    values = {metric: mean + _noise(key, metric, users) for metric, mean in means.items()}
    return pd.DataFrame({"user": [f"u{i}" for i in range(users)], "history": history, **values})


def _curve(key: Key, epochs: int) -> pd.DataFrame:
    epoch = np.arange(epochs)
    mean = value(key[0], key[1], "recall@10") + SHIFT.get(key[2], 0.0)
    rise = 1.0 if epochs == 1 else 1 - np.exp(-epoch / 6.0) - 0.002 * epoch
    valid = mean * rise + _rng(*key).normal(0, 0.001, epochs)
    seconds = SECONDS.get(key[1], 10.0 + sum(map(ord, key[1])) % 200) / epochs
    return pd.DataFrame({"epoch": epoch, "loss": 0.7 * np.exp(-epoch / 10), "valid": valid, "train_seconds": seconds})
