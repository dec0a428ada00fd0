"""The files of an experiment: one row a finished run, its metrics per user and its learning curve.

``DIR/runs.csv`` holds a row for every run; ``DIR/per_user/`` and ``DIR/curves/`` a file for each, and
``DIR/measured/NAME/`` one for each that a probe measured something on. A run is added whole: its row is written last,
so a row means that everything of the run is there. One process writes into a folder.

Columns of runs.csv: ``dataset`` (under a condition ``NAME@CONDITION``), ``model`` (the contestant's label), ``seed``,
``settings`` ("authors" or "tuned"), ``fingerprint`` (of the split and the creators), ``protocol`` (hash of evaluation
options), ``version`` (of this package), ``options`` (hash of the options given to the run, its seed apart), ``users``,
``items``, ``vloggers``, ``train``, ``valid``, ``test`` (sizes), ``best_epoch``, ``epochs``,
``valid_<metric>``, ``test_<metric>`` (e.g. ``test_recall@10``), ``build_seconds`` (of the model; where linear models
are fitted), ``train_seconds``, ``epoch_seconds`` (training alone), ``valid_seconds``, ``test_seconds``,
``total_seconds``, ``peak_memory_mb``, ``peak_gpu_memory_mb``, ``parameters``, ``threads``.

Columns of per_user files: ``user`` (original id), ``history`` (training interactions), and the test metrics without
prefix (``recall@10``, …), float64. Columns of curves files: ``epoch`` (from 0), ``loss``, ``valid`` (the metric of
early stopping, empty where not evaluated), ``train_seconds`` (of this epoch).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError

KEY = ("dataset", "model", "seed")
Key = tuple[str, str, int]
# Runs that differ in one of these were not made under one protocol and are never compared.
SAME = ("fingerprint", "protocol", "version", "settings")
_TEXT = ("dataset", "model", *SAME, "options")


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        row: the columns of runs.csv.
        per_user: see the module's text.
        curve: likewise.
        measured: tables of a probe by name (:class:`~recbole_vagnn.experiments.probe.Probe`).
    """

    row: dict[str, object]
    per_user: pd.DataFrame
    curve: pd.DataFrame
    measured: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Data set, label and seed."""
        return str(self.row["dataset"]), str(self.row["model"]), int(str(self.row["seed"]))


class Records:
    """The records in a folder.

    Args:
        folder: DIR; it may be missing or empty.

    Raises:
        InputError: runs.csv is not one of ours.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.runs = self._read()

    def _read(self) -> pd.DataFrame:
        path = self.folder / "runs.csv"
        if not path.is_file():
            return pd.DataFrame(columns=list(KEY))
        try:
            # Text as it stands ("1.0", "nan" and "007" are names) and numbers to the last digit.
            runs = pd.read_csv(path, converters=dict.fromkeys(_TEXT, str), float_precision="round_trip")
        except (ValueError, pd.errors.ParserError) as error:
            raise InputError(f"{path} cannot be read: {error}. Remove it, or choose another --out.") from None
        if missing := [name for name in (*KEY, *SAME) if name not in runs]:
            raise InputError(f"{path} has no column {', '.join(missing)}: it is not of `recbole-vagnn benchmark`.")
        if runs["seed"].dtype.kind != "i" and not runs.empty:
            raise InputError(f"{path}: column seed has entries that are not whole numbers. Mend or remove those rows.")
        if repeated := int(runs.duplicated(list(KEY)).sum()):
            raise InputError(
                f"{path}: {repeated} of {len(runs)} rows repeat a run (data set, model, seed). Remove them."
            )
        return runs

    def keys(self) -> set[Key]:
        """The runs that are finished."""
        return set(_keys(self.runs))

    def add(self, record: RunRecord) -> None:
        """Add a run, its row last; a run of the same key is replaced.

        Raises:
            InputError: the folder holds runs on this data set of another split, protocol, version or settings.
        """
        self.require_same(record.row)
        rows: list[dict[str, object]] = self.runs.to_dict("records")
        others = [row for row, key in zip(rows, _keys(self.runs), strict=True) if key != record.key]
        if len(others) < len(rows):  # else a kill between the files would leave the old row beside new files
            self._write(others)
        self._write_file("per_user", record.key, record.per_user)
        self._write_file("curves", record.key, record.curve)
        for name, table in record.measured.items():
            self._write_file(_measured(name), record.key, table)
        self._write([*others, record.row])

    def require_same(self, row: dict[str, object]) -> None:
        """Raise InputError unless ``row`` was made under the protocol of the runs that are here."""
        here = self.runs[self.runs["dataset"] == row["dataset"]]
        for name in SAME:
            different = [value for value in here.get(name, pd.Series(dtype=object)).unique() if value != str(row[name])]
            if different:
                raise InputError(
                    f"{self.folder / 'runs.csv'} holds {len(here)} run(s) on {row['dataset']} with {name} "
                    f"{different[0]!r}, this run has {row[name]!r}: they cannot be compared. Choose another --out."
                )

    def _write(self, rows: list[dict[str, object]]) -> None:
        columns = None if rows else list(self.runs.columns)
        table = pd.DataFrame(rows, columns=columns).sort_values(list(KEY), ignore_index=True)
        path = self.folder / "runs.csv"
        _replace(path, lambda draft: table.to_csv(draft, index=False))
        self.runs = self._read()  # what a later process would see

    def _write_file(self, kind: str, key: Key, frame: pd.DataFrame) -> None:
        if kind == "curves":
            _replace(self.path(kind, key), lambda draft: frame.to_csv(draft, index=False))
        else:
            _replace(self.path(kind, key), lambda draft: frame.to_parquet(draft, index=False, compression="zstd"))

    def path(self, kind: str, key: Key) -> Path:
        """File of a run's metrics per user ("per_user"), learning curve ("curves") or "measured/NAME"."""
        suffix = "csv" if kind == "curves" else "parquet"
        return self.folder / kind / f"{'.'.join(file_name(part) for part in key)}.{suffix}"

    def per_user(self, dataset: str | None = None) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Key and metrics per user of each run, in the order of runs.csv; runs without the file are left out.

        Args:
            dataset: only the runs on it; None = all.
        """
        return self._files("per_user", dataset, pd.read_parquet)

    def curves(self, dataset: str | None = None) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Key and learning curve of each run, in the order of runs.csv; runs without the file are left out.

        Args:
            dataset: only the runs on it; None = all.
        """
        return self._files("curves", dataset, lambda path: pd.read_csv(path, float_precision="round_trip"))

    def measured(self, name: str, dataset: str | None = None) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Key and what a probe measured under a name, in the order of runs.csv; runs without it are left out.

        Args:
            name: of the probe's table.
            dataset: only the runs on it; None = all.
        """
        return self._files(_measured(name), dataset, pd.read_parquet)

    def _files(self, kind: str, dataset: str | None, read: Callable[[Path], Any]) -> Iterator[tuple[Key, Any]]:
        for key in _keys(self.runs):
            path = self.path(kind, key)
            if dataset in (None, key[0]) and path.is_file():
                yield key, read(path)


def _measured(name: str) -> str:
    return f"measured/{file_name(name)}"


def file_name(part: object) -> str:
    """A label as part of a file's name; one that needs changes gets a hash, so that no two labels share a name."""
    text = str(part)
    plain = re.sub(r"[^\w+@-]", "_", text)
    return plain if plain == text else f"{plain}~{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"


def _keys(runs: pd.DataFrame) -> list[Key]:
    return [(str(d), str(m), int(s)) for d, m, s in runs[list(KEY)].itertuples(index=False, name=None)]


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
