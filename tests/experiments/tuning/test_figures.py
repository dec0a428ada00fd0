"""Figures of a search: what is drawn is what the trials did."""

from __future__ import annotations

from dataclasses import replace
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from recbole_vagnn.experiments.tuning import figures
from recbole_vagnn.experiments.tuning.importance import COLUMNS, Importance
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.experiments.tuning.store import SearchRecord
from tests.experiments.tuning.cases import BUDGET, search_record, trial

NAN = float("nan")
ROWS = [
    ("rate", 0.7, 0.1, 0.4, 0.9, "fanova", 11),
    ("layers", 0.2, 0.1, 0.3, -0.2, "fanova", 11),
    ("kind", 0.1, 0.05, 0.3, NAN, "fanova", 11),
]
SHARES = Importance(pd.DataFrame(ROWS, columns=list(COLUMNS)), "fanova", "How to read it.")
NOTHING = Importance(SHARES.table.assign(method="none"), "none", "Too few trials.")
WINNER, PALE = figures._WINNER, figures._PALE


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures by kind, for what is drawn after this."""
    found: dict[str, Figure] = {}
    last: list[Figure] = []

    def to_png(figure: Figure) -> bytes:
        last.append(figure)
        return b""

    def remember(dataset: str, kind: str, caption: str, png: bytes) -> Any:
        found[kind] = last[-1]
        return figures_picture(dataset, kind, caption, png)

    figures_picture = figures.Picture
    monkeypatch.setattr(figures, "to_png", to_png)
    monkeypatch.setattr(figures, "Picture", remember)
    return found


def kinds(record: SearchRecord, found: Importance = SHARES) -> list[str]:
    return [picture.kind for picture in figures.draw(record, found)]


def lines(axes: Axes, color: str) -> list[Any]:
    return [line for line in axes.get_lines() if same_color(line.get_color(), color)]


def test_a_search_has_five_figures_which_name_it() -> None:
    pictures = figures.draw(search_record(), SHARES)
    assert [picture.kind for picture in pictures] == ["history", "curves", "parallel", "slices", "importance"]
    assert {picture.dataset for picture in pictures} == {"LightGCN on films"}
    assert all(picture.png.startswith(b"\x89PNG") and picture.caption for picture in pictures)


def test_equal_records_give_equal_bytes_and_others_do_not() -> None:
    first, again = (figures.draw(search_record(), SHARES) for _ in range(2))
    assert [picture.png for picture in first] == [picture.png for picture in again]
    fewer = figures.draw(search_record(10), SHARES)
    assert all(one.png != other.png for one, other in zip(first[:4], fewer[:4], strict=True))


def test_figures_that_have_nothing_to_show_are_left_out(drawn: dict[str, Figure]) -> None:
    assert kinds(search_record(1), NOTHING) == []
    assert kinds(search_record(2), NOTHING) == ["history", "curves", "parallel", "slices"]
    no_space = Space("Pop", (), (), "Pop.yaml")
    assert kinds(search_record(space=no_space), NOTHING) == ["history", "curves"]
    assert kinds(search_record(budget={**BUDGET, "epochs": 1}), NOTHING) == ["history", "parallel", "slices"]


@pytest.mark.parametrize("bigger", [True, False])
def test_the_history_is_the_best_so_far(drawn: dict[str, Figure], bigger: bool) -> None:
    scores = [0.3, 0.1, 0.5, None, 0.2, 0.6, 0.05]
    trials = [
        trial(number, score, "failed" if score is None else "finished", 40) for number, score in enumerate(scores)
    ]
    figures.draw(search_record(trials=trials, bigger=bigger), NOTHING)
    (axes,) = drawn["history"].axes
    step, star = lines(axes, WINNER)
    expected, best = [], None
    for score in (score for score in scores if score is not None):
        best = score if best is None else max(best, score) if bigger else min(best, score)
        expected.append(best)
    assert list(step.get_xdata()) == [0, 1, 2, 4, 5, 6, 6]
    assert list(step.get_ydata()) == [*expected, expected[-1]]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == ((5, 0.6) if bigger else (6, 0.05))
    failed = [line for line in axes.get_lines() if line.get_marker() == "|"]
    assert [list(line.get_xdata()) for line in failed] == [[3]]
    (dashed,) = lines(axes, figures._START)
    assert set(dashed.get_ydata()) == {0.3}


def test_curves_are_the_evaluations_and_the_winner_stands_out(drawn: dict[str, Figure]) -> None:
    record = search_record()
    figures.draw(record, NOTHING)
    (axes,) = drawn["curves"].axes
    (winner,) = lines(axes, WINNER)
    of_winner = record.epochs[record.epochs["number"] == 10]
    assert list(winner.get_xdata()) == list(range(1, 41))
    assert list(winner.get_ydata()) == list(of_winner["score"])
    assert len(lines(axes, PALE)) == 5
    assert {len(line.get_xdata()) for line in lines(axes, PALE)} == {10}
    assert len(axes.get_lines()) == 11


def test_a_line_of_the_parallel_axes_has_the_heights_worked_out_by_hand(drawn: dict[str, Figure]) -> None:
    """Rate 0.01 is a third of the way by powers of ten; 2 of 1 … 4 and "a" of three take the middle of their part."""
    trials = [trial(0, 0.2, "finished", 40), trial(1, 0.1, "finished", 40)]
    figures.draw(search_record(trials=trials), NOTHING)
    (axes,) = drawn["parallel"].axes
    (winner,) = lines(axes, WINNER)
    pad = 0.05 * 0.1
    assert winner.get_ydata() == pytest.approx([1 / 3, 1.5 / 4, 0.5 / 3, (0.1 + pad) / (0.1 + 2 * pad)])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["rate", "layers", "kind", "validation\nRecall@10"]
    assert {"0.001", "1", "4", "a", "b", "None"} <= {text.get_text() for text in axes.texts}


def test_slices_show_every_trial_at_its_value(drawn: dict[str, Figure]) -> None:
    record = search_record()
    figures.draw(record, NOTHING)
    panels = {axes.get_xlabel(): axes for axes in drawn["slices"].axes if axes.get_xlabel()}
    assert list(panels) == ["rate (logarithmic)", "layers", "kind"]
    assert record.best is not None
    places = {
        "rate (logarithmic)": lambda config: log10(config["rate"]),
        "layers": lambda config: config["layers"],
        "kind": lambda config: ("a", "b", None).index(config["kind"]),
    }
    for name, axes in panels.items():
        shown = np.concatenate([np.asarray(points.get_offsets()) for points in axes.collections])
        others = [t for t in record.scored if t is not record.best]
        expected = sorted((places[name](t.config), t.score) for t in others)
        assert sorted(map(tuple, shown.tolist())) == [pytest.approx(point) for point in expected]
        (star,) = lines(axes, WINNER)
        assert star.get_xdata()[0] == pytest.approx(places[name](record.best.config))


def test_importance_is_a_bar_for_each_parameter_beside_what_chance_gives(drawn: dict[str, Figure]) -> None:
    figures.draw(search_record(), SHARES)
    (axes,) = drawn["importance"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["kind", "layers", "rate"]
    bars = list(axes.patches)
    assert [bar.get_width() for bar in bars] == [0.1, 0.2, 0.7]
    (chance,) = lines(axes, WINNER)
    assert list(chance.get_xdata()) == [0.3, 0.3, 0.4]
    clear = [bar.get_facecolor() == bars[2].get_facecolor() for bar in bars]
    assert clear == [False, False, True]


def test_without_shares_the_bars_are_correlations(drawn: dict[str, Figure]) -> None:
    table = SHARES.table.assign(importance=NAN, spread=NAN, chance=NAN, method="spearman")
    figures.draw(search_record(), Importance(table, "spearman", "Few trials."))
    (axes,) = drawn["importance"].axes
    assert [patch.get_width() for patch in axes.patches] == [0.0, -0.2, 0.9]
    assert axes.get_xlim() == (-1.0, 1.0)
    assert "no order" in {text.get_text() for text in axes.texts}


def test_a_crowd_of_trials_and_long_choices_is_drawn(tmp_path: Path) -> None:
    record = search_record()
    values = tuple([64] * n for n in range(1, 8))
    parameter = replace(record.space.parameters[2], values=values)
    space = replace(record.space, parameters=(*record.space.parameters[:2], parameter), first=())
    trials = [replace(t, config={**t.config, "kind": values[t.number % 7]}) for t in record.trials]
    pictures = figures.draw(replace(record, space=space, trials=trials), NOTHING)
    assert len(pictures) == 4
