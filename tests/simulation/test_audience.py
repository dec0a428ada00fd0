from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from recbole_vagnn.simulation import audience as module
from recbole_vagnn.simulation.audience import Audience, Pairs, draw_loyalties, draw_tastes, draw_windows
from recbole_vagnn.simulation.catalogue import Vloggers, draw_catalogue, topic_popularity
from recbole_vagnn.simulation.options import HORIZON, MIN_WINDOW
from tests.simulation.cases import small


def test_tastes_follow_topic_popularity_and_exclude_nothing():
    popularity = topic_popularity(20)
    tastes = draw_tastes(popularity, 5_000, seed=1)
    assert tastes.sum(axis=1) == pytest.approx(np.ones(5_000))
    assert (tastes >= 0.02 * popularity * (1 - 1e-9)).all()
    assert tastes.mean(axis=0) == pytest.approx(popularity, abs=0.01)
    # E Σ φ² of Dirichlet(5 π), before exploration.
    raw = (tastes - 0.02 * popularity) / 0.98
    expected = (5 * np.sum(popularity**2) + 1) / 6
    assert np.mean(np.sum(raw**2, axis=1)) == pytest.approx(expected, abs=0.01)


def test_windows_are_long_enough_and_inside_the_horizon():
    start, end = draw_windows(5_000, seed=1)
    assert start.min() >= 0
    assert end.max() <= HORIZON
    assert (end - start).min() >= MIN_WINDOW
    assert kstest(start / (HORIZON // 2), "uniform").pvalue > 0.001


def test_activity_has_the_sum_and_the_minimum():
    activity = small().audience.activity
    assert activity.sum() == 6_000
    assert activity.min() >= 3
    assert activity.max() <= 150


def test_loyal_videos_suffice_and_no_vlogger_is_superfluous():
    platform = small()
    at_start, n = platform.catalogue.at_start, platform.audience.activity
    loyal, offsets = platform.loyalties.pairs, platform.loyalties.offsets
    assert len(np.unique(loyal.user * 60 + loyal.vlogger)) == len(loyal.user)
    for user in range(300):
        own = loyal.vlogger[offsets[user] : offsets[user + 1]]
        fewest = min(60, max(3, -(-n[user] // 4)))
        assert len(own) >= fewest
        assert at_start[own].sum() >= n[user]
        if len(own) > fewest:
            assert at_start[own[:-1]].sum() < n[user]


def _world(activity: np.ndarray, tastes: np.ndarray, mixes: np.ndarray, appeal: np.ndarray, videos: int):
    vlogger_of = np.tile(np.arange(len(appeal)), videos)
    vloggers = Vloggers(np.full(mixes.shape[1], 1 / mixes.shape[1]), mixes, appeal, vlogger_of)
    users = len(activity)
    audience = Audience(tastes, activity, np.zeros(users, dtype=np.int64), np.full(users, HORIZON))
    return audience, vloggers, draw_catalogue(vloggers, seed=0)


@pytest.mark.parametrize("rounds", [0, 6])
def test_first_loyalty_is_by_appeal_and_taste(rounds, monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS", rounds)
    taste, mixes = np.array([0.7, 0.3]), np.array([[1, 0], [0.5, 0.5], [0, 1], [0.2, 0.8]])
    appeal = np.array([1.0, 2.0, 3.0, 1.0])
    users = 4_000
    world = _world(np.full(users, 3), np.tile(taste, (users, 1)), mixes, appeal, videos=40)
    loyalties = draw_loyalties(*world, None, seed=1)
    first = loyalties.pairs.vlogger[loyalties.offsets[:-1]]
    weights = appeal * (mixes @ taste)
    assert chisquare(np.bincount(first, minlength=4), users * weights / weights.sum()).pvalue > 0.001
    assert (np.diff(loyalties.offsets) == 3).all()


def test_given_pairs_stay_and_grow_only_where_they_must():
    users, appeal = 3, np.ones(6)
    tastes = np.full((users, 1), 1.0)
    world = _world(np.array([3, 30, 8]), tastes, np.ones((6, 1)), appeal, videos=20)
    given = Pairs(np.array([0, 1, 1]), np.array([4, 2, 5]))
    loyalties = draw_loyalties(*world, given, seed=1)
    own = [loyalties.pairs.vlogger[loyalties.offsets[u] : loyalties.offsets[u + 1]].tolist() for u in range(3)]
    at_start = world[2].at_start
    assert own[0] == [4]
    assert own[1][:2] == [2, 5]
    assert at_start[own[1]].sum() >= 30
    assert at_start[own[1][:-1]].sum() < 30
    assert len(own[2]) >= 3  # drawn like anybody's
    assert loyalties.added == len(own[1]) - 2


def test_vloggers_without_videos_are_never_chosen():
    vloggers = Vloggers(np.ones(1), np.ones((3, 1)), np.ones(3), np.zeros(40, dtype=np.int64))
    audience = Audience(np.ones((1, 1)), np.array([4]), np.zeros(1, dtype=np.int64), np.array([HORIZON]))
    catalogue = draw_catalogue(vloggers, seed=0)
    loyalties = draw_loyalties(audience, vloggers, catalogue, Pairs(np.array([0, 0]), np.array([1, 2])), seed=1)
    assert loyalties.pairs.vlogger.tolist() == [1, 2, 0]
    assert loyalties.choice.share.tolist() == [0, 0, 1]


def test_loyalty_weights_are_uniform_on_the_simplex():
    platform = small(users=2_000, interactions=12_000)
    three = np.flatnonzero(np.diff(platform.loyalties.offsets) == 3)
    share = platform.loyalties.choice.share[platform.loyalties.offsets[three]]
    assert len(share) > 300
    assert kstest(share, "beta", args=(1, 2)).pvalue > 0.001  # marginal of Dirichlet(1, 1, 1)
