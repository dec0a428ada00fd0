from __future__ import annotations

import re
from pathlib import Path

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.simulation import options as module
from recbole_vagnn.simulation.options import (
    HORIZON,
    MIN_WINDOW,
    SimulationOptions,
    Sizes,
    resolve_calibrated_sizes,
    resolve_sizes,
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (2_000, 3_000, 300, 60_000)),
        ({"interactions": 60_000}, (2_000, 3_000, 300, 60_000)),
        ({"users": 500}, (500, 1_500, 150, 15_000)),
        ({"interactions": 1_000}, (33, 387, 38, 1_000)),
        ({"interactions": 10_000_000}, (333_333, 38_730, 3_873, 10_000_000)),
        ({"vloggers": 50}, (2_000, 500, 50, 60_000)),
        ({"videos": 1_000}, (2_000, 1_000, 100, 60_000)),
        ({"users": 10, "videos": 40, "vloggers": 7, "interactions": 31}, (10, 40, 7, 31)),
    ],
)
def test_sizes_follow_from_those_that_are_given(options, expected):
    assert resolve_sizes(SimulationOptions(**options)) == Sizes(*expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"videos": 11}, "`videos` is 11; a platform needs at least 12"),
        ({"videos": 20, "vloggers": 21}, "every vlogger has a video"),
        ({"users": 100, "interactions": 299}, "100 users with at least 3 views each make 300"),
        ({"users": 10, "videos": 40, "interactions": 101}, "at most a quarter of 40 videos make 100"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        resolve_sizes(SimulationOptions(**options))


def test_sizes_at_their_limits_are_accepted():
    assert resolve_sizes(SimulationOptions(users=100, interactions=300)).interactions == 300
    assert resolve_sizes(SimulationOptions(users=10, videos=40, interactions=100)).longest_history == 10


@pytest.mark.parametrize(
    "options",
    [
        {"vlogger_effect": -0.1},
        {"vlogger_effect": 1.01},
        {"vlogger_effect": float("nan")},
        {"follow_completeness": 2},
        {"follow_noise": 0.95},
        {"feature_quality": -1},
        {"topics": 0},
        {"topics": 2.5},
        {"users": -1},
        {"interactions": 10**9},
        {"seed": -1},
        {"seed": "1"},
    ],
)
def test_values_out_of_range_are_refused(options):
    (name,) = options
    with pytest.raises(InputError, match=f"`{name}`"):
        SimulationOptions(**options)


def test_calibrated_sizes_are_the_releases():
    assert resolve_calibrated_sizes(SimulationOptions(), 14_571, 13_133, 912) == Sizes(14_571, 13_133, 912, 1_000_000)
    assert resolve_calibrated_sizes(SimulationOptions(interactions=99_000), 14_571, 13_133, 912).interactions == 99_000
    with pytest.raises(InputError, match="--calibrate takes it from the release"):
        resolve_calibrated_sizes(SimulationOptions(users=5), 14_571, 13_133, 912)


def test_times_are_exact_in_single_precision():
    assert HORIZON < 2**24
    assert MIN_WINDOW <= HORIZON / 2


def test_the_constants_are_those_of_the_documentation():
    """They were fixed before any model was trained on a simulation: a change must be said."""
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+?) \|", page, re.MULTILINE))
    constants = {name: value for name, value in vars(module).items() if re.fullmatch(r"[A-Z][A-Z_]*", name)}
    assert {name: eval(text.replace(",", "")) for name, text in documented.items() if "(" not in text} == {
        name: value for name, value in constants.items() if not isinstance(value, tuple)
    }
    assert constants["CATALOGUE_AT"] == (3_000, 60_000)
    assert constants["CALIBRATED_VIEWS_PER_USER"] == (1_000_000, 14_571)


def test_the_defaults_are_those_of_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    for name, default in vars(SimulationOptions()).items():
        assert re.search(rf"^\| `--{name.replace('_', '-')}` \| {default:g} \|", page, re.MULTILINE), name
