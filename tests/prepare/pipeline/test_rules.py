"""``--positive`` and ``--follow-from``: rules as text, and what they say about rows."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline.rules import parse_rule

SIGNALS = {"click": 'log."click"', "ratio": 'log."play" / nullif(log."length", 0)', "like": 'log."like"'}
ROWS: list[dict[str, Any]] = [
    {"click": 1, "play": 10.0, "length": 10.0, "like": True},
    {"click": 0, "play": 30.0, "length": 10.0, "like": False},
    {"click": 1, "play": 5.0, "length": 10.0, "like": None},
    {"click": None, "play": None, "length": 10.0, "like": None},
    {"click": 2, "play": 7.0, "length": 0.0, "like": False},
]


def _holds(*texts: str) -> list[int]:
    """Numbers of the rows for which a rule holds; never null."""
    sql = parse_rule(texts, "--positive").sql(SIGNALS)
    values = ", ".join(
        f"({n}, {', '.join('NULL' if v is None else str(v) for v in row.values())})" for n, row in enumerate(ROWS)
    )
    query = f'SELECT pos, {sql} FROM (VALUES {values}) AS log(pos, click, play, length, "like") ORDER BY pos'
    found = duckdb.execute(query).fetchall()
    assert all(isinstance(holds, bool) for _, holds in found)
    return [pos for pos, holds in found if holds]


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        (["all"], [0, 1, 2, 3, 4]),
        (["click", "all"], [0, 1, 2, 3, 4]),
        (["none"], []),
        ([], []),
        (["click"], [0, 2, 4]),
        (["none", "click"], [0, 2, 4]),
        (["not click"], [1, 3]),
        (["like"], [0]),
        (["not like"], [1, 2, 3, 4]),
        (["ratio>=1"], [0, 1]),
        (["ratio >= 1"], [0, 1]),
        (["ratio>1"], [1]),
        (["ratio<1"], [2, 3, 4]),
        (["ratio<=0.5"], [2, 3, 4]),
        (["ratio==1"], [0]),
        (["ratio = 1.0"], [0]),
        (["ratio!=1"], [1, 2, 3, 4]),
        (["ratio>=5e-1"], [0, 1, 2]),
        (["click>-1"], [0, 1, 2, 3, 4]),
        (["not ratio>=1"], [2, 3, 4]),
        (["click and ratio>=1"], [0]),
        (["click & ratio>=1"], [0]),
        (["click&&not like"], [2, 4]),
        (["click and like", "ratio>=2"], [0, 1]),
        (["  click  "], [0, 2, 4]),
    ],
)
def test_rows_for_which_a_rule_holds(texts: list[str], rows: list[int]) -> None:
    assert _holds(*texts) == rows


def test_names() -> None:
    assert parse_rule(["click and ratio>=1", "not like"], "--positive").names == {"click", "ratio", "like"}
    assert parse_rule(["all"], "--positive").names == frozenset()
    assert parse_rule([], "--follow-from").names == frozenset()


@pytest.mark.parametrize(
    "text",
    ["", "click or like", "ratio>=", ">=1", "ratio>=one", "ratio=>1", "click and", "1 < ratio < 2", "ratio >= 1.2.3"],
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(InputError, match=r"--follow-from .* is not understood") as error:
        parse_rule([text], "--follow-from")
    assert repr(text) in str(error.value)


def test_an_unknown_signal() -> None:
    with pytest.raises(InputError, match=r"Unknown signal 'clik'. Did you mean 'click'\? .*: click, like, ratio\."):
        parse_rule(["clik"], "--positive").sql(SIGNALS)
    with pytest.raises(InputError, match="This source has: none"):
        parse_rule(["click"], "--positive").sql({})


def test_names_are_only_looked_up_never_pasted_into_sql() -> None:
    with pytest.raises(InputError, match="Unknown signal"):
        parse_rule(["1);DROP"], "--positive").sql(SIGNALS)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]), st.sampled_from([">=", "<=", ">", "<", "==", "!="]), st.integers(-2, 2)
            ),
            min_size=1,
            max_size=3,
        ),
        max_size=3,
    ),
    st.integers(-2, 2),
    st.one_of(st.none(), st.integers(-2, 2)),
)
def test_rules_say_what_python_says(rule: list[list[tuple[str, str, int]]], a: int, b: int | None) -> None:
    texts = [" and ".join(f"{name}{op}{value}" for name, op, value in part) for part in rule]
    sql = parse_rule(texts, "--positive").sql({"a": "a", "b": "b"})
    values = {"a": a, "b": b or 0}
    expected = any(all(eval(f"{values[name]}{op}{value}") for name, op, value in part) for part in rule)
    row = f"SELECT {a}::INTEGER AS a, {'NULL' if b is None else b}::INTEGER AS b"
    assert duckdb.execute(f"SELECT {sql} FROM ({row})").fetchall() == [(expected,)]
