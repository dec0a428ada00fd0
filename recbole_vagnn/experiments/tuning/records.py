"""All files of a search that is over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recbole_vagnn.experiments.tuning.best import write_best
from recbole_vagnn.experiments.tuning.figures import draw
from recbole_vagnn.experiments.tuning.final import FINAL, read_final
from recbole_vagnn.experiments.tuning.importance import importance
from recbole_vagnn.experiments.tuning.report import REPORT, SECTION, search_page
from recbole_vagnn.experiments.tuning.section import search_section, with_runs
from recbole_vagnn.experiments.tuning.store import RECORD, SearchRecord, read, write_data, write_file

IMPORTANCE, FIGURES = "importance.csv", "figures"


def write(record: SearchRecord, folder: Path) -> list[Path]:
    """Write record.json, trials.csv, epochs.csv, importance.csv, figures/, report.html and best.yaml.

    best.yaml is the last: where it is, all is.

    Args:
        record: the search.
        folder: of the search.

    Returns:
        the files.
    """
    return [*write_data(record, folder), *_write_findings(record, folder), *write_best(record, folder)]


def write_missing_reports(directory: Path) -> list[Path]:
    """Draw and write again what is made of a record, where it is not there: who keeps results may leave it out.

    Args:
        directory: DIR of ``recbole-vagnn tune``, with the searches as ``DATASET/LABEL``.

    Returns:
        the files.
    """
    folders = [path.parent for path in sorted(directory.glob(f"*/*/{RECORD}"))]
    bare = [folder for folder in folders if not (folder / SECTION).is_file()]
    return [path for folder in bare for path in _write_findings(read(folder), folder)]


def _write_findings(record: SearchRecord, folder: Path) -> list[Path]:
    """Importance, figures and report."""
    found = importance(record)
    pictures = draw(record, found)
    text = with_runs(search_section(record, found, pictures), record.dataset, read_final(folder))
    return [
        write_file(folder / IMPORTANCE, found.table.to_csv(index=False)),
        *(write_file(folder / FIGURES / f"{picture.kind}.png", picture.png) for picture in pictures),
        *_write_report(folder, record, text),
    ]


def add_final(folder: Path, runs: pd.DataFrame) -> None:
    """Write final.csv, and the report that shows it.

    Args:
        folder: of a search that is written.
        runs: all rows.
    """
    write_file(folder / FINAL, runs.to_csv(index=False))
    record, section = read(folder), folder / SECTION
    if section.is_file():
        _write_report(folder, record, with_runs(section.read_text("utf-8"), record.dataset, runs))
    else:
        _write_findings(record, folder)


def _write_report(folder: Path, record: SearchRecord, section: str) -> list[Path]:
    page = search_page(f"{record.name} on {record.dataset}", section)
    return [write_file(folder / SECTION, section), write_file(folder / REPORT, page)]
