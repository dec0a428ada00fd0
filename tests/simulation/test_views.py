from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from recbole_vagnn.simulation import draw
from recbole_vagnn.simulation.audience import Audience, Loyalties, Pairs
from recbole_vagnn.simulation.catalogue import Vloggers, draw_catalogue
from recbole_vagnn.simulation.draw import Segments
from recbole_vagnn.simulation.options import HORIZON, SimulationOptions
from recbole_vagnn.simulation.platform import simulate
from recbole_vagnn.simulation.views import draw_times, draw_views
from tests.simulation.cases import platform, small

EFFECTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _check(p):
    """What holds for the views of every platform."""
    views, audience = p.views, p.audience
    assert len(views.user) == p.sizes.interactions
    assert np.array_equal(np.bincount(views.user, minlength=p.sizes.users), audience.activity)
    assert len(np.unique(views.user * p.sizes.videos + views.video)) == p.sizes.interactions
    assert (p.catalogue.uploaded[views.video] <= views.time).all()
    same_user = np.diff(views.user) == 0
    assert (np.diff(views.user) >= 0).all()
    assert (np.diff(views.time)[same_user] > 0).all()
    assert (views.time >= audience.start[views.user]).all()
    assert (views.time < audience.end[views.user]).all()
    assert views.time.dtype == np.int64


@pytest.mark.parametrize("effect", EFFECTS)
def test_views_are_distinct_ordered_and_after_the_upload(effect):
    _check(small(vlogger_effect=effect))


@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0])
def test_the_fullest_platform_is_possible(effect):
    """Everybody watches a quarter of all videos."""
    _check(platform(users=20, videos=40, vloggers=8, interactions=200, vlogger_effect=effect))


@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0])
def test_exact_draws_alone_give_the_same_kind_of_views(effect, monkeypatch):
    usual = small(vlogger_effect=effect, seed=11)
    monkeypatch.setattr(draw, "_ROUNDS", 0)
    sizes = {"users": 300, "videos": 600, "vloggers": 60, "interactions": 6_000, "topics": 5}
    exact = simulate(SimulationOptions(**sizes, vlogger_effect=effect, seed=11))
    _check(exact)
    assert exact.views.exact == 6_000
    assert exact.on_loyal.mean() == pytest.approx(usual.on_loyal.mean(), abs=0.03)
    counts = [np.bincount(p.views.video, minlength=600) for p in (usual, exact)]
    assert np.corrcoef(*counts)[0, 1] > 0.85


def test_one_thousand_views_are_possible():
    _check(platform(interactions=1_000))


def test_the_share_by_loyalty_is_the_effect():
    for effect in EFFECTS:
        error = 3.3 * np.sqrt(effect * (1 - effect) / 6_000)
        assert small(vlogger_effect=effect).views.by_loyalty.mean() == pytest.approx(effect, abs=error + 1e-12)


def test_loyal_views_grow_with_the_effect_up_to_all():
    shares = [small(vlogger_effect=effect).on_loyal.mean() for effect in EFFECTS]
    assert all(np.diff(shares) > 0.02)
    assert shares[-1] == 1.0


def test_views_by_loyalty_are_of_loyal_vloggers():
    p = small(vlogger_effect=0.5)
    assert p.on_loyal[p.views.by_loyalty].all()
    assert not p.on_loyal[~p.views.by_loyalty].all()


def _single_views(effect: float, rounds: int, monkeypatch):
    """20,000 like-minded users with one view each, all at the same time; and the world they live in."""
    monkeypatch.setattr(draw, "_ROUNDS", rounds)
    users, now, taste = (2_000 if rounds == 0 else 20_000), HORIZON // 3, np.array([0.6, 0.3, 0.1])
    vlogger_of = np.repeat(np.arange(4), 6)
    mixes = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]])
    catalogue = draw_catalogue(Vloggers(np.ones(3) / 3, mixes, np.ones(4), vlogger_of), seed=2)
    start = np.full(users, now)
    audience = Audience(np.tile(taste, (users, 1)), np.ones(users, dtype=np.int64), start, start + 1)
    pairs = Pairs(np.repeat(np.arange(users), 2), np.tile([1, 3], users))
    choice = Segments(np.arange(users + 1) * 2, np.tile([0.75, 0.25], users))
    views = draw_views(audience, Loyalties(pairs, np.arange(users + 1) * 2, choice, 0), catalogue, effect, seed=3)
    assert views.exact == (users if rounds == 0 else 0)
    return np.bincount(views.video, minlength=24), catalogue, catalogue.uploaded <= now, taste


def _total(values, groups):
    return np.bincount(groups, values)[groups]


def _fits(counts, weights):
    expected = counts.sum() * weights / weights.sum()
    assert (counts[weights == 0] == 0).all()
    assert chisquare(counts[weights > 0], expected[weights > 0]).pvalue > 0.001


@pytest.mark.parametrize("rounds", [0, 64])
def test_at_effect_0_a_view_is_by_taste_and_appeal_of_what_is_there(rounds, monkeypatch):
    counts, catalogue, there, taste = _single_views(0.0, rounds, monkeypatch)
    weights = taste[catalogue.topic_of] * catalogue.appeal / _total(catalogue.appeal, catalogue.topic_of)
    assert 0 < there.sum() < 24
    _fits(counts, weights * there)


@pytest.mark.parametrize("rounds", [0, 64])
def test_at_effect_1_a_view_is_by_loyalty_and_appeal_of_what_is_there(rounds, monkeypatch):
    counts, catalogue, there, _ = _single_views(1.0, rounds, monkeypatch)
    loyalty = np.array([0, 0.75, 0, 0.25])[catalogue.vlogger_of]
    weights = loyalty * catalogue.appeal / _total(catalogue.appeal, catalogue.vlogger_of)
    _fits(counts, weights * there)


def test_between_the_two_are_mixed(monkeypatch):
    counts, catalogue, there, taste = _single_views(0.4, 64, monkeypatch)
    by_taste = taste[catalogue.topic_of] * catalogue.appeal / _total(catalogue.appeal, catalogue.topic_of) * there
    loyalty = np.array([0, 0.75, 0, 0.25])[catalogue.vlogger_of]
    by_loyalty = loyalty * catalogue.appeal / _total(catalogue.appeal, catalogue.vlogger_of) * there
    _fits(counts, 0.6 * by_taste / by_taste.sum() + 0.4 * by_loyalty / by_loyalty.sum())


def test_at_effect_0_views_follow_appeal_with_the_same_power_law():
    p = platform(users=20_000, videos=1_500, vloggers=100, interactions=100_000, topics=1, vlogger_effect=0.0)
    old = p.catalogue.uploaded == 0
    seen, appeal = np.bincount(p.views.video, minlength=1_500)[old], p.catalogue.appeal[old]
    often = appeal > 0.5
    slope = np.polyfit(np.log(appeal[often]), np.log(seen[often]), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.05)

    def hill(values):
        top = np.sort(values)[::-1][:75]
        return 1 / np.mean(np.log(top / top[-1]))

    assert hill(seen) == pytest.approx(hill(appeal), rel=0.15)


def test_times_are_uniform_in_the_window():
    users = 400
    activity = np.full(users, 50)
    start = np.arange(users) * 1_000
    audience = Audience(np.ones((users, 1)), activity, start, start + 10**6)
    times = draw_times(audience, seed=1).reshape(users, 50)
    assert (np.diff(times, axis=1) > 0).all()
    assert kstest(((times - start[:, None]) / 10**6).ravel(), "uniform").pvalue > 0.001


def test_times_are_distinct_in_the_tightest_window():
    audience = Audience(np.ones((2, 1)), np.array([5, 3]), np.array([100, 7]), np.array([105, 11]))
    times = draw_times(audience, seed=1)
    assert times[:5].tolist() == [100, 101, 102, 103, 104]
    assert len(set(times[5:])) == 3
    assert times[5:].min() >= 7
    assert times[5:].max() < 11
