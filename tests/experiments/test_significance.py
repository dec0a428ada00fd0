"""Known answers, hand-written formulas, enumeration of all signs, and properties that no correct test can lack."""

from __future__ import annotations

import tracemalloc
from dataclasses import asdict
from itertools import product
from math import comb, inf, isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import significance
from recbole_vagnn.experiments.significance import Comparison, bootstrap_means, compare, holm, significance_table

pytestmark = pytest.mark.filterwarnings("error")

# Student 1908, hours of sleep gained with two drugs; R's data set `sleep`, t.test(paired = TRUE) in its manual.
SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
# Darwin's corn, cross- minus self-fertilised: Wilcoxon 1945, without zeros and (but for signs) ties.
CORN = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], dtype=float)
# Pratt 1959, his example against dropping zeros.
PRATT = np.array([0, 2, 3, 4, 6, 7, 8, 9, 11, 14, 15, 17, -18], dtype=float)


def _compare(ours: np.ndarray, rival: np.ndarray, samples: int = 200, seed: int = 1) -> Comparison:
    """One seed each."""
    return compare(np.atleast_2d(ours), np.atleast_2d(rival), seed=seed, bootstrap_samples=samples)


def _from_differences(d: np.ndarray) -> Comparison:
    return _compare(d, np.zeros_like(d))


def _all_signs(magnitudes: np.ndarray, observed: float) -> tuple[float, float]:
    """P(W⁺ ≥ observed) and the two-sided p by going through all 2^n signs; ranks by counting, zeros as Pratt."""
    ranks = [
        sum(other < m for other in magnitudes) + (sum(other == m for other in magnitudes) + 1) / 2 for m in magnitudes
    ]
    ranks = [rank for rank, m in zip(ranks, magnitudes, strict=True) if m]
    sums = [sum(r for r, up in zip(ranks, ups, strict=True) if up) for ups in product((0, 1), repeat=len(ranks))]
    upper, lower = np.mean([w >= observed for w in sums]), np.mean([w <= observed for w in sums])
    return upper, min(1.0, 2 * min(upper, lower))


# Published values


def test_paired_t_on_students_sleep_data():
    found = _compare(SLEEP_2, SLEEP_1)
    assert found.t == pytest.approx(4.0621, abs=5e-5)
    assert found.t_p_two_sided == pytest.approx(0.002833, abs=5e-7)
    assert found.t_p_better == pytest.approx(0.002833 / 2, abs=5e-7)
    assert found.difference == pytest.approx(1.58)
    assert found.cohen_dz == pytest.approx(1.58 / (SLEEP_2 - SLEEP_1).std(ddof=1))
    assert (found.better, found.equal, found.worse) == (9, 1, 0)


def test_wilcoxon_on_darwins_corn():
    found = _from_differences(CORN)
    assert found.wilcoxon_w == 96
    assert found.wilcoxon_p_two_sided == pytest.approx(0.041259765625, rel=1e-12)
    assert found.wilcoxon_p_better == pytest.approx(0.0206298828125, rel=1e-12)
    assert found.rank_biserial == pytest.approx((96 - 24) / 120)


def test_zeros_are_ranked_and_then_dropped():
    """Blood pressures of ten patients; differences 15 −7 5 20 0 −9 17 −12 5 −10, ranks 8 4 2.5 10 1 5 9 7 2.5 6."""
    before = np.array([125, 115, 130, 140, 140, 115, 140, 125, 140, 135], dtype=float)
    after = np.array([110, 122, 125, 120, 140, 124, 123, 137, 135, 145], dtype=float)
    found = _compare(before, after)
    assert found.wilcoxon_w == 8 + 2.5 + 10 + 9 + 2.5
    assert found.rank_biserial == pytest.approx((32 - 22) / 54)
    assert (found.better, found.equal, found.worse) == (5, 1, 4)


def test_pratts_paradox_does_not_occur():
    """With the zero dropped, the sample looks weaker than the same sample with every value lowered."""
    dropped, lowered = _from_differences(PRATT[PRATT != 0]), _from_differences(PRATT - 1)
    assert dropped.wilcoxon_p_better > lowered.wilcoxon_p_better
    assert _from_differences(PRATT).wilcoxon_p_better < lowered.wilcoxon_p_better


def _hits(both: int, ours_only: int, rival_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, ours_only, rival_only, neither)
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)


def test_mcnemar_on_two_media_for_tubercle_bacilli():
    """Armitage & Berry 1994, p. 127; exact P of Liddell 1983: 0.0129."""
    found = _compare(*_hits(20, 12, 2, 16))
    assert found.mcnemar_p_two_sided == pytest.approx(0.0129, abs=5e-5)
    assert found.mcnemar_p_better == pytest.approx(sum(comb(14, k) for k in (12, 13, 14)) / 2**14, rel=1e-12)
    assert (found.better, found.equal, found.worse) == (12, 36, 2)


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # R: p.adjust(p, "holm")
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
        ([0.01, np.nan, 0.04], [0.02, np.nan, 0.04]),
    ],
)
def test_holm(p, adjusted):
    np.testing.assert_allclose(holm(p), adjusted, rtol=1e-12)


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms())
def test_holm_is_the_step_down_procedure(p, random):
    """Adjusted p ≤ α exactly for the hypotheses that Holm's procedure, carried out literally, rejects at α."""
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for i, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if (len(p) - i) * p[index] > alpha:
                break
            rejected.add(index)
        assert {i for i in range(len(p)) if adjusted[i] <= alpha} == rejected
    order = list(range(len(p)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm([p[i] for i in order]), adjusted[order] if p else [])


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(InputError, match="1 of 2 p-values"):
        holm([0.5, 1.5])


# Formulas and enumeration


def test_t_by_its_formula():
    rng = np.random.default_rng(5)
    ours, rival = rng.random((2, 40))
    d = ours - rival
    t = d.mean() / (sqrt(sum((d - d.mean()) ** 2) / 39) / sqrt(40))
    found = _compare(ours, rival)
    assert found.t == pytest.approx(t)
    assert found.cohen_dz == pytest.approx(t / sqrt(40))
    assert found.t_p_better == pytest.approx(stats.t.sf(t, 39))
    assert found.relative == pytest.approx((ours.mean() - rival.mean()) / rival.mean())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_wilcoxon_by_enumeration_of_all_signs(integers):
    d = np.array(integers, dtype=float) / 10
    found = _from_differences(d)
    one, two = _all_signs(np.abs(d), found.wilcoxon_w)
    assert found.wilcoxon_p_better == pytest.approx(one, rel=1e-12)
    assert found.wilcoxon_p_two_sided == pytest.approx(two, rel=1e-12)


@pytest.mark.parametrize("n", [2, 10, 50])
def test_wilcoxon_without_ties_is_scipys_exact_test(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    found = _from_differences(d)
    for alternative, p in (("greater", found.wilcoxon_p_better), ("two-sided", found.wilcoxon_p_two_sided)):
        assert p == pytest.approx(stats.wilcoxon(d, alternative=alternative, method="exact").pvalue, rel=1e-9)


def test_wilcoxon_of_many_users_is_normal_with_the_variance_of_the_signs():
    """Given the ranks, W⁺ has mean Σr/2 and variance Σr²/4 over the users who differ, whatever ties and zeros."""
    d = np.random.default_rng(2).integers(-3, 5, 300) / 7
    found = _from_differences(d)
    ranks = stats.rankdata(np.abs(d))[d != 0]
    z = (found.wilcoxon_w - ranks.sum() / 2) / sqrt((ranks**2).sum() / 4)
    assert found.wilcoxon_p_better == pytest.approx(stats.norm.sf(z))
    assert found.wilcoxon_p_two_sided == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_exact_and_normal_p_meet():
    """51 users who differ are beyond the exact test, 50 are not."""
    d = np.random.default_rng(3).normal(0.3, 1, 51)
    normal = _from_differences(d).wilcoxon_p_better
    exact = stats.wilcoxon(d, alternative="greater", method="exact").pvalue
    assert normal != exact
    assert normal == pytest.approx(exact, rel=0.05)


def test_few_who_differ_among_many_users_are_tested_exactly():
    """Five better, none worse: p = 1/32, where the normal approximation has 0.013."""
    d = np.zeros(5_000)
    d[:5] = [0.1, 0.2, 0.2, 0.3, 0.4]
    found = _from_differences(d)
    assert found.wilcoxon_p_better == pytest.approx(1 / 32)
    assert found.wilcoxon_p_two_sided == pytest.approx(1 / 16)
    assert found.rank_biserial == 1.0


def test_mcnemar_is_the_binomial_of_those_who_differ():
    ours, rival = np.random.default_rng(4).integers(0, 2, (2, 60)).astype(float)
    b, n = int(np.sum(ours > rival)), int(np.sum(ours != rival))
    found = _compare(ours, rival)
    upper, lower = (sum(comb(n, k) for k in ks) / 2**n for ks in (range(b, n + 1), range(b + 1)))
    assert found.mcnemar_p_better == pytest.approx(upper)
    assert found.mcnemar_p_two_sided == pytest.approx(min(1.0, 2 * min(upper, lower)))


def test_mcnemar_needs_hits():
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, (2, 30)).astype(float)
    assert isnan(_compare(hits[0], rng.random(30)).mcnemar_p_better)
    assert isnan(compare(hits, hits[:1], seed=1, bootstrap_samples=10).mcnemar_p_two_sided)  # two seeds that differ


# The bootstrap


def test_bootstrap_by_its_definition(monkeypatch):
    """The same draws of users, taken one sample at a time and indexed; and blocks do not matter."""
    values = np.random.default_rng(1).random((30, 3))
    generator = np.random.default_rng(8)
    expected = np.array([values[generator.integers(0, 30, 30)].mean(axis=0) for _ in range(100)])
    np.testing.assert_allclose(bootstrap_means(values, seed=8, samples=100), expected, rtol=1e-12)
    for block in (1, 70, 10**6):
        monkeypatch.setattr(significance, "_BLOCK", block)
        np.testing.assert_allclose(bootstrap_means(values, seed=8, samples=100), expected, rtol=1e-12)


def test_intervals_are_percentiles_of_paired_draws():
    ours, rival = np.random.default_rng(2).random((2, 25))
    generator = np.random.default_rng(3)
    drawn = [generator.integers(0, 25, 25) for _ in range(500)]
    difference = [ours[i].mean() - rival[i].mean() for i in drawn]
    relative = [(ours[i].mean() - rival[i].mean()) / rival[i].mean() for i in drawn]
    found = _compare(ours, rival, samples=500, seed=3)
    np.testing.assert_allclose([found.difference_low, found.difference_high], np.percentile(difference, [2.5, 97.5]))
    np.testing.assert_allclose([found.relative_low, found.relative_high], np.percentile(relative, [2.5, 97.5]))


def test_pairing_narrows_the_interval():
    """Users differ widely, models little: drawing users for both models apart would give a width near 0.1."""
    rng = np.random.default_rng(6)
    rival = rng.random(300)
    found = _compare(rival + 0.01 + rng.normal(0, 0.01, 300), rival, samples=1_000)
    assert found.difference_low > 0
    assert found.difference_high - found.difference_low == pytest.approx(2 * 1.96 * 0.01 / sqrt(300), rel=0.15)


def test_coverage_of_both_intervals():
    """Of 400 simulated experiments about 95 % of the intervals hold the truth (binomial standard error 1.1 %)."""
    rng = np.random.default_rng(7)
    covered = np.zeros(2)
    for repeat in range(400):
        rival = rng.gamma(2.0, 0.1, 80)
        ours = rival * 1.1 + rng.normal(0, 0.1, 80)
        found = _compare(ours, rival, samples=400, seed=repeat)
        covered += (
            found.difference_low <= 0.02 <= found.difference_high,
            found.relative_low <= 0.1 <= found.relative_high,
        )
    assert (covered / 400 >= 0.91).all()
    assert (covered / 400 <= 0.98).all()


def test_memory_of_the_bootstrap_is_bounded():
    """20,000 users × 300 samples at once would take 48 MB for the draws and as much for each of the counts."""
    values = np.random.default_rng(0).random((20_000, 2))
    tracemalloc.start()
    try:
        bootstrap_means(values, seed=1, samples=300)
        assert tracemalloc.get_traced_memory()[1] < 45e6
    finally:
        tracemalloc.stop()


# Properties


def _seeds(seed: int, n_seeds: int = 3, users: int = 60) -> np.ndarray:
    """(seeds, users) of a metric with many ties and zeros, such as recall with few positives."""
    return np.random.default_rng(seed).integers(0, 4, (n_seeds, users)) / 7


def _close(found: Comparison, expected: Comparison) -> None:
    for name, value in asdict(found).items():
        assert value == pytest.approx(asdict(expected)[name], rel=1e-9, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("copies", [2, 3, 10])
@pytest.mark.parametrize("users", [20, 400])
def test_duplicating_seeds_changes_nothing(copies, users):
    ours, rival = _seeds(1, 3, users), _seeds(2, 2, users)
    once = compare(ours, rival, seed=1, bootstrap_samples=200)
    _close(compare(np.tile(ours, (copies, 1)), rival, seed=1, bootstrap_samples=200), once)
    _close(compare(np.repeat(ours, copies, axis=0), np.tile(rival, (copies, 1)), seed=1, bootstrap_samples=200), once)


def test_duplicating_seeds_of_hits_keeps_mcnemar():
    ours, rival = _hits(20, 12, 2, 16)
    duplicated = compare(np.tile(ours, (3, 1)), np.tile(rival, (5, 1)), seed=1, bootstrap_samples=200)
    _close(duplicated, _compare(ours, rival))


def test_order_of_seeds_does_not_break_zeros():
    """0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in floating point, yet both users' averages are equal."""
    ours = np.array([[0.1, 0.2], [0.2, 0.1], [0.3, 0.6]])
    assert ours.mean(axis=0)[0] != ours[::-1].mean(axis=0)[0]
    found = compare(ours, ours[::-1], seed=1, bootstrap_samples=10)
    assert (found.better, found.equal, found.worse) == (0, 2, 0)
    assert (found.t_p_better, found.wilcoxon_p_better) == (1.0, 1.0)


@pytest.mark.parametrize("users", [20, 400])
def test_swapping_the_models_mirrors_the_result(users):
    a, b = _seeds(1, 3, users), _seeds(2, 2, users)
    there = compare(a, b, seed=1, bootstrap_samples=200)
    back = compare(b, a, seed=1, bootstrap_samples=200)
    assert back.difference == -there.difference
    assert (back.difference_low, back.difference_high) == pytest.approx((-there.difference_high, -there.difference_low))
    assert (back.ours_mean, back.rival_mean) == (there.rival_mean, there.ours_mean)
    assert (back.better, back.equal, back.worse) == (there.worse, there.equal, there.better)
    assert (back.t, back.cohen_dz, back.rank_biserial) == pytest.approx(
        (-there.t, -there.cohen_dz, -there.rank_biserial)
    )
    assert back.t_p_two_sided == pytest.approx(there.t_p_two_sided)
    assert back.wilcoxon_p_two_sided == pytest.approx(there.wilcoxon_p_two_sided)
    assert back.t_p_better + there.t_p_better == pytest.approx(1.0)
    assert back.wilcoxon_p_better + there.wilcoxon_p_better >= 1.0 - 1e-12


def test_right_tail():
    """A better model gets a small one-sided p and a worse one a large; half the two-sided p is on the right side."""
    rng = np.random.default_rng(9)
    rival = rng.integers(0, 2, 200).astype(float)
    ours = np.where(rng.random(200) < 0.2, 1.0, rival)
    better, worse = _compare(ours, rival), _compare(rival, ours)
    for test in ("t", "wilcoxon", "mcnemar"):
        assert getattr(better, f"{test}_p_better") < 1e-3
        assert getattr(worse, f"{test}_p_better") > 0.99
        assert getattr(worse, f"{test}_p_two_sided") == pytest.approx(getattr(better, f"{test}_p_two_sided"))
        assert getattr(better, f"{test}_p_better") == pytest.approx(getattr(better, f"{test}_p_two_sided") / 2)


def test_p_values_are_uniform_where_models_are_equal():
    rng = np.random.default_rng(10)
    found = [_compare(*rng.normal(0.5, 0.2, (2, 80)), samples=1) for _ in range(400)]
    for name in ("t_p_better", "t_p_two_sided", "wilcoxon_p_better", "wilcoxon_p_two_sided"):
        assert stats.kstest([getattr(one, name) for one in found], "uniform").pvalue > 0.001, name


def test_sparse_hits_do_not_reject_too_often_where_models_are_equal():
    """Discrete p-values may be conservative; more than α + 3 standard errors they must not reject."""
    rng = np.random.default_rng(11)
    found = [_compare(*(rng.random((2, 400)) < 0.02).astype(float), samples=1) for _ in range(400)]
    for name in ("wilcoxon_p_better", "wilcoxon_p_two_sided", "mcnemar_p_better", "mcnemar_p_two_sided"):
        assert np.mean([getattr(one, name) <= 0.05 for one in found]) <= 0.05 + 3 * sqrt(0.05 * 0.95 / 400)


def test_seeded():
    a, b = _seeds(1), _seeds(2)
    first = compare(a, b, seed=1, bootstrap_samples=200)
    _equal(compare(a, b, seed=1, bootstrap_samples=200), first)
    assert compare(a, b, seed=2, bootstrap_samples=200).difference_low != first.difference_low


def _equal(found: Comparison, expected: Comparison) -> None:
    np.testing.assert_equal(asdict(found), asdict(expected))


# Edges


def test_one_user():
    found = _compare(np.array([0.5]), np.array([0.25]))
    assert isnan(found.t)
    assert isnan(found.cohen_dz)
    assert (found.t_p_better, found.t_p_two_sided) == (1.0, 1.0)
    assert (found.wilcoxon_p_better, found.wilcoxon_p_two_sided) == (0.5, 1.0)
    assert (found.difference_low, found.difference_high) == (0.25, 0.25)
    assert (found.relative_low, found.relative, found.relative_high) == (1.0, 1.0, 1.0)


def test_equal_models():
    found = _compare(SLEEP_1 + 2, SLEEP_1 + 2)
    assert isnan(found.t)
    assert (found.t_p_better, found.t_p_two_sided, found.cohen_dz) == (1.0, 1.0, 0.0)
    assert (found.wilcoxon_p_better, found.wilcoxon_p_two_sided, found.rank_biserial) == (1.0, 1.0, 0.0)
    assert (found.difference_low, found.difference_high, found.relative) == (0.0, 0.0, 0.0)
    assert found.equal == 10


def test_equal_hits():
    hits = np.array([0.0, 1.0, 1.0])
    assert (_compare(hits, hits).mcnemar_p_better, _compare(hits, hits).mcnemar_p_two_sided) == (1.0, 1.0)


def test_constant_difference():
    """0.3 − 0.2 and 0.4 − 0.3 differ in floating point; as numbers they are one, and there is no variance."""
    ours, rival = np.array([0.3, 0.4, 0.9]), np.array([0.2, 0.3, 0.8])
    better, worse = _compare(ours, rival), _compare(rival, ours)
    assert (better.t, better.t_p_better, better.t_p_two_sided, better.cohen_dz) == (inf, 0.0, 0.0, inf)
    assert (worse.t, worse.t_p_better, worse.t_p_two_sided, worse.cohen_dz) == (-inf, 1.0, 0.0, -inf)
    assert better.wilcoxon_p_better == 1 / 8


def test_relative_improvement_on_nothing_is_no_number():
    found = _compare(np.array([0.0, 1.0]), np.zeros(2))
    assert all(isnan(value) for value in (found.relative, found.relative_low, found.relative_high))
    rare = _compare(np.ones(3), np.array([1.0, 0.0, 0.0]))  # some draws of users have no hit of the rival
    assert rare.relative == pytest.approx(2.0)
    assert isnan(rare.relative_low)


@pytest.mark.parametrize(
    ("ours", "rival", "message"),
    [
        ([[1.0, np.nan, np.inf]], [[1.0, 1.0, 1.0]], "ours: 2 of 3 values are NaN or infinite"),
        ([[1.0, 1.0]], [[1.0, np.nan]], "rival: 1 of 2 values"),
        ([[1.0, 1.0]], [[1.0]], "ours has 2 users and rival 1"),
        ([[]], [[]], r"ours: expected \(seeds, users\) with at least one of each, got shape \(1, 0\)"),
        ([1.0, 1.0], [[1.0, 1.0]], r"ours: .* got shape \(2,\)"),
    ],
)
def test_compare_refuses(ours, rival, message):
    with pytest.raises(InputError, match=message):
        compare(ours, rival, seed=1)


def test_compare_refuses_no_samples():
    with pytest.raises(InputError, match="bootstrap_samples is 0"):
        compare([[1.0]], [[1.0]], seed=1, bootstrap_samples=0)


# The table


def _run(seed: int, users: int = 40, lift: float = 0.0, shuffle: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ids = np.array([f"u{i}" for i in range(users)])
    table = pd.DataFrame({"recall@10": rng.random(users) + lift, "hit@10": 1.0 * (rng.random(users) < 0.4)}, index=ids)
    return table.iloc[rng.permutation(users)] if shuffle else table


def _runs() -> dict[tuple[str, str, int], pd.DataFrame]:
    """Two data sets, three models; Ours has three seeds on `a`, rivals one or two; every run in its own order."""
    counts = {("a", "Ours"): 3, ("a", "BPR"): 1, ("a", "Pop"): 2, ("b", "Ours"): 1, ("b", "BPR"): 1, ("b", "Pop"): 1}
    return {
        (dataset, model, seed): _run(100 * i + seed, lift=0.1 if model == "Ours" else 0.0)
        for i, ((dataset, model), n) in enumerate(counts.items())
        for seed in range(n)
    }


def _table(runs, ours="Ours", **options) -> pd.DataFrame:
    return significance_table(runs, ours, seed=5, bootstrap_samples=100, **options)


def test_table_is_compare_on_users_matched_by_id():
    runs = _runs()
    table = _table(runs)
    pairs = [("a", m, "Ours", r) for m in ("recall@10", "hit@10") for r in ("BPR", "Pop")]
    pairs += [("b", *rest) for _, *rest in pairs]
    assert list(table[["dataset", "metric", "ours", "rival"]].itertuples(index=False, name=None)) == pairs
    assert table["ours_seeds"].tolist() == [3] * 4 + [1] * 4
    assert table["rival_seeds"].tolist() == [1, 2, 1, 2] + [1] * 4
    users = sorted(f"u{i}" for i in range(40))

    def stacked(dataset, model, metric):
        return [run.loc[users, metric] for (d, m, _), run in runs.items() if (d, m) == (dataset, model)]

    for (dataset, metric, ours, rival), (_, row) in zip(pairs, table.iterrows(), strict=True):
        values = stacked(dataset, ours, metric), stacked(dataset, rival, metric)
        expected = compare(*values, seed=5, bootstrap_samples=100)
        _close(Comparison(**row[list(asdict(expected))]), expected)


def test_table_corrects_each_test_over_the_rivals_of_one_metric():
    table = _table(_runs())
    for name in [name for name in table.columns if name.endswith(("_better", "_two_sided")) and "_p_" in name]:
        for _, family in table.groupby(["dataset", "metric"]):
            np.testing.assert_allclose(family[f"{name}_holm"], holm(family[name]))
    assert (table["t_p_better_holm"] > table["t_p_better"]).any()


def test_mcnemar_in_the_table_is_for_hits_of_one_seed():
    table = _table(_runs())
    tested = table["mcnemar_p_better"].notna()
    assert table.loc[tested, ["dataset", "metric"]].drop_duplicates().to_numpy().tolist() == [["b", "hit@10"]]
    assert table.loc[tested, "mcnemar_p_two_sided_holm"].notna().all()


def test_table_with_seeds_duplicated_is_the_same():
    runs = _runs()
    twice = {(d, m, s + shift): run for (d, m, s), run in runs.items() for shift in (0, 10)}
    seeds = ["ours_seeds", "rival_seeds"]
    pd.testing.assert_frame_equal(_table(twice).drop(columns=seeds), _table(runs).drop(columns=seeds), rtol=1e-9)
    assert (_table(twice)[seeds] == 2 * _table(runs)[seeds]).all(axis=None)


def test_order_of_users_and_other_data_sets_do_not_matter():
    runs = _runs()
    table = _table(runs)
    ordered = {key: run.sort_index() for key, run in runs.items()}
    pd.testing.assert_frame_equal(_table(ordered), table)
    alone = _table({key: run for key, run in runs.items() if key[0] == "b"})
    pd.testing.assert_frame_equal(alone, table[table["dataset"] == "b"].reset_index(drop=True))


def test_several_models_of_ours_share_a_family():
    table = _table(_runs(), ours=["Ours", "Pop"])
    family = table[(table["dataset"] == "a") & (table["metric"] == "recall@10")]
    assert family[["ours", "rival"]].to_numpy().tolist() == [["Ours", "BPR"], ["Pop", "BPR"]]
    np.testing.assert_allclose(family["t_p_better_holm"], holm(family["t_p_better"]))


def test_a_chosen_metric_need_be_the_only_one():
    runs = _runs()
    runs["a", "BPR", 0] = runs["a", "BPR", 0][["hit@10"]]
    assert set(_table(runs, metrics=["hit@10"])["metric"]) == {"hit@10"}
    with pytest.raises(InputError, match=r"BPR with seed 0 on a: lacks metrics \['recall@10'\]"):
        _table(runs)


def test_table_without_rivals_is_empty_with_its_columns():
    runs = {key: run for key, run in _runs().items() if key[1] == "Ours"}
    table = _table(runs)
    assert len(table) == 0
    assert list(table.columns) == list(_table(_runs()).columns)


def test_a_data_set_without_our_model_has_no_rows():
    runs = {key: run for key, run in _runs().items() if key[:2] != ("a", "Ours")}
    assert set(_table(runs)["dataset"]) == {"b"}


def test_table_refuses_different_users():
    runs = _runs()
    runs["b", "Pop", 0] = runs["b", "Pop", 0].rename(index={"u3": "x", "u4": "y"}).drop(index="u5")
    message = "Ours with seed 0 on b has 40 test users and Pop with seed 0 on b has 39: 3 only in the first, 2 only in"
    with pytest.raises(InputError, match=message):
        _table(runs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: pd.concat([run, run.iloc[:2]]), "Pop with seed 0 on b: 2 of 42 rows repeat a user"),
        (lambda run: run.iloc[:0], "Pop with seed 0 on b: no users"),
        (lambda run: run.assign(**{"hit@10": np.nan}), "Pop with seed 0 on b: 40 of 80 values are NaN"),
        (lambda run: run.assign(mrr=1.0), r"Pop with seed 0 on b: lacks metrics \[\] and has \['mrr'\]"),
    ],
)
def test_table_refuses_a_bad_run(change, message):
    runs = _runs()
    runs["b", "Pop", 0] = change(runs["b", "Pop", 0])
    with pytest.raises(InputError, match=message):
        _table(runs)


def test_table_refuses_an_unknown_model():
    with pytest.raises(
        InputError, match=r"no run of 'ours'\. Did you mean 'Ours'\? Models that were run: BPR, Ours, Pop"
    ):
        _table(_runs(), ours="ours")
    with pytest.raises(InputError, match=r"no run of 'Ours'\. Models that were run: none"):
        _table({})
    with pytest.raises(InputError, match="ours names no model"):
        _table(_runs(), ours=[])
