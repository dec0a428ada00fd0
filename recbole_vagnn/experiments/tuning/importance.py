"""Which parameters of a search mattered: functional ANOVA, or rank correlation where trials are few.

fANOVA (Hutter, Hoos, Leyton-Brown: An efficient approach for assessing hyperparameter importance, ICML 2014) fits a
random forest to scores over parameters and asks which share of its variance over the whole space one parameter
explains alone. The shares of all sum to at most 1; the rest is their interplay. Optuna computes it. Parameters are
given as coordinates of :mod:`.scale`: on the plain values, a logarithmic one would be judged by its upper end only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator
from scipy import stats

from recbole_vagnn.experiments.tuning.scale import Scale, scale_of
from recbole_vagnn.experiments.tuning.store import SearchRecord

FOREST_TRIALS = 8  # with fewer a forest says nothing
RANK_TRIALS = 4
COLUMNS = ("parameter", "importance", "spread", "chance", "correlation", "method", "trials")
_FORESTS = 3
_REDRAWS = 10
_SHUFFLES = 19  # the largest of 19 is passed by chance once in 20
_NUMBERS = ("importance", "spread", "chance", "correlation")
_TREES, _FEWER_TREES = 64, 32  # of a forest on the trials, and on redrawn or shuffled ones


@dataclass(frozen=True)
class Importance:
    """What a search says about its parameters.

    Attributes:
        table: a row for each parameter, the most important first. ``importance``: share of variance, 0 to 1 (NaN
            unless ``method`` is "fanova"); ``spread``: its standard deviation when trials are drawn anew with
            replacement; ``chance``: the largest share in 19 searches whose scores were shuffled, which a parameter
            without influence passes once in 20 (the forest always explains something); ``correlation``: Spearman's,
            of larger values with better scores (NaN for unordered choices); ``trials``: number used.
        method: "fanova", "spearman" or "none".
        note: how to read it, in words.
    """

    table: pd.DataFrame
    method: str
    note: str


def importance(record: SearchRecord) -> Importance:
    """The importance of each parameter of a search; equal records give equal numbers."""
    scales = [scale_of(parameter) for parameter in record.space.parameters]
    points, scores = _observations(record, scales)
    method, why = _method(points, scores)
    table = pd.DataFrame({"parameter": [scale.name for scale in scales]}, columns=list(COLUMNS))
    table = table.assign(**dict.fromkeys(_NUMBERS, math.nan), method=method, trials=len(scores))
    if method != "none":
        table["correlation"] = _correlations(scales, points, scores if record.bigger else -scores)
    if method == "fanova":
        seed = record.budget.get("seed")
        with _quiet_optuna():
            found = _shares(scales, points, scores, seed if isinstance(seed, int) else 0)
        table = table.assign(**found)
    size = table["importance"].fillna(table["correlation"].abs())
    order = size.sort_values(ascending=False, kind="stable", na_position="last").index
    return Importance(table.loc[order].reset_index(drop=True), method, why)


def _observations(record: SearchRecord, scales: list[Scale]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(trials, parameters) coordinates and (trials,) scores of the trials that have all of them."""
    rows = [[scale.place(trial.config.get(scale.name)) for scale in scales] for trial in record.scored]
    points = np.array(rows, dtype=np.float64).reshape(len(rows), len(scales))
    complete = ~np.isnan(points).any(axis=1)
    scores = np.array([trial.score for trial in record.scored], dtype=np.float64)
    return points[complete], scores[complete]


def _method(points: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[str, str]:
    """Method and its note."""
    n, k = points.shape
    if k == 0:
        return "none", "The space has no parameter."
    if n < RANK_TRIALS:
        return "none", f"Too few trials: {n} with a score, {RANK_TRIALS} are needed to rank parameters."
    if np.ptp(scores) == 0:
        return "none", f"All {n} trials have the same score: no parameter mattered in this search."
    if k >= 2 and n >= FOREST_TRIALS:
        return "fanova", _FANOVA.format(n=n, forests=_FORESTS, redraws=_REDRAWS, shuffles=_SHUFFLES)
    reason = "One parameter explains all there is to explain" if k == 1 else f"{n} trials are too few for a forest"
    return "spearman", _SPEARMAN.format(n=n, reason=reason)


_STOPPED = "Trials stopped early count with their best score; failed ones do not count."
_FANOVA = (
    "Importance: share of the variance of the score over the space that the parameter explains alone (functional "
    "ANOVA, Hutter et al. 2014), mean of {forests} forests on {n} trials; ± standard deviation over {redraws} redraws "
    "of the trials with replacement. Shares sum to at most 1; the rest is interplay. By chance: the largest share when "
    "the scores are shuffled among the trials ({shuffles} times). A share below it, not bold, is no sign of influence: "
    "the trials are too few to see one. Low scores count as much as high ones: a parameter may matter because some "
    "values ruin the model. " + _STOPPED
)
_SPEARMAN = (
    "Spearman's rank correlation of the parameter with better scores, {n} trials. {reason}, so no shares of variance "
    "are given. It sees rising and falling relations only, and none of unordered choices. " + _STOPPED
)


def _correlations(
    scales: list[Scale], points: NDArray[np.float64], goodness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(parameters,) Spearman's correlation with ``goodness``; NaN for unordered and for constant parameters."""
    found = [math.nan] * len(scales)
    for i, scale in enumerate(scales):
        if scale.ordered and np.ptp(points[:, i]) > 0:
            found[i] = float(stats.spearmanr(points[:, i], goodness).statistic)
    return np.array(found)


def _shares(
    scales: list[Scale], points: NDArray[np.float64], scores: NDArray[np.float64], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Columns "importance", "spread" and "chance", (parameters,) each."""
    distributions, n, rng = _distributions(scales, points), len(scores), np.random.default_rng(seed)
    redraws = [draw for draw in rng.integers(n, size=(_REDRAWS, n)) if np.ptp(scores[draw]) > 0]
    shuffles = [rng.permutation(n) for _ in range(_SHUFFLES)]
    of_all = [_forest(distributions, points, scores, _TREES, rng) for _ in range(_FORESTS)]
    redrawn = [_forest(distributions, points[draw], scores[draw], _FEWER_TREES, rng) for draw in redraws]
    shuffled = [_forest(distributions, points, scores[order], _FEWER_TREES, rng) for order in shuffles]
    return {
        "importance": np.mean(of_all, axis=0),
        "spread": np.std(redrawn, axis=0, ddof=1) if len(redrawn) > 1 else np.full(len(scales), math.nan),
        "chance": np.max(shuffled, axis=0),
    }


def _distributions(scales: list[Scale], points: NDArray[np.float64]) -> dict[str, FloatDistribution]:
    """Ranges of the coordinates, those of the trials at least."""
    return {
        scale.name: FloatDistribution(
            min(scale.low, float(points[:, i].min())) - scale.half,
            max(scale.high, float(points[:, i].max())) + scale.half,
        )
        for i, scale in enumerate(scales)
    }


def _forest(
    distributions: dict[str, FloatDistribution],
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    n_trees: int,
    rng: np.random.Generator,
) -> list[float]:
    """Share of each parameter, in the order of ``distributions``, by one forest."""
    study = optuna.create_study(direction="maximize")
    for point, score in zip(points, scores, strict=True):
        params = dict(zip(distributions, map(float, point), strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=dict(distributions), value=float(score)))
    found = FanovaImportanceEvaluator(n_trees=n_trees, seed=int(rng.integers(2**32))).evaluate(study)
    return [float(found[name]) for name in distributions]


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna announces every study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
