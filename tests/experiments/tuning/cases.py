"""Records of searches that were never run, with numbers to reckon with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.experiments.tuning.store import EPOCH_COLUMNS, SearchRecord, TrialRecord
from tests.experiments.cases import write_records

FIRST = {"rate": 0.01, "layers": 2, "kind": "a"}
SPACE = Space(
    "LightGCN",
    (
        Parameter("rate", "loguniform", low=0.001, high=1.0),
        Parameter("layers", "int", low=1, high=4),
        Parameter("kind", "choice", values=("a", "b", None)),
    ),
    (FIRST,),
    "my.yaml",
)
BUDGET: dict[str, Any] = {
    "trials": 12,
    "seconds": None,
    "search": "optuna",
    "seed": 7,
    "grace": 10,
    "reduction": 3.0,
    "max_concurrent": 1,
    "epochs": 40,
    "patience": 5,
    "cpus": 1,
    "gpus": 0,
    "torch_threads": 1,
    "wall_seconds": 500.0,
    "ended": "all trials done",
    "hopeless": False,
}
STATES = ("plateau", "stopped", "finished", "stopped")


def trial(number: int, score: float | None, state: str, epochs: int, **more: Any) -> TrialRecord:
    """A trial of two seconds an epoch whose best epoch is its last but one."""
    config = {"rate": 0.001 * 1.7**number, "layers": 1 + number % 4, "kind": ("a", "b", None)[number % 3]}
    given = {"config": FIRST if number == 0 else config, "first": number == 0, "seed": 7, "node": "host", **more}
    return TrialRecord(f"t{number}", number, state, score, max(0, epochs - 2), epochs, 2.0 * epochs, **given)


def search_record(n_trials: int = 12, **changes: Any) -> SearchRecord:
    """A search of LightGCN on films: trials 0, 4, 8 to a plateau (20 epochs), 1, 3, … stopped (10), 2, … whole (40).

    Scores rise with the logarithm of the rate; trial 11 failed.
    """
    trials = []
    for number in range(n_trials):
        state = "failed" if number == 11 else STATES[number % 4]
        epochs = {"plateau": 20, "stopped": 10, "finished": 40, "failed": 3}[state]
        more = {"error": "the <model>\nexploded", "attempts": 3} if state == "failed" else {}
        score = None if state == "failed" else round(0.10 + 0.01 * number, 4)
        trials.append(trial(number, score, state, epochs, **more))
    record = SearchRecord("LightGCN", "films", "Recall@10", True, SPACE, trials, evaluations(trials), BUDGET)
    return replace(record, **changes)


def evaluations(trials: list[TrialRecord]) -> pd.DataFrame:
    """One for every epoch, the score rising by even steps."""
    rows = [
        {
            "trial": trial.trial,
            "number": trial.number,
            "epoch": epoch,
            "score": (trial.score or 0.0) * (epoch + 1) / trial.epochs,
            "best": (trial.score or 0.0) * (epoch + 1) / trial.epochs,
            "loss": 1.0 / (epoch + 1),
            "seconds": 2.0,
            "valid_recall@10": (trial.score or 0.0) * (epoch + 1) / trial.epochs,
        }
        for trial in trials
        for epoch in range(trial.epochs)
    ]
    return pd.DataFrame(rows, columns=None if rows else list(EPOCH_COLUMNS))


def final_runs(folder: Path) -> pd.DataFrame:
    """Rows of final.csv: runs of LightGCN on films with every seed of the cases of the benchmark."""
    runs = Records(write_records(folder, datasets=["films"]).folder).runs
    return runs[runs["model"] == "LightGCN"].reset_index(drop=True)
