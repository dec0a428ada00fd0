"""One HTML page that can be mailed, and what stands on it.

A page makes no request to anywhere: images, style and the few lines of script that sort its tables are inside, and it
is complete where scripts do not run.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from math import isnan

from recbole_vagnn.experiments.drawing import Picture
from recbole_vagnn.experiments.tables import Cell, Table


def page(title: str, body: Iterable[str]) -> str:
    """A page of its parts."""
    return _PAGE.replace("TITLE", escape(title)).replace("BODY", "\n".join(body))


def section(title: str, name: str, parts: Iterable[str]) -> str:
    """A section of parts that are HTML; ``name`` is its id."""
    return "\n".join([f'<section id="{name}">', f"<h2>{escape(title)}</h2>", *parts, "</section>"])


def items(texts: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def table(content: Table) -> str:
    """A table that a click on a heading sorts, under its title."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in content.headings)
    rows = [
        f'<tr><th scope="row">{escape(label)}</th>{"".join(map(_cell, cells))}</tr>' for label, cells in content.rows
    ]
    footer = [
        f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{escape(text)}</td>" for text in texts)}</tr>'
        for label, texts in content.footer
    ]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in content.notes)
    foot = f"<tfoot>{''.join(footer)}</tfoot>" if footer else ""
    return (
        f'<h3>{escape(content.title)}</h3><div class="wide"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>{foot}</table></div>{notes}"
    )


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    marked = {"best": f"<b>{text}</b>", "second": f"<u>{text}</u>", "": text}[cell.mark]
    value = "" if isnan(cell.value) else f' data-value="{cell.value!r}"'
    return f"<td{value}>{marked}</td>"


def figure(picture: Picture) -> str:
    """A figure and its caption, the image inside."""
    source = "data:image/png;base64," + b64encode(picture.png).decode()
    alt = escape(f"{picture.dataset}: {picture.kind}. {picture.caption}", quote=True)
    return f'<figure><img alt="{alt}" src="{source}"><figcaption>{escape(picture.caption)}</figcaption></figure>'


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>TITLE</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 76rem; margin: 0 auto;
  padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 0.5rem 0; } h2 { font-size: 1.35rem; margin: 2.5rem 0 0.6rem;
  border-bottom: 2px solid #1b1b1b; } h3 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
a { color: #0058a3; } code { background: #f2f2f2; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
li { margin: 0.25rem 0; } .note, figcaption { color: #4a4a4a; font-size: 0.87rem; margin: 0.3rem 0; max-width: 62rem; }
#protocol { background: #f6f7f9; border: 1px solid #d5d9e0; border-radius: 6px; padding: 0 1.2rem 0.6rem;
  margin-top: 2rem; } #protocol h2 { margin-top: 1rem; border: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th[scope=row] { font-weight: normal; }
thead { border-top: 2px solid #1b1b1b; border-bottom: 1px solid #1b1b1b; } tbody { border-bottom: 2px solid #1b1b1b; }
tfoot { border-bottom: 2px solid #1b1b1b; font-style: italic; } tbody tr:hover { background: #eef4fb; }
.facts td, .facts th { text-align: left; white-space: normal; vertical-align: top; }
.sortable thead th.sorts { cursor: pointer; } .sortable thead th.sorts:hover { text-decoration: underline; }
th[aria-sort=ascending]::after { content: " \\25B2"; } th[aria-sort=descending]::after { content: " \\25BC"; }
figure { margin: 1.6rem 0; } img { max-width: 100%; height: auto; }
@media print { body { max-width: none; font-size: 10pt; padding: 0; } nav { display: none; }
  figure, tr, li { break-inside: avoid; } h2, h3 { break-after: avoid; } .wide { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding: 0.15rem 0.35rem; } }
</style>
</head>
<body>
BODY
<script>
"use strict";
// A click on a heading sorts a table: largest first, then smallest first, then as it was.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.classList.add("sorts");
    head.tabIndex = 0;
    const value = row => column === 0 ? row.cells[0].textContent : parseFloat(row.cells[column].dataset.value);
    const compare = (a, b, sign) => {
      const [x, y] = [value(a), value(b)];
      if (column === 0) return sign * y.localeCompare(x);
      return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (y - x);
    };
    const sort = () => {
      const next = { descending: "ascending", ascending: "" }[head.getAttribute("aria-sort")] ?? "descending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? -1 : 1;
      body.append(...(next ? [...rows].sort((a, b) => compare(a, b, sign)) : rows));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
}
</script>
</body>
</html>
"""
