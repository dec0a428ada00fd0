"""Tables of a benchmark as Markdown and LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from recbole_vagnn.experiments.summary import Summary, about_text, failure_text, missing_text, proof_text
from recbole_vagnn.experiments.tables import LEGEND, Cell, Table, tables

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
            lines += [f"### {_md_text(table.title)}", "", *md_table(table), ""]
            lines += [text for note in table.notes for text in (_md_text(note), "")]
    for title, items in (("Failed runs", failure_text(failures)), ("Missing runs", missing_text(summaries))):
        lines += [f"## {title}", "", *(f"- {_md_text(item)}" for item in items or ["none"]), ""]
    return "\n".join(lines)


def md_table(table: Table) -> list[str]:
    """Lines of a table: its rows, then those of its footer in italics."""
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
