"""Tables of a benchmark as data: accuracy, exposure and cost of every model; CSV of all their numbers.

Per data set one accuracy table for each cut-off, one of exposure (how recommendations spread over items and vloggers)
and one of cost. A cell is mean ± standard deviation over seeds (n − 1); one seed has no ±. The best value of a column
is bold, the second best underlined; values that print alike are alike, so several models may share a mark. Under the
accuracy stands what each model of ours gains over the best rival, in percent, from unrounded means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, isnan, log10, nan
from typing import Any

import pandas as pd

from recbole_vagnn.experiments.summary import EXPOSURE, Summary, base_name, by_cut_off, heading

NONE = "—"
LEVEL = 0.05  # of significance
UNTESTED = (
    "No significance is given: a test of untuned models would say whose authors' settings happen to fit these data, "
    "not which model is better."
)
STAR = f"* significant: Holm-corrected p < {LEVEL} of the two-sided paired t test over users."
LEGEND = (
    "Mean ± standard deviation over seeds (n − 1; none for one seed). Best bold, second underlined, by printed value. "
    f"{NONE} = no run."
)
_COST = {  # column → heading
    "build_seconds": "Building s",
    "train_seconds": "Training s",
    "epoch_seconds": "s per epoch",
    "epochs": "Epochs",
    "valid_seconds": "Validation s",
    "test_seconds": "Test s",
    "peak_memory_mb": "Peak memory MiB",
    "peak_gpu_memory_mb": "Peak GPU memory MiB",
    "parameters": "Parameters",
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: column of runs.csv.
        heading: what people read.
        better: 1 = larger is better, −1 = smaller, 0 = nothing is marked.
        digits: decimals; None = three significant digits of each mean.
    """

    name: str
    heading: str
    better: int
    digits: int | None

    def text(self, mean: float, std: float = nan) -> str:
        """A mean as it prints, with its deviation if there is one."""
        digits = _digits(mean, significant=3) if self.digits is None else self.digits
        return f"{mean:,.{digits}f}" + ("" if isnan(std) else f" ± {std:,.{digits}f}")


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: as it prints.
        value: to sort by; NaN = nothing.
        mark: "best", "second" or "".
    """

    text: str
    value: float = nan
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table of one data set.

    Attributes:
        dataset, title: what it shows.
        headings: of the columns, that of the models first and that of the seeds last.
        rows: label and cells of each model.
        footer: label and texts of the rows about ours.
        notes: sentences under it.
    """

    dataset: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    footer: tuple[tuple[str, tuple[str, ...]], ...] = ()
    notes: tuple[str, ...] = ()


# From summaries to tables


def tables(summary: Summary, significance: pd.DataFrame | None = None) -> list[Table]:
    """The tables of a data set: accuracy for each cut-off, exposure, cost.

    Args:
        summary: of the data set.
        significance: see ``significance_table``; used for tuned models only.
    """
    found = [_accuracy(summary, names, significance) for names in by_cut_off(summary.metrics).values()]
    if summary.ours and not summary.tuned and found:
        found[0] = replace(found[0], notes=(*found[0].notes, UNTESTED))
    if shown := next(iter(by_cut_off(summary.exposures).values()), None):
        found.append(_exposure(summary, shown))
    found.append(_cost(summary))
    return found


def _accuracy(summary: Summary, metrics: list[str], significance: pd.DataFrame | None) -> Table:
    columns = [Column(f"test_{name}", heading(name), 1, 4) for name in metrics]
    tested = significance if summary.tuned else None
    footer = [(f"{own} over the best rival", _gains(summary, own, metrics, tested)) for own in summary.ours]
    cut_off = metrics[0].partition("@")[2]
    notes = [] if not any("*" in text for _, texts in footer for text in texts) else [STAR]
    title = f"Accuracy at {cut_off}" if cut_off else "Accuracy"
    return _table(summary, title, columns, footer, notes)


def _gains(summary: Summary, own: str, metrics: list[str], significance: pd.DataFrame | None) -> tuple[str, ...]:
    """Text of the improvement for each metric, starred where it is significant."""
    texts = []
    for metric in metrics:
        gain = summary.gain(own, metric)
        if gain is None or isnan(gain.percent):
            texts.append(NONE)
            continue
        tested = None if significance is None else comparison(significance, summary.dataset, metric, own, gain.rival)
        star = "*" if tested is not None and tested["t_p_two_sided_holm"] < LEVEL else ""
        texts.append(percent_text(gain.percent) + star)
    return tuple(texts)


def comparison(significance: pd.DataFrame, dataset: str, metric: str, ours: str, rival: str) -> Any:
    """The row of ``significance_table`` for a pair, or None."""
    wanted = {"dataset": dataset, "metric": metric, "ours": ours, "rival": rival}
    if significance.empty:
        return None
    rows = significance[(significance[list(wanted)] == list(wanted.values())).all(axis=1)]
    return None if rows.empty else rows.iloc[0]


def percent_text(percent: float) -> str:
    """``+3.2 %``, with a true minus."""
    text = f"{percent:+.1f}"
    return ("0.0" if float(text) == 0 else text.replace("-", "−")) + " %"


def _exposure(summary: Summary, metrics: list[str]) -> Table:
    columns = []
    for name in metrics:
        better = EXPOSURE[base_name(name)]
        arrow = {1: " ↑", -1: " ↓", 0: ""}[better]
        digits = _digits(float(summary.means[f"test_{name}"].abs().max()), significant=4)
        columns.append(Column(f"test_{name}", heading(name) + arrow, better, digits))
    notes = ["Random recommendations would spread best: read this beside the accuracy."]
    return _table(summary, "Exposure: who gets recommended", columns, [], notes)


def _cost(summary: Summary) -> Table:
    present = [name for name in _COST if name in summary.means and summary.means[name].notna().any()]
    columns = [Column(name, _COST[name], 0, {"parameters": 0, "epochs": 1}.get(name)) for name in present]
    threads = summary.facts["threads"]
    notes = [
        "Building is what comes before the first epoch, data apart; linear and counting models are fitted there. "
        "Training is the sum of its epochs, without evaluation. Memory is the largest of the run's process. Parameters "
        "are those that gradients train: linear and counting models keep theirs elsewhere."
    ]
    if len(threads) == 1:
        notes.append(f"Threads of each run: {threads[0]}.")
    elif threads:
        notes.append(f"Seconds cannot be compared: runs had {' or '.join(threads)} threads.")
    return _table(summary, "Cost", columns, [], notes)


def _digits(value: float, significant: int) -> int:
    """Decimals that show so many significant digits of a value, and no more below 1."""
    return significant if value < 1 else max(0, significant - 1 - floor(log10(value)))


def _table(
    summary: Summary,
    title: str,
    columns: Sequence[Column],
    footer: Sequence[tuple[str, tuple[str, ...]]],
    notes: Iterable[str],
) -> Table:
    cells: dict[str, list[Cell]] = {model: [] for model in summary.models}
    for column in columns:
        for model, cell in _column_cells(summary, column).items():
            cells[model].append(cell)
    for model in summary.models:
        n = len(summary.seeds.get(model, ()))
        cells[model].append(Cell(str(n), n))
    return Table(
        dataset=summary.dataset,
        title=title,
        headings=("Model", *(column.heading for column in columns), "Seeds"),
        rows=tuple((model, tuple(cells[model])) for model in summary.models),
        footer=tuple((label, (*texts, "")) for label, texts in footer),
        notes=tuple(notes),
    )


def _column_cells(summary: Summary, column: Column) -> dict[str, Cell]:
    means, stds = summary.means[column.name], summary.stds[column.name]
    marks = _marks({model: column.text(mean) for model, mean in means.dropna().items()}, column.better)
    cells = {}
    for model in summary.models:
        mean, std = float(means[model]), float(stds[model])
        if isnan(mean):
            cells[model] = Cell(NONE)
            continue
        text = column.text(mean, nan if column.name == "parameters" else std)
        cells[model] = Cell(text, mean, marks.get(model, ""))
    return cells


def _marks(printed: dict[str, str], better: int) -> dict[str, str]:
    """Model → "best" or "second", by printed value; all equal values get no mark."""
    values = {model: better * float(text.replace(",", "")) for model, text in printed.items()}
    ranks = sorted(set(values.values()), reverse=True)
    if better == 0 or len(ranks) < 2:
        return {}
    names = dict(zip(ranks, ("best", "second"), strict=False))
    return {model: names[value] for model, value in values.items() if value in names}


# Tests

_TEST_HEADINGS = (
    *("Rival", "Difference", "Relative", "95 % interval", "Users better", "equal", "worse"),
    *("d_z", "p, t test", "p, Wilcoxon"),
)


def paired_tests(
    dataset: str, models: Sequence[str], own: str, metric: str, rows: Sequence[Mapping[str, Any]]
) -> Table:
    """The tests of a model against each rival on a metric.

    Args:
        dataset: what the table is about.
        models: labels in the order of the table; those without a row are left out.
        own: label of the model that is compared.
        metric: e.g. ``recall@10``.
        rows: rows of ``significance_table``.
    """
    by_rival = {row["rival"]: row for row in rows}
    return Table(
        dataset=dataset,
        title=f"Significance: {own} against each rival, {heading(metric)}",
        headings=_TEST_HEADINGS,
        rows=tuple((rival, _test_cells(by_rival[rival])) for rival in models if rival in by_rival),
        notes=(
            f"p two-sided, Holm-corrected; bold below {LEVEL}. Relative and interval: difference over the rival's "
            "mean. d_z: mean of users' differences over their standard deviation.",
        ),
    )


def _test_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    relative, low, high = (100 * row[name] for name in ("relative", "relative_low", "relative_high"))
    interval = NONE if isnan(low) else f"{percent_text(low)} to {percent_text(high)}"
    return (
        Cell(f"{row['difference']:+.4f}".replace("-", "−"), row["difference"]),
        Cell(NONE if isnan(relative) else percent_text(relative), relative),
        Cell(interval, low),
        *(Cell(f"{row[name]:,}", row[name]) for name in ("better", "equal", "worse")),
        Cell(f"{row['cohen_dz']:+.2f}".replace("-", "−"), row["cohen_dz"]),
        *(p_cell(row[f"{test}_p_two_sided_holm"]) for test in ("t", "wilcoxon")),
    )


def p_cell(p: float) -> Cell:
    """A p-value, bold where it is significant."""
    return Cell(p_text(p).removeprefix("= "), p, "best" if p < LEVEL else "")


def p_text(p: float) -> str:
    """``= 0.012`` or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


# CSV


def wide(summaries: Sequence[Summary]) -> pd.DataFrame:
    """All numbers of the tables, unrounded: a row for each data set and model.

    Columns: ``dataset``, ``model``, ``settings``, ``seeds`` (their number), then each metric (without prefix) and
    figure of cost, its mean, followed by ``<name> std``. Rows "<ours> over the best rival (%)" hold the improvement in
    the metrics' columns.
    """
    rows = [row for summary in summaries for row in (*_model_rows(summary), *_gain_rows(summary))]
    return pd.DataFrame(rows).astype({"seeds": "Int64"})


def _model_rows(summary: Summary) -> list[dict[str, object]]:
    names = {f"test_{name}": name for name in (*summary.metrics, *summary.exposures)}
    names |= {name: name for name in _COST if name in summary.means}
    rows = []
    for model in summary.models:
        row: dict[str, object] = {
            "dataset": summary.dataset,
            "model": model,
            "settings": summary.facts["settings"],
            "seeds": len(summary.seeds.get(model, ())),
        }
        for column, name in names.items():
            row[name], row[f"{name} std"] = summary.means.at[model, column], summary.stds.at[model, column]
        rows.append(row)
    return rows


def _gain_rows(summary: Summary) -> list[dict[str, object]]:
    rows = []
    for own in summary.ours:
        gains = {metric: summary.gain(own, metric) for metric in summary.metrics}
        percents = {metric: gain.percent for metric, gain in gains.items() if gain is not None}
        label = f"{own} over the best rival (%)"
        rows.append({"dataset": summary.dataset, "model": label, "settings": summary.facts["settings"], **percents})
    return rows
