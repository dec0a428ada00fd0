"""The files of a study: tables, figures and report.html."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from recbole_vagnn.experiments.drawing import Picture
from recbole_vagnn.experiments.page import figure, items, page, section, table
from recbole_vagnn.experiments.records import Records, file_name
from recbole_vagnn.experiments.studies.study import STUDIES, Findings, Section, Study
from recbole_vagnn.experiments.summary import failure_text, seeds_text, settings_text, sizes_text, summarise


def write_study(
    name: str, study: Study, findings: Findings, command: str, failures: pd.DataFrame | None = None
) -> list[Path]:
    """Write report.html, figures/ and the tables of a study.

    Args:
        name: of the study.
        study: it.
        findings: the runs that are finished, at least one.
        command: the command line that made them.
        failures: ``dataset``, ``model``, ``seed``, ``reason``, ``attempts`` of the runs that failed for good.

    Returns:
        files written, report.html first.
    """
    found = study.analyse(findings)
    folder = findings.records.folder
    files = {folder / "report.html": html(name, study, found, findings, command, failures).encode()}
    files |= {folder / f"{key}.csv": frame.to_csv(index=False).encode() for key, frame in found.csv.items()}
    files |= {_picture_path(folder, picture): picture.png for picture in found.pictures}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return list(files)


def _picture_path(folder: Path, picture: Picture) -> Path:
    return folder / "figures" / f"{file_name(picture.dataset)}.{file_name(picture.kind)}.png"


def html(
    name: str,
    study: Study,
    found: Section,
    findings: Findings,
    command: str,
    failures: pd.DataFrame | None = None,
) -> str:
    """The report of a study as one page; for the arguments see :func:`write_study`."""
    body = [
        f"<h1>{escape(study.title)}</h1>",
        *section_parts(name, found),
        section("Runs", "protocol", [_runs(findings, command)]),
        section("Failed and missing runs", "failures", [_not_there(findings, failures)]),
    ]
    return page(study.title, body)


def section_parts(name: str, found: Section) -> list[str]:
    """What a study says as parts of a page: words, then each data set's tables and figures, then notes."""
    parts = [f"<p><i>{escape(STUDIES[name][1])}</i></p>"] if name in STUDIES else []
    parts.append(section("In words", f"{name}-words", [items(found.words or ["No finding yet: runs are missing."])]))
    about = dict.fromkeys([*(t.dataset for t in found.tables), *(p.dataset for p in found.pictures)])
    for i, dataset in enumerate(about):
        shown = [table(content) for content in found.tables if content.dataset == dataset]
        shown += [figure(picture) for picture in found.pictures if picture.dataset == dataset]
        parts.append(section(dataset, f"{name}-{i}", shown))
    if found.notes:
        parts.append(section("How to read it", f"{name}-notes", [items(found.notes)]))
    return parts


def _runs(findings: Findings, command: str) -> str:
    heads = ("Data", "Sizes", "Settings", "Seeds", "Models", "Split and creators", "Protocol", "Version")
    head = "".join(f"<th>{text}</th>" for text in heads)
    rows = []
    order = [label for plan in findings.plans for label in plan.labels]
    for summary in summarise(findings.records.runs, order=list(dict.fromkeys(order))):
        facts = summary.facts
        hashes = (" ".join(str(facts["fingerprint"]).split("-")), str(facts["protocol"]), str(facts["version"]))
        models = ", ".join(model for model in summary.models if model in summary.seeds)
        texts = (sizes_text(summary), settings_text(summary), seeds_text(summary), models)
        rows.append("".join(f"<td>{escape(text)}</td>" for text in (summary.dataset, *texts, *hashes)))
    made = f"<p>Made by <code>{escape(command)}</code></p>" if command else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    points = [
        "Under a condition (DATA@CONDITION) the training data are changed as its name says, the same for every model; "
        "validation and test interactions are those of the unchanged data.",
        "The epoch that is best on validation data is tested, once. All runs on a data set share one protocol.",
    ]
    facts_table = f'<div class="wide"><table class="facts"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f"{made}{facts_table}</div>{items(points)}"


def _not_there(findings: Findings, failures: pd.DataFrame | None) -> str:
    missing = missing_runs(findings, findings.records)
    return f"<h3>Failed</h3>{items(failure_text(failures) or ['none'])}<h3>Missing</h3>{items(missing or ['none'])}"


def missing_runs(findings: Findings, records: Records) -> list[str]:
    """A line for each data and model of the plans with the seeds that were not run."""
    lacking: dict[tuple[str, str], list[int]] = {}
    there = records.keys()
    for plan in findings.plans:
        for job in plan.jobs():
            if job.key not in there:
                lacking.setdefault((job.data, job.contestant.label), []).append(job.seed)
    return [f"{label} on {data}: no run with seed {_numbers(seeds)}" for (data, label), seeds in lacking.items()]


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
