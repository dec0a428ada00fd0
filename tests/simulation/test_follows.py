from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr

from recbole_vagnn.errors import InputError
from recbole_vagnn.simulation.audience import Pairs
from recbole_vagnn.simulation.follows import draw_follow_pairs
from tests.simulation.cases import small


def _keys(user, vlogger):
    return set(zip(user.tolist(), vlogger.tolist(), strict=True))


@pytest.mark.parametrize("completeness", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_completeness_and_noise_are_what_was_asked_for(completeness, noise):
    p = small(follow_completeness=completeness, follow_noise=noise)
    follows, loyal = p.follows, _keys(p.loyalties.pairs.user, p.loyalties.pairs.vlogger)
    found = _keys(follows.user, follows.vlogger)
    assert len(found) == len(follows.user)
    assert _keys(follows.user[follows.loyal], follows.vlogger[follows.loyal]) == found & loyal
    error = 3.3 * np.sqrt(completeness * (1 - completeness) / len(loyal))
    assert len(found & loyal) / len(loyal) == pytest.approx(completeness, abs=error + 1e-12)
    assert len(found - loyal) == pytest.approx(noise * len(found), abs=1)
    assert (np.diff(follows.user) >= 0).all()


def test_more_complete_edges_contain_the_fewer_ones():
    few, many = (small(follow_completeness=c, follow_noise=0.0).follows for c in (0.3, 0.6))
    assert _keys(few.user, few.vlogger) < _keys(many.user, many.vlogger)


def test_noise_follows_the_appeal_of_vloggers():
    p = small(follow_noise=0.5, follow_completeness=1.0, users=2_000, interactions=10_000)
    noise = np.bincount(p.follows.vlogger[~p.follows.loyal], minlength=60)
    assert spearmanr(noise, p.vloggers.appeal).statistic > 0.8


def test_noise_can_take_every_pair_there_is_and_no_more():
    loyal = Pairs(np.array([0, 1, 1]), np.array([2, 0, 1]))
    appeal = np.array([1e-12, 1.0, 1e6])
    pairs, is_loyal = draw_follow_pairs(loyal, 2, appeal, 1.0, 0.5, seed=0)
    assert _keys(pairs.user, pairs.vlogger) == {(u, p) for u in range(2) for p in range(3)}
    assert is_loyal.sum() == 3
    with pytest.raises(InputError, match="needs 4 pairs of users and vloggers they are not loyal to; there are 3"):
        draw_follow_pairs(loyal, 2, appeal, 1.0, 0.55, seed=0)


def test_times_are_the_first_view_else_inside_the_window():
    p = small(follow_noise=0.5)
    first: dict[tuple[int, int], int] = {}
    vlogger = p.catalogue.vlogger_of[p.views.video]
    for user, of, time in zip(p.views.user.tolist(), vlogger.tolist(), p.views.time.tolist(), strict=True):
        first.setdefault((user, of), time)
    unseen = []
    for user, of, time in zip(
        p.follows.user.tolist(), p.follows.vlogger.tolist(), p.follows.time.tolist(), strict=True
    ):
        if (user, of) in first:
            assert time == first[user, of]
        else:
            start, end = p.audience.start[user], p.audience.end[user]
            unseen.append((time - start) / (end - start))
    assert len(first) > 500
    assert len(unseen) > 500
    assert kstest(unseen, "uniform").pvalue > 0.001
    assert p.follows.time.dtype == np.int64
