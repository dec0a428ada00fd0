"""Truly new videos: held out of training as a whole, known by their vlogger alone (docs/cold_start.md).

Every model is trained once for each draw of new videos. Those with the option ``new_videos`` are measured with both of
its choices, from the same parameters, so that the difference is the option's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pandas as pd

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import Condition, Contestant, Plan, contestants
from recbole_vagnn.experiments.probe import Probe
from recbole_vagnn.experiments.studies.new_video_figures import draw_new_videos
from recbole_vagnn.experiments.studies.new_video_findings import SHARE, Measured, name_of, read
from recbole_vagnn.experiments.studies.new_video_rankings import (
    KNOWN_AMONG_ALL,
    KNOWN_AMONG_KNOWN,
    NEW_AMONG_ALL,
    NEW_AMONG_NEW,
    OWN,
    POPULARITY,
    RANDOM,
    SHARE_AT,
    VLOGGER,
)
from recbole_vagnn.experiments.studies.study import Findings, Request, Section, Study, variant_of
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import NONE, Cell, Table, percent_text
from recbole_vagnn.options import Options

_PROBE = Probe("recbole_vagnn.experiments.studies.new_video_rankings:measure")


@dataclass(frozen=True)
class Settings(Options):
    """Entries of ``properties/study/new-videos.yaml``.

    Attributes:
        share: ``new_video_share``.
        draws: values of ``new_video_seed``.
        models: as a plan names them; the first is ours.
        variant: ``model`` and its ``variant`` that uses no vlogger, or nothing.
    """

    share: float
    draws: list[int]
    models: list[Any]
    variant: dict[str, str]

    def __post_init__(self) -> None:
        self.require_number("share", 0, 0.5, above=True)
        for name in ("draws", "models"):
            if not isinstance(getattr(self, name), list) or not getattr(self, name):
                raise InputError(f"`{name}` is {getattr(self, name)!r}; it must be a list with at least one entry.")
        if not all(isinstance(draw, int) and not isinstance(draw, bool) and draw >= 0 for draw in self.draws):
            raise InputError(f"`draws` is {self.draws!r}; it must be a list of whole numbers from 0.")
        if not isinstance(self.variant, dict) or {*self.variant} not in ({"model", "variant"}, set()):
            raise InputError(f"`variant` is {self.variant!r}; it must be {{model: NAME, variant: NAME}} or {{}}.")

    @property
    def contestants(self) -> list[Contestant]:
        """The models and the variant."""
        models = list(contestants(self.models, "`models`"))
        return [*models, variant_of(**self.variant)] if self.variant else models

    @property
    def conditions(self) -> dict[int, Condition]:
        """The change of the data by each draw."""
        return {
            draw: Condition(f"new-{self.share:g}-draw-{draw}", {"new_video_share": self.share, "new_video_seed": draw})
            for draw in self.draws
        }


def plans(request: Request) -> list[Plan]:
    """Every model on the data of every draw."""
    settings: Settings = request.settings
    models = settings.contestants
    return [
        request.plan(models, condition=condition, probe=_PROBE, ours=[models[0].label])
        for condition in settings.conditions.values()
    ]


def analyse(findings: Findings) -> Section:
    """How well new videos are ranked among themselves and among all, and what that costs the known ones."""
    settings: Settings = findings.settings
    labels = [contestant.label for contestant in settings.contestants]
    found = [
        measured
        for name in findings.datasets
        if (measured := read(findings.records, name, settings.conditions, labels)) is not None
    ]
    return Section(
        words=tuple(sentence for measured in found for sentence in _sentences(measured, labels[0])),
        tables=tuple(table for measured in found for table in _tables(measured)),
        pictures=tuple(draw_new_videos(measured) for measured in found),
        csv={"new_videos": pd.concat([measured.table() for measured in found], ignore_index=True)} if found else {},
        notes=_NOTES,
    )


_NOTES = (
    "New videos are drawn, the same for every model, among those that have training interactions and whose vlogger has "
    "another such video. All their interactions are taken out of training and validation and are the test data, "
    "whatever their time: the order of time is not kept. They stay in the catalogue, so models draw them as negatives "
    "like any video that nobody has seen.",
    "“Own vectors”: ranked by what the model learned of the video, as published. “Vlogger’s mean”: by the mean vector "
    "of the vlogger's trained videos (option new_videos: vlogger), from the same parameters. Random: all scores equal. "
    "Vlogger popularity: training interactions of the video's vlogger.",
    "Equal scores, of which models that know nothing of new videos give many, are counted by the expectation over "
    "their random orders, so the order of the files decides nothing. RecBole's own metrics do not do that.",
    "Among all videos a rule gains by ranking new videos above the known ones whatever they are. So look at the known "
    "ones too: validation interactions, ranked with the new videos as candidates and without them.",
    "Which videos are new decides more than which users are asked, so the deviations (n − 1) are those between draws, "
    "and no test over users is given.",
    "Early stopping looks at validation interactions, which are with known videos; new ones are among the candidates.",
)


def _tables(found: Measured) -> list[Table]:
    columns = [(NEW_AMONG_NEW, name) for name in found.metrics]
    alone = _table(found, "New videos ranked among new videos", columns, [heading(name) for _, name in columns])
    first = found.metrics[0]
    heads = [*map(heading, found.metrics), f"New in top {SHARE_AT}", f"Known {heading(first)}", "… without new"]
    columns = [(NEW_AMONG_ALL, name) for name in (*found.metrics, SHARE)]
    columns += [(KNOWN_AMONG_ALL, first), (KNOWN_AMONG_KNOWN, first)]
    return [alone, _table(found, "New videos ranked among all videos", columns, heads)]


def _table(found: Measured, title: str, columns: Sequence[tuple[str, str]], heads: Sequence[str]) -> Table:
    rows = []
    for ranking in found.rankings:
        cells = [_cell(found.by_draw(question, ranking, metric), metric) for question, metric in columns]
        draws = len(found.by_draw(columns[0][0], ranking, columns[0][1]))
        rows.append((ranking, (*cells, Cell(str(draws), draws))))
    sizes = found.sizes
    low, high = sizes["interactions"].min(), sizes["interactions"].max()
    note = (
        f"{sizes['new'].iloc[0]:,} of {sizes['videos'].iloc[0]:,} videos are new in each draw, with {low:,}"
        f"{'' if low == high else f' to {high:,}'} interactions. Mean ± standard deviation over draws."
    )
    return Table(found.dataset, title, ("Ranking", *heads, "Draws"), tuple(rows), notes=(note,))


def _cell(values: pd.Series, metric: str) -> Cell:
    if values.empty:
        return Cell(NONE)
    scale, digits, unit = (100, 1, " %") if metric == SHARE else (1, 4, "")
    spread = f" ± {scale * values.std():.{digits}f}" if len(values) > 1 else ""
    mean = float(values.mean())
    return Cell(f"{scale * mean:.{digits}f}{spread}{unit}", mean)


def _sentences(found: Measured, label: str) -> list[str]:
    """How ours ranks new videos under both rules, and against the floors and the best other ranking."""
    own, filled = (name_of(label, rule, (OWN, VLOGGER)) for rule in (OWN, VLOGGER))
    if not {own, filled} <= {*found.rankings}:
        return []
    return [_among_all(found, label, own, filled), _among_new(found, own, filled)]


def _among_all(found: Measured, label: str, own: str, filled: str) -> str:
    metric, catalogue = found.metrics[0], (found.sizes["new"] / found.sizes["videos"]).mean()
    shares = {name: 100 * found.mean(NEW_AMONG_ALL, name, SHARE) for name in (own, filled)}
    known = {name: found.mean(KNOWN_AMONG_ALL, name, metric) for name in (own, filled)}
    return (
        f"{found.dataset}: new videos are {100 * catalogue:.1f} % of the catalogue. As published, {label} gives them "
        f"{shares[own]:.2f} % of the top-{SHARE_AT} places; as their vlogger's mean they get {shares[filled]:.1f} %, "
        f"and {heading(metric)} of known videos goes from {known[own]:.4f} to {known[filled]:.4f}."
    )


def _among_new(found: Measured, own: str, filled: str) -> str:
    metric = found.main_metric
    others = [name for name in found.rankings if name not in (own, filled, RANDOM, POPULARITY)]
    best = max(others, key=lambda name: found.mean(NEW_AMONG_NEW, name, metric), default=None)
    rivals = [own, *(name for name in (RANDOM, POPULARITY) if name in found.rankings)]
    against = [_against(found, filled, name, metric) for name in rivals]
    if best is not None:
        against.append(f"{_against(found, filled, best, metric)}, the best other ranking")
    mean = found.mean(NEW_AMONG_NEW, filled, metric)
    return (
        f"{found.dataset}: among new videos alone, {filled} reaches {heading(metric)} {mean:.4f}: {'; '.join(against)}."
    )


def _against(found: Measured, ranking: str, rival: str, metric: str) -> str:
    """``+3.1 % against random (higher in 4 of 5 draws)``, of the draws that both have."""
    both = pd.concat([found.by_draw(NEW_AMONG_NEW, name, metric) for name in (ranking, rival)], axis=1, join="inner")
    means = both.mean().to_numpy()
    percent = 100 * (means[0] / means[1] - 1) if len(both) and means[1] > 0 else float("nan")
    higher = int((both.iloc[:, 0] > both.iloc[:, 1]).sum())
    change = NONE if isnan(percent) else percent_text(percent)
    return f"{change} against {rival} (higher in {higher} of {len(both)} draws)"


STUDY = Study(title="New videos", settings=Settings, plans=plans, analyse=analyse)
