from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from recbole_vagnn.simulation.options import SimulationOptions
from recbole_vagnn.simulation.platform import show_topics, simulate
from tests.simulation.cases import blocks_release, small


def same(one, other) -> bool:
    """Whether two parts of platforms agree in every number."""
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if hasattr(one, "share"):
        return np.array_equal(one.share, other.share)
    return np.array_equal(one, other)


def changed(**options) -> set[str]:
    """Parts of the platform that differ from the usual ones."""
    usual, other = small(), small(**options)
    return {field.name for field in fields(usual) if not same(getattr(usual, field.name), getattr(other, field.name))}


def test_the_same_options_give_the_same_platform():
    options = SimulationOptions(users=50, interactions=500, seed=3)
    assert same(simulate(options), simulate(options))


def test_no_two_purposes_share_random_numbers(monkeypatch, tmp_path):
    keys, original = [], np.random.SeedSequence

    def spy(*args, **options):
        keys.append(options["spawn_key"])
        return original(*args, **options)

    monkeypatch.setattr(np.random, "SeedSequence", spy)
    options = SimulationOptions(topics=2, interactions=200)
    for release, count in ((None, 17), (blocks_release(tmp_path), 17)):
        keys.clear()
        simulate(options, release)
        assert len(set(keys)) == len(keys) == count


def test_another_seed_changes_everything():
    assert changed(seed=7) == {"vloggers", "catalogue", "audience", "loyalties", "views", "follows", "shown_topic"}


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"follow_noise": 0.3}, {"follows"}),
        ({"follow_completeness": 0.9}, {"follows"}),
        ({"feature_quality": 0.5}, {"shown_topic"}),
        ({"vlogger_effect": 0.2}, {"views", "follows"}),  # the follows' times are those of views
    ],
)
def test_a_knob_turns_nothing_but_its_own_part(options, parts):
    assert changed(**options) == parts


def test_the_effect_changes_no_time_and_no_follow_pair():
    usual, other = small(), small(vlogger_effect=0.0)
    assert np.array_equal(usual.views.time, other.views.time)
    assert np.array_equal(usual.follows.user, other.follows.user)
    assert np.array_equal(usual.follows.vlogger, other.follows.vlogger)


@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0])
def test_shown_topics_have_the_quality_asked_for(quality):
    true = np.random.default_rng(0).integers(0, 4, 20_000)
    shown = show_topics(true, 4, quality, seed=1)
    expected = quality + (1 - quality) / 4
    assert np.mean(shown == true) == pytest.approx(
        expected, abs=3.3 * np.sqrt(expected * (1 - expected) / 20_000) + 1e-12
    )
    if quality < 1:
        wrong = np.bincount((shown - true)[shown != true] % 4, minlength=4)[1:]
        assert wrong / wrong.sum() == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_remarks_state_what_came_out():
    p = small(follow_noise=0.2, feature_quality=0.5)
    text = " ".join(p.remarks())
    assert "300 users, 600 videos, 60 vloggers, 6,000 views" in text
    assert f"{p.views.by_loyalty.mean():.1%} of the views were chosen by loyalty" in text
    assert f"{p.on_loyal.mean():.1%} are of vloggers the user is loyal to" in text
    assert "20.0% of the edges are noise" in text
    assert f"{np.mean(p.shown_topic == p.catalogue.topic_of):.1%} of the videos show their own topic" in text


def test_many_topics_and_one_topic():
    for topics in (1, 300):
        assert len(small(topics=topics).views.user) == 6_000
