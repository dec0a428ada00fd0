"""The overview of all searches in a folder: what tuning gained and cost, as report.html, searches.md, searches.csv."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import tables
from recbole_vagnn.experiments.markup import md_table
from recbole_vagnn.experiments.page import items, page, section, table
from recbole_vagnn.experiments.summary import heading, summarise
from recbole_vagnn.experiments.tables import NONE, Cell, Table, percent_text
from recbole_vagnn.experiments.tuning.cost import Cost, cost_of, sentences, total
from recbole_vagnn.experiments.tuning.final import read_final
from recbole_vagnn.experiments.tuning.section import section_name
from recbole_vagnn.experiments.tuning.store import RECORD, SearchRecord, read, write_file
from recbole_vagnn.experiments.tuning.values import duration, short

REPORT, SECTION = "report.html", "section.html"
OVERVIEW, OVERVIEW_TABLE = "searches.csv", "searches.md"
_TITLE = "Hyper-parameter search"
_FAIRNESS = (
    "Every search had the same budget, chose by validation data and never had the test data. Whether a tuned model is "
    "better than another is for `recbole-vagnn benchmark --tuned`, which tests it."
)
_NOTES = (
    "Gain: of the best validation score over the point tried first. The best of several scores is optimistic, the more "
    "so the more trials there were.",
    "Time: of training and validation, summed over trials; what is computed before the first epoch, as linear models "
    "do, is in the wall time alone. Saved: what early stopping saved, an estimate: had each stopped trial trained as "
    "long as the others of its search did on average.",
)


@dataclass(frozen=True)
class Found:
    """A search that was read.

    Attributes:
        record: it.
        final: rows of final.csv.
        section: its section of a page; empty where section.html is not there.
    """

    record: SearchRecord
    final: pd.DataFrame
    section: str


def read_all(directory: Path) -> list[Found]:
    """All searches in ``directory/DATASET/LABEL`` that are over and written, by data set and label."""
    folders = sorted(path.parent for path in directory.glob(f"*/*/{RECORD}"))
    return [Found(read(folder), read_final(folder), _section(folder)) for folder in folders]


def _section(folder: Path) -> str:
    path = folder / SECTION
    return path.read_text("utf-8") if path.is_file() else ""


def write_overview(directory: Path) -> list[Path]:
    """Write report.html, searches.md and searches.csv of all searches in a folder.

    Args:
        directory: DIR of ``recbole-vagnn tune``.

    Returns:
        the files, report.html first; none without a search that is over.
    """
    found = read_all(directory)
    if not found:
        return []
    records = [one.record for one in found]
    return [
        write_file(directory / REPORT, html(found)),
        write_file(directory / OVERVIEW_TABLE, markdown(records)),
        write_file(directory / OVERVIEW, overview(records).to_csv(index=False)),
    ]


def overview(records: Sequence[SearchRecord]) -> pd.DataFrame:
    """A row for each search: what was found and what it cost, unrounded.

    Columns: ``dataset``, ``model`` (label), ``metric``, ``best`` and ``first`` (validation scores), ``gain`` (percent),
    ``search``, ``seed``, ``ended``, then those of :class:`.cost.Cost`.
    """
    return pd.DataFrame([{**_about(record), **asdict(cost_of(record))} for record in records])


def _about(record: SearchRecord) -> dict[str, Any]:
    best, start = record.best, record.start
    return {
        "dataset": record.dataset,
        "model": record.name,
        "metric": record.metric,
        "best": None if best is None else best.score,
        "first": start.score if start is not None and start.counts else None,
        "gain": record.gain(),
        **{key: record.budget.get(key) for key in ("search", "seed", "ended")},
    }


# The page


def html(found: Sequence[Found]) -> str:
    """The overview as one page, with a section for every search."""
    links = [
        f'<a href="#{section_name(one.record)}">{escape(f"{one.record.name} on {one.record.dataset}")}</a>'
        for one in found
    ]
    body = [f"<h1>{_TITLE}</h1>", f"<nav>{' · '.join(links)}</nav>", summary_section(found)]
    for i, dataset in enumerate(dict.fromkeys(one.record.dataset for one in found)):
        finals = [one.final for one in found if one.record.dataset == dataset and len(one.final)]
        if finals:
            body.append(section(f"The winners on test data: {dataset}", f"d{i}", _winners(finals)))
    return page(_TITLE, [*body, *(one.section for one in found)])


def summary_section(found: Sequence[Found], title: str = "In words", name: str = "tuning") -> str:
    """What all searches found and cost, as a section of any page of ours."""
    records = [one.record for one in found]
    return section(title, name, [items(_words(records)), *map(table, _tables(records))])


def markdown(records: Sequence[SearchRecord]) -> str:
    """What all searches found and cost, as the page says it, to be pasted into a document."""
    lines = [f"# {_TITLE}", "", *(f"- {sentence}" for sentence in _words(records)), ""]
    for content in _tables(records):
        lines += [f"## {content.title}", "", *md_table(content), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in _NOTES)])


def tuned_section(directory: Path, datasets: Collection[str], labels: Collection[str]) -> str:
    """How the models of a benchmark were tuned, for its report; empty if no search is beside its tuned settings.

    Args:
        directory: ``DIR/tuned``, as given to ``recbole-vagnn benchmark --tuned``.
        datasets, labels: of the benchmark.
    """
    found = [one for one in read_all(directory.parent) if one.record.dataset in datasets and one.record.name in labels]
    return summary_section(found, "How the models were tuned") if found else ""


def search_page(title: str, content: str) -> str:
    """The report of one search, of its section."""
    return page(title, [f"<h1>{_TITLE}</h1>", content])


def _words(records: Sequence[SearchRecord]) -> list[str]:
    gains = [gain for record in records if (gain := record.gain()) is not None]
    better = sum(gain > 0 for gain in gains)
    sentence = f"{len(records)} search{'es' * (len(records) != 1)}"
    if gains:
        sentence += f", {better} of which found something better than the point tried first"
    budgets = list(dict.fromkeys(map(_budget, records)))
    same = [f"Budget of each: {budgets[0]}.", _FAIRNESS]
    differ = [f"Budgets differ: {'; '.join(budgets)}. Scores are not comparable."]
    return [f"{sentence}.", *sentences(total(records)), *(same if len(budgets) == 1 else differ)]


def _budget(record: SearchRecord) -> str:
    """The effort in words; a space with fewer points needs fewer trials, a model that is computed has one epoch."""
    budget = record.budget
    limit = budget.get("seconds")
    time = "" if limit is None else f", {duration(float(limit))}"
    return (
        f"{budget['trials']} trials{time}, patience {budget['patience']}, grace {budget['grace']}, reduction "
        f"{short(budget['reduction'])}, {budget['search']}, seed {budget['seed']}"
    )


_Text = Callable[[float], str]


def _tables(records: Sequence[SearchRecord]) -> list[Table]:
    groups = dict.fromkeys((record.dataset, record.metric) for record in records)
    return [_table([r for r in records if (r.dataset, r.metric) == group]) for group in groups]


def _table(records: Sequence[SearchRecord]) -> Table:
    """Searches of one data set and metric."""
    metric, rows = heading(records[0].metric.lower()), []
    start = "Authors' setting" if all(r.start_name == "authors' setting" for r in records) else "First point"
    for record in records:
        about, cost = _about(record), cost_of(record)
        cells = (
            _cell(about["best"], lambda score: f"{score:.4f}"),
            _cell(about["first"], lambda score: f"{score:.4f}"),
            _cell(about["gain"], percent_text),
            *_cost_cells(cost),
        )
        rows.append((record.name, cells))
    costs = total(records)
    return Table(
        dataset=records[0].dataset,
        title=f"{records[0].dataset}: validation {metric}",
        headings=("Model", f"Best {metric}", start, "Gain", *_COST),
        rows=tuple(rows),
        footer=(("all", ("", "", "", *(cell.text for cell in _cost_cells(costs)))),),
        notes=_NOTES,
    )


_COST = ("Trials", "Stopped", "Failed", "Epochs", "Epochs saved", "Time", "Time saved", "Wall time")


def _cost_cells(cost: Cost) -> list[Cell]:
    whole: _Text = "{:,.0f}".format
    shown: list[tuple[float, _Text]] = [
        *((n, whole) for n in (cost.trials, cost.stopped, cost.failed, cost.epochs, cost.saved)),
        *((seconds, duration) for seconds in (cost.seconds, cost.seconds_saved, cost.wall_seconds)),
    ]
    return [_cell(value, text) for value, text in shown]


def _cell(value: float | None, text: _Text) -> Cell:
    number = nan if value is None else float(value)
    return Cell(NONE) if isnan(number) else Cell(text(number), number)


def _winners(finals: Iterable[pd.DataFrame]) -> list[str]:
    """Tables of the winners' runs on one data set; a sentence where they cannot stand in one."""
    try:
        (summary,) = summarise(pd.concat(list(finals), ignore_index=True))
    except InputError as error:
        return [items([f"No common table: {error}"])]
    return [table(content) for content in tables.tables(summary)]
