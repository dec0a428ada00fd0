"""Toy data sets and complete runs for the tests of runner, command line and resume."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recbole_vagnn.config import known_keys
from recbole_vagnn.result import Result
from recbole_vagnn.runner import run
from tests.helpers import write_dataset

REPOSITORY = Path(__file__).resolve().parent.parent
# Small and fast; of VA-GNN, meta-paths, auxiliary task, contrast and heads stay on.
SMALL: dict[str, Any] = {
    "embedding_size": 8,
    "train_batch_size": 64,
    "topk": [5, 10],
    "epochs": 2,
    "show_progress": False,
    "torch_threads": 1,
}


def write_toy(folder: Path, users: int = 24, items: int = 30, vloggers: int = 6, per_user: int = 9) -> Path:
    """Random interactions with distinct times; returns the data_path."""
    rng = np.random.default_rng(7)
    inter: list[tuple[str, str, int]] = []
    for user in range(users):
        for step, item in enumerate(rng.choice(items, per_user, replace=False)):
            inter.append((f"u{user}", f"i{item}", 1000 * step + user))
    present = sorted({row[1] for row in inter})
    item_rows = [(item, f"v{int(item[1:]) % vloggers}") for item in present]
    return write_dataset(folder, inter, item_rows)


def options_for(data_path: Path, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``SMALL`` with folders under ``data_path`` and the given options on top."""
    return {
        **SMALL,
        "data_path": str(data_path),
        "checkpoint_dir": str(data_path / "saved"),
        **(options or {}),
    }


def run_toy(data_path: Path, options: Mapping[str, Any] | None = None, model: str = "VAGNN", **more: Any) -> Result:
    """One quiet run on data set ``toy``; models without embeddings are spared the size of them."""
    given = options_for(data_path, options)
    if "embedding_size" not in known_keys(model, "toy"):
        del given["embedding_size"]
    return run(model, "toy", given, quiet=True, **more)


def arguments(options: Mapping[str, Any]) -> list[str]:
    """``--key=value`` arguments for the command line."""
    return [f"--{key}={value}" for key, value in options.items()]


def subprocess_environment() -> dict[str, str]:
    """Environment in which a child process finds the package."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def numbers(result: Result) -> dict[str, Any]:
    """What must be equal between two runs that are the same: losses and metrics, without times."""
    return {
        "losses": [record["losses"] for record in result.history],
        "valid": [record["valid"] for record in result.history],
        "best": (result.best_epoch, result.epochs, result.valid),
        "test": result.test,
        "per_user": {name: values.tolist() for name, values in result.per_user.items()},
    }
