"""Is one model better than another? Paired tests over users, effect sizes and bootstrap intervals.

The sample is the test users: each user's metric is averaged over the seeds first, so n = users however many seeds were
run. Pairing by seed instead (n = seeds), or pooling users × seeds as if they were independent, would test another
question or count the same user several times; here duplicating every seed changes nothing. What the tests say holds for
other users and these trained models; the spread over seeds is reported elsewhere.

Larger values of a metric are better. Every test comes one-sided, "better": the alternative is that *ours* is better, so
a better model gets a small p; and two-sided. (RecBole's significance_test.py asks for ``alternative="less"``: it
rewards the worse model.)

Sources: Smucker, Allan & Carterette, CIKM 2007 (paired tests over users or queries, the bootstrap among them); Demšar,
JMLR 2006 (Wilcoxon and Holm for comparing models); Pratt, JASA 1959 (zeros in Wilcoxon's test); Holm, Scand. J.
Statist. 1979; McNemar, Psychometrika 1947; Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, ch. 13.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import copysign, inf, nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from recbole_vagnn.errors import InputError, did_you_mean

Floats = NDArray[np.float64]
RunKey = tuple[str, str, int]  # data set, model, seed

_CONFIDENCE = (0.025, 0.975)  # quantiles of the 95 % intervals
_BLOCK = 2**20  # users × samples drawn at a time: 8 MB each for the draws, the counts and their float64
_ROUNDING = 1e-12  # differences closer than this, relative to the largest value, are the same number
_EXACT_UP_TO = 50  # users who differ; beyond, Wilcoxon's W is close to normal


@dataclass(frozen=True)
class Comparison:
    """Ours against a rival on one metric; all p-values are uncorrected.

    Attributes:
        users: number of users, n.
        ours_mean, rival_mean: means over users of the means over seeds.
        difference: ``ours_mean − rival_mean``.
        difference_low, difference_high: 95 % interval of the difference: percentile bootstrap, users drawn in pairs.
        relative: ``difference / rival_mean`` as a fraction (0.05 = 5 %); NaN unless the rival's mean is positive.
        relative_low, relative_high: its 95 % interval, from the same draws; NaN unless the rival's mean is positive in
            every draw.
        better, equal, worse: number of users for whom ours is better, equal, worse.
        cohen_dz: mean of the differences / their standard deviation (n − 1); ±inf where they are constant but not 0,
            0 where all are 0, NaN for one user.
        rank_biserial: (W⁺ − W⁻) / (W⁺ + W⁻) from −1 to 1, of the users who differ, Pratt's ranks; 0 if none differs.
        t: paired t statistic, n − 1 degrees of freedom; ±inf where the differences are constant but not 0 (p is the
            limit, 0 or 1), NaN where all are 0 or there is one user (nothing can be rejected: p = 1).
        t_p_better, t_p_two_sided: its p-values.
        wilcoxon_w: W⁺, the sum of the ranks of the users for whom ours is better, zeros as Pratt has them.
        wilcoxon_p_better, wilcoxon_p_two_sided: its p-values; 1 where all differences are 0.
        mcnemar_p_better, mcnemar_p_two_sided: McNemar's exact test, ``better`` against ``worse``, where every user's
            value is 0 or 1 (a hit under one seed, or the same hit under every seed); else NaN.
    """

    users: int
    ours_mean: float
    rival_mean: float
    difference: float
    difference_low: float
    difference_high: float
    relative: float
    relative_low: float
    relative_high: float
    better: int
    equal: int
    worse: int
    cohen_dz: float
    rank_biserial: float
    t: float
    t_p_better: float
    t_p_two_sided: float
    wilcoxon_w: float
    wilcoxon_p_better: float
    wilcoxon_p_two_sided: float
    mcnemar_p_better: float
    mcnemar_p_two_sided: float


KEY_COLUMNS = ("dataset", "metric", "ours", "rival", "ours_seeds", "rival_seeds")


def compare(ours: ArrayLike, rival: ArrayLike, *, seed: int, bootstrap_samples: int = 10_000) -> Comparison:
    """Compare two models on one metric, user by user.

    Args:
        ours: (seeds, users) float64, larger is better.
        rival: (seeds', users) float64, the same users in the same order; seeds' may differ from seeds.
        seed: seed of the bootstrap's own generator; equal seeds draw equal users.
        bootstrap_samples: number of bootstrap samples.

    Raises:
        InputError: shapes do not fit, nothing to compare, or a value is not finite.
    """
    means = np.stack(_of_equal_length(_seed_mean(ours, "ours"), _seed_mean(rival, "rival")), axis=1)
    resampled = bootstrap_means(means, seed=seed, samples=bootstrap_samples)
    return _compare(means[:, 0], means[:, 1], resampled[:, 0], resampled[:, 1])


def bootstrap_means(values: Floats, *, seed: int, samples: int = 10_000) -> Floats:
    """Means of the columns over users drawn with replacement, the same users for every column.

    A sample is a vector of counts, how often each user was drawn, so a block of samples is one product of matrices for
    all columns at once; blocks bound the memory to some 30 MB beside the result.

    Args:
        values: (users, columns) float64.
        seed: seed of the generator.
        samples: number of samples.

    Returns:
        (samples, columns) float64.

    Raises:
        InputError: fewer than one sample.
    """
    if samples < 1:
        raise InputError(f"bootstrap_samples is {samples}; give at least 1 (10000 is customary).")
    generator = np.random.default_rng(seed)
    users = len(values)
    means = np.empty((samples, values.shape[1]))
    rows = max(1, _BLOCK // users)
    for start in range(0, samples, rows):
        block = means[start : start + rows]
        np.matmul(_draw_counts(generator, len(block), users), values, out=block)
    return means / users


def _draw_counts(generator: np.random.Generator, samples: int, users: int) -> Floats:
    """(samples, users) float64: how often each user was drawn; rows sum to the number of users."""
    drawn = generator.integers(0, users, (samples, users))
    drawn += np.arange(samples)[:, None] * users
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(samples, users).astype(np.float64)


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjustment: p-values to compare with α, family-wise.

    The i-th smallest of m is multiplied by m − i + 1, made monotone and capped at 1 (Holm 1979). NaN, a test that does
    not apply, stays NaN and does not count.

    Args:
        p_values: (m,) float64.

    Returns:
        (m,) float64, in the order given.

    Raises:
        InputError: a p-value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if np.any((p < 0) | (p > 1)):
        raise InputError(f"{np.sum((p < 0) | (p > 1))} of {p.size} p-values lie outside [0, 1].")
    adjusted = np.full(p.shape, nan)
    tested = np.flatnonzero(~np.isnan(p))
    ascending = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(ascending), 0, -1)
    adjusted[ascending] = np.minimum(np.maximum.accumulate(factors * p[ascending]), 1.0)
    return adjusted


def significance_table(
    per_user: Mapping[RunKey, pd.DataFrame],
    ours: str | Sequence[str],
    *,
    seed: int,
    bootstrap_samples: int = 10_000,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare our model, or models, with every other model on every data set and metric.

    One row for each data set, metric, model of ours and rival. Columns: ``dataset``, ``metric``, ``ours``, ``rival``,
    ``ours_seeds``, ``rival_seeds`` (numbers of seeds averaged), then the attributes of :class:`Comparison`, each
    p-value ``…_p_better`` or ``…_p_two_sided`` followed by ``…_holm``: the same, Holm-corrected. A family of p-values
    is one test (column) on one data set and metric: over all rivals, and all models of ours where there are several.

    Users are matched by id. The bootstrap draws the same users for all models and metrics of a data set, and does not
    depend on what other data sets are in the table. A data set on which a model of ours was not run has no rows of it;
    models of ours are not compared with one another.

    Args:
        per_user: (data set, model, seed) → one run's table: index = (users,) user ids, columns = metrics, float64,
            larger is better. ``pandas.DataFrame(result.per_user, index=result.users)`` makes one of a Result.
        ours: name of our model, or several.
        seed: seed of the bootstrap.
        bootstrap_samples: number of bootstrap samples.
        metrics: which metrics, in this order; None means all, which then every run of a data set must have.

    Raises:
        InputError: ``ours`` was not run; the runs of a data set differ in users or lack a metric; a user occurs twice;
            a value is not finite.
    """
    names = [ours] if isinstance(ours, str) else list(ours)
    _require_known(names, {model for _, model, _ in per_user})
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(key[0] for key in per_user):
        means, seeds = _means_of_models(dataset, per_user, metrics)
        rows += _rows(dataset, means, seeds, names, seed, bootstrap_samples)
    columns = [*KEY_COLUMNS, *(field.name for field in fields(Comparison))]
    return _with_holm(pd.DataFrame(rows, columns=columns))


def _require_known(names: Sequence[str], models: set[str]) -> None:
    if not names:
        raise InputError("ours names no model; give at least one of those that were run.")
    for name in names:
        if name not in models:
            known = ", ".join(sorted(models)) or "none"
            raise InputError(f"ours: no run of {name!r}.{did_you_mean(name, models)} Models that were run: {known}.")


def _rows(
    dataset: str, means: dict[str, pd.DataFrame], seeds: dict[str, int], ours: Sequence[str], seed: int, samples: int
) -> list[dict[str, Any]]:
    """The rows of one data set; ``means`` holds a table for each model, the same users and metrics in all of them."""
    pairs = [(own, rival) for own in means if own in ours for rival in means if rival not in ours]
    if not pairs:
        return []
    together = pd.concat(means, axis=1)
    values = together.to_numpy(dtype=np.float64)
    resampled = bootstrap_means(values, seed=seed, samples=samples)
    column = {key: position for position, key in enumerate(together.columns)}
    rows = []
    for metric in next(iter(means.values())).columns:
        for own, rival in pairs:
            a, b = column[own, metric], column[rival, metric]
            outcome = _compare(values[:, a], values[:, b], resampled[:, a], resampled[:, b])
            key = (dataset, metric, own, rival, seeds[own], seeds[rival])
            rows.append({**dict(zip(KEY_COLUMNS, key, strict=True)), **asdict(outcome)})
    return rows


def _with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Put a Holm-corrected column behind every column of p-values."""
    for name in [name for name in table.columns if "_p_" in name]:
        corrected = table.groupby(["dataset", "metric"], sort=False)[name].transform(holm).astype(np.float64)
        table.insert(table.columns.get_loc(name) + 1, f"{name}_holm", corrected)
    return table


# From runs to one value for each user


def _means_of_models(
    dataset: str, per_user: Mapping[RunKey, pd.DataFrame], metrics: Sequence[str] | None
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """For each model of a data set: the (users, metrics) table of means over its seeds, and the number of seeds."""
    runs = {key: run for key, run in per_user.items() if key[0] == dataset}
    first, table = next(iter(runs.items()))
    users = table.index.sort_values()
    names = list(table.columns if metrics is None else metrics)
    by_model: dict[str, list[Floats]] = {}
    for key, run in runs.items():
        _require_same_users(first, table.index, key, run.index)
        _require_metrics(key, run, names, all_of_them=metrics is None)
        values = run[names].reindex(users).to_numpy(dtype=np.float64)
        by_model.setdefault(key[1], []).append(_finite(values, _name(key)))
    means = {model: pd.DataFrame(np.mean(v, axis=0), index=users, columns=names) for model, v in by_model.items()}
    return means, {model: len(v) for model, v in by_model.items()}


def _name(key: RunKey) -> str:
    return f"{key[1]} with seed {key[2]} on {key[0]}"


def _require_same_users(first: RunKey, expected: pd.Index, key: RunKey, found: pd.Index) -> None:
    repeated = int(found.duplicated().sum())
    if repeated:
        raise InputError(f"{_name(key)}: {repeated} of {len(found)} rows repeat a user; give each user one row.")
    if len(found) == 0:
        raise InputError(f"{_name(key)}: no users; a comparison needs at least one.")
    missing, extra = (~expected.isin(found)).sum(), (~found.isin(expected)).sum()
    if missing or extra:
        raise InputError(
            f"{_name(first)} has {len(expected)} test users and {_name(key)} has {len(found)}: {missing} only in the "
            f"first, {extra} only in the second. Models are compared over the same users: evaluate both on one split."
        )


def _require_metrics(key: RunKey, run: pd.DataFrame, names: Sequence[Hashable], all_of_them: bool) -> None:
    missing = [name for name in names if name not in run.columns]
    extra = [name for name in run.columns if name not in names] if all_of_them else []
    if missing or extra:
        raise InputError(
            f"{_name(key)}: lacks metrics {missing} and has {extra} beyond those of the first run; evaluate all models "
            "with the same metrics, or name in `metrics` those that every run has."
        )


def _seed_mean(values: ArrayLike, name: str) -> Floats:
    """(seeds, users) → (users,)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"{name}: expected (seeds, users) with at least one of each, got shape {array.shape}.")
    return np.asarray(_finite(array, name).mean(axis=0))


def _of_equal_length(ours: Floats, rival: Floats) -> tuple[Floats, Floats]:
    if len(ours) != len(rival):
        raise InputError(
            f"ours has {len(ours)} users and rival {len(rival)}; give both for the same users in one order."
        )
    return ours, rival


def _finite(values: Floats, name: str) -> Floats:
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise InputError(f"{name}: {bad} of {values.size} values are NaN or infinite; every user needs a metric.")
    return values


# The tests, given one value for each user


def _compare(ours: Floats, rival: Floats, resampled_ours: Floats, resampled_rival: Floats) -> Comparison:
    """All of the comparison: (users,) means over seeds, and (samples,) bootstrap means of both."""
    d = _differences(ours, rival)
    t, t_p_better, t_p_two_sided = _t_test(d)
    ranks = stats.rankdata(np.abs(d))
    w, against = float(ranks[d > 0].sum()), float(ranks[d < 0].sum())
    wilcoxon_p_better, wilcoxon_p_two_sided = _wilcoxon(d, ranks)
    mcnemar_p_better, mcnemar_p_two_sided = _mcnemar(ours, rival)
    ours_mean, rival_mean = float(ours.mean()), float(rival.mean())
    difference_low, difference_high = np.quantile(resampled_ours - resampled_rival, _CONFIDENCE).tolist()
    relative_low, relative_high = _relative_interval(resampled_ours, resampled_rival)
    return Comparison(
        users=len(d),
        ours_mean=ours_mean,
        rival_mean=rival_mean,
        difference=ours_mean - rival_mean,
        difference_low=difference_low,
        difference_high=difference_high,
        relative=ours_mean / rival_mean - 1 if rival_mean > 0 else nan,
        relative_low=relative_low,
        relative_high=relative_high,
        better=int(np.sum(d > 0)),
        equal=int(np.sum(d == 0)),
        worse=int(np.sum(d < 0)),
        cohen_dz=0.0 if not d.any() else t / len(d) ** 0.5,
        rank_biserial=(w - against) / (w + against) if d.any() else 0.0,
        t=t,
        t_p_better=t_p_better,
        t_p_two_sided=t_p_two_sided,
        wilcoxon_w=w,
        wilcoxon_p_better=wilcoxon_p_better,
        wilcoxon_p_two_sided=wilcoxon_p_two_sided,
        mcnemar_p_better=mcnemar_p_better,
        mcnemar_p_two_sided=mcnemar_p_two_sided,
    )


def _differences(ours: Floats, rival: Floats) -> Floats:
    """(users,) ours − rival, with magnitudes that differ by rounding alone made equal, and zero where that is all.

    Averages over seeds carry rounding errors that depend on order and number of seeds; unsettled, they would break the
    zeros and ties that ranks and counts of users are made of. Magnitudes are sorted, and a gap wider than the rounding
    begins a new number, so no border lies where equal values could fall on either side.
    """
    raw = ours - rival
    tolerance = _ROUNDING * max(np.abs(ours).max(), np.abs(rival).max())
    magnitudes = np.concatenate([[0.0], np.abs(raw)])
    order = np.argsort(magnitudes, kind="stable")
    ascending = magnitudes[order]
    is_new = np.diff(ascending, prepend=-inf) > tolerance
    settled = np.empty_like(magnitudes)
    settled[order] = ascending[is_new][np.cumsum(is_new) - 1]
    return np.sign(raw) * settled[1:]


def _t_test(d: Floats) -> tuple[float, float, float]:
    """Paired t test: t, p (better), p (two-sided)."""
    if len(d) == 1 or not d.any():
        return nan, 1.0, 1.0
    if np.all(d == d[0]):
        return copysign(inf, d[0]), float(d[0] < 0), 0.0
    one_sided = stats.ttest_1samp(d, 0.0, alternative="greater")
    return float(one_sided.statistic), float(one_sided.pvalue), float(stats.ttest_1samp(d, 0.0).pvalue)


def _wilcoxon(d: Floats, ranks: Floats) -> tuple[float, float]:
    """Wilcoxon's signed-rank test: p (better), p (two-sided).

    Zeros as in Pratt (1959): they are ranked with the others and their ranks then dropped. Dropping the zeros before
    ranking (Wilcoxon's own way) tests each rival on a different set of users, and by Pratt's example p may fall when
    every difference is made worse. Where nearly all users are equal, as with sparse hits, the ranks left are high and
    nearly equal, and the test comes close to a sign test.

    Exact given the ties and zeros where at most 50 users differ; else normal, without continuity correction, the
    variance corrected for ties and zeros (Cureton 1967).
    """
    differ = np.count_nonzero(d)
    if differ == 0:
        return 1.0, 1.0
    if differ <= _EXACT_UP_TO:
        return _exact_signed_rank(d, ranks)
    one, two = (
        stats.wilcoxon(d, zero_method="pratt", correction=False, alternative=alternative, method="asymptotic").pvalue
        for alternative in ("greater", "two-sided")
    )
    return float(one), float(two)


def _exact_signed_rank(d: Floats, ranks: Floats) -> tuple[float, float]:
    """P(W⁺ ≥ w) and twice the smaller tail, capped at 1, over all equally likely signs of the users who differ.

    scipy enumerates signs, for 13 users at most where there are ties. Here the distribution is built user by user:
    probabilities of (number of users better, sum of their ranks beyond the zeros'). Ranks are doubled, so that the
    halves which ties bring are whole numbers and sums compare exactly.
    """
    zeros = int(np.sum(d == 0))
    doubled = np.rint(2 * ranks).astype(np.int64)
    beyond = doubled[d != 0] - 2 * zeros
    total = int(beyond.sum())
    probability = np.zeros((len(beyond) + 1, total + 1))
    probability[0, 0] = 1.0
    for rank in beyond:
        probability[1:, rank:] += probability[:-1, : total + 1 - rank]
        probability /= 2
    sums = 2 * zeros * np.arange(len(beyond) + 1)[:, None] + np.arange(total + 1)
    observed = doubled[d > 0].sum()
    upper, lower = float(probability[sums >= observed].sum()), float(probability[sums <= observed].sum())
    return min(upper, 1.0), min(2 * min(upper, lower), 1.0)


def _mcnemar(ours: Floats, rival: Floats) -> tuple[float, float]:
    """McNemar's exact test of 0/1 values: p (better), p (two-sided); NaN if any value is another."""
    if not all(np.all((values == 0) | (values == 1)) for values in (ours, rival)):
        return nan, nan
    better, worse = int(np.sum(ours > rival)), int(np.sum(ours < rival))
    if better + worse == 0:
        return 1.0, 1.0
    one, two = (
        stats.binomtest(better, better + worse, 0.5, alternative=alternative).pvalue
        for alternative in ("greater", "two-sided")
    )
    return float(one), float(two)


def _relative_interval(resampled_ours: Floats, resampled_rival: Floats) -> tuple[float, float]:
    if np.any(resampled_rival <= 0):
        return nan, nan
    low, high = np.quantile(resampled_ours / resampled_rival, _CONFIDENCE).tolist()
    return low - 1, high - 1
