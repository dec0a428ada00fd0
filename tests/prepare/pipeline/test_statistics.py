"""The figures of the report against fractions, and by hand."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from recbole_vagnn.prepare.pipeline.source import RawData
from recbole_vagnn.prepare.pipeline.statistics import KNOWN_SHARE, SHARES, Distribution, Statistics, describe
from tests.prepare import reference
from tests.prepare.reference import Row
from tests.prepare.toys import made, raw_data


def _described(data: RawData, **options: Any) -> tuple[Statistics, list[Row]]:
    with made(data, **options) as got:
        return describe(got.connection, data.has_order), got.events


def _distribution(values: list[int]) -> Distribution:
    counts = sorted(Counter(values).items())
    return Distribution(np.array([v for v, _ in counts]), np.array([n for _, n in counts]))


# --- distributions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_gini_is_half_the_relative_mean_difference(seed: int) -> None:
    rng = random.Random(seed)
    values = [int(rng.paretovariate(1.1)) for _ in range(rng.randint(1, 60))]
    assert _distribution(values).gini() == pytest.approx(float(reference.gini(values)), abs=1e-12)


def test_gini_by_hand() -> None:
    assert _distribution([4, 4, 4]).gini() == pytest.approx(0, abs=1e-15)
    assert _distribution([1, 3]).gini() == pytest.approx(1 / 4)
    assert _distribution([1] * 99 + [901]).gini() == pytest.approx(0.891)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.75, 1.0])
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(share: float) -> None:
    rng = random.Random(3)
    for size in range(1, 30):
        values = sorted(rng.randint(1, 9) for _ in range(size))
        want = values[math.ceil(share * size - 1e-9) - 1]
        assert _distribution(values).quantile(share) == want


# --- a whole description ----------------------------------------------------------------------------------------


def _random_data(seed: int) -> tuple[list[Row], list[tuple[Any, Any]]]:
    rng = random.Random(seed)
    vloggers = {f"i{n}": rng.choice(["p", "q", "r", "s", None, f"own{n}"]) for n in range(25)}
    pairs = {(f"u{int(rng.paretovariate(0.7)) % 12}", f"i{int(rng.paretovariate(0.5)) % 25}") for _ in range(160)}
    order = sorted(pairs)
    rng.shuffle(order)
    log = [Row(user, item, rng.randint(100, 130)) for user, item in order]
    return log, list(vloggers.items())


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_figure_is_what_plain_python_gives(seed: int, cold: bool) -> None:
    log, items = _random_data(seed)
    statistics, events = _described(raw_data(log, items), cold_items=cold, min_history=2)
    met = {row.item for row in events}
    vlogger_of = {item: vlogger for item, vlogger in items if cold or item in met}
    catalogue = Counter(vlogger for vlogger in vlogger_of.values() if vlogger)
    audience = Counter(row.item for row in events)
    reach = Counter(row.vlogger for row in events if row.vlogger)
    histories = Counter(row.user for row in events)
    shares = reference.known_shares(events)
    large = sum(catalogue[row.vlogger] >= 3 for row in events)
    want = {
        "users": len(histories),
        "items": len(vlogger_of),
        "vloggers": len(catalogue),
        "interactions": len(events),
        "follow pairs": 0,
        "follow pairs without time": 0,
        "density": pytest.approx(len(events) / len(histories) / len(vlogger_of), rel=1e-3),
        "items of unknown vlogger": sum(vlogger is None for vlogger in vlogger_of.values()),
        "interactions with items of unknown vlogger": sum(row.vlogger is None for row in events),
        "oldest time": min(row.time for row in events),
        "newest time": max(row.time for row in events),
        "interactions per user, median": reference.median(histories.values()),
        "interactions per item, median": reference.median(audience.values()),
        "Gini of interactions per item": round(float(reference.gini([*audience.values()])), 4),
        "items per vlogger, median": reference.median(catalogue.values()),
        "Gini of interactions per vlogger": round(float(reference.gini([*reach.values()])), 4),
        "share of interactions with vloggers of 3 or more items": round(large / len(events), 4),
        KNOWN_SHARE: round(float(sum(shares.values()) / len(shares)), 4),
    }
    assert statistics.numbers == want
    assert list(statistics.numbers) == list(want)
    for distribution, counts in (
        (statistics.history, histories),
        (statistics.audience, audience),
        (statistics.reach, reach),
        (statistics.catalogue, catalogue),
    ):
        assert Counter(dict(zip(distribution.values.tolist(), distribution.frequencies.tolist(), strict=True))) == (
            Counter(counts.values())
        )
    bins = Counter(min(SHARES - 1, int(share * SHARES)) for share in shares.values())
    assert {place: n for place, n in enumerate(statistics.known_vlogger.tolist()) if n} == bins


def test_known_vlogger_share_by_hand() -> None:
    """a: p q p p → 2 of 4; b: p, then one of unknown vlogger, then p → 1 of 2; c: only unknown, left out."""
    log = [Row("a", "1", 1, vlogger="p"), Row("a", "2", 2, vlogger="q"), Row("a", "3", 3, vlogger="p")]
    log += [
        Row("a", "4", 4, vlogger="p"),
        Row("b", "1", 1, vlogger="p"),
        Row("b", "5", 2),
        Row("b", "3", 9, vlogger="p"),
    ]
    log += [Row("c", "5", 1)]
    statistics, _ = _described(raw_data(log))
    assert statistics.numbers[KNOWN_SHARE] == 0.5
    assert statistics.known_vlogger.sum() == 2
    assert statistics.known_vlogger[SHARES // 2] == 2
    assert statistics.numbers["interactions with items of unknown vlogger"] == 2


@pytest.mark.parametrize("met_before", range(10))
def test_a_share_on_the_edge_of_a_bin_falls_into_the_bin_that_begins_there(met_before: int) -> None:
    """Tenths cannot be told from their neighbours in floating point: 1 − 9/10 < 1/10."""
    vloggers = [f"p{n}" for n in range(10 - met_before)] + ["p0"] * met_before
    log = [Row("u", f"i{n}", n, vlogger=vlogger) for n, vlogger in enumerate(vloggers)]
    statistics, _ = _described(raw_data(log))
    assert np.flatnonzero(statistics.known_vlogger).tolist() == [met_before * SHARES // 10]


def test_data_without_any_known_vlogger_can_be_described() -> None:
    statistics, _ = _described(raw_data([Row("u", "a", 1), Row("u", "b", 1)]))
    numbers = statistics.numbers
    assert (numbers["vloggers"], numbers["items per vlogger, median"], numbers[KNOWN_SHARE]) == (0, 0, 0.0)
    assert len(statistics.reach.values) == len(statistics.catalogue.values) == 0


def test_without_an_order_times_are_not_described() -> None:
    log = [Row("u", "a", 1, vlogger="p"), Row("u", "b", 2, vlogger="p")]
    statistics, _ = _described(raw_data(log, timed=False, has_order=False), follow_from=("value",))
    assert not any("time" in name for name in statistics.numbers if "pairs" not in name)
    assert statistics.numbers["follow pairs"] == statistics.numbers["follow pairs without time"] == 1
