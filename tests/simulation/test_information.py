"""At effect 0 the vlogger says nothing about a view that the topic does not say; above 0 it does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from recbole_vagnn.simulation.calibration import read_release
from recbole_vagnn.simulation.draw import contains
from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import Platform, simulate
from tests.simulation.cases import REAL, beyond_strata, blocks_release, permute_within, platform

SHAPE = {"users": 400, "videos": 1_000, "vloggers": 100, "interactions": 8_000, "topics": 5}
PERMUTATIONS = 100


def _loyal_share(p: Platform, vlogger_of: np.ndarray) -> float:
    pairs = p.loyalties.pairs
    keys = np.sort(pairs.user * p.sizes.vloggers + pairs.vlogger)
    return float(contains(keys, p.views.user * p.sizes.vloggers + vlogger_of[p.views.video]).mean())


def _z_scores(p: Platform, seed: int) -> np.ndarray:
    """Two statistics, standardised by their distribution when vloggers are permuted among videos of a topic.

    Repeated vloggers within topics, which needs the views alone, and the share of views of loyal vloggers.
    """
    rng = np.random.default_rng(seed)

    def statistics(vlogger_of: np.ndarray) -> tuple[float, float]:
        vlogger, topic = vlogger_of[p.views.video], p.catalogue.topic_of[p.views.video]
        return beyond_strata(p.views.user, vlogger, topic), _loyal_share(p, vlogger_of)

    true = p.catalogue.vlogger_of
    permuted = np.array([statistics(permute_within(p.catalogue.topic_of, true, rng)) for _ in range(PERMUTATIONS)])
    return (np.array(statistics(true)) - permuted.mean(axis=0)) / permuted.std(axis=0)


def test_at_effect_0_vloggers_are_exchangeable_within_topics():
    z = np.array([_z_scores(platform(**SHAPE, vlogger_effect=0.0, seed=seed), seed) for seed in range(8)])
    assert np.abs(z).max() < 3.7
    # Σz² over seeds is χ² with 8 degrees of freedom (the permutation distribution is close to normal).
    assert chi2.sf((z**2).sum(axis=0), 8).min() > 0.001
    assert np.abs(z.mean(axis=0)).max() < 3.3 / np.sqrt(8)


def test_above_0_the_same_test_rejects():
    """A tenth by loyalty shows in the loyal pairs; in repeats, which grow as its square, it takes more."""
    assert _z_scores(platform(**SHAPE, vlogger_effect=0.1, seed=1), 1)[1] > 4
    for effect in (0.5, 1.0):
        assert _z_scores(platform(**SHAPE, vlogger_effect=effect, seed=1), 1).min() > 5


def test_without_the_strata_even_effect_0_would_look_loyal():
    """The test must be stratified: vloggers carry topics, and these do carry information."""
    p = platform(**SHAPE, vlogger_effect=0.0, seed=1)
    rng = np.random.default_rng(1)
    one = np.zeros_like(p.views.video)
    permuted = [
        beyond_strata(p.views.user, rng.permutation(p.catalogue.vlogger_of)[p.views.video], one)
        for _ in range(PERMUTATIONS)
    ]
    true = beyond_strata(p.views.user, p.catalogue.vlogger_of[p.views.video], one)
    assert (true - np.mean(permuted)) / np.std(permuted) > 3.7


def _discordant(p: Platform, seed: int) -> tuple[int, int]:
    """Case–control: each view and a control video that effect 0 could have given in its place.

    The control is drawn by appeal among the videos of the view's topic that were uploaded and not seen by the user
    before. Counts pairs where only the view, and only the control, is of a loyal vlogger.
    """
    rng = np.random.default_rng(seed)
    pairs, vlogger_of = p.loyalties.pairs, p.catalogue.vlogger_of
    loyal = np.zeros((p.sizes.users, p.sizes.vloggers), dtype=bool)
    loyal[pairs.user, pairs.vlogger] = True
    by_topic = [np.flatnonzero(p.catalogue.topic_of == z) for z in range(p.vloggers.topics.shape[1])]
    only_view = only_control = 0
    for user, start, stop in _spans(p):
        seen = np.zeros(p.sizes.videos, dtype=bool)
        for i in range(start, stop):
            video, time = p.views.video[i], p.views.time[i]
            others = by_topic[p.catalogue.topic_of[video]]
            others = others[~seen[others] & (p.catalogue.uploaded[others] <= time)]
            cumulative = np.cumsum(p.catalogue.appeal[others])
            control = others[np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")]
            view_loyal, control_loyal = loyal[user, vlogger_of[video]], loyal[user, vlogger_of[control]]
            only_view += bool(view_loyal and not control_loyal)
            only_control += bool(control_loyal and not view_loyal)
            seen[video] = True
    return only_view, only_control


def _spans(p: Platform):
    ends = np.cumsum(p.audience.activity)
    return zip(range(p.sizes.users), ends - p.audience.activity, ends, strict=True)


def test_at_effect_0_a_view_is_no_more_loyal_than_a_control_of_its_topic():
    counts = [_discordant(platform(**SHAPE, vlogger_effect=0.0, seed=seed), seed) for seed in range(3)]
    only_view, only_control = np.sum(counts, axis=0)
    assert chisquare([only_view, only_control]).pvalue > 0.001  # McNemar
    assert min(only_view, only_control) > 1_000


def test_above_0_a_view_is_more_loyal_than_its_control():
    only_view, only_control = _discordant(platform(**SHAPE, vlogger_effect=0.1, seed=1), 1)
    assert only_view > only_control
    assert chisquare([only_view, only_control]).pvalue < 1e-6


def test_calibrated_platforms_pass_the_same_test(tmp_path):
    """Tastes come from the loyal vloggers there, but only their topics do."""
    release = blocks_release(tmp_path)
    z = []
    for seed in range(6):
        options = SimulationOptions(topics=2, interactions=300, vlogger_effect=0.0, seed=seed)
        z.append(_z_scores(simulate(options, release), seed))
    assert np.abs(z).max() < 3.7
    strong = SimulationOptions(topics=2, interactions=300, vlogger_effect=1.0, seed=1)
    assert _z_scores(simulate(strong, release), 1)[1] > 5


@pytest.mark.skipif(not (REAL / "takatak").is_dir(), reason="the release is not here")
def test_a_platform_calibrated_from_the_real_files_passes_too():
    release = read_release(REAL / "takatak")
    for effect, low, high in ((0.0, -3.7, 3.7), (0.5, 5, np.inf)):
        p = simulate(SimulationOptions(interactions=60_000, vlogger_effect=effect), release)
        z = _z_scores(p, 1)
        assert low < z.min()
        assert z.max() < high
