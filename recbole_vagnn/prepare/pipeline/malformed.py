"""Rows that cannot be read: counted, the first few kept for the report, an error when they are too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recbole_vagnn.errors import InputError

_SHOWN = 5
_WIDTH = 80
_EARLY = 1000  # so many malformed rows that waiting for the end of the file would waste the user's time


@dataclass(frozen=True)
class BadRow:
    """One malformed row: file, line (from 1; a Parquet file's rows count from 1 too), why, and its text."""

    file: str
    line: int
    reason: str
    text: str

    def __str__(self) -> str:
        text = self.text if len(self.text) <= _WIDTH else self.text[: _WIDTH - 1] + "…"
        return f"{self.file}, line {self.line}: {self.reason} ({text!r})"


@dataclass
class Malformed:
    """Counter of malformed rows of all files of a source.

    Attributes:
        max_share: largest share of a file's rows that may be malformed.
        rows: rows read, good and bad, by file name.
        bad: malformed rows by file name.
        reasons: malformed rows by reason.
        first: the first few of each file.
    """

    max_share: float = 0.001
    rows: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    first: list[BadRow] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Malformed rows of all files."""
        return sum(self.bad.values())

    def read(self, path: Path, rows: int) -> None:
        """Count ``rows`` more rows of a file, malformed ones included."""
        self.rows[path.name] = self.rows.get(path.name, 0) + rows

    def add(self, path: Path, line: int, reason: str, text: str, count: int = 1) -> None:
        """Count ``count`` malformed rows, of which the first is at ``line``."""
        shown = sum(row.file == path.name for row in self.first)
        if shown < _SHOWN:
            self.first.append(BadRow(path.name, line, reason, text))
        self.bad[path.name] = self.bad.get(path.name, 0) + count
        self.reasons[reason] = self.reasons.get(reason, 0) + count

    def check(self, path: Path, *, finished: bool) -> None:
        """Raise InputError when too many of a file's rows are malformed.

        Args:
            path: the file.
            finished: whether all of it was read; before that, only a large number of bad rows counts.
        """
        bad, rows = self.bad.get(path.name, 0), self.rows.get(path.name, 0)
        if bad <= self.max_share * rows or not (finished or bad > _EARLY):
            return
        shown = "\n  ".join(str(row) for row in self.first if row.file == path.name)
        so_far = "" if finished else " read so far"
        raise InputError(
            f"{path}: {bad:,} of {rows:,} rows{so_far} are malformed ({bad / rows:.2%}, allowed "
            f"{self.max_share:.2%}). The first:\n  {shown}\nCorrect the file, check that it is what the source "
            f"expects, or allow more with --max-malformed."
        )
