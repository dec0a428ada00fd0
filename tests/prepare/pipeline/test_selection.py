"""Loading and filtering against plain Python (``tests/prepare/reference.py``) and by hand."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.filters import Filters
from tests.prepare import reference
from tests.prepare.reference import Row
from tests.prepare.toys import Made, made, raw_data

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


# --- everything at once ---------------------------------------------------------------------------------------


def _ids(prefix: str, kind: str, count: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(1, count)
    return numbers if kind == "int" else numbers.map(lambda n: f"{prefix}{n}")


@st.composite
def _cases(draw: st.DrawFn) -> dict[str, Any]:
    kind, vlogger_kind = draw(st.sampled_from(["int", "str"])), draw(st.sampled_from(["int", "str"]))
    users, items, vloggers = _ids("u", kind, 6), _ids("Ü ", kind, 9), _ids("p", vlogger_kind, 4)
    unknown = st.none() if vlogger_kind == "int" else st.sampled_from([None, ""])
    maybe = st.one_of(vloggers, vloggers, unknown)
    times = st.integers(0, 6) if draw(st.booleans()) else st.sampled_from([0.0, 1.5, 2.25])
    row = st.builds(Row, users, items, times, st.integers(0, 3), maybe)
    named = draw(st.booleans())
    return {
        "log": draw(st.lists(row, min_size=1, max_size=60)),
        "items": draw(st.lists(st.tuples(items, maybe), min_size=1, max_size=20)) if named else None,
        "follows": draw(st.lists(st.tuples(users, vloggers, st.one_of(st.none(), st.integers(0, 6))), max_size=8)),
        "filters": draw(_filters()),
    }


@st.composite
def _filters(draw: st.DrawFn) -> Filters:
    core = st.sampled_from([0, 0, 0, 1, 2, 3])
    options = {
        "positive": draw(st.sampled_from([("all",), ("value",), ("value>=2",), ("value==1", "value>2")])),
        "follow_from": draw(st.sampled_from([(), ("value>=2",), ("not value",)])),
        "start": draw(st.sampled_from([None, None, "1", "1.5"])),
        "until": draw(st.sampled_from([None, None, "5", "6.5"])),
        "unknown_vlogger": draw(st.sampled_from(["keep", "drop"])),
        "duplicates": draw(st.sampled_from(["first", "last"])),
        "sample_users": draw(st.sampled_from([0, 0, 0.5, 1.0])),
        "sample_seed": draw(st.integers(0, 5)),
        "min_history": draw(core),
        "user_core": draw(core),
        "item_core": draw(core),
        "vlogger_core": draw(core),
        "cold_items": draw(st.booleans()),
    }
    least = max(options["min_history"], options["user_core"], 1)
    options["max_history"] = draw(st.sampled_from([0, 0, least, least + 3]))
    options["newest"] = draw(st.sampled_from([0, 0, least, least + 2]))
    return Filters(**options)


RULES = {
    ("all",): lambda row: True,
    ("value",): lambda row: row.value != 0,
    ("value>=2",): lambda row: row.value >= 2,
    ("value==1", "value>2"): lambda row: row.value == 1 or row.value > 2,
    (): lambda row: False,
    ("not value",): lambda row: row.value == 0,
}


@QUICK
@given(_cases())
def test_any_combination_gives_what_plain_python_gives(case: dict[str, Any]) -> None:
    filters = case["filters"]
    rules = RULES[filters.positive], RULES[filters.follow_from]
    want = reference.prepare(case["log"], case["items"], case["follows"], filters, *rules)
    data = raw_data(case["log"], case["items"], case["follows"])
    if want.failed is not None:
        with pytest.raises(InputError, match=want.failed), made(data, filters):
            pass
        return
    with made(data, filters) as got:
        _compare(got, want)
        _check_sums(got, len(case["log"]))


def _compare(got: Made, want: reference.Expected) -> None:
    assert [_key(row) for row in got.events] == [_key(row) for row in want.events]
    assert got.items == list(want.items.items())
    assert got.pairs == want.pairs
    assert [(s.interactions, s.users, s.items, s.vloggers) for s in got.steps] == want.steps
    loaded = got.loaded
    assert (loaded.outside, loaded.negative) == (want.outside, want.negative)
    assert (loaded.conflicts, loaded.without_row) == (want.conflicts, want.without_row)


def _key(row: Row) -> tuple[Any, ...]:
    return row.pos, row.user, row.item, row.time, row.vlogger


def _check_sums(got: Made, rows: int) -> None:
    """What is counted adds up."""
    steps, loaded, counts = got.steps, got.loaded, got.counts
    assert loaded.rows == rows
    assert steps[0].interactions == loaded.rows - loaded.outside - loaded.negative
    assert steps[0].dropped == 0
    for before, after in pairwise(steps):
        assert after.dropped == before.interactions - after.interactions >= 0
    assert steps[-1].interactions == len(got.events)
    assert counts.read - counts.no_user - counts.no_vlogger == counts.kept == len(got.pairs)
    assert counts.untimed == sum(time is None for time in got.pairs.values())


# --- k-core ---------------------------------------------------------------------------------------------------


def _random_log(seed: int, rows: int = 90, users: int = 14, items: int = 14) -> list[Row]:
    rng = random.Random(seed)
    pairs = {(rng.randint(1, users), rng.randint(1, items)) for _ in range(rows)}
    unknown = set(rng.sample(range(1, items + 1), 3))
    return [
        Row(u, i, rng.randint(0, 9), vlogger=None if i in unknown else i % 5)
        for u, i in rng.sample(sorted(pairs), len(pairs))
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("least", [(5, 0, 0), (4, 5, 0), (3, 4, 17)])
def test_k_core_is_the_largest_set_in_which_all_have_enough(seed: int, least: tuple[int, int, int]) -> None:
    log, bounds = _random_log(seed), dict(zip(("user", "item", "vlogger"), least, strict=True))
    numbered = [Row(r.user, r.item, r.time, vlogger=r.vlogger, pos=pos) for pos, r in enumerate(log)]
    # Removing one at a time, in two random orders: the same set, and so the unique largest one.
    cores = [reference.k_core(numbered, bounds, random.Random(order)) for order in (1, 2)]
    assert cores[0] == cores[1]
    options = {f"{name}_core": count for name, count in bounds.items()}
    if not cores[0]:
        with pytest.raises(InputError, match="k-core"), made(raw_data(log), **options):
            pass
        return
    with made(raw_data(log), **options) as got:
        assert [row.pos for row in got.events] == [row.pos for row in cores[0]]
        assert 0 < len(cores[0]) < len(log)


def test_k_core_leaves_items_of_unknown_vlogger_alone() -> None:
    log = [Row(u, "x", 1) for u in "ab"] + [Row("a", "y", 2, vlogger="p")]
    with made(raw_data(log), vlogger_core=2) as got:
        assert [row.item for row in got.events] == ["x", "x"]


def test_a_k_core_falls_apart_link_by_link() -> None:
    """A chain of users and items with two interactions each, but for its end: nothing is left of it."""
    chain = [Row(f"u{n}", f"i{n + step}", n) for n in range(6) for step in (0, 1)]
    ring = [Row(u, i, 9) for u in ("r1", "r2") for i in ("s1", "s2")]
    with made(raw_data(chain + ring), user_core=2, item_core=2) as got:
        assert {row.user for row in got.events} == {"r1", "r2"}
        assert got.steps[-1].dropped == len(chain)


def test_the_step_of_a_k_core_names_every_bound_it_enforces() -> None:
    with made(raw_data([Row(1, 1, 1), Row(2, 1, 1), Row(2, 2, 1)]), min_history=2, item_core=1) as got:
        assert got.steps[-1].title == "users with fewer than 2 interactions"
    ring = [Row(u, i, 9, vlogger=1) for u in range(3) for i in range(3)]
    with made(raw_data(ring), min_history=3, item_core=2, vlogger_core=4, user_core=1) as got:
        assert got.steps[-1].title.startswith("k-core (users ≥ 3, items ≥ 2, vloggers ≥ 4), ")


# --- users and their histories --------------------------------------------------------------------------------


def _users_left(log: list[Row], **options: Any) -> set[Any]:
    with made(raw_data(log), **options) as got:
        return {row.user for row in got.events}


def _many_users(count: int = 40) -> list[Row]:
    return [Row(user, item, item) for user in range(count) for item in range(2)]


def test_a_sample_of_users_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    log = _many_users()
    sample = _users_left(log, sample_users=10, sample_seed=1)
    assert len(sample) == 10
    assert _users_left(log[::-1], sample_users=10, sample_seed=1) == sample
    assert _users_left(random.Random(5).sample(log, len(log)), sample_users=0.25, sample_seed=1) == sample
    others = [_users_left(log, sample_users=10, sample_seed=seed) for seed in (2, 3)]
    assert len({frozenset(one) for one in (sample, *others)}) == 3
    assert len(sample & others[0]) < 10


def test_a_sample_keeps_all_rows_of_its_users_and_takes_each_user_about_as_often() -> None:
    log = _many_users(20)
    often = dict.fromkeys(range(20), 0)
    for seed in range(12):
        for user in (left := _users_left(log, sample_users=0.5, sample_seed=seed)):
            often[user] += 1
        assert len(left) == 10
    assert min(often.values()) >= 1  # expected 6, standard deviation 1.7
    assert max(often.values()) <= 11
    with made(raw_data(log), sample_users=7) as got:
        assert len(got.events) == 14


def test_a_sample_of_integer_ids_is_that_of_the_same_ids_as_text() -> None:
    log = _many_users()
    as_text = [Row(str(row.user), row.item, row.time) for row in log]
    numbers = _users_left(log, sample_users=9)
    assert {str(user) for user in numbers} == _users_left(as_text, sample_users=9)


def test_more_users_than_there_are_cannot_be_sampled() -> None:
    with pytest.raises(InputError, match=r"--sample-users 41: there are only 40 users"):
        _users_left(_many_users(), sample_users=41)


def _histories() -> list[Row]:
    """Users 1 to 5 with so many interactions, times descending in the file."""
    return [Row(user, item, 10 - item) for user in range(1, 6) for item in range(user)]


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({}, {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}),
        ({"min_history": 3}, {3: 3, 4: 4, 5: 5}),
        ({"min_history": 3, "max_history": 4}, {3: 3, 4: 4}),
        ({"newest": 2}, {1: 1, 2: 2, 3: 2, 4: 2, 5: 2}),
        ({"newest": 2, "min_history": 2}, {2: 2, 3: 2, 4: 2, 5: 2}),
        ({"newest": 2, "max_history": 3}, {1: 1, 2: 2, 3: 2}),  # the maximum is of the whole history
    ],
)
def test_bounds_of_a_history_by_hand(options: dict[str, int], lengths: dict[int, int]) -> None:
    with made(raw_data(_histories()), **options) as got:
        users = [row.user for row in got.events]
    assert {user: users.count(user) for user in users} == lengths


def test_the_newest_are_the_latest_in_time_and_among_equal_times_the_latest_in_the_file() -> None:
    log = [Row("u", "a", 9), Row("u", "b", 1), Row("u", "c", 5), Row("u", "d", 5)]
    with made(raw_data(log), newest=2) as got:
        assert [row.item for row in got.events] == ["a", "d"]


def test_min_history_counts_after_repeats_and_unknown_vloggers_are_gone() -> None:
    log = [
        Row("a", "x", 1, vlogger="p"),
        Row("a", "x", 2, vlogger="p"),
        Row("a", "y", 3),
        Row("b", "x", 1, vlogger="p"),
    ]
    log += [Row("b", "z", 2, vlogger="p")]
    with made(raw_data(log), min_history=2, unknown_vlogger="drop") as got:
        assert [(row.user, row.item) for row in got.events] == [("b", "x"), ("b", "z")]
        assert [step.dropped for step in got.steps] == [0, 1, 1, 1]


# --- repeats, window, rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "places"), [("first", [1, 3]), ("last", [2, 4])])
def test_of_repeats_the_first_or_last_in_time_stays_and_file_order_decides_ties(which: str, places: list[int]) -> None:
    log = [Row("u", "a", 7), Row("u", "a", 3), Row("u", "a", 9), Row("v", "a", 5), Row("v", "a", 5)]
    with made(raw_data(log), duplicates=which) as got:
        assert [row.pos for row in got.events] == places


def test_without_time_file_order_decides() -> None:
    log = [Row("u", "a", 9), Row("u", "b", 0), Row("u", "a", 1)]
    with made(raw_data(log, timed=False), duplicates="last") as got:
        assert [(row.item, row.time) for row in got.events] == [("b", 1), ("a", 2)]
    with made(raw_data(log, timed=False), newest=1) as got:
        assert [row.item for row in got.events] == ["b"]


DAY = 1_649_548_800  # 2022-04-10T00:00:00Z


@pytest.mark.parametrize(
    ("start", "until", "left"),
    [
        (None, None, [-1, 0, 3599, 3600, 86400]),
        (str(DAY), None, [0, 3599, 3600, 86400]),
        ("2022-04-10", None, [0, 3599, 3600, 86400]),
        ("2022-04-10", "2022-04-11", [0, 3599, 3600]),
        ("2022-04-10T01:00:00", None, [3600, 86400]),
        ("2022-04-10T01:00:00+01:00", "2022-04-10T01:00:00Z", [0, 3599]),
        (f"{DAY}.5", f"{DAY + 3600}", [3599]),
        (None, "1.6495488e9", [-1]),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_the_time_window_takes_numbers_and_utc_dates(
    start: str | None, until: str | None, left: list[int], unit: str
) -> None:
    scale = {"s": 1, "ms": 1000}[unit]

    def in_unit(text: str | None) -> str | None:
        return text if text is None or "-" in text else str(float(text) * scale)

    log = [Row("u", f"i{second}", (DAY + second) * scale) for second in (-1, 0, 3599, 3600, 86400)]
    with made(raw_data(log, time_unit=unit), start=in_unit(start), until=in_unit(until)) as got:
        assert [row.item for row in got.events] == [f"i{second}" for second in left]
        assert got.loaded.outside == 5 - len(left)


@pytest.mark.parametrize(
    ("options", "unit", "timed", "message"),
    [
        ({"start": "yesterday"}, "s", True, r"--start 'yesterday' is neither a number nor a date"),
        ({"until": "2022-04-10"}, None, True, r"--until '2022-04-10': the time of this input is not a date"),
        ({"until": "7"}, "s", False, r"--start and --until need a time"),
        ({"start": "nan"}, "s", True, r"--start 'nan' is not finite"),
        ({"until": "inf"}, "s", True, r"--until 'inf' is not finite"),
    ],
)
def test_a_window_that_does_not_fit_the_time_is_refused(
    options: dict[str, str], unit: str | None, timed: bool, message: str
) -> None:
    data = raw_data([Row("u", "i", 5)], time_unit=unit, timed=timed)
    with pytest.raises(InputError, match=message), made(data, **options):
        pass


def test_positive_and_follow_rules_pick_their_own_rows() -> None:
    log = [
        Row("a", "x", 4, 1, vlogger="p"),
        Row("a", "y", 3, 2, vlogger="q"),
        Row("a", "z", 2, 3, vlogger="p"),
        Row("b", "y", 1, 3, vlogger="q"),
        Row("b", "x", 9, 1, vlogger="p"),
        Row("b", "w", 5, 3),  # no vlogger, so no pair
    ]
    with made(raw_data(log), positive=("value<3",), follow_from=("value>=2",)) as got:
        assert [(row.user, row.item) for row in got.events] == [("a", "x"), ("a", "y"), ("b", "x")]
        assert got.pairs == {("a", "q"): 3, ("a", "p"): 2, ("b", "q"): 1}
        assert got.loaded.negative == 3


def test_an_unknown_signal_is_named_with_what_there_is() -> None:
    data = raw_data([Row("u", "i", 5)])
    with (
        pytest.raises(InputError, match=r"Unknown signal 'vlue'. Did you mean 'value'"),
        made(data, positive=("vlue",)),
    ):
        pass


def test_a_missing_signal_counts_as_zero() -> None:
    log = [Row("u", "a", 1, None), Row("u", "b", 1, 1)]  # type: ignore[arg-type]
    with made(raw_data(log), positive=("not value",)) as got:
        assert [row.item for row in got.events] == ["a"]


# --- items and pairs ------------------------------------------------------------------------------------------


def test_the_first_row_with_a_vlogger_counts_and_conflicts_are_counted() -> None:
    items = [("a", None), ("b", "p"), ("a", "q"), ("c", ""), ("b", "r"), ("a", "q"), ("c", None)]
    log = [Row("u", item, 1) for item in "cba"]
    with made(raw_data(log, items)) as got:
        assert got.items == [("a", "q"), ("b", "p"), ("c", None)]
        assert got.loaded.conflicts == 1
        assert [row.vlogger for row in got.events] == [None, "p", "q"]


def test_an_empty_vlogger_is_unknown_where_items_have_one_row_each() -> None:
    with made(raw_data([Row("u", "a", 1), Row("u", "b", 1)], [("a", ""), ("b", "p")])) as got:
        assert got.items == [("a", None), ("b", "p")]
        assert got.steps[0].vloggers == 1


def test_items_without_a_row_come_last_and_are_counted() -> None:
    log = [Row("u", item, 1) for item in ("new", "b", "newer", "a", "new")]
    with made(raw_data(log, [("a", "p"), ("b", "q"), ("c", "q")])) as got:
        assert got.items == [("a", "p"), ("b", "q"), ("new", None), ("newer", None)]
        assert got.loaded.without_row == 2


@pytest.mark.parametrize("cold", [True, False])
def test_cold_items_stay_only_if_wanted(cold: bool) -> None:
    log = [Row("u", "a", 1), Row("u", "gone", 2, 0)]
    with made(raw_data(log, [("c", "q"), ("a", "p"), ("gone", "p")]), cold_items=cold, positive=("value",)) as got:
        assert got.items == ([("c", "q"), ("a", "p"), ("gone", "p")] if cold else [("a", "p")])


def test_pairs_keep_their_earliest_time_and_those_of_absent_users_and_vloggers_are_counted() -> None:
    log = [Row("u", "a", 1, vlogger="p"), Row("v", "b", 1, vlogger="q")]
    follows = [
        ("u", "p", 5),
        ("u", "p", 3),
        ("u", "p", None),
        ("v", "p", None),
        ("w", "p", 1),
        ("u", "r", 1),
        ("w", "r", 1),
    ]
    with made(raw_data(log, None, follows)) as got:
        assert got.pairs == {("u", "p"): 3, ("v", "p"): None}
        counts = got.counts
        assert (counts.read, counts.no_user, counts.no_vlogger, counts.kept, counts.untimed) == (5, 2, 1, 2, 1)


def test_where_nothing_orders_the_interactions_no_pair_has_a_time() -> None:
    log = [Row("u", "a", 1, vlogger="p"), Row("u", "b", 1, vlogger="q")]
    data = raw_data(log, None, [("u", "p", 5)], timed=False, has_order=False)
    with made(data, follow_from=("value",)) as got:
        assert got.pairs == {("u", "p"): None, ("u", "q"): None}
        assert got.counts.untimed == 2


# --- nothing left ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"positive": ("value>5",)},
            r"of 3 readable rows, 0 are outside .* 3 are no interaction by --positive 'value>5'",
        ),
        ({"start": "100"}, r"3 are outside the time window \(--start 100, --until None\) and 0"),
        ({"unknown_vlogger": "drop"}, r"after this filter: items of unknown vlogger\. Interactions left: 3 \(to begin"),
        ({"sample_users": 0.1}, r"after this filter: users not in the sample"),
        ({"max_history": 1}, r"after this filter: users with more than 1 interactions"),
        ({"min_history": 4}, r"after this filter: users with fewer than 4 interactions"),
        ({"item_core": 2}, r"after this filter: k-core \(items ≥ 2\)"),
    ],
)
def test_if_nothing_is_left_the_filter_is_named(options: dict[str, Any], message: str) -> None:
    log = [Row("u", item, 1) for item in "abc"]
    with pytest.raises(InputError, match=message), made(raw_data(log), **options):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"newest": 2, "min_history": 3}, r"`newest` is 2 but users need 3 interactions"),
        ({"max_history": 2, "user_core": 5}, r"`max_history` is 2 but users need 5 interactions"),
        ({"sample_users": 2.5}, r"`sample_users` is 2.5; give a whole number"),
        ({"item_core": -1}, r"`item_core` is -1"),
        ({"duplicates": "all"}, r"`duplicates` is 'all'; choose one of: first, last"),
        ({"positive": ("value >",)}, r"--positive 'value >' is not understood"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Filters(**options)
