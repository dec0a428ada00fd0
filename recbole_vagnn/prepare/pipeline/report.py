"""What became of the input, row by row: printed, and saved beside the data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recbole_vagnn.prepare.pipeline.loading import Loaded
from recbole_vagnn.prepare.pipeline.malformed import Malformed
from recbole_vagnn.prepare.pipeline.selection import PairCounts, Step
from recbole_vagnn.prepare.pipeline.statistics import Statistics


@dataclass(frozen=True)
class Report:
    """Everything that is told about a preparation.

    Attributes:
        name: of the data set.
        malformed: rows that could not be read.
        loaded: what was counted while loading.
        steps: what each filter left.
        pairs: what became of the follow pairs.
        statistics: the data set in figures.
        remarks: sentences about the input.
    """

    name: str
    malformed: Malformed
    loaded: Loaded
    steps: list[Step]
    pairs: PairCounts
    statistics: Statistics
    remarks: list[str]

    def rows(self) -> list[tuple[str, int, int]]:
        """(what, rows left out, rows left) from the log's first row to the last filter."""
        loaded, first = self.loaded, self.steps[0]
        inside = loaded.rows - loaded.outside
        rows = [("readable rows of interactions", 0, loaded.rows)]
        if loaded.outside:
            rows.append(("outside the time window", loaded.outside, inside))
        if loaded.negative:
            rows.append(("no interaction by --positive", loaded.negative, first.interactions))
        return rows + [(step.title, step.dropped, step.interactions) for step in self.steps[1:]]

    def notes(self) -> list[str]:
        """Sentences that a person should read."""
        notes = []
        if self.malformed.total:
            rows = sum(self.malformed.rows.values())
            reasons = "; ".join(f"{count:,} × {reason}" for reason, count in sorted(self.malformed.reasons.items()))
            notes.append(f"{self.malformed.total:,} of {rows:,} rows are malformed and left out: {reasons}.")
        if self.loaded.conflicts:
            notes.append(f"{self.loaded.conflicts:,} items are named with several vloggers; the first row counts.")
        if self.loaded.without_row:
            notes.append(f"{self.loaded.without_row:,} items of the log have no row of their own; vlogger unknown.")
        pairs = self.pairs
        if pairs.read:
            notes.append(
                f"Of {pairs.read:,} follow pairs, {pairs.no_user:,} have a user and {pairs.no_vlogger:,} a vlogger "
                f"that is not in the data; {pairs.kept:,} stay."
            )
        if pairs.untimed:
            notes.append(
                f"{pairs.untimed:,} follow pairs have no time: they may be younger than held-out interactions. For a "
                f"comparison that cannot leak, set aux_pairs: interactions."
            )
        return notes + self.remarks

    def plain(self) -> dict[str, Any]:
        """The report as JSON values."""
        malformed = self.malformed
        return {
            "name": self.name,
            "numbers": self.statistics.numbers,
            "rows": {"read": self.loaded.rows, "malformed": malformed.total} | asdict(self.loaded),
            "malformed": {
                "by file": malformed.bad,
                "by reason": malformed.reasons,
                "first": [*map(str, malformed.first)],
            },
            "steps": [asdict(step) for step in self.steps],
            "follow pairs": asdict(self.pairs),
            "notes": self.notes(),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.report.json and NAME.report.md; returns the files."""
        files = [folder / f"{self.name}.report.json", folder / f"{self.name}.report.md"]
        content = json.dumps(self.plain(), indent=1, default=_json_number, ensure_ascii=False)
        files[0].write_text(content + "\n", encoding="utf-8")
        files[1].write_text(self._markdown(), encoding="utf-8")
        return files

    def show(self, console: Console) -> None:
        """Print the report."""
        table = Table("what", "left out", "left", title=f"Interactions of {self.name}", title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for what, dropped, left in self.rows():
            table.add_row(what, f"{dropped:,}" if dropped else "", f"{left:,}")
        console.print(table)
        numbers = Table("figure", "value", show_header=False, title=self.name, title_justify="left")
        numbers.columns[1].justify = "right"
        for what, value in self.statistics.numbers.items():
            numbers.add_row(what, _shown(what, value))
        console.print(numbers)
        for note in self.notes():
            console.print(f"• {note}", highlight=False)
        for row in self.malformed.first:
            console.print(f"  {row}", highlight=False, style="dim")

    def _markdown(self) -> str:
        lines = [f"# {self.name}", "", f"![distributions]({self.name}.report.png)", ""]
        lines += ["| interactions | left out | left |", "|---|---:|---:|"]
        lines += [f"| {what} | {dropped:,} | {left:,} |" for what, dropped, left in self.rows()]
        lines += ["", "| figure | value |", "|---|---:|"]
        lines += [f"| {what} | {_shown(what, value)} |" for what, value in self.statistics.numbers.items()]
        lines += ["", *(f"- {note}" for note in self.notes())]
        if self.malformed.first:
            lines += ["", "Malformed rows, the first of each file:", "", *(f"- {row}" for row in self.malformed.first)]
        return "\n".join(lines).rstrip() + "\n"


def _shown(what: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value) if "time" in what and "pairs" not in what else f"{value:,}"
    return f"{value:.4g}" if what == "density" else str(value)


def _json_number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
