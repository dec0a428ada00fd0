"""What the study of cold start says in words: ours against the best rival, and where a test tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recbole_vagnn.experiments.studies.cold_start_figures import Breakdown, HeldDown, K, told_apart
from recbole_vagnn.experiments.summary import heading
from recbole_vagnn.experiments.tables import percent_text


def in_short(dataset: str, broken: Sequence[Breakdown], ours: str) -> list[str]:
    """In how many groups ours is told apart from the best rival."""
    ahead = behind = groups = 0
    for breakdown in broken:
        rivals = [label for label in breakdown.hits if label != ours]
        if ours not in breakdown.hits or not rivals:
            return []
        for i in range(len(breakdown.groups)):
            own, best = breakdown.hits[ours][i], breakdown.hits[breakdown.best(rivals, i)][i]
            told, groups = told_apart(own, best), groups + 1
            ahead, behind = ahead + (told and own.mean() > best.mean()), behind + (told and own.mean() < best.mean())
    return [
        f"{dataset}: of {groups} groups of interactions, {ours} finds significantly more than the best rival in "
        f"{ahead}, significantly less in {behind}, and is not told apart from it in {groups - ahead - behind}."
    ]


def group_sentence(dataset: str, breakdown: Breakdown, ours: str) -> str:
    """Ours against the best rival in each group."""
    means = breakdown.means()
    rivals = [label for label in means if label != ours]
    if ours not in means or not rivals:
        return f"{dataset}, by {breakdown.name}: {ours} or its rivals have no run."
    parts = []
    for i, group in enumerate(breakdown.groups):
        best = breakdown.best(rivals, i)
        gain = 100 * (means[ours][i] / means[best][i] - 1) if means[best][i] > 0 else float("nan")
        star = "*" * told_apart(breakdown.hits[ours][i], breakdown.hits[best][i])
        against = f" ({percent_text(gain)})" if np.isfinite(gain) else ""
        parts.append(f"{group}: {means[ours][i]:.3f} against {means[best][i]:.3f}{star} of {best}{against}")
    return f"{dataset}, Hit@{K} by {breakdown.name} ({breakdown.unit}), {ours} and the best rival: {'; '.join(parts)}."


def held_sentences(held: HeldDown, ours: str) -> list[str]:
    """Ours among the models, for each length of the histories; nothing without a run of ours."""
    means = held.means()
    if ours not in means:
        return []
    found = []
    for i, length in enumerate(held.lengths):
        ranking = sorted(means, key=lambda label: -means[label][i])
        place = ranking.index(ours) + 1
        who = f"with {length} training interaction{'s' * (length != '1')}" if length != "all" else "with all of them"
        found.append(
            f"{who} {heading(held.metric)} {means[ours][i]:.4f}, place {place} of {len(ranking)} "
            f"({_nearest(held, ours, ranking, i)})"
        )
    return [f"{held.dataset}, {held.n_users:,} users held down, {ours}: {'; '.join(found)}."]


def _nearest(held: HeldDown, ours: str, ranking: Sequence[str], i: int) -> str:
    """The best model, or the second one where ours is the best, with its mean and whether it is told apart."""
    title, who = ("best", ranking[0]) if ranking[0] != ours else ("next", (*ranking, ours)[1])
    if who == ours:
        return "no rival"
    star = "*" * told_apart(held.values[ours][i], held.values[who][i])
    return f"{title}: {who} {held.values[who][i].mean():.4f}{star}"
