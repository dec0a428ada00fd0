"""Which interactions stay: the filters, one after the other, each counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.database import Connection, one, run
from recbole_vagnn.prepare.pipeline.filters import Filters


@dataclass(frozen=True)
class Step:
    """What is left after a step.

    Attributes:
        title: what the step left out.
        dropped: interactions it left out.
        interactions, users, items, vloggers: what is left; vloggers without the unknown one.
    """

    title: str
    dropped: int
    interactions: int
    users: int
    items: int
    vloggers: int


def select(connection: Connection, filters: Filters) -> list[Step]:
    """Apply the filters to ``events``, then restrict ``items`` and ``pairs`` to what is left.

    Returns:
        the state before, then one step for every filter that is on.

    Raises:
        InputError: nothing is left.
    """
    steps = [_step(connection, "to begin with", None)]
    for title, apply in _active(filters):
        rounds = apply(connection, filters)
        steps.append(_step(connection, f"{title}{rounds or ''}", steps[-1]))
        if steps[-1].interactions == 0:
            raise InputError(f"No interaction is left after this filter: {title}. {_path(steps)} Relax it.")
    return steps


Filter = Callable[[Connection, Filters], str | None]


def _active(filters: Filters) -> list[tuple[str, Filter]]:
    """Title and function of each filter that is on, in order."""
    cores = [f"{column}s ≥ {count}" for column, count in _least(filters).items() if count > 1]
    wanted = max(filters.user_core, filters.item_core, filters.vlogger_core) > 1
    core = f"k-core ({', '.join(cores)})" if wanted else ""
    least = f"users with fewer than {filters.least_history} interactions"
    every: list[tuple[bool, str, Filter]] = [
        (filters.unknown_vlogger == "drop", "items of unknown vlogger", _drop_unknown),
        (True, f"repeated user-item pairs (the {filters.duplicates} stays)", _drop_duplicates),
        (filters.sample_users > 0, "users not in the sample", _sample_users),
        (filters.max_history > 0, f"users with more than {filters.max_history} interactions", _drop_long),
        (filters.newest > 0, f"all but the newest {filters.newest} interactions of a user", _keep_newest),
        (bool(cores), core or least, _core),
    ]
    return [(title, apply) for on, title, apply in every if on]


def _step(connection: Connection, title: str, before: Step | None) -> Step:
    counts = one(
        connection, 'SELECT count(*), count(DISTINCT "user"), count(DISTINCT item), count(DISTINCT vlogger) FROM events'
    )
    interactions, users, items, vloggers = map(int, counts)
    dropped = before.interactions - interactions if before else 0
    return Step(title, dropped, interactions, users, items, vloggers)


def _path(steps: list[Step]) -> str:
    return "Interactions left: " + " → ".join(f"{step.interactions:,} ({step.title})" for step in steps) + "."


def _drop_unknown(connection: Connection, filters: Filters) -> None:  # noqa: ARG001
    run(connection, "DELETE FROM events WHERE vlogger IS NULL")


def _drop_duplicates(connection: Connection, filters: Filters) -> None:
    """Only pairs that occur twice are ranked: they are few, and ranking all would sort all."""
    direction = "ASC" if filters.duplicates == "first" else "DESC"
    run(connection, 'CREATE TABLE twice AS SELECT "user", item FROM events GROUP BY "user", item HAVING count(*) > 1')
    run(
        connection,
        f'DELETE FROM events WHERE pos IN (SELECT pos FROM (SELECT pos, row_number() OVER (PARTITION BY "user", item '
        f'ORDER BY time {direction}, pos {direction}) AS place FROM events SEMI JOIN twice USING ("user", item)) '
        f"WHERE place > 1)",
    )
    run(connection, "DROP TABLE twice")


def _sample_users(connection: Connection, filters: Filters) -> None:
    users = one(connection, 'SELECT count(DISTINCT "user") FROM events')[0]
    wanted = int(filters.sample_users) if filters.sample_users >= 1 else round(filters.sample_users * users)
    if wanted > users:
        raise InputError(f"--sample-users {wanted}: there are only {users} users.")
    # md5 and not the database's own hash, which may change with its version.
    run(
        connection,
        'CREATE TABLE sampled AS SELECT "user" FROM (SELECT DISTINCT "user" FROM events) '
        f'ORDER BY md5(\'{filters.sample_seed}:\' || "user"), "user" LIMIT {wanted}',
    )
    run(connection, 'DELETE FROM events WHERE "user" NOT IN (SELECT "user" FROM sampled)')
    run(connection, "DROP TABLE sampled")


def _drop_long(connection: Connection, filters: Filters) -> None:
    long = f'SELECT "user" FROM events GROUP BY "user" HAVING count(*) > {filters.max_history}'
    run(connection, f'DELETE FROM events WHERE "user" IN ({long})')


def _keep_newest(connection: Connection, filters: Filters) -> None:
    long = f'SELECT "user" FROM events GROUP BY "user" HAVING count(*) > {filters.newest}'
    run(
        connection,
        f'DELETE FROM events WHERE pos IN (SELECT pos FROM (SELECT pos, row_number() OVER (PARTITION BY "user" '
        f'ORDER BY time DESC, pos DESC) AS place FROM events WHERE "user" IN ({long})) WHERE place > {filters.newest})',
    )


def _least(filters: Filters) -> dict[str, int]:
    """Fewest interactions of a user, item and vlogger."""
    return {"user": filters.least_history, "item": filters.item_core, "vlogger": filters.vlogger_core}


def _core(connection: Connection, filters: Filters) -> str:
    """Drop users, items and vloggers with too few interactions until none has too few.

    The largest set in which all have enough is unique, so the order of dropping does not matter (Seidman, Network
    structure and minimum degree, Social Networks 5, 1983).
    """
    least = _least(filters)
    waiting = [column for column, count in least.items() if count > 1]
    rounds = 0
    settled = 0  # so many columns in turn had nothing to drop
    while waiting and settled < len(waiting):
        column = waiting[rounds % len(waiting)]
        rounds += 1
        few = f'SELECT "{column}" FROM events GROUP BY "{column}" HAVING count(*) < {least[column]}'
        dropped = run(
            connection,
            f'DELETE FROM events WHERE "{column}" IN (SELECT "{column}" FROM ({few}) WHERE "{column}" IS NOT NULL)',
        )
        settled = 0 if dropped[0][0] else settled + 1
    return f", {rounds} passes" if len(waiting) > 1 else ""


@dataclass(frozen=True)
class PairCounts:
    """Follow pairs: read (distinct), dropped for want of the user or the vlogger, kept, and kept without a time."""

    read: int
    no_user: int
    no_vlogger: int
    kept: int
    untimed: int


def restrict(connection: Connection, filters: Filters) -> PairCounts:
    """Drop items nobody interacted with (unless wanted) and pairs whose user or vlogger is gone."""
    if not filters.cold_items:
        run(connection, "DELETE FROM items WHERE item NOT IN (SELECT item FROM events)")
    run(
        connection,
        "INSERT INTO items BY NAME SELECT item, min(pos) + (SELECT coalesce(max(pos), 0) + 1 FROM items) AS pos "
        "FROM events ANTI JOIN items USING (item) GROUP BY item",
    )
    read = one(connection, "SELECT count(*) FROM pairs")[0]
    run(connection, 'DELETE FROM pairs WHERE "user" NOT IN (SELECT "user" FROM events)')
    with_user = one(connection, "SELECT count(*) FROM pairs")[0]
    run(connection, "DELETE FROM pairs WHERE vlogger NOT IN (SELECT vlogger FROM items WHERE vlogger IS NOT NULL)")
    kept, timed = one(connection, "SELECT count(*), count(time) FROM pairs")
    return PairCounts(read, read - with_user, with_user - kept, kept, kept - timed)
