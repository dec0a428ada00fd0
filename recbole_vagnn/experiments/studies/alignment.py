"""Alignment: whether the contrastive loss brings the two views of VA-GNN together, and what that is worth.

Three models: as it is, without the contrast, and with the sign of the contrastive loss turned round, as it is in the
released program at the published settings (docs/fidelity.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import tables
from recbole_vagnn.experiments.plan import Contestant, Plan, configuration
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.records import Records
from recbole_vagnn.experiments.studies.alignment_figures import Aligned, draw_alignment
from recbole_vagnn.experiments.studies.alignment_measures import (
    MAP,
    MEASURES,
    MOST_NODES,
    NEIGHBOURS,
    NODES,
    PROJECTIONS,
    VIEWS,
)
from recbole_vagnn.experiments.studies.compare import (
    Where,
    change_percent,
    headline_of,
    is_significant,
    paired_tests,
    rows_of,
    runs_of,
)
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study, variant_of
from recbole_vagnn.experiments.summary import heading, summarise
from recbole_vagnn.experiments.tables import LEVEL, NONE, Cell, Table, percent_text
from recbole_vagnn.options import Options

INVERTED = "inverted sign"
_PROBE = "recbole_vagnn.experiments.studies.alignment_measures:measure"


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/alignment.yaml``.

    Attributes:
        model: the model.
        epochs: numbers of epochs trained after which the views are compared.
    """

    model: str
    epochs: list[int]

    def __post_init__(self) -> None:
        whole = isinstance(self.epochs, list) and all(
            isinstance(epoch, int) and not isinstance(epoch, bool) and epoch >= 0 for epoch in self.epochs
        )
        if not whole:
            raise InputError(f"`epochs` is {self.epochs!r}; it must be a list of whole numbers from 0.")


def labels(settings: Settings) -> list[str]:
    """The contestants."""
    return [settings.model, variant_of(settings.model, "no_contrast").label, INVERTED]


def plans(request: Request) -> list[Plan]:
    """The three models; the inverted weight is that of the data set's (tuned) settings."""
    settings: Settings = request.settings
    probe = Probe(_PROBE, snapshots=tuple(settings.epochs))
    full, without = Contestant(settings.model, settings.model), variant_of(settings.model, "no_contrast")
    found = []
    for dataset in request.datasets:
        job = next(iter(request.plan([full], datasets=[dataset]).jobs()))
        weight = configuration(job, request.data_path)["ssl_weight"]
        if not weight:
            raise InputError(
                f"`ssl_weight` of {settings.model} on {dataset} is {weight}: without a contrast there is nothing to "
                f"compare. Give the model one."
            )
        inverted = Contestant(INVERTED, settings.model, {"ssl_weight": -weight}, tuned_as=full.label)
        found.append(request.plan([full, without, inverted], datasets=[dataset], probe=probe, ours=[full.label]))
    return found


def analyse(findings: Findings) -> Section:
    """Agreement of the views over the epochs and at the tested one, and accuracy beside it."""
    settings: Settings = findings.settings
    names = labels(settings)
    found = [aligned for name in findings.datasets if (aligned := read(findings.records, name, names)) is not None]
    accuracy = {summary.dataset: summary for summary in summarise(findings.records.runs, order=names)}
    shown = [table for aligned in found for table in (_table(aligned), tables.tables(accuracy[aligned.dataset])[0])]
    return Section(
        words=tuple(sentence for aligned in found for sentence in _sentences(aligned, names[0], findings.records)),
        tables=tuple(shown),
        pictures=tuple(picture for aligned in found for picture in draw_alignment(aligned)),
        csv={"alignment": pd.concat([aligned.table() for aligned in found], ignore_index=True)} if found else {},
        notes=_NOTES,
    )


_NOTES = (
    "Compared are the two vectors of every user, video and vlogger with training interactions (of more than "
    f"{MOST_NODES:,} of a type, so many are drawn). Cosine: mean over nodes. Alignment: mean squared distance of the "
    "two directions, 2 − 2 × cosine, 0 = equal. Uniformity: logarithm of the mean of exp(−2 × squared distance) over "
    "pairs of nodes of a view, 0 = all in one direction, the smaller, the more even (Wang and Isola, ICML 2020).",
    f"Common neighbours: share of a node's {NEIGHBOURS} nearest neighbours by cosine in one view that are among those "
    "in the other; this asks whether the views say the same of a node even if they say it in other coordinates.",
    "The contrast sees projections of the views, by one head for each type of node, and not the views themselves: the "
    "loss can fall without the views coming nearer. Projections are compared where a model has heads.",
    f"“{INVERTED.capitalize()}”: λ2 with the other sign. The released program has this sign at both published "
    "settings, and further defects that are not in this comparison.",
    "Accuracy: paired over test users, each user's metric averaged over the seeds first; * = Holm-corrected p of the "
    f"two-sided paired t test below {LEVEL}.",
)


def read(records: Records, dataset: str, names: Sequence[str]) -> Aligned | None:
    """What the runs on a data set measured; None without a run."""
    measures = [frame.assign(model=key[1], seed=key[2]) for key, frame in records.measured(MEASURES, dataset)]
    if not measures:
        return None
    maps: dict[str, pd.DataFrame] = {}
    for (_, label, _), frame in records.measured(MAP, dataset):
        maps.setdefault(label, frame)  # of the first seed
    values = pd.concat(measures, ignore_index=True)
    there = [name for name in names if name in set(values["model"])]
    return Aligned(dataset, there, values, maps)


_COLUMNS = {
    "cosine": "Cosine",
    "alignment": "Alignment",
    "uniformity_video": "Uniformity: video",
    "uniformity_vlogger": "vlogger view",
    "neighbours": "Neighbours",
    "chance": "by chance",
}


def _table(aligned: Aligned) -> Table:
    rows = []
    for model in aligned.models:
        for node in NODES:
            views = [_cell(aligned.tested(model, node, VIEWS, column), column) for column in _COLUMNS]
            projected = _cell(aligned.tested(model, node, PROJECTIONS, "cosine"), "cosine")
            seeds = len(aligned.tested(model, node, VIEWS, "cosine"))
            rows.append((f"{model}: {node}", (*views, projected, Cell(str(seeds), seeds))))
    heads = ("Model and nodes", *_COLUMNS.values(), "Projections", "Seeds")
    note = (
        "At the tested epoch. Mean ± standard deviation over seeds. Neighbours: share that both views have in common. "
        "Projections: cosine of what the contrast sees."
    )
    return Table(aligned.dataset, "Agreement of the two views", heads, tuple(rows), notes=(note,))


def _cell(values: pd.Series, column: str) -> Cell:
    if values.empty:
        return Cell(NONE)
    scale, digits, unit = (100, 1, " %") if column in ("neighbours", "chance") else (1, 2, "")
    spread = f" ± {scale * values.std():.{digits}f}" if len(values) > 1 and column != "chance" else ""
    mean = float(values.mean())
    return Cell(f"{scale * mean:.{digits}f}{spread}{unit}".replace("-", "−"), mean)


def _sentences(aligned: Aligned, full: str, records: Records) -> list[str]:
    """Cosines of the models, and their accuracy against the full model's."""
    cosines = [f"{model} {_triple(aligned, model, 'cosine')}" for model in aligned.models]
    shares = [f"{model} {_triple(aligned, model, 'neighbours', percent=True)}" for model in aligned.models]
    chance = _triple(aligned, aligned.models[0], "chance", percent=True)
    kinds = " / ".join(NODES)
    found = [
        f"{aligned.dataset}: mean cosine between the views of {kinds}: {'; '.join(cosines)}.",
        f"{aligned.dataset}: common neighbours of {kinds}: {'; '.join(shares)}; by chance {chance}.",
    ]
    runs = runs_of(records, aligned.dataset, {name: Where(aligned.dataset, name) for name in aligned.models})
    for metric in headline_of(runs):
        if tests := rows_of(paired_tests(runs, full, [metric]), metric):
            changes = ", ".join(f"{row['rival']} {_change(row)}" for row in tests)
            base = f"{heading(metric)} {tests[0]['ours_mean']:.4f}"
            found.append(f"{aligned.dataset}: against {full}, with {base}: {changes} (* significant).")
    return found


def _change(row: Mapping[str, Any]) -> str:
    """A model against the full one, in percent of the full one's mean."""
    change = change_percent(row)
    return NONE if isnan(change) else percent_text(change) + "*" * is_significant(row)


def _triple(aligned: Aligned, model: str, column: str, percent: bool = False) -> str:
    values = [aligned.tested(model, node, VIEWS, column).mean() for node in NODES]
    texts = [f"{100 * value:.0f} %" if percent else f"{value:.2f}" for value in values]
    return " / ".join(texts).replace("-", "−")


STUDY = Study(title="Alignment", settings=Settings, plans=plans, analyse=analyse)
