"""What is written in each format is what was recommended."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.output import open_writer
from recbole_vagnn.serving.tables import REASON, schema

SCHEMA = schema("video", True)
ROWS: list[dict[str, Any]] = [
    dict(
        zip(SCHEMA.names, values, strict=True)  # user, rank, video, score, source, vlogger, parts, because
    )
    for values in (
        ('a,"b"', 1, "007", 0.1, "model", None, 0.3, -0.2, [{"kind": "video", "id": 'ü"', "value": 0.25}]),
        ('a,"b"', 2, "nan", 1e-9, "model", "NA", 0.5, 0.5, []),
        ("c", 1, "x", 12.0, "popularity", "v", None, None, None),
    )
]


def written(path: Path, form: str, parts: list[list[dict[str, Any]]]) -> Path:
    with open_writer(path, form, SCHEMA) as writer:
        for rows in parts:
            writer.write(pa.Table.from_pylist(rows, SCHEMA))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


@pytest.mark.parametrize("parts", [[ROWS], [ROWS[:2], ROWS[2:]]])
def test_csv_reads_back(tmp_path: Path, parts: Any) -> None:
    frame = pd.read_csv(written(tmp_path / "a.csv", "csv", parts), dtype=str, keep_default_na=False)
    assert frame.columns.tolist() == SCHEMA.names
    assert frame["user"].tolist() == ['a,"b"', 'a,"b"', "c"]
    assert frame["video"].tolist() == ["007", "nan", "x"]
    assert frame["vlogger"].tolist() == ["", "NA", "v"]
    assert [float(text) for text in frame["score"]] == [0.1, 1e-9, 12.0]
    assert frame["from_video"].tolist()[2] == ""
    assert [json.loads(text) if text else None for text in frame["because"]] == [r["because"] for r in ROWS]


@pytest.mark.parametrize("parts", [[ROWS], [ROWS[:2], ROWS[2:]]])
def test_json_is_one_array_with_a_line_a_user(tmp_path: Path, parts: Any) -> None:
    text = written(tmp_path / "a.json", "json", parts).read_text(encoding="utf-8")
    content = json.loads(text)
    assert [(user["user"], user["source"]) for user in content] == [('a,"b"', "model"), ("c", "popularity")]
    flat = [{"user": u["user"], "source": u["source"], **item} for u in content for item in u["items"]]
    assert flat == ROWS  # 0.1 and 0.3 too: float32 is written as the shortest number that means it
    assert len(text.splitlines()) == 2 + 2


def test_json_of_nothing_is_an_empty_array(tmp_path: Path) -> None:
    assert json.loads(written(tmp_path / "a.json", "json", []).read_text()) == []


def test_parquet_reads_back_with_its_types(tmp_path: Path) -> None:
    table = pq.read_table(written(tmp_path / "a.parquet", "parquet", [ROWS[:1], ROWS[1:]]))
    assert table.schema.field("because").type.value_type == REASON
    got = table.to_pylist()
    for row, wanted in zip(got, ROWS, strict=True):
        for name, value in wanted.items():
            assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)
    assert not any(isinstance(row["score"], float) and math.isnan(row["score"]) for row in got)


def _interrupted(target: Path, form: str) -> None:
    with open_writer(target, form, SCHEMA) as writer:
        writer.write(pa.Table.from_pylist(ROWS, SCHEMA))
        raise KeyboardInterrupt


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"a.{form}"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(target, form)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_where_it_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"the folder .* does not exist"),
        open_writer(tmp_path / "x" / "a.csv", "csv", SCHEMA),
    ):
        pass
    with pytest.raises(InputError, match="say where to write it with --out"), open_writer(None, "parquet", SCHEMA):
        pass
