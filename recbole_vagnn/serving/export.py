"""Vectors of a checkpoint as files for vector indexes and databases."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.arrays import Rows
from recbole_vagnn.serving.checkpoint import Checkpoint
from recbole_vagnn.serving.vocabulary import Vocabulary

IntArray = NDArray[np.int64]
MANIFEST = "export.json"
_ROWS = 65_536  # rows in memory at once


def export_vectors(
    checkpoint: Checkpoint, folder: Path, *, overwrite: bool = False, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Write the vectors of users, videos and vloggers, whose inner products are the exact scores.

    For each of the three (``users``, ``videos``, ``vloggers``):

    * ``NAME.npy``, (n, k) float, to be memory-mapped; ``NAME.ids.txt``, the original id of each row;
    * ``NAME.parquet`` with the columns ``id``, ``vector`` (list of k floats) and ``interactions`` (in training; a
      vector without any is a random one that was never trained).

    ``export.json`` says what they are.

    Args:
        checkpoint: the checkpoint.
        folder: to be made.
        overwrite: replace an earlier export.
        progress: called with the number of rows written so far.

    Returns:
        the files.

    Raises:
        InputError: the model has no vectors, the folder is there, or an id has a line break.
    """
    vectors = checkpoint.vectors
    if vectors is None:
        raise InputError(
            f"{checkpoint.manifest.model} ranks by no inner product, so it has no vectors to export. "
            f"`recbole-vagnn recommend` works."
        )
    _require_free(folder, overwrite)
    history = checkpoint.history
    parts = [
        ("users", checkpoint.users, vectors.users, history.user_counts),
        ("videos", checkpoint.videos, vectors.videos, history.video_counts),
    ]
    if vectors.vloggers is not None:
        parts.append(("vloggers", checkpoint.vloggers, vectors.vloggers, history.vlogger_counts))
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        done = 0
        for name, ids, table, counts in parts:
            for rows in _write(draft, name, ids, table, counts):
                done += rows
                if progress is not None:
                    progress(done)
        (draft / MANIFEST).write_text(_manifest(checkpoint, [name for name, *_ in parts]), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sorted(folder.iterdir())


def number_of_rows(checkpoint: Checkpoint) -> int:
    """How many rows :func:`export_vectors` writes."""
    return len(checkpoint.users) + len(checkpoint.videos) + len(checkpoint.vloggers)


def _require_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).is_file()):
        raise InputError(f"{folder} exists and is no export of this command. Choose another folder.")
    if not overwrite and any(folder.iterdir()):
        raise InputError(f"{folder} holds an earlier export. Add --overwrite to replace it, or choose another folder.")


def _write(draft: Path, name: str, ids: Vocabulary, table: Rows, counts: IntArray) -> Iterator[int]:
    """Write one table; yields the number of rows after each part."""
    _write_ids(draft / f"{name}.ids.txt", ids)
    n, k = table.shape
    first = table.take(np.arange(min(n, 1)))
    header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": (n, k)}
    kind = pa.list_(pa.from_numpy_dtype(first.dtype), k)
    schema = pa.schema([("id", pa.string()), ("vector", kind), ("interactions", pa.int64())])
    with (draft / f"{name}.npy").open("wb") as array, pq.ParquetWriter(draft / f"{name}.parquet", schema) as writer:
        np.lib.format.write_array_header_1_0(array, header)
        for start in range(0, n, _ROWS):
            rows = np.arange(start, min(start + _ROWS, n))
            part = table.take(rows)
            array.write(np.ascontiguousarray(part).tobytes())
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), type=kind)
            columns = [pa.array(ids.ids(rows), pa.string()), vectors, pa.array(counts[rows])]
            writer.write_table(pa.table(columns, schema=schema))
            yield len(rows)


def _write_ids(path: Path, ids: Vocabulary) -> None:
    tokens = ids.all_ids().to_pylist()
    broken = [token for token in tokens if len(token.splitlines()) > 1 or token.endswith(("\n", "\r"))]
    if broken:
        raise InputError(
            f"{len(broken)} {ids.kind} id(s) have a line break, first {broken[0]!r}: they do not fit a file of one "
            f"id a line. Give these {ids.kind}s other ids."
        )
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")


def _manifest(checkpoint: Checkpoint, names: list[str]) -> str:
    manifest = checkpoint.manifest
    assert manifest.vectors is not None
    content: dict[str, Any] = {
        "model": manifest.model,
        "dataset": manifest.dataset,
        "checkpoint": manifest.checkpoint,
        "metric": "inner product",
        "size": manifest.vectors["size"],
        "tables": names,
        "vlogger_vectors": manifest.vectors["vloggers"],
        "versions": manifest.result["versions"],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
