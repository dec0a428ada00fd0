"""The runs of a benchmark by data set: means and deviations over seeds, gains of ours, and what is said of them.

A mean is over the seeds of a model, a deviation has n − 1. A data set's runs must have one split, protocol, version
and origin of settings, or there is no summary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.records import KEY, SAME

# What RecBole and we call a metric → heading. Others are capitalised.
_NAMES = {
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
    "gauc": "GAUC",
    "itemcoverage": "Item coverage",
    "vloggercoverage": "Vlogger coverage",
    "vloggergini": "Vlogger Gini",
    "giniindex": "Item Gini",
    "averagepopularity": "Average popularity",
    "shannonentropy": "Shannon entropy",
    "tailpercentage": "Tail share",
}
EXPOSURE = {  # → is larger better (1), smaller (−1), or neither (0)
    "itemcoverage": 1,
    "vloggercoverage": 1,
    "vloggergini": -1,
    "giniindex": -1,
    "averagepopularity": 0,
    "shannonentropy": 0,
    "tailpercentage": 0,
}
_SIZES = ("users", "items", "vloggers", "train", "valid", "test")


@dataclass(frozen=True)
class Gain:
    """Ours against the best rival on one metric.

    Attributes:
        rival: the best rival; of several that are equally good, the first.
        ours_mean, rival_mean: means over seeds.
        percent: ``100 (ours_mean / rival_mean − 1)``; NaN unless the rival's mean is positive.
    """

    rival: str
    ours_mean: float
    rival_mean: float
    percent: float


@dataclass(frozen=True)
class Summary:
    """The runs of one data set.

    Attributes:
        dataset: its name.
        models: labels in the order of the tables; also those without a run.
        ours: those of ours among them.
        means, stds: (models, columns of runs.csv) over seeds; NaN = no run, or no deviation of one seed.
        seeds: model → its seeds.
        facts: what all runs share: sizes, fingerprint, protocol, version, settings, threads.
    """

    dataset: str
    models: tuple[str, ...]
    ours: tuple[str, ...]
    means: pd.DataFrame
    stds: pd.DataFrame
    seeds: dict[str, tuple[int, ...]]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Test metrics of accuracy, in the order of runs.csv, without prefix."""
        return tuple(name for name in self._test_metrics() if base_name(name) not in EXPOSURE)

    @property
    def exposures(self) -> tuple[str, ...]:
        """Test metrics of exposure, likewise."""
        return tuple(name for name in self._test_metrics() if base_name(name) in EXPOSURE)

    def _test_metrics(self) -> list[str]:
        names = [name for name in self.means.columns if name.startswith("test_") and name != "test_seconds"]
        return [name.removeprefix("test_") for name in names if self.means[name].notna().any()]

    @property
    def tuned(self) -> bool:
        """Are the models tuned? Significance is reported only then."""
        return bool(self.facts["settings"] == "tuned")

    def ranking(self, metric: str) -> list[str]:
        """Models with a value of a metric, the best first."""
        values = self.means[f"test_{metric}"].dropna()
        return [str(name) for name in values.sort_values(ascending=False, kind="stable").index]

    def gain(self, own: str, metric: str) -> Gain | None:
        """A model of ours against the best rival; None if one of them has no run."""
        ranking = self.ranking(metric)
        rival = next((model for model in ranking if model not in self.ours), None)
        if rival is None or own not in ranking:
            return None
        ours_mean, rival_mean = (float(self.means.at[model, f"test_{metric}"]) for model in (own, rival))
        percent = 100 * (ours_mean / rival_mean - 1) if rival_mean > 0 else nan
        return Gain(rival, ours_mean, rival_mean, percent)


# From runs to summaries


def summarise(runs: pd.DataFrame, ours: Sequence[str] = (), order: Sequence[str] = ()) -> list[Summary]:
    """A summary of each data set.

    Args:
        runs: :attr:`Records.runs`.
        ours: labels of our models.
        order: labels in the order of the tables; others that were run follow in the order of ``runs``.

    Raises:
        InputError: there is no run, or the runs of a data set differ in split, protocol, version or settings.
    """
    if runs.empty:
        raise InputError("There is no finished run, so there is nothing to report.")
    return [_summary(str(name), of_set, ours, order) for name, of_set in runs.groupby("dataset", sort=True)]


def _summary(dataset: str, runs: pd.DataFrame, ours: Sequence[str], order: Sequence[str]) -> Summary:
    for name in SAME:
        _require_one(dataset, name, runs[name].value_counts(sort=False, dropna=False))
    models = tuple(dict.fromkeys([*order, *runs["model"]]))
    numbers = runs.drop(columns=list({*KEY, *SAME})).apply(pd.to_numeric, errors="coerce")
    groups = numbers.groupby(runs["model"])
    threads = sorted(runs["threads"].dropna().unique()) if "threads" in runs else []
    return Summary(
        dataset=dataset,
        models=models,
        ours=tuple(model for model in models if model in ours),
        means=groups.mean().reindex(models),
        stds=groups.std(ddof=1).reindex(models),
        seeds={str(model): tuple(sorted(map(int, group))) for model, group in runs.groupby("model")["seed"]},
        facts={
            **{name: runs[name].iloc[0] for name in (*SAME, *_SIZES) if name in runs},
            "threads": [f"{number:g}" for number in threads],
            "runs": len(runs),
        },
    )


def _require_one(dataset: str, name: str, counts: pd.Series) -> None:
    if len(counts) > 1:
        found = ", ".join(f"{value} ({count})" for value, count in counts.items())
        raise InputError(
            f"The runs on {dataset} differ in {name}: {found}. They are never mixed in one table; keep one kind in a "
            f"folder and write the others to another --out."
        )


def missing_runs(summaries: Iterable[Summary]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Data set, model and seeds that are not there, though another model has them; unknown seeds of none."""
    found = []
    for summary in summaries:
        seeds = sorted({seed for own in summary.seeds.values() for seed in own})
        for model in summary.models:
            if lacks := tuple(seed for seed in seeds if seed not in summary.seeds.get(model, ())):
                found.append((summary.dataset, model, lacks))
    return found


def best(summary: Summary, metric: str) -> list[str]:
    """The models whose value of a metric prints as the largest, in the order of the tables."""
    printed = {model: f"{mean:.4f}" for model, mean in summary.means[f"test_{metric}"].dropna().items()}
    largest = max(printed.values(), key=float, default="")
    return [str(model) for model, text in printed.items() if text == largest]


# Names of metrics


def by_cut_off(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Metrics by what follows the @, smallest cut-off first: ``{"10": ["recall@10", "ndcg@10"], …}``."""
    groups: dict[str, list[str]] = {}
    for name in metrics:
        groups.setdefault(name.partition("@")[2], []).append(name)
    return dict(sorted(groups.items(), key=lambda item: int(item[0]) if item[0].isdigit() else -1))


def heading(metric: str) -> str:
    """What people call a metric: ``ndcg@10`` → ``NDCG@10``."""
    name, at, cut_off = metric.partition("@")
    return _NAMES.get(name, name.capitalize()) + at + cut_off


def base_name(metric: str) -> str:
    """A metric without its cut-off: ``recall@10`` → ``recall``."""
    return metric.partition("@")[0]


# What is said of a data set


def sizes_text(summary: Summary) -> str:
    """Sizes of a data set in words."""
    facts = summary.facts
    parts = [f"{facts[name]:,} {name}" for name in _SIZES[:3] if name in facts]
    words = {"train": "training", "valid": "validation", "test": "test"}
    splits = [f"{facts[name]:,} {words[name]}" for name in _SIZES[3:] if name in facts]
    return ", ".join(parts) + (f"; {', '.join(splits)} interactions" if splits else "")


def settings_text(summary: Summary) -> str:
    """Where the settings of the models come from."""
    known = {"authors": "Every model at its authors' settings", "tuned": "Every model tuned"}
    return known.get(summary.facts["settings"], str(summary.facts["settings"]))


def seeds_text(summary: Summary) -> str:
    """How many seeds, and which."""
    seeds = sorted({seed for own in summary.seeds.values() for seed in own})
    return f"{len(seeds)} seed{'s' * (len(seeds) != 1)} ({', '.join(map(str, seeds))})"


def about_text(summary: Summary) -> str:
    """Sizes, settings and seeds."""
    return f"{sizes_text(summary)}. {settings_text(summary)}. {seeds_text(summary)}."


def proof_text(summary: Summary) -> str:
    """What shows that all runs are comparable."""
    facts = summary.facts
    return (
        f"All {facts['runs']} runs, of {len(summary.seeds)} model{'s' * (len(summary.seeds) != 1)}, have the same "
        f"fingerprint of split and creators ({facts['fingerprint']}), protocol ({facts['protocol']}) and version of "
        f"recbole-vagnn ({facts['version']})."
    )


def missing_text(summaries: Sequence[Summary]) -> list[str]:
    """A line for each model without a run that others have."""
    return [
        f"{model} on {dataset}: no run with seed {', '.join(map(str, seeds))}"
        for dataset, model, seeds in missing_runs(summaries)
    ]


def failure_text(failures: pd.DataFrame | None) -> list[str]:
    """A line for each failed run."""
    if failures is None:
        return []
    return [_failure(row) for row in failures.to_dict("records")]


def _failure(row: dict[str, Any]) -> str:
    attempts = f" ({row['attempts']} attempts)" if "attempts" in row else ""
    reason = " ".join(str(row.get("reason", "no reason is known")).split())
    return f"{row['model']} on {row['dataset']}, seed {row['seed']}{attempts}: {reason}"
