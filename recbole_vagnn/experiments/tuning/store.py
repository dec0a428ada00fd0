"""What a search was and what its trials did, and the files that keep it.

``record.json`` says what was searched: model, data set, metric, space and budget. ``trials.csv`` has a row for each
trial, ``epochs.csv`` one for each evaluation. They are read back to the last digit and with the same types.

Columns of trials.csv: ``trial`` (Ray's id), ``number`` (from 0, in the order of their start), ``state``, ``score``
(best validation score, empty = none), ``best_epoch`` (from 0), ``epochs`` (trained), ``seconds`` (of training and
validation), ``attempts``, ``first`` (True = a point that the space wants tried first), ``seed``, ``node``, ``error``,
then ``config/NAME`` for each parameter, as a YAML scalar (``null`` = None, ``'7'`` = text).

Columns of epochs.csv: ``trial``, ``number``, ``epoch`` (from 0), ``score``, ``best`` (so far), ``loss``, ``seconds``
(since the evaluation before), and every validation metric as ``valid_NAME``.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.experiments.tuning.values import exact, read_exact
from recbole_vagnn.result import plain

STATES = {  # → in words
    "finished": "trained all their epochs",
    "plateau": "ended by their own plateau",
    "stopped": "stopped early for being worse than others",
    "failed": "failed",
}
RECORD, TRIALS, EPOCHS = "record.json", "trials.csv", "epochs.csv"
EPOCH_COLUMNS = ("trial", "number", "epoch", "score", "best", "loss", "seconds")
_OPTION = "config/"
_LONGEST = 20_000  # characters of an error that are kept, its end


@dataclass(frozen=True)
class TrialRecord:
    """One trial; for the meaning of the fields see the module's text."""

    trial: str
    number: int
    state: str
    score: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    attempts: int = 1
    first: bool = False
    seed: int | None = None
    node: str = ""
    error: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Did it come to a score, and did it not fail? A trial that was stopped early counts with its best score."""
        return self.state != "failed" and self.score is not None and math.isfinite(self.score)


@dataclass(frozen=True)
class SearchRecord:
    """A search of one model on one data set.

    Attributes:
        model, dataset: names.
        metric: validation metric of the search, e.g. "Recall@10".
        bigger: is a larger score better?
        space: what was searched.
        trials: all trials.
        epochs: their evaluations, see the module's text.
        budget: trials, epochs, grace, patience, seed, search, date, ….
        label: name in tables, if it is not the model's.
        options: options beyond the property files that all trials shared.
    """

    model: str
    dataset: str
    metric: str
    bigger: bool
    space: Space
    trials: list[TrialRecord]
    epochs: pd.DataFrame
    budget: dict[str, Any]
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.label or self.model

    @property
    def scored(self) -> list[TrialRecord]:
        """Trials that count, by number."""
        return sorted((trial for trial in self.trials if trial.counts), key=lambda trial: trial.number)

    @property
    def best(self) -> TrialRecord | None:
        """The winner; of equal ones, the first."""
        sign = 1 if self.bigger else -1
        return max(self.scored, key=lambda trial: sign * (trial.score or 0.0), default=None)

    @property
    def start(self) -> TrialRecord | None:
        """The trial of the point that the space wants tried first; None if it names none or the trial is missing."""
        firsts = [trial for trial in self.trials if trial.first]
        return min(firsts, key=lambda trial: trial.number, default=None)

    @property
    def start_name(self) -> str:
        """What the point tried first is called: a space that we ship begins with the authors' setting."""
        return "authors' setting" if self.space.shipped else "first point"

    def gain(self) -> float | None:
        """How much better the winner's score is than the first point's, in percent of it; None if one is missing."""
        best, start = self.best, self.start
        if best is None or start is None or not start.counts or not best.score or not start.score or start.score < 0:
            return None
        return (1 if self.bigger else -1) * 100 * (best.score / start.score - 1)


# Writing


def write_data(record: SearchRecord, folder: Path) -> list[Path]:
    """Write the files of the module's text; evaluations that a retried trial repeated count once, the last.

    Returns:
        the files.
    """
    texts = {
        RECORD: json.dumps(_about(record), indent=2, ensure_ascii=False) + "\n",
        TRIALS: _trials_text(record),
        EPOCHS: _in_order(record.epochs).to_csv(index=False),
    }
    return [write_file(Path(folder, name), text) for name, text in texts.items()]


def write_file(path: Path, content: str | bytes) -> Path:
    """Write a file, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    # The text of an error may hold what is no Unicode; it must not cost a search its record.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _about(record: SearchRecord) -> dict[str, Any]:
    rest = {entry.name: getattr(record, entry.name) for entry in fields(record)}
    del rest["trials"], rest["epochs"]
    return plain({**rest, "space": {**asdict(record.space), "source": record.space.origin}})  # type: ignore[no-any-return]


def _trials_text(record: SearchRecord) -> str:
    options = dict.fromkeys([*record.space.names(), *(name for trial in record.trials for name in trial.config)])
    columns = [entry.name for entry in fields(TrialRecord) if entry.name != "config"]
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *(_OPTION + name for name in options)])
    for trial in sorted(record.trials, key=lambda trial: trial.number):
        own = [_cell(getattr(trial, column)) for column in columns]
        writer.writerow([*own, *(exact(trial.config[name]) if name in trial.config else "" for name in options)])
    return text.getvalue()


def _cell(value: Any) -> str:
    value = plain(value)
    if value is None:
        return ""
    return float.__repr__(value) if isinstance(value, float) else str(value)[-_LONGEST:]


def _in_order(epochs: pd.DataFrame) -> pd.DataFrame:
    if epochs.empty:
        return pd.DataFrame(columns=list(dict.fromkeys([*EPOCH_COLUMNS, *epochs.columns])))
    ordered = epochs.sort_values(["number", "epoch"], kind="stable", ignore_index=True)
    return ordered.drop_duplicates(["number", "epoch"], keep="last", ignore_index=True)


# Reading


def read(folder: Path) -> SearchRecord:
    """The record in a folder.

    Raises:
        InputError: there is none, or a file is not as :func:`write_data` writes it.
    """
    about = _read_about(folder / RECORD)
    trials, epochs = _read_trials(folder / TRIALS), _read_epochs(folder / EPOCHS)
    return replace(about, trials=trials, epochs=epochs)


def _read_about(path: Path) -> SearchRecord:
    if not path.is_file():
        raise InputError(f"{path.parent} holds no search: {path.name} is missing. Give the folder DIR/DATASET/MODEL.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SearchRecord(**{**content, "space": _space(content["space"]), "trials": [], "epochs": pd.DataFrame()})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not of `recbole-vagnn tune`: {error}. Search again into another --out.") from None


def _space(content: dict[str, Any]) -> Space:
    parameters = tuple(Parameter(**{**entry, "values": tuple(entry["values"])}) for entry in content["parameters"])
    return Space(**{**content, "parameters": parameters, "first": tuple(content["first"])})


def _read_trials(path: Path) -> list[TrialRecord]:
    trials = []
    for line, row in _rows(path):
        values: dict[str, Any] = {"config": {}}
        for column, text in row.items():
            try:
                if not column.startswith(_OPTION):
                    values[column] = _READERS[column](text)
                elif text:
                    values["config"][column.removeprefix(_OPTION)] = read_exact(text)
            except (ValueError, KeyError, yaml.YAMLError):
                raise InputError(
                    f"{path}, line {line}: {column} is {text!r}, which cannot be read. Mend or remove that row."
                ) from None
        trials.append(TrialRecord(**values))
    return trials


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Line and cells of each row."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or ()
            if missing := [name for name in _READERS if name not in columns]:
                raise InputError(f"{path} has no column {', '.join(missing)}: it is not of `recbole-vagnn tune`.")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}, line {reader.line_num}: a row needs {len(columns)} cells. Mend it.")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}. Search again into another --out.") from None


def _state(text: str) -> str:
    if text not in STATES:
        raise ValueError(text)
    return text


def _flag(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _optional(read_one: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read_one(text) if text else None


_READERS: dict[str, Callable[[str], Any]] = {
    "trial": str,
    "number": int,
    "state": _state,
    "score": _optional(float),
    "best_epoch": _optional(int),
    "epochs": int,
    "seconds": float,
    "attempts": int,
    "first": _flag,
    "seed": _optional(int),
    "node": str,
    "error": str,
}


def _read_epochs(path: Path) -> pd.DataFrame:
    try:
        # Ids as they stand ("007" and "nan" are names) and numbers to the last digit.
        epochs = pd.read_csv(path, converters={"trial": str}, float_precision="round_trip")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Search again into another --out.") from None
    if missing := [name for name in EPOCH_COLUMNS if name not in epochs]:
        raise InputError(f"{path} has no column {', '.join(missing)}: it is not of `recbole-vagnn tune`.")
    return epochs
