"""What a report says of one search: words, parameters, the winner's test runs, trials and figures.

It is a section of any page of ours, kept as section.html: of the search's own report, and of the overview of a tuning.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import Any

import pandas as pd

from recbole_vagnn.experiments.drawing import Picture
from recbole_vagnn.experiments.page import figure, items, section, table
from recbole_vagnn.experiments.records import file_name
from recbole_vagnn.experiments.summary import Summary, heading, summarise
from recbole_vagnn.experiments.tables import NONE, Cell, Column, Table, percent_text
from recbole_vagnn.experiments.tuning.cost import cost_of, sentences
from recbole_vagnn.experiments.tuning.importance import Importance
from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.scale import scale_of
from recbole_vagnn.experiments.tuning.store import SearchRecord, TrialRecord
from recbole_vagnn.experiments.tuning.values import duration, short

_BEGIN, _END = "<!-- runs of the winner -->", "<!-- end of runs -->"
_SHOWN = 30  # trials in the table
_LONGEST = 300  # characters of an error


def search_section(record: SearchRecord, found: Importance, pictures: Sequence[Picture]) -> str:
    """The section of a search, with an empty place for the winner's runs (:func:`with_runs`).

    Args:
        record: the search.
        found: importance of its parameters.
        pictures: its figures.
    """
    parts = [items(words(record)), _BEGIN + _END]
    if record.space.parameters:
        parts.append(table(_parameters(record, found)))
    parts += [figure(picture) for picture in pictures]
    if record.trials:
        parts.append(table(_trials(record)))
    if failed := [_failure(trial) for trial in record.trials if trial.state == "failed"]:
        parts.append(f"<h3>Failed trials</h3>{items(failed)}")
    return section(f"{record.name} on {record.dataset}", section_name(record), parts)


def section_name(record: SearchRecord) -> str:
    """The id of a search's section; no two searches of a page have the same."""
    return f"search-{file_name(record.dataset)}-{file_name(record.name)}"


def with_runs(text: str, dataset: str, final: pd.DataFrame) -> str:
    """A section whose table of the winner's runs has these rows of final.csv; none = no table."""
    shown = table(_tests(dataset, final)) if len(final) else ""
    before, _, rest = text.partition(_BEGIN)
    return before + _BEGIN + shown + _END + rest.partition(_END)[2]


# Words


def words(record: SearchRecord) -> list[str]:
    """What was found, by which effort."""
    return [_found(record), *sentences(cost_of(record)), _effort(record), *_end(record)]


def _found(record: SearchRecord) -> str:
    best, metric = record.best, heading(record.metric.lower())
    if best is None or best.score is None or best.best_epoch is None:
        return "No trial came to a score."
    sentence = f"Best validation {metric}: {best.score:.4f} by trial {best.number}, epoch {best.best_epoch + 1}"
    start, gain = record.start, record.gain()
    if best is start:
        return f"{sentence}: the {record.start_name}. No other trial was better."
    if gain is None or start is None:
        return f"{sentence}."
    return (
        f"{sentence}: {percent_text(gain)} against the {record.start_name} ({start.score:.4f}). The best of several "
        f"validation scores is optimistic; the runs on test data are not."
    )


def _effort(record: SearchRecord) -> str:
    budget = record.budget
    limit = budget.get("seconds")
    asked = f"{budget['trials']} trials of at most {budget['epochs']} epochs" + (
        "" if limit is None else f" within {duration(float(limit))}"
    )
    stops = f"a trial ends after {budget['patience']} evaluations without improvement"
    halving = f"from {budget['grace']} evaluations on one in {short(budget['reduction'])} outlives each rung"
    shares = f"{short(budget['cpus'])} CPU, {short(budget['gpus'])} GPU and {budget['torch_threads']} thread(s) a trial"
    how = "every point, once" if _is_whole(record) else f"{budget['search']}, seed {budget['seed']}"
    return f"Budget: {asked}; {how}; {stops}; {halving}; {shares}."


def _is_whole(record: SearchRecord) -> bool:
    size = record.space.size
    return size is not None and size <= int(record.budget["trials"])


def _end(record: SearchRecord) -> list[str]:
    ended = str(record.budget.get("ended"))
    if record.budget.get("hopeless"):
        return [f"The search was given up: {_cut(ended)}"]
    return [] if ended == "all trials done" else [f"The search ended before all trials were done: {ended}."]


def _failure(trial: TrialRecord) -> str:
    return f"Trial {trial.number} ({_options(trial)}): {_cut(trial.error) or 'no reason known'}"


def _options(trial: TrialRecord) -> str:
    return ", ".join(f"{name} {short(value)}" for name, value in trial.config.items()) or "no options"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


# Tables


def _parameters(record: SearchRecord, found: Importance) -> Table:
    """The parameters, the most important first."""
    by_name = {parameter.name: parameter for parameter in record.space.parameters}
    start = record.start
    shown = [trial for trial in (start, record.best) if trial is not None]
    names = [record.start_name.capitalize()] * (start is not None) + ["Best"] * (record.best is not None)
    rows = [
        (str(row["parameter"]), (*_values(by_name[row["parameter"]], shown), *_weights(row, found.method)))
        for row in found.table.to_dict("records")
    ]
    weights = ("Importance", "By chance", "Correlation") if found.method == "fanova" else ("Correlation",)
    return Table(
        dataset=record.dataset,
        title="Parameters",
        headings=("Parameter", *names, "Searched", *weights),
        rows=tuple(rows),
        notes=(found.note, "Correlation: of larger values with better scores, by rank."),
    )


def _values(parameter: Parameter, trials: Sequence[TrialRecord]) -> list[Cell]:
    scale = scale_of(parameter)
    values = [trial.config.get(parameter.name) for trial in trials]
    searched = parameter.describe() + (", logarithmic" if scale.log else "")
    return [*(Cell(short(value), scale.place(value)) for value in values), Cell(searched)]


def _weights(row: dict[Any, Any], method: str) -> list[Cell]:
    correlation = _number(row["correlation"], "+.2f")
    if method != "fanova":
        return [correlation]
    share, spread, chance = row["importance"], row["spread"], row["chance"]
    text = f"{share:.2f}" + ("" if isnan(spread) else f" ± {spread:.2f}")
    return [Cell(text, share, "best" if share > chance else ""), _number(chance, ".2f"), correlation]


def _number(value: float, form: str) -> Cell:
    return Cell(NONE) if isnan(value) else Cell(f"{value:{form}}".replace("-", "−"), value)


def _tests(dataset: str, final: pd.DataFrame) -> Table:
    """The winner's runs; a row for each seed."""
    (summary,) = summarise(final)
    columns = [Column(f"test_{name}", heading(name), 1, 4) for name in summary.metrics]
    rows = [
        (f"seed {row['seed']}", tuple(Cell(column.text(row[column.name]), row[column.name]) for column in columns))
        for row in final.sort_values("seed").to_dict("records")
    ]
    return Table(
        dataset=dataset,
        title="The winner on test data",
        headings=("Run", *(column.heading for column in columns)),
        rows=tuple(rows),
        footer=(("mean ± standard deviation", tuple(_mean(summary, column) for column in columns)),),
        notes=("Trained anew with each seed after the search, which never had the test data.",),
    )


def _mean(summary: Summary, column: Column) -> str:
    (model,) = summary.models
    return column.text(summary.means.at[model, column.name], summary.stds.at[model, column.name])


def _trials(record: SearchRecord) -> Table:
    """The trials, best first."""
    sign = -1 if record.bigger else 1
    order = [*sorted(record.scored, key=lambda trial: sign * (trial.score or 0.0))]
    order += [trial for trial in record.trials if not trial.counts]
    scales = [scale_of(parameter) for parameter in record.space.parameters]
    rows = []
    for trial in order[:_SHOWN]:
        values = [trial.config.get(scale.name) for scale in scales]
        options = [Cell(short(value), scale.place(value)) for scale, value in zip(scales, values, strict=True)]
        rows.append((str(trial.number), (*_outcome(trial, record), *options)))
    left = f"The best {_SHOWN} of {len(order)}; trials.csv has all." if len(order) > _SHOWN else ""
    return Table(
        dataset=record.dataset,
        title="Trials",
        headings=(
            *("Trial", heading(record.metric.lower()), "Best epoch", "Epochs", "Time", "End", "Attempts"),
            *(scale.name for scale in scales),
        ),
        rows=tuple(rows),
        notes=tuple(note for note in (left,) if note),
    )


def _outcome(trial: TrialRecord, record: SearchRecord) -> list[Cell]:
    score = Cell(NONE)
    if trial.counts and trial.score is not None:
        score = Cell(f"{trial.score:.4f}", trial.score, "best" if trial is record.best else "")
    epoch = nan if trial.best_epoch is None else float(trial.best_epoch + 1)
    return [
        score,
        _number(epoch, ".0f"),
        Cell(str(trial.epochs), trial.epochs),
        Cell(duration(trial.seconds), trial.seconds),
        Cell(trial.state + (", tried first" if trial.first else "")),
        Cell(str(trial.attempts), trial.attempts),
    ]
