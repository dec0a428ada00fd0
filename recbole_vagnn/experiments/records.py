"""The files of an experiment: one row a finished run, its metrics per user and its learning curve.

``DIR/runs.csv`` holds a row for every run; ``DIR/per_user/`` and ``DIR/curves/`` a file for each. A run is added
whole: its row is written last, so a row means that everything of the run is there.

Columns of runs.csv: ``dataset``, ``model`` (the contestant's label), ``seed``, ``settings`` ("authors" or "tuned"),
``fingerprint`` (of the split and the creators), ``protocol`` (hash of evaluation options), ``version`` (of this
package), ``users``, ``items``, ``vloggers``, ``train``, ``valid``, ``test`` (sizes), ``best_epoch``, ``epochs``,
``valid_<metric>``, ``test_<metric>`` (e.g. ``test_recall@10``), ``train_seconds``, ``epoch_seconds`` (training alone),
``valid_seconds``, ``test_seconds``, ``total_seconds``, ``peak_memory_mb``, ``peak_gpu_memory_mb``, ``parameters``,
``threads``.

Columns of per_user files: ``user`` (original id), ``history`` (training interactions), and the test metrics without
prefix (``recall@10``, …), float64. Columns of curves files: ``epoch`` (from 0), ``loss``, ``valid`` (the metric of
early stopping, empty where not evaluated), ``train_seconds``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recbole_vagnn.errors import InputError

KEY = ("dataset", "model", "seed")
Key = tuple[str, str, int]
# Runs that differ in one of these were not made under one protocol and are never compared.
SAME = ("fingerprint", "protocol", "version")


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        row: the columns of runs.csv.
        per_user: see the module's text.
        curve: likewise.
    """

    row: dict[str, object]
    per_user: pd.DataFrame
    curve: pd.DataFrame

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
            runs = pd.read_csv(path, dtype={"dataset": str, "model": str, "fingerprint": str, "protocol": str})
        except (ValueError, pd.errors.ParserError) as error:
            raise InputError(f"{path} cannot be read: {error}. Remove it, or choose another --out.") from None
        if missing := [name for name in (*KEY, *SAME) if name not in runs]:
            raise InputError(f"{path} has no column {', '.join(missing)}: it is not of `recbole-vagnn benchmark`.")
        return runs

    def keys(self) -> set[Key]:
        """The runs that are finished."""
        return {(str(d), str(m), int(s)) for d, m, s in self.runs[list(KEY)].itertuples(index=False)}

    def add(self, record: RunRecord) -> None:
        """Add a run, its row last; a run of the same key is replaced.

        Raises:
            InputError: the folder holds runs on this data set of another split, protocol or version.
        """
        self.require_same(record.row)
        for name, frame in (("per_user", record.per_user), ("curves", record.curve)):
            path = self.path(name, record.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.draft")
            if name == "per_user":
                frame.to_parquet(draft, index=False, compression="zstd")
            else:
                frame.to_csv(draft, index=False)
            os.replace(draft, path)
        others = self.runs[[key != record.key for key in self.runs[list(KEY)].itertuples(index=False, name=None)]]
        row = pd.DataFrame([record.row])
        self.runs = row if others.empty else pd.concat([others, row], ignore_index=True)
        self._write()

    def require_same(self, row: dict[str, object]) -> None:
        """Raise InputError unless ``row`` was made under the protocol of the runs that are here."""
        here = self.runs[self.runs["dataset"] == row["dataset"]]
        for name in SAME:
            different = [value for value in here.get(name, pd.Series(dtype=object)).unique() if value != row[name]]
            if different:
                raise InputError(
                    f"{self.folder / 'runs.csv'} holds {len(here)} run(s) on {row['dataset']} with {name} "
                    f"{different[0]!r}, this run has {row[name]!r}: they cannot be compared. Choose another --out."
                )

    def _write(self) -> None:
        path = self.folder / "runs.csv"
        draft = path.with_name(".runs.csv.draft")
        self.runs = self.runs.sort_values(list(KEY), ignore_index=True)
        self.runs.to_csv(draft, index=False)
        os.replace(draft, path)

    def path(self, kind: str, key: Key) -> Path:
        """File of a run's metrics per user ("per_user") or learning curve ("curves")."""
        suffix = {"per_user": "parquet", "curves": "csv"}[kind]
        name = ".".join(re.sub(r"[^\w+@-]", "_", str(part)) for part in key)
        return self.folder / kind / f"{name}.{suffix}"

    def per_user(self) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Key and metrics per user of each run, in the order of runs.csv; runs without the file are left out."""
        for key in self.runs[list(KEY)].itertuples(index=False, name=None):
            path = self.path("per_user", key)
            if path.is_file():
                yield key, pd.read_parquet(path)

    def curves(self) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Key and learning curve of each run, in the order of runs.csv; runs without the file are left out."""
        for key in self.runs[list(KEY)].itertuples(index=False, name=None):
            path = self.path("curves", key)
            if path.is_file():
                yield key, pd.read_csv(path)
