from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp, kstest, lomax

from recbole_vagnn.simulation.catalogue import Vloggers, draw_catalogue, draw_vloggers, topic_popularity
from recbole_vagnn.simulation.options import HORIZON, Sizes

BIG = Sizes(users=1_000, videos=20_000, vloggers=2_000, interactions=30_000)


def test_topic_popularity_falls():
    popularity = topic_popularity(4)
    assert popularity.sum() == pytest.approx(1)
    assert popularity / popularity[0] == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])


def test_every_vlogger_has_videos_and_their_number_has_a_power_law():
    vloggers = draw_vloggers(BIG, 20, seed=1)
    counts = np.bincount(vloggers.vlogger_of, minlength=2_000)
    assert counts.min() >= 1
    assert counts.sum() == 20_000
    tail = 1 / np.mean(np.log1p((counts - 1) / 9.0))  # 1 + 9 · Lomax(2) has mean 10
    assert tail == pytest.approx(2.0, abs=0.3)
    per_video = vloggers.appeal / counts
    assert kstest(per_video - 0.01, lomax(2.0).cdf).pvalue > 0.001


def test_vloggers_are_focused_and_follow_topic_popularity():
    vloggers = draw_vloggers(BIG, 20, seed=2)
    assert vloggers.topics.sum(axis=1) == pytest.approx(np.ones(2_000))
    assert vloggers.topics.mean(axis=0) == pytest.approx(topic_popularity(20), abs=0.03)
    # E Σ θ² of Dirichlet(A π) is (A Σπ² + 1) / (A + 1); A = 1.
    expected = (np.sum(topic_popularity(20) ** 2) + 1) / 2
    assert np.mean(np.sum(vloggers.topics**2, axis=1)) == pytest.approx(expected, abs=0.03)


def test_videos_have_their_vloggers_topics():
    mixes = np.array([[0.2, 0.8, 0.0], [0.5, 0.0, 0.5]])
    vlogger_of = np.repeat([0, 1], 5_000)
    catalogue = draw_catalogue(Vloggers(np.ones(3) / 3, mixes, np.ones(2), vlogger_of), seed=3)
    for vlogger in (0, 1):
        counts = np.bincount(catalogue.topic_of[vlogger_of == vlogger], minlength=3)
        drawn = mixes[vlogger] > 0
        assert counts[~drawn].sum() == 0
        assert chisquare(counts[drawn], 5_000 * mixes[vlogger][drawn]).pvalue > 0.001


def test_appeal_and_upload_know_nothing_of_the_vlogger():
    vloggers = draw_vloggers(BIG, 20, seed=4)
    catalogue = draw_catalogue(vloggers, seed=4)
    large = np.bincount(vloggers.vlogger_of)[vloggers.vlogger_of] > 20
    followed = vloggers.appeal[vloggers.vlogger_of] > np.median(vloggers.appeal[vloggers.vlogger_of])
    for split in (large, followed):
        for values in (catalogue.appeal, catalogue.uploaded):
            assert ks_2samp(values[split], values[~split]).pvalue > 0.001
    assert kstest(catalogue.appeal - 0.01, lomax(2.0).cdf).pvalue > 0.001


def test_half_of_the_videos_exist_from_the_start():
    catalogue = draw_catalogue(draw_vloggers(BIG, 20, seed=5), seed=5)
    later = catalogue.uploaded[catalogue.uploaded > 0]
    assert len(later) == 10_000
    assert kstest(later / HORIZON, "uniform").pvalue > 0.001
    assert catalogue.at_start.sum() == 10_000
    first = int(np.flatnonzero(catalogue.vlogger_of == 0).size)
    assert catalogue.at_start[0] <= first


def test_the_indexes_agree_with_the_labels():
    catalogue = draw_catalogue(draw_vloggers(BIG, 20, seed=6), seed=6)
    assert (np.diff(catalogue.topic_of[catalogue.by_topic]) >= 0).all()
    for vlogger in (0, 7, 1_999):
        first, last = catalogue.vlogger_offsets[vlogger : vlogger + 2]
        assert set(catalogue.by_vlogger[first:last]) == set(np.flatnonzero(catalogue.vlogger_of == vlogger))
        weights = catalogue.appeal[catalogue.by_vlogger[first:last]]
        assert catalogue.of_vlogger.share[first:last] == pytest.approx(weights / weights.sum())
