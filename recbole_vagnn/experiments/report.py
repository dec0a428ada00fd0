"""Everything people read of a benchmark: tables, significance, figures and one report.html that can be mailed.

The report holds no date: equal records give an equal report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_vagnn.experiments import figures, markup, tables
from recbole_vagnn.experiments.drawing import Picture
from recbole_vagnn.experiments.page import figure, items, page, section, table
from recbole_vagnn.experiments.records import Key, Records, file_name
from recbole_vagnn.experiments.significance import KEY_COLUMNS, significance_table
from recbole_vagnn.experiments.summary import (
    Summary,
    about_text,
    best,
    failure_text,
    heading,
    missing_text,
    seeds_text,
    settings_text,
    sizes_text,
    summarise,
)
from recbole_vagnn.experiments.tables import LEVEL, comparison, percent_text

SEED = 0  # of the bootstrap
SAMPLES = 10_000


def write_reports(
    folder: str | Path,
    *,
    ours: Sequence[str],
    order: Sequence[str],
    command: str,
    failures: pd.DataFrame | None = None,
    sections: Sequence[str] = (),
) -> list[Path]:
    """Write table.md, table.tex, table.csv, significance.csv, figures/ and report.html from a folder's records.

    Args:
        folder: DIR of :class:`Records`.
        ours: labels whose gain over the others is reported; it may be empty.
        order: labels in the order of the tables.
        command: the command line that made the runs.
        failures: ``dataset``, ``model``, ``seed``, ``reason``, ``attempts`` of the runs that failed for good.
        sections: more of report.html, as HTML (``page.section``), e.g. how the models were tuned.

    Returns:
        files written, report.html first.

    Raises:
        InputError: there is no run, the runs of a data set cannot be compared, or they differ in users.
    """
    records = Records(folder)
    summaries = summarise(records.runs, ours, order)
    styles = figures.looks([model for summary in summaries for model in summary.models], ours)
    tests, pictures = [], []
    for summary in summaries:
        per_user = _same_columns(dict(records.per_user(summary.dataset)))
        tests += _test(summary, per_user)
        curves = dict(records.curves(summary.dataset))
        pictures += figures.draw(summary, figures.average_seeds(per_user), curves, styles)
    significance = pd.concat(tests, ignore_index=True) if tests else pd.DataFrame(columns=["settings", *KEY_COLUMNS])
    texts = {
        "report.html": html(summaries, significance, pictures, command, failures, sections),
        "table.md": markup.markdown(summaries, significance, command, failures),
        "table.tex": markup.latex(summaries, significance, command, failures),
        "table.csv": tables.wide(summaries).to_csv(index=False),
        "significance.csv": significance.to_csv(index=False),
    }
    files = {records.folder / name: text.encode() for name, text in texts.items()}
    files |= {_picture_path(records.folder, picture): picture.png for picture in pictures}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return list(files)


def _same_columns(per_user: dict[Key, pd.DataFrame]) -> dict[Key, pd.DataFrame]:
    """The metrics that all runs have: a resumed benchmark may have been given others."""
    shared = [set(frame.columns) for frame in per_user.values()]
    return {
        key: frame[[name for name in frame if all(name in names for names in shared)]]
        for key, frame in per_user.items()
    }


def _picture_path(folder: Path, picture: Picture) -> Path:
    return folder / "figures" / f"{file_name(picture.dataset)}.{picture.kind}.png"


def _test(summary: Summary, per_user: dict[Key, pd.DataFrame]) -> list[pd.DataFrame]:
    """The tests of a data set, with a column that says where the settings come from; none without ours or rivals."""
    runs = {key: frame.set_index("user").drop(columns="history") for key, frame in per_user.items()}
    ours = [model for model in summary.ours if any(key[1] == model for key in runs)]
    if not ours:
        return []
    table = significance_table(runs, ours, seed=SEED, bootstrap_samples=SAMPLES)
    table.insert(0, "settings", summary.facts["settings"])
    return [table] if len(table) else []


# The page


def html(
    summaries: Sequence[Summary],
    significance: pd.DataFrame,
    pictures: Sequence[Picture],
    command: str,
    failures: pd.DataFrame | None = None,
    sections: Sequence[str] = (),
) -> str:
    """The report as one HTML page; for the arguments see :func:`write_reports`."""
    names = " · ".join(f'<a href="#d{i}">{escape(s.dataset)}</a>' for i, s in enumerate(summaries))
    body = [
        "<h1>Benchmark</h1>",
        f'<nav>{names} · <a href="#protocol">protocol</a> · <a href="#failures">failed and missing runs</a></nav>',
        section("In words", "summary", _words(summaries, significance)),
        section("Protocol", "protocol", [_protocol(summaries, command)]),
        *(_dataset(i, summary, significance, pictures) for i, summary in enumerate(summaries)),
        *sections,
        section("Failed and missing runs", "failures", [_failures(summaries, failures)]),
    ]
    return page("Benchmark", body)


# In words


def _words(summaries: Sequence[Summary], significance: pd.DataFrame) -> list[str]:
    verdicts = [
        verdict
        for summary in summaries
        for own in summary.ours
        for metric in figures.headline(summary.metrics)
        if (verdict := judge(summary, own, metric, significance)) is not None
    ]
    parts = [items(_overall(own, verdicts) for own in dict.fromkeys(v.ours for v in verdicts))]
    for summary in summaries:
        sentences = [_winners(summary), *(v.text for v in verdicts if v.dataset == summary.dataset)]
        if not summary.ours:
            sentences.append("No model is named as ours, so no gain is reported and nothing is tested.")
        elif not summary.tuned:
            sentences.append(tables.UNTESTED)
        parts.append(f"<h3>{escape(summary.dataset)}</h3>{items(sentences)}")
    return parts


def _winners(summary: Summary) -> str:
    """Who has the best mean, on which metrics."""
    wins: dict[str, list[str]] = {}
    for metric in summary.metrics:
        names = best(summary, metric)
        value = summary.means.at[names[0], f"test_{metric}"]
        wins.setdefault(" and ".join(names), []).append(f"{heading(metric)} {value:.4f}")
    parts = [f"{names} on {len(won)} ({', '.join(won)})" for names, won in wins.items()]
    return f"Best of {len(summary.seeds)} models on {len(summary.metrics)} metrics: {'; '.join(parts)}."


@dataclass(frozen=True)
class Verdict:
    """Ours against the best rival on one metric.

    Attributes:
        dataset, ours, metric: what it is about.
        outcome: 1 = ours is better, −1 = worse, 0 = the printed means are equal.
        significant: None where nothing was tested.
        text: the same in two sentences.
    """

    dataset: str
    ours: str
    metric: str
    outcome: int
    significant: bool | None
    text: str


_VERBS = {1: "beats the best rival", 0: "equals the best rival", -1: "loses to the best rival"}


def judge(summary: Summary, own: str, metric: str, significance: pd.DataFrame) -> Verdict | None:
    """Compare a model of ours with the best rival; None if one of them has no run."""
    gain = summary.gain(own, metric)
    if gain is None:
        return None
    row = comparison(significance, summary.dataset, metric, own, gain.rival) if summary.tuned else None
    outcome = _compare(gain.ours_mean, gain.rival_mean)
    relative = "" if isnan(gain.percent) else f", {percent_text(gain.percent)}"
    text = (
        f"{heading(metric)}: {own} {_VERBS[outcome]}, {gain.rival}: {gain.ours_mean:.4f} against {gain.rival_mean:.4f}"
        f"{relative}{_tested_text(row)}. {_against_all(summary, own, metric, significance)}"
    )
    return Verdict(summary.dataset, own, metric, outcome, None if row is None else _is_significant(row), text)


def _compare(ours: float, rival: float) -> int:
    """1, 0 or −1, by printed values."""
    a, b = round(float(ours), 4), round(float(rival), 4)
    return (a > b) - (a < b)


def _is_significant(row: Any) -> bool:
    return row is not None and bool(row["t_p_two_sided_holm"] < LEVEL)


def _overall(own: str, verdicts: Sequence[Verdict]) -> str:
    """How often ours beats and loses to the best rival, over data sets and headline metrics."""
    own_verdicts = [verdict for verdict in verdicts if verdict.ours == own]
    parts = []
    for outcome, verb in ((1, "beats"), (-1, "loses to"), (0, "equals")):
        found = [verdict for verdict in own_verdicts if verdict.outcome == outcome]
        tested = [verdict for verdict in found if verdict.significant is not None]
        significantly = f" ({sum(bool(v.significant) for v in tested)} significantly)" if tested and outcome else ""
        parts.append(f"{verb} the best rival in {len(found)}{significantly}")
    datasets = len({verdict.dataset for verdict in own_verdicts})
    metrics = " and ".join(dict.fromkeys(heading(verdict.metric) for verdict in own_verdicts))
    sets = f"{datasets} data set{'s' * (datasets != 1)}"
    return f"Of {len(own_verdicts)} comparisons ({metrics} on {sets}), {own} {', '.join(parts)}."


def _tested_text(row: Any) -> str:
    if row is None:
        return ""
    interval = ""
    if not isnan(row["relative_low"]):
        low, high = (percent_text(100 * row[f"relative_{end}"]) for end in ("low", "high"))
        interval = f"95 % interval {low} to {high}; "
    word = "significant" if _is_significant(row) else "not significant"
    t, wilcoxon = (tables.p_text(row[f"{test}_p_two_sided_holm"]) for test in ("t", "wilcoxon"))
    return f" ({interval}{word}: t test p {t}, Wilcoxon p {wilcoxon})"


def _against_all(summary: Summary, own: str, metric: str, significance: pd.DataFrame) -> str:
    """How many rivals ours is above and below, and how many of them significantly."""
    means = summary.means[f"test_{metric}"].dropna()
    rivals = [str(model) for model in means.index if model not in summary.ours]
    parts = []
    for outcome, word in ((1, "above"), (-1, "below"), (0, "level with")):
        found = [rival for rival in rivals if _compare(means[own], means[rival]) == outcome]
        rows = [comparison(significance, summary.dataset, metric, own, rival) for rival in found if outcome]
        tested = f" ({sum(map(_is_significant, rows))} significantly)" if summary.tuned and rows else ""
        if found or outcome:
            parts.append(f"{word} {len(found)}{tested}")
    return f"Of {len(rivals)} rivals it is {', '.join(parts)}."


# Protocol


def _protocol(summaries: Sequence[Summary], command: str) -> str:
    metrics = dict.fromkeys(metric for s in summaries for metric in (*s.metrics, *s.exposures))
    tested = "Tests" if all(s.tuned for s in summaries) else "Tests (of tuned models only, here and in the tables)"
    points = [
        "Every model saw the same split of a data set: the fingerprint is a hash of its training, validation and test "
        "pairs and of the creators, found equal in every run. Seeds vary the model only.",
        "The epoch that is best on validation data is tested, once.",
        f"Metrics: {', '.join(map(heading, metrics))}. {tables.LEGEND}",
        f"{tested}: each user's metric is averaged over the seeds first, so n = users. Paired t test and Wilcoxon's "
        "signed-rank test (zeros as Pratt has them), two-sided; Holm-corrected over the rivals of a data set and "
        f"metric; intervals of differences by bootstrap over users ({SAMPLES:,} samples). significance.csv has all "
        "tests and metrics.",
    ]
    head = "".join(
        f"<th>{text}</th>" for text in ("Data set", "Sizes", "Settings", "Seeds", "Split", "Protocol", "Version")
    )
    rows = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in _facts(s))}</tr>" for s in summaries)
    made = f"<p>Made by <code>{escape(command)}</code></p>" if command else ""
    facts = f'<div class="wide"><table class="facts"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"{made}{facts}{items(points)}"


def _facts(summary: Summary) -> list[str]:
    facts = summary.facts
    texts = [sizes_text(summary), settings_text(summary), seeds_text(summary)]
    hashes = [" ".join(str(facts["fingerprint"]).split("-")), str(facts["protocol"]), str(facts["version"])]
    return [summary.dataset, *texts, *hashes]


# One data set


def _dataset(i: int, summary: Summary, significance: pd.DataFrame, pictures: Sequence[Picture]) -> str:
    parts = [f"<p>{escape(about_text(summary))}</p>"]
    parts += [table(content) for content in tables.tables(summary, significance)]
    parts.append(_significance(summary, significance))
    parts += [figure(picture) for picture in pictures if picture.dataset == summary.dataset]
    return section(summary.dataset, f"d{i}", parts)


def _significance(summary: Summary, significance: pd.DataFrame) -> str:
    """Tables of ours against every rival on the headline metrics; one sentence where nothing is tested."""
    if not summary.tuned:
        return ""  # the accuracy tables say why
    found = [
        table(tables.paired_tests(summary.dataset, summary.models, own, metric, rows))
        for own in summary.ours
        for metric in figures.headline(summary.metrics)
        if len(rows := _rows_of(significance, summary.dataset, metric, own))
    ]
    return "".join(found) or "<p>Nothing was tested: ours, or every rival, has no run with metrics per user.</p>"


def _rows_of(significance: pd.DataFrame, dataset: str, metric: str, own: str) -> list[dict[str, Any]]:
    if significance.empty:
        return []
    wanted = {"dataset": dataset, "metric": metric, "ours": own}
    rows: list[dict[str, Any]] = significance[
        (significance[list(wanted)] == list(wanted.values())).all(axis=1)
    ].to_dict("records")
    return rows


def _failures(summaries: Sequence[Summary], failures: pd.DataFrame | None) -> str:
    failed, missing = failure_text(failures), missing_text(summaries)
    parts = [f"<h3>Failed</h3>{items(failed or ['none'])}", f"<h3>Missing</h3>{items(missing or ['none'])}"]
    return "".join(parts)
