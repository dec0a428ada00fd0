"""Tables of a benchmark, from its runs: accuracy, exposure and cost of every model, as Markdown, LaTeX and CSV.

Per data set one accuracy table for each cut-off, one of exposure (how recommendations spread over items and vloggers)
and one of cost. A cell is mean ± standard deviation over seeds (n − 1); one seed has no ±. The best value of a column
is bold, the second best underlined; values that print alike are alike, so several models may share a mark. Under the
accuracy stands what each model of ours gains over the best rival, in percent, from unrounded means.

A data set's runs must have one split, protocol, version and origin of settings, or there is no table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import floor, isnan, log10, nan
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.records import KEY, SAME

NONE = "—"
LEVEL = 0.05  # of significance
UNTESTED = (
    "No significance is given: a test of untuned models would say whose authors' settings happen to fit these data, "
    "not which model is better."
)
STAR = f"* significant: Holm-corrected p < {LEVEL} of the two-sided paired t test over users."

# What RecBole and we call a metric → heading. Others are capitalised.
_NAMES = {
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
    "gauc": "GAUC",
    "itemcoverage": "Item coverage",
    "vloggercoverage": "Vlogger coverage",
    "vloggergini": "Vlogger Gini",
    "giniindex": "Item Gini",
    "averagepopularity": "Average popularity",
    "shannonentropy": "Shannon entropy",
    "tailpercentage": "Tail share",
}
_EXPOSURE = {  # → is larger better (1), smaller (−1), or neither (0)
    "itemcoverage": 1,
    "vloggercoverage": 1,
    "vloggergini": -1,
    "giniindex": -1,
    "averagepopularity": 0,
    "shannonentropy": 0,
    "tailpercentage": 0,
}
_COST = {  # column → heading
    "train_seconds": "Training s",
    "epoch_seconds": "s per epoch",
    "epochs": "Epochs",
    "valid_seconds": "Validation s",
    "test_seconds": "Test s",
    "peak_memory_mb": "Peak memory MiB",
    "peak_gpu_memory_mb": "Peak GPU memory MiB",
    "parameters": "Parameters",
}
_SIZES = ("users", "items", "vloggers", "train", "valid", "test")


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


@dataclass(frozen=True)
class Gain:
    """Ours against the best rival on one metric.

    Attributes:
        rival: the best rival; of several that are equally good, the first.
        ours_mean, rival_mean: means over seeds.
        percent: ``100 (ours_mean / rival_mean − 1)``; NaN unless the rival's mean is positive.
    """

    rival: str
    ours_mean: float
    rival_mean: float
    percent: float


@dataclass(frozen=True)
class Summary:
    """The runs of one data set.

    Attributes:
        dataset: its name.
        models: labels in the order of the tables; also those without a run.
        ours: those of ours among them.
        means, stds: (models, columns of runs.csv) over seeds; NaN = no run, or no deviation of one seed.
        seeds: model → its seeds.
        facts: what all runs share: sizes, fingerprint, protocol, version, settings, threads.
    """

    dataset: str
    models: tuple[str, ...]
    ours: tuple[str, ...]
    means: pd.DataFrame
    stds: pd.DataFrame
    seeds: dict[str, tuple[int, ...]]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Test metrics of accuracy, in the order of runs.csv, without prefix."""
        return tuple(name for name in self._test_metrics() if _base(name) not in _EXPOSURE)

    @property
    def exposures(self) -> tuple[str, ...]:
        """Test metrics of exposure, likewise."""
        return tuple(name for name in self._test_metrics() if _base(name) in _EXPOSURE)

    def _test_metrics(self) -> list[str]:
        names = [name for name in self.means.columns if name.startswith("test_") and name != "test_seconds"]
        return [name.removeprefix("test_") for name in names if self.means[name].notna().any()]

    @property
    def tuned(self) -> bool:
        """Are the models tuned? Significance is reported only then."""
        return bool(self.facts["settings"] == "tuned")

    def ranking(self, metric: str) -> list[str]:
        """Models with a value of a metric, the best first."""
        values = self.means[f"test_{metric}"].dropna()
        return [str(name) for name in values.sort_values(ascending=False, kind="stable").index]

    def gain(self, own: str, metric: str) -> Gain | None:
        """A model of ours against the best rival; None if one of them has no run."""
        ranking = self.ranking(metric)
        rival = next((model for model in ranking if model not in self.ours), None)
        if rival is None or own not in ranking:
            return None
        ours_mean, rival_mean = (float(self.means.at[model, f"test_{metric}"]) for model in (own, rival))
        percent = 100 * (ours_mean / rival_mean - 1) if rival_mean > 0 else nan
        return Gain(rival, ours_mean, rival_mean, percent)


# From runs to summaries


def summarise(runs: pd.DataFrame, ours: Sequence[str] = (), order: Sequence[str] = ()) -> list[Summary]:
    """A summary of each data set.

    Args:
        runs: :attr:`Records.runs`.
        ours: labels of our models.
        order: labels in the order of the tables; others that were run follow in the order of ``runs``.

    Raises:
        InputError: there is no run, or the runs of a data set differ in split, protocol, version or settings.
    """
    if runs.empty:
        raise InputError("There is no finished run, so there is nothing to report.")
    return [_summary(str(name), of_set, ours, order) for name, of_set in runs.groupby("dataset", sort=True)]


def _summary(dataset: str, runs: pd.DataFrame, ours: Sequence[str], order: Sequence[str]) -> Summary:
    for name in SAME:
        _require_one(dataset, name, runs[name].value_counts(sort=False, dropna=False))
    models = tuple(dict.fromkeys([*order, *runs["model"]]))
    numbers = runs.drop(columns=list({*KEY, *SAME})).apply(pd.to_numeric, errors="coerce")
    groups = numbers.groupby(runs["model"])
    threads = sorted(runs["threads"].dropna().unique()) if "threads" in runs else []
    return Summary(
        dataset=dataset,
        models=models,
        ours=tuple(model for model in models if model in ours),
        means=groups.mean().reindex(models),
        stds=groups.std(ddof=1).reindex(models),
        seeds={str(model): tuple(sorted(map(int, group))) for model, group in runs.groupby("model")["seed"]},
        facts={
            **{name: runs[name].iloc[0] for name in (*SAME, *_SIZES) if name in runs},
            "threads": [f"{number:g}" for number in threads],
            "runs": len(runs),
        },
    )


def _require_one(dataset: str, name: str, counts: pd.Series) -> None:
    if len(counts) > 1:
        found = ", ".join(f"{value} ({count})" for value, count in counts.items())
        raise InputError(
            f"The runs on {dataset} differ in {name}: {found}. They are never mixed in one table; keep one kind in a "
            f"folder and write the others to another --out."
        )


def missing_runs(summaries: Iterable[Summary]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Data set, model and seeds that are not there, though another model has them; unknown seeds of none."""
    found = []
    for summary in summaries:
        seeds = sorted({seed for own in summary.seeds.values() for seed in own})
        for model in summary.models:
            if lacks := tuple(seed for seed in seeds if seed not in summary.seeds.get(model, ())):
                found.append((summary.dataset, model, lacks))
    return found


def best(summary: Summary, metric: str) -> list[str]:
    """The models whose value of a metric prints as the largest, in the order of the tables."""
    printed = {model: f"{mean:.4f}" for model, mean in summary.means[f"test_{metric}"].dropna().items()}
    largest = max(printed.values(), key=float, default="")
    return [str(model) for model, text in printed.items() if text == largest]


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


def by_cut_off(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Metrics by what follows the @, smallest cut-off first: ``{"10": ["recall@10", "ndcg@10"], …}``."""
    groups: dict[str, list[str]] = {}
    for name in metrics:
        groups.setdefault(name.partition("@")[2], []).append(name)
    return dict(sorted(groups.items(), key=lambda item: int(item[0]) if item[0].isdigit() else -1))


def heading(metric: str) -> str:
    """What people call a metric: ``ndcg@10`` → ``NDCG@10``."""
    name, at, cut_off = metric.partition("@")
    return _NAMES.get(name, name.capitalize()) + at + cut_off


def _base(metric: str) -> str:
    return metric.partition("@")[0]


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
        better = _EXPOSURE[_base(name)]
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


# What is said of a data set


def sizes_text(summary: Summary) -> str:
    """Sizes of a data set in words."""
    facts = summary.facts
    parts = [f"{facts[name]:,} {name}" for name in _SIZES[:3] if name in facts]
    words = {"train": "training", "valid": "validation", "test": "test"}
    splits = [f"{facts[name]:,} {words[name]}" for name in _SIZES[3:] if name in facts]
    return ", ".join(parts) + (f"; {', '.join(splits)} interactions" if splits else "")


def settings_text(summary: Summary) -> str:
    """Where the settings of the models come from."""
    known = {"authors": "Every model at its authors' settings", "tuned": "Every model tuned"}
    return known.get(summary.facts["settings"], str(summary.facts["settings"]))


def seeds_text(summary: Summary) -> str:
    """How many seeds, and which."""
    seeds = sorted({seed for own in summary.seeds.values() for seed in own})
    return f"{len(seeds)} seed{'s' * (len(seeds) != 1)} ({', '.join(map(str, seeds))})"


def about_text(summary: Summary) -> str:
    """Sizes, settings and seeds."""
    return f"{sizes_text(summary)}. {settings_text(summary)}. {seeds_text(summary)}."


def proof_text(summary: Summary) -> str:
    """What shows that all runs are comparable."""
    facts = summary.facts
    return (
        f"All {facts['runs']} runs share split {facts['fingerprint']}, protocol {facts['protocol']} and recbole-vagnn "
        f"{facts['version']}."
    )


def missing_text(summaries: Sequence[Summary]) -> list[str]:
    """A line for each model without a run that others have."""
    return [
        f"{model} on {dataset}: no run with seed {', '.join(map(str, seeds))}"
        for dataset, model, seeds in missing_runs(summaries)
    ]


def failure_text(failures: pd.DataFrame | None) -> list[str]:
    """A line for each failed run."""
    if failures is None:
        return []
    return [_failure(row) for row in failures.to_dict("records")]


def _failure(row: dict[str, Any]) -> str:
    attempts = f" ({row['attempts']} attempts)" if "attempts" in row else ""
    reason = " ".join(str(row.get("reason", "no reason is known")).split())
    return f"{row['model']} on {row['dataset']}, seed {row['seed']}{attempts}: {reason}"


LEGEND = (
    "Mean ± standard deviation over seeds (n − 1; none for one seed). Best bold, second underlined, by printed value. "
    f"{NONE} = no run."
)


# Markdown


def markdown(
    summaries: Sequence[Summary],
    significance: pd.DataFrame | None = None,
    command: str = "",
    failures: pd.DataFrame | None = None,
) -> str:
    """All tables as Markdown.

    Args:
        summaries: of all data sets.
        significance: see :func:`tables`.
        command: the command line that made the runs.
        failures: ``dataset``, ``model``, ``seed``, ``reason``, ``attempts`` of runs that failed.
    """
    lines = ["# Benchmark", "", _md_text(LEGEND), ""]
    if command:
        fence = "`" * (max(map(len, re.findall("`+", command)), default=0) + 1)
        lines += [f"Made by {fence}{' '.join(command.split())}{fence}.", ""]
    for summary in summaries:
        lines += [f"## {_md_text(summary.dataset)}", "", _md_text(f"{about_text(summary)} {proof_text(summary)}"), ""]
        for table in tables(summary, significance):
            lines += [f"### {_md_text(table.title)}", "", *_md_table(table), ""]
            lines += [text for note in table.notes for text in (_md_text(note), "")]
    for title, items in (("Failed runs", failure_text(failures)), ("Missing runs", missing_text(summaries))):
        lines += [f"## {title}", "", *(f"- {_md_text(item)}" for item in items or ["none"]), ""]
    return "\n".join(lines)


def _md_table(table: Table) -> list[str]:
    rows = [[_md_text(label), *(_md_cell(cell) for cell in cells)] for label, cells in table.rows]
    rows += [[f"*{_md_text(label)}*", *map(_md_text, texts)] for label, texts in table.footer]
    head = [_md_text(text) for text in table.headings]
    rule = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _md_cell(cell: Cell) -> str:
    return {"best": f"**{cell.text}**", "second": f"<u>{cell.text}</u>", "": cell.text}[cell.mark]


def _md_text(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)


# LaTeX

_TEX = {
    **{char: "\\" + char for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "−": "$-$",
    "—": "---",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "…": r"\ldots{}",
}
# Compiled alone, no class has set \textwidth yet, and the file makes a document of itself.
_TEX_HEAD = r"""% \input this file into a paper that loads booktabs and graphicx, or compile it alone.
\ifdim\textwidth=0pt
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
\def\endoftables{\end{document}}
\else
\let\endoftables\relax
\fi
"""


def latex(
    summaries: Sequence[Summary],
    significance: pd.DataFrame | None = None,
    command: str = "",
    failures: pd.DataFrame | None = None,
) -> str:
    """All tables as LaTeX (booktabs); for the arguments see :func:`markdown`."""
    parts = [f"% Made by: {' '.join(command.split())}\n" if command else "", _TEX_HEAD]
    for summary in summaries:
        parts.append(f"% {summary.dataset}: {proof_text(summary)}\n")
        parts += [_tex_table(table, summary) for table in tables(summary, significance)]
    for title, items in (("Failed", failure_text(failures)), ("Missing", missing_text(summaries))):
        parts += [f"% {title}: {' '.join(item.split())}\n" for item in items]
    return "\n".join([*parts, "\\endoftables", ""])


def _tex_table(table: Table, summary: Summary) -> str:
    head = " & ".join(map(tex, table.headings)) + r" \\"
    rows = [" & ".join([tex(label), *map(_tex_cell, cells)]) + r" \\" for label, cells in table.rows]
    footer = [" & ".join([tex(label), *map(tex, texts)]) + r" \\" for label, texts in table.footer]
    caption = " ".join([f"{table.title} on {table.dataset}.", about_text(summary), LEGEND, *table.notes])
    body = ["\\toprule", head, "\\midrule", *rows, *(["\\midrule", *footer] if footer else []), "\\bottomrule"]
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{tex(caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth \linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(table.headings) - 1)}}}",
        *body,
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_cell(cell: Cell) -> str:
    text = tex(cell.text)
    return {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", "": text}[cell.mark]


def tex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_TEX.get(char) or _tex_greek(char) for char in text)


def _tex_greek(char: str) -> str:
    """A small Greek letter as mathematics, any other character as it is."""
    name = unicodedata.name(char, "").replace("LAMDA", "LAMBDA")  # Unicode's spelling
    return rf"$\{name.split()[-1].lower()}$" if name.startswith("GREEK SMALL LETTER") else char


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
