"""What a preparation must give, in plain Python: slow, and written without looking at the SQL.

Independent on purpose: the k-core removes one user, item or vlogger at a time in any order, figures are fractions.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

from recbole_vagnn.prepare.pipeline.filters import Filters


@dataclass(frozen=True)
class Row:
    """A row of a log."""

    user: Any
    item: Any
    time: float
    value: float = 1
    vlogger: Any = None
    pos: int = 0


@dataclass
class Expected:
    """What a preparation must give.

    Attributes:
        events: interactions in the order of the input, with their item's vlogger.
        steps: (interactions, users, items, vloggers) to begin with and after each filter that is on.
        failed: name of the filter that left nothing, if one did.
        items: item → vlogger or None, in the order of the ``.item`` file.
        pairs: (user, vlogger) → earliest time or None.
        outside, negative, conflicts, without_row: as in ``Loaded``.
    """

    events: list[Row] = field(default_factory=list)
    steps: list[tuple[int, int, int, int]] = field(default_factory=list)
    failed: str | None = None
    items: dict[Any, Any] = field(default_factory=dict)
    pairs: dict[tuple[Any, Any], float | None] = field(default_factory=dict)
    outside: int = 0
    negative: int = 0
    conflicts: int = 0
    without_row: int = 0


def prepare(
    log: Sequence[Row],
    items: Sequence[tuple[Any, Any]] | None,
    follows: Sequence[tuple[Any, Any, float | None]],
    filters: Filters,
    positive: Callable[[Row], bool] = lambda row: True,
    follow: Callable[[Row], bool] = lambda row: False,
) -> Expected:
    """Run everything; rows of ``log`` are numbered here. The time window must be of numbers."""
    made = Expected()
    log = [Row(r.user, r.item, r.time, r.value, r.vlogger, pos) for pos, r in enumerate(log)]
    start = -math.inf if filters.start is None else float(filters.start)
    until = math.inf if filters.until is None else float(filters.until)
    inside = [row for row in log if start <= row.time < until]
    made.outside = len(log) - len(inside)
    made.negative = sum(not positive(row) for row in inside)
    used = [row for row in inside if positive(row) or follow(row)]
    named = items if items is not None else [(row.item, row.vlogger) for row in used]
    of_item, made.conflicts = first_vloggers(named)
    made.without_row = len({row.item for row in used} - of_item.keys())
    events = [
        Row(r.user, r.item, r.time, r.value, of_item.get(r.item), r.pos) for r in used if positive(r)
    ]  # fmt: skip
    _apply_filters(made, events, filters)
    if made.failed is None:
        made.items = _items_left(made.events, of_item, filters)
        explicit = [(user, vlogger, time) for user, vlogger, time in follows]
        implied = [(r.user, of_item[r.item], r.time) for r in used if follow(r) and of_item.get(r.item) is not None]
        made.pairs = _pairs_left(explicit + implied, made)
    return made


def first_vloggers(rows: Iterable[tuple[Any, Any]]) -> tuple[dict[Any, Any], int]:
    """Item → first vlogger that is known, in order of first occurrence; and how many items have two."""
    of_item: dict[Any, Any] = {}
    seen: dict[Any, set[Any]] = defaultdict(set)
    for item, vlogger in rows:
        of_item.setdefault(item, None)
        if vlogger not in (None, ""):
            seen[item].add(vlogger)
            if of_item[item] is None:
                of_item[item] = vlogger
    return of_item, sum(len(vloggers) > 1 for vloggers in seen.values())


def _apply_filters(made: Expected, events: list[Row], filters: Filters) -> None:
    made.steps.append(counts(events))
    if not events:
        made.failed = "--positive"
        return
    for name, apply in _active(filters):
        events = apply(events)
        made.steps.append(counts(events))
        if not events:
            made.failed = name
            return
    made.events = events


def _active(f: Filters) -> list[tuple[str, Callable[[list[Row]], list[Row]]]]:
    least = {"user": max(f.min_history, f.user_core), "item": f.item_core, "vlogger": f.vlogger_core}
    core = "k-core" if max(f.user_core, f.item_core, f.vlogger_core) > 1 else "users with fewer than"
    every: list[tuple[bool, str, Callable[[list[Row]], list[Row]]]] = [
        (f.unknown_vlogger == "drop", "unknown vlogger", lambda rows: [r for r in rows if r.vlogger is not None]),
        (True, "repeated", lambda rows: without_repeats(rows, f.duplicates)),
        (f.sample_users > 0, "sample", lambda rows: sampled(rows, f.sample_users, f.sample_seed)),
        (f.max_history > 0, "users with more than", lambda rows: histories(rows, lambda n: n <= f.max_history)),
        (f.newest > 0, "newest", lambda rows: newest(rows, f.newest)),
        (max(least.values()) > 1, core, lambda rows: k_core(rows, least)),
    ]
    return [(name, apply) for on, name, apply in every if on]


def counts(rows: Sequence[Row]) -> tuple[int, int, int, int]:
    """Interactions, users, items, known vloggers."""
    vloggers = {row.vlogger for row in rows} - {None}
    return len(rows), len({row.user for row in rows}), len({row.item for row in rows}), len(vloggers)


def without_repeats(rows: list[Row], which: str) -> list[Row]:
    best: dict[tuple[Any, Any], Row] = {}
    for row in sorted(rows, key=lambda row: (row.time, row.pos)):
        if which == "last" or (row.user, row.item) not in best:
            best[row.user, row.item] = row
    return sorted(best.values(), key=lambda row: row.pos)


def sampled(rows: list[Row], wanted: float, seed: int) -> list[Row]:
    users = {row.user for row in rows}
    size = int(wanted) if wanted >= 1 else round(wanted * len(users))
    ranked = sorted(users, key=lambda user: hashlib.md5(f"{seed}:{user}".encode()).hexdigest())
    chosen = set(ranked[:size])
    return [row for row in rows if row.user in chosen]


def histories(rows: list[Row], accept: Callable[[int], bool]) -> list[Row]:
    length = Counter(row.user for row in rows)
    return [row for row in rows if accept(length[row.user])]


def newest(rows: list[Row], count: int) -> list[Row]:
    kept: list[Row] = []
    for user in {row.user for row in rows}:
        own = sorted((row for row in rows if row.user == user), key=lambda row: (row.time, row.pos))
        kept += own[-count:]
    return sorted(kept, key=lambda row: row.pos)


def k_core(rows: list[Row], least: dict[str, int], random: Random | None = None) -> list[Row]:
    """Remove any one user, item or known vlogger with too few interactions, until there is none."""
    while True:
        weak: list[tuple[str, Hashable]] = []
        for column, count in least.items():
            degree = Counter(getattr(row, column) for row in rows)
            weak += [(column, key) for key, n in degree.items() if n < count and key is not None]
        if not weak:
            return rows
        column, key = random.choice(weak) if random else weak[0]
        rows = [row for row in rows if getattr(row, column) != key]


def _items_left(events: list[Row], of_item: dict[Any, Any], filters: Filters) -> dict[Any, Any]:
    met = list(dict.fromkeys(row.item for row in events))
    left = {item: vlogger for item, vlogger in of_item.items() if filters.cold_items or item in set(met)}
    return left | {item: None for item in met if item not in left}


def _pairs_left(pairs: Iterable[tuple[Any, Any, float | None]], made: Expected) -> dict[tuple[Any, Any], float | None]:
    users, vloggers = {row.user for row in made.events}, set(made.items.values()) - {None}
    left: dict[tuple[Any, Any], float | None] = {}
    for user, vlogger, time in pairs:
        if user in users and vlogger in vloggers:
            times = [t for t in (left.get((user, vlogger)), time) if t is not None]
            left[user, vlogger] = min(times) if times else None
    return left


# --- figures --------------------------------------------------------------------------------------------------


def gini(values: Sequence[int]) -> Fraction:
    """Mean absolute difference of all pairs over twice the mean."""
    n = len(values)
    apart = sum(abs(a - b) for a in values for b in values)
    return Fraction(apart, 2 * n * sum(values))


def median(values: Iterable[int]) -> int:
    """The lower median."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def known_shares(events: Iterable[Row]) -> dict[Any, Fraction]:
    """User → share of the interactions, in order, whose vlogger the user met before; unknown vloggers left out."""
    met: dict[Any, set[Any]] = defaultdict(set)
    hits: dict[Any, list[bool]] = defaultdict(list)
    for row in sorted(events, key=lambda row: (row.time, row.pos)):
        if row.vlogger is not None:
            hits[row.user].append(row.vlogger in met[row.user])
            met[row.user].add(row.vlogger)
    return {user: Fraction(sum(known), len(known)) for user, known in hits.items()}
