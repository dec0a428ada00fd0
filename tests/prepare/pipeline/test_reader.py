"""Rows of delimited text and Parquet files, and what becomes of those that cannot be read."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_vagnn.errors import InputError
from recbole_vagnn.prepare.pipeline import reader
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.reader import Column, column_names, read_rows
from tests.prepare.raw import Reading, rows, tuples, types

INTS = {"u": Column("int"), "t": Column("int")}


def _read(path: Path, columns: Mapping[str, Column] = INTS, **options: Any) -> tuple[list[tuple[Any, ...]], Malformed]:
    reading = Reading()
    found = tuples(read_rows(reading.request, [path], columns, **options))
    assert reading.touched == [path.name]
    assert reading.bytes_read == path.stat().st_size
    return found, reading.malformed


def _csv(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _one(folder: Path, kind: str, *entries: str, required: bool = True) -> tuple[list[Any], list[str]]:
    """Values of one column beside a whole one, and lines and reasons of what was left out."""
    path = _csv(folder, "u,x\n" + "".join(f"1,{entry}\n" for entry in entries))
    found, malformed = _read(path, {"u": Column("int"), "x": Column(kind, required)})
    return [x for _, x in found], [f"{row.line}: {row.reason}" for row in malformed.first]


# --- well-formed files --------------------------------------------------------------------------------------------


def test_columns_are_chosen_by_name_and_typed(tmp_path: Path) -> None:
    path = _csv(tmp_path, "t,unused,name,u\n30,x,ann,1\n-4,y, bo b ,2\n")
    columns = {"u": Column("int"), "name": Column("token"), "t": Column("float")}
    found, malformed = _read(path, columns)
    assert found == [(1, "ann", 30.0), (2, "bo b", -4.0)]
    assert malformed.rows == {"a.csv": 2}
    assert malformed.total == 0
    batches = read_rows(Reading().request, [path], columns)
    assert types(batches) == {"u": "int64", "name": "string", "t": "double"}


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    assert _read(_csv(tmp_path, "u,i,t\n1,2,3\n".replace(",", delimiter)), delimiter=delimiter)[0] == [(1, 3)]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("header", [None, ["u", "i", "t"]])
def test_byte_order_mark_line_ends_and_last_line(
    tmp_path: Path, bom: bytes, end: bytes, last: bool, header: list[str] | None
) -> None:
    lines = [b"1,2,3", b"4,5,6"] if header else [b"u,i,t", b"1,2,3", b"4,5,6"]
    path = _csv(tmp_path, bom + end.join(lines) + end * last)
    found, malformed = _read(path, header=header)
    assert found == [(1, 3), (4, 6)]
    assert malformed.rows == {"a.csv": 2}


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", None)])
def test_compressed_files(tmp_path: Path, suffix: str, compress: Any) -> None:
    content = b"u,i,t\n1,2,3\n4,x,6\nx,5,6\n"
    content = compress(content) if compress else pa.Codec("zstd").compress(content, asbytes=True)
    path = _csv(tmp_path, content, f"a.csv{suffix}")
    assert column_names(path) == ["u", "i", "t"]
    found, malformed = _read(path)
    assert found == [(1, 3), (4, 6)]
    assert [row.line for row in malformed.first] == [4]


def test_quoted_entries(tmp_path: Path) -> None:
    path = _csv(tmp_path, '"u",x\n"1","a, b"\n2,"c"\n')
    found, malformed = _read(path, {"u": Column("int"), "x": Column("token")})
    assert found == [(1, "a, b"), (2, "c")]
    assert malformed.total == 0


def test_quoted_line_ends_on_demand(tmp_path: Path) -> None:
    path = _csv(tmp_path, 'u,x,t\n1,"a\nb",2\nx,"c",3\n4,"d",5\n')
    found, malformed = _read(path, quoted_newlines=True)
    assert found == [(1, 2), (4, 5)]
    assert malformed.rows == {"a.csv": 3}
    assert malformed.bad == {"a.csv": 1}


def test_several_files_in_their_order(tmp_path: Path) -> None:
    paths = [_csv(tmp_path, f"u,t\n{n},0\nx,0\n", f"{n}.csv") for n in (3, 1, 2)]
    reading = Reading()
    assert tuples(read_rows(reading.request, paths, INTS)) == [(3, 0), (1, 0), (2, 0)]
    assert reading.touched == ["3.csv", "1.csv", "2.csv"]
    assert reading.malformed.bad == {"3.csv": 1, "1.csv": 1, "2.csv": 1}
    assert {(row.file, row.line) for row in reading.malformed.first} == {("3.csv", 3), ("1.csv", 3), ("2.csv", 3)}


@pytest.mark.parametrize("content", ["u,i,t", "u,i,t\n", "u,i,t\r\n\r\n"])
def test_a_header_alone_is_no_row(tmp_path: Path, content: str) -> None:
    found, malformed = _read(_csv(tmp_path, content))
    assert found == []
    assert malformed.rows.get("a.csv", 0) == 0


def test_files_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order, counts and line numbers do not depend on where blocks end."""
    monkeypatch.setattr(reader, "_BLOCK_BYTES", 64)
    lines, expected, bad = ["u,i,t"], [], []
    for number in range(2, 600):
        if number % 7 == 0:
            lines.append("")
        elif number % 11 == 0:
            lines.append("1,2,3,4")
            bad.append(number)
        elif number % 13 == 0:
            lines.append(f"{number},,oops")
            bad.append(number)
        else:
            lines.append(f"{number},,{-number}")
            expected.append((number, -number))
    path = _csv(tmp_path, "\n".join(lines) + "\n")
    monkeypatch.setattr("recbole_vagnn.prepare.pipeline.malformed._SHOWN", 1000)
    found, malformed = _read(path)
    assert found == expected
    assert sorted(row.line for row in malformed.first) == bad
    assert malformed.bad == {"a.csv": len(bad)}
    assert malformed.rows == {"a.csv": len(bad) + len(expected)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["", "{n},0,{n}", "x,0,{n}", "{n},0,", "{n},0", "{n},0,1,2", ",,"]), max_size=40),
    st.sampled_from([16, 40, 1000]),
    st.booleans(),
)
def test_every_line_is_returned_or_counted_or_blank(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], block: int, crlf: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    end = "\r\n" if crlf else "\n"
    lines = [pattern.format(n=n) for n, pattern in enumerate(patterns, 2)]
    path.write_bytes(end.join(["u,i,t", *lines, ""]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_BLOCK_BYTES", block)
        patch.setattr("recbole_vagnn.prepare.pipeline.malformed._SHOWN", 1000)
        patch.setattr(reader, "_SHOWN_SEPARATELY", 1000)
        found, malformed = _read(path)
    good = {n for n, pattern in enumerate(patterns, 2) if pattern == "{n},0,{n}"}
    blank = {n for n, pattern in enumerate(patterns, 2) if not pattern}
    assert [u for u, _ in found] == sorted(good)
    assert sorted(row.line for row in malformed.first) == sorted({*range(2, len(lines) + 2)} - good - blank)
    assert malformed.rows.get("a.csv", 0) == len(lines) - len(blank)


# --- kinds --------------------------------------------------------------------------------------------------------


def test_whole_numbers(tmp_path: Path) -> None:
    good = ["7", "7.0", "+7", "-7", " 7 ", "007", "7.", "-0", "9223372036854775807"]
    values, bad = _one(tmp_path, "int", *good, "7.5", "7e2", "9223372036854775808", "0x1F", "seven", "1_000", "٣")
    assert values == [7, 7, 7, -7, 7, 7, 7, 0, 9223372036854775807]
    assert bad == [f"{line}: `x` is not a whole number" for line in range(11, 16)]


@pytest.mark.parametrize("entry", ["0x1F", "7.5", "1e3", "9223372036854775808"])
def test_a_whole_number_does_not_depend_on_its_neighbours(tmp_path: Path, entry: str) -> None:
    """All-clean batches are converted another way."""
    assert _one(tmp_path, "int", "1", entry) == ([1], ["3: `x` is not a whole number"])
    assert _one(tmp_path, "int", "1", entry, "+1") == ([1, 1], ["3: `x` is not a whole number"])


def test_numbers(tmp_path: Path) -> None:
    good = ["1", "-1.5", ".5", "5.", "+2", "1e3", "1.5E-1", " 4 "]
    values, bad = _one(tmp_path, "float", *good, "inf", "-Infinity", "1e999", "1,5", "x")
    assert values == [1, -1.5, 0.5, 5, 2, 1000, 0.15, 4]
    assert bad == ["13: 3 fields instead of 2", *(f"{line}: `x` is not a number" for line in (10, 11, 12, 14))]


def test_exact_times_survive(tmp_path: Path) -> None:
    """Milliseconds since 1970 need 41 bits, KuaiRec's float seconds 44."""
    assert _one(tmp_path, "int", "1650485801301")[0] == [1650485801301]
    assert _one(tmp_path, "float", "1593878903.438")[0] == [1593878903.438]


def test_tokens(tmp_path: Path) -> None:
    values, bad = _one(tmp_path, "token", " a b ", "0012", "é", "NULL", '"a\tb"', '"a""b"', "a\tb")
    assert values == ["a b", "0012", "é", "NULL"]
    assert bad == [f"{line}: `x` has a tab, quote or line end in it" for line in (6, 7, 8)]


def test_times(tmp_path: Path) -> None:
    good = {
        "2019-10-28 21:55:10": datetime(2019, 10, 28, 21, 55, 10, tzinfo=UTC),
        "2019-10-28T21:55:10": datetime(2019, 10, 28, 21, 55, 10, tzinfo=UTC),
        "2019-10-28T21:55:10Z": datetime(2019, 10, 28, 21, 55, 10, tzinfo=UTC),
        "2019-10-28 21:55:10.987": datetime(2019, 10, 28, 21, 55, 10, tzinfo=UTC),
        "2019-10-28T21:55:10.5+08:00": datetime(2019, 10, 28, 13, 55, 10, tzinfo=UTC),
        "2019-10-28 21:55:10-0230": datetime(2019, 10, 29, 0, 25, 10, tzinfo=UTC),
        "2019-10-28 21:55": datetime(2019, 10, 28, 21, 55, tzinfo=UTC),
        "2020-02-29": datetime(2020, 2, 29, tzinfo=UTC),
        "1969-12-31 23:59:59": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    }
    bad = ["2019-02-29", "2019-13-01 00:00:00", "28.10.2019", "1572299710", "2019-10-28 25:00:00"]
    values, reasons = _one(tmp_path, "datetime", *good, *bad)
    assert values == [int(time.timestamp()) for time in good.values()]
    assert reasons == [f"{line}: `x` is not a date and time (ISO 8601)" for line in range(11, 16)]


@pytest.mark.parametrize("kind", ["int", "float", "datetime"])
@pytest.mark.parametrize("entry", ["", " ", "nan", "NaN", "NA", "null", "None", "\\N"])
def test_missing_numbers(tmp_path: Path, kind: str, entry: str) -> None:
    assert _one(tmp_path, kind, entry) == ([], ["2: `x` is empty"])
    assert _one(tmp_path, kind, entry, required=False) == ([None], [])


@pytest.mark.parametrize("entry", ["", " ", '""', "nan", "NaN"])
def test_missing_tokens(tmp_path: Path, entry: str) -> None:
    assert _one(tmp_path, "token", entry) == ([], ["2: `x` is empty"])
    assert _one(tmp_path, "token", entry, required=False) == ([None], [])


@pytest.mark.parametrize("kind", reader.KINDS)
def test_a_column_without_any_entry(tmp_path: Path, kind: str) -> None:
    assert _one(tmp_path, kind, "", "", required=False) == ([None, None], [])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.lists(st.floats(allow_nan=False), min_size=1))
def test_numbers_are_read_as_python_reads_them(
    tmp_path_factory: pytest.TempPathFactory, ints: list[int], floats: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    assert _one(folder, "int", *map(str, ints))[0] == ints
    finite = [number for number in floats if number not in (float("inf"), -float("inf"))]
    assert _one(folder, "float", *map(repr, floats))[0] == finite


# --- malformed rows -----------------------------------------------------------------------------------------------


def test_each_malformed_row_is_counted_once_and_located(tmp_path: Path) -> None:
    path = _csv(tmp_path, "u,i,t\n1,1,1\n\n2,2\nx,3,y\n,4,\n4,4,4,4\n\n5,5,5\n6,6,z\n")
    found, malformed = _read(path)
    assert found == [(1, 1), (5, 5)]
    assert malformed.rows == {"a.csv": 7}
    assert malformed.bad == {"a.csv": 5}
    assert {(row.line, row.reason) for row in malformed.first} == {
        (4, "2 fields instead of 3"),
        (5, "`u` is not a whole number"),
        (6, "`u` is empty"),
        (7, "4 fields instead of 3"),
        (10, "`t` is not a whole number"),
    }
    assert malformed.reasons == {
        "2 fields instead of 3": 1,
        "4 fields instead of 3": 1,
        "`u` is empty": 1,
        "`u` is not a whole number": 1,
        "`t` is not a whole number": 1,
    }


def test_lines_of_a_file_without_header_count_from_one(tmp_path: Path) -> None:
    path = _csv(tmp_path, "x,0,1\n2,0,2\n3,0\n4,0,x\n")
    found, malformed = _read(path, header=["u", "i", "t"])
    assert found == [(2, 2)]
    assert sorted(row.line for row in malformed.first) == [1, 3, 4]


def test_a_row_whose_entries_are_all_empty_is_no_blank_line(tmp_path: Path) -> None:
    """It stands for an interaction that was lost; a blank line stands for nothing."""
    found, malformed = _read(_csv(tmp_path, "u,i,t\n,5,\n\n,,\n"))
    assert found == []
    assert sorted((row.line, row.reason) for row in malformed.first) == [(2, "`u` is empty"), (4, "`u` is empty")]
    assert malformed.rows == {"a.csv": 2}


def test_blank_lines_of_a_file_with_one_column(tmp_path: Path) -> None:
    found, malformed = _read(_csv(tmp_path, "u\n1\n\n2\nx\n\n"), {"u": Column("int")})
    assert found == [(1,), (2,)]
    assert malformed.rows == {"a.csv": 3}
    assert [row.line for row in malformed.first] == [5]


def test_spaces_alone_are_a_blank_line(tmp_path: Path) -> None:
    found, malformed = _read(_csv(tmp_path, "u,i,t\n1,1,1\n   \nx,1,1\n"))
    assert found == [(1, 1)]
    assert [row.line for row in malformed.first] == [4]
    assert malformed.rows == {"a.csv": 2}


def test_a_quote_that_is_not_closed_loses_no_row_unnoticed(tmp_path: Path) -> None:
    """The parser takes all up to the next quote, or the end, for one entry."""
    path = _csv(tmp_path, 'u,i,t\n1,1,1\n2,"2,2\n3,3,3\n4,4,4\n')
    found, malformed = _read(path)
    assert found == [(1, 1)]
    assert malformed.rows == {"a.csv": 4}
    assert malformed.bad == {"a.csv": 3}
    assert (malformed.first[0].line, malformed.first[0].reason) == (3, "a quoted entry does not end on its line")


def test_lines_after_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    path = _csv(tmp_path, 'u,i,t\n1,1,1\n2,"2\n3,3"x,3,3\n4,4\n\n5,5,5\nx,6,6\n')
    found, malformed = _read(path)
    assert found == [(1, 1), (5, 5)]
    assert [(row.line, row.reason) for row in malformed.first] == [
        (3, "a quoted entry does not end on its line"),
        (5, "2 fields instead of 3"),
        (8, "`u` is not a whole number"),
    ]
    assert malformed.bad == {"a.csv": 4}


def test_only_the_first_few_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    path = _csv(tmp_path, "u,i,t\n" + "x,1,1\n" * 50 + "1,1,1\n" + "1,1,x\n" * 20)
    found, malformed = _read(path)
    assert found == [(1, 1)]
    assert malformed.bad == {"a.csv": 70}
    assert malformed.reasons == {"`u` is not a whole number": 50, "`t` is not a whole number": 20}
    assert [row.line for row in malformed.first] == [2, 3, 4, 5, 6]


def test_a_message_names_file_line_and_text(tmp_path: Path) -> None:
    malformed = _read(_csv(tmp_path, "u,i,t\nx7,1,1\n"))[1]
    assert str(malformed.first[0]) == "a.csv, line 2: `u` is not a whole number ('x7')"
    malformed.add(Path("b.csv"), 9, "too long", "y" * 500)
    assert str(malformed.first[1]) == f"b.csv, line 9: too long ('{'y' * 79}…')"


def test_too_many_malformed_rows(tmp_path: Path) -> None:
    path = _csv(tmp_path, "u,i,t\n1,1,1\n2,2\n3,3,3\n4,4,x\n")
    reading = Reading(malformed=Malformed(max_share=0.49))
    with pytest.raises(InputError) as error:
        rows(read_rows(reading.request, [path], INTS))
    message = str(error.value)
    assert f"{path}: 2 of 4 rows are malformed (50.00%, allowed 49.00%)" in message
    assert "a.csv, line 3: 2 fields instead of 3 ('2,2')" in message
    assert "a.csv, line 5: `t` is not a whole number ('x')" in message
    assert "--max-malformed" in message
    reading = Reading(malformed=Malformed(max_share=0.5))
    assert tuples(read_rows(reading.request, [path], INTS)) == [(1, 1), (3, 3)]


def test_the_share_is_of_each_file(tmp_path: Path) -> None:
    good = _csv(tmp_path, "u,t\n" + "1,1\n" * 1000, "good.csv")
    bad = _csv(tmp_path, "u,t\n1,1\nx,1\n", "bad.csv")
    reading = Reading(malformed=Malformed(max_share=0.1))
    with pytest.raises(InputError, match=r"bad\.csv: 1 of 2 rows"):
        rows(read_rows(reading.request, [good, bad], INTS))


def test_a_hopeless_file_is_given_up_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BLOCK_BYTES", 2**14)
    path = _csv(tmp_path, "u,t\n" + "x,1\n" * 50_000)
    reading = Reading(malformed=Malformed(max_share=0.001))
    with pytest.raises(InputError, match=r"of [\d,]+ rows read so far are malformed \(100\.00%"):
        rows(read_rows(reading.request, [path], INTS))
    assert reading.malformed.rows["a.csv"] < 25_000


def test_a_clean_file_passes_without_tolerance(tmp_path: Path) -> None:
    path = _csv(tmp_path, "u,t\n1,2\n\n")
    assert tuples(read_rows(Reading(malformed=Malformed(max_share=0.0)).request, [path], INTS)) == [(1, 2)]


# --- files that cannot be read ------------------------------------------------------------------------------------


def _error(path: Path, columns: Mapping[str, Column] = INTS, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        rows(read_rows(Reading().request, [path], columns, **options))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_and_columns_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    good = _csv(tmp_path, "u,t\n1,2\n", "good.csv")
    reading = Reading()
    with pytest.raises(InputError, match="does not exist"):
        read_rows(reading.request, [good, tmp_path / "missing.csv"], INTS)
    bad = _csv(tmp_path, "u,time\n1,2\n", "bad.csv")
    with pytest.raises(InputError, match=r"bad\.csv has no column 't'.*u, time"):
        read_rows(reading.request, [good, bad], INTS)
    assert reading.touched == []


def test_a_similar_column_is_suggested(tmp_path: Path) -> None:
    message = _error(_csv(tmp_path, "userid,video\n1,2\n"), {"user_id": Column("int")})
    assert message.endswith("a.csv has no column 'user_id'. Did you mean 'userid'? Its columns: userid, video.")


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    assert "has 2 columns 'u'" in _error(_csv(tmp_path, "u,t,u\n1,2,3\n"))
    assert _read(_csv(tmp_path, "u,t,x,x\n1,2,3,4\n"))[0] == [(1, 2)]


@pytest.mark.parametrize("content", ["", "\n1,2\n", "\r\n", "   \n1,2\n"])
def test_an_empty_header(tmp_path: Path, content: str) -> None:
    assert _error(_csv(tmp_path, content)).endswith("a.csv, line 1: the header is empty.")


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = _csv(tmp_path, b"u,x\n1,fine\n2,\xc4rger\n3,fine\n")
    message = _error(path, {"u": Column("int"), "x": Column("token")})
    assert message.endswith("a.csv, line 3: the text is not UTF-8. Save the file as UTF-8.")
    assert _read(path, {"u": Column("int")})[0] == [(1,), (2,), (3,)]


def test_text_that_is_not_utf8_on_the_last_line(tmp_path: Path) -> None:
    assert "line 2: the text is not UTF-8" in _error(_csv(tmp_path, b"u,x\n1,\xc4"), {"x": Column("token")})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_text_that_is_not_utf8_in_a_row_with_too_many_fields(tmp_path: Path) -> None:
    assert "line 3: the text is not UTF-8" in _error(_csv(tmp_path, b"u,t\n1,1\n2,2,\xc4\n"))


def test_files_that_are_not_what_their_names_say(tmp_path: Path) -> None:
    assert "cannot be read" in _error(_csv(tmp_path, "u,t\n1,2\n", "a.csv.gz"))
    assert "is not a readable Parquet file" in _error(_csv(tmp_path, "u,t\n1,2\n", "a.parquet"))
    cut = gzip.compress(b"u,t\n" + b"1,2\n" * 10_000)[:-12]
    assert "cannot be read" in _error(_csv(tmp_path, cut, "cut.csv.gz"))


def test_a_header_with_old_line_ends(tmp_path: Path) -> None:
    assert column_names(_csv(tmp_path, "u,t\r1,2\r")) == ["u", "t"]


def test_a_header_longer_than_a_field_may_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: the header cannot be read"):
        column_names(_csv(tmp_path, "u" * 200_000))


# --- Parquet ------------------------------------------------------------------------------------------------------


def _parquet(folder: Path, **columns: pa.Array) -> Path:
    path = folder / "a.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_every_type(tmp_path: Path) -> None:
    path = _parquet(
        tmp_path,
        whole=pa.array([1, 2], pa.int32()),
        unsigned=pa.array([3, 4], pa.uint8()),
        real=pa.array([5.0, 6.0], pa.float32()),
        exact=pa.array([Decimal("7.00"), Decimal("8.00")]),
        flag=pa.array([True, False]),
        text=pa.array(["9", "10"], pa.large_string()),
        category=pa.array(["11", "12"]).dictionary_encode(),
        time=pa.array([datetime(2020, 1, 1), datetime(2020, 1, 2, 3, 4, 5, 600_000)]),
        zoned=pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("ms", tz="UTC")),
        unused=pa.array([[1], [2]]),
    )
    numbers = ["whole", "unsigned", "real", "exact", "flag", "text", "category"]
    columns = dict.fromkeys(numbers, Column("int")) | dict.fromkeys(["time", "zoned"], Column("datetime"))
    found, malformed = _read(path, columns)
    assert malformed.total == 0
    assert found == [
        (1, 3, 5, 7, 1, 9, 11, 1577836800, 1577836800),
        (2, 4, 6, 8, 0, 10, 12, 1577934245, 1577836800),
    ]


def test_parquet_rows_are_counted_and_located_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_PARQUET_ROWS", 3)
    u = pa.array([1, 2, None, 4, 5, 6, 7])
    path = _parquet(tmp_path, u=u, t=pa.array(["1", "x", "3", "4", "5", "", "7"]))
    found, malformed = _read(path)
    assert found == [(1, 1), (4, 4), (5, 5), (7, 7)]
    assert sorted((row.line, row.reason) for row in malformed.first) == [
        (2, "`t` is not a whole number"),
        (3, "`u` is empty"),
        (6, "`t` is empty"),
    ]
    assert malformed.rows == {"a.parquet": 7}


def test_parquet_keeps_exact_times(tmp_path: Path) -> None:
    path = _parquet(tmp_path, u=pa.array([2**53 + 1]), t=pa.array([1593878903.438]))
    assert _read(path, {"u": Column("int"), "t": Column("float")})[0] == [(2**53 + 1, 1593878903.438)]


def test_parquet_null_and_nan(tmp_path: Path) -> None:
    path = _parquet(tmp_path, x=pa.array([1.5, None, float("nan"), float("inf")]))
    found, malformed = _read(path, {"x": Column("float", required=False)})
    assert found == [(1.5,), (None,), (None,)]
    assert [str(row) for row in malformed.first] == ["a.parquet, line 4: `x` is not a number ('inf')"]


def test_parquet_lists_cannot_be_read(tmp_path: Path) -> None:
    assert "must hold single values" in _error(_parquet(tmp_path, x=pa.array([[1]])), {"x": Column("int")})


def test_parquet_without_rows(tmp_path: Path) -> None:
    path = _parquet(tmp_path, u=pa.array([], pa.int64()), t=pa.array([], pa.int64()))
    assert tuples(read_rows(Reading().request, [path], INTS)) == []
