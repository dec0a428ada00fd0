"""Importance: the parameter that made the scores is found, and where there is too little to see, it is said."""

from __future__ import annotations

from dataclasses import replace
from math import log10

import numpy as np
import pytest
from scipy import stats

from recbole_vagnn.experiments.tuning.importance import COLUMNS, Importance, importance
from recbole_vagnn.experiments.tuning.space import Space
from recbole_vagnn.experiments.tuning.store import SearchRecord, TrialRecord
from tests.experiments.tuning.cases import SPACE, search_record, trial

KINDS = ("a", "b", None)


def searched(n: int, bigger: bool = True) -> SearchRecord:
    """Scores that are the logarithm of the rate (or, where smaller is better, its negative); the others are noise."""
    rng = np.random.default_rng(5)
    trials = []
    for number in range(n):
        config = {
            "rate": float(10 ** rng.uniform(-3, 0)),
            "layers": int(rng.integers(1, 5)),
            "kind": KINDS[rng.integers(3)],
        }
        score = 1.0 + 0.1 * log10(config["rate"])
        trials.append(trial(number, score if bigger else -score, "finished", 4, config=config, first=False))
    return search_record(trials=trials, bigger=bigger)


@pytest.fixture(scope="module")
def found() -> Importance:
    return importance(searched(20))


def test_the_parameter_that_made_the_scores_is_first_and_above_chance(found: Importance) -> None:
    table = found.table.set_index("parameter")
    assert found.method == "fanova"
    assert tuple(found.table.columns) == COLUMNS
    assert table.index[0] == "rate"
    assert table.at["rate", "importance"] > 0.8
    assert table.at["rate", "importance"] > table.at["rate", "chance"]
    assert (table["importance"].drop("rate") < table["chance"].drop("rate")).all()
    assert table["importance"].sum() <= 1 + 1e-9
    assert table.at["rate", "correlation"] == pytest.approx(1.0)
    assert np.isnan(table.at["kind", "correlation"])
    assert set(table["trials"]) == {20}


def test_equal_records_give_equal_numbers(found: Importance) -> None:
    assert importance(searched(20)).table.equals(found.table)


@pytest.mark.parametrize("bigger", [True, False])
def test_few_trials_give_rank_correlations_with_better_scores(bigger: bool) -> None:
    record = searched(6, bigger)
    few = importance(record)
    table = few.table.set_index("parameter")
    assert few.method == "spearman"
    assert "6 trials are too few for a forest" in few.note
    assert table["importance"].isna().all()
    assert table.at["rate", "correlation"] == pytest.approx(1.0)
    layers = [t.config["layers"] for t in record.trials]
    goodness = [(t.score or 0.0) * (1 if bigger else -1) for t in record.trials]
    assert table.at["layers", "correlation"] == pytest.approx(stats.spearmanr(layers, goodness).statistic)


def test_failed_trials_and_foreign_values_do_not_count() -> None:
    record = searched(6)
    odd: list[TrialRecord] = [trial(6, 5.0, "failed", 1), trial(7, 5.0, "finished", 1, config={"rate": 0.1})]
    with_odd = replace(record, trials=[*record.trials, *odd])
    assert importance(with_odd).table.equals(importance(record).table)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        (searched(3), "Too few trials: 3 with a score, 4 are needed"),
        (search_record(trials=[trial(n, 0.5, "finished", 4) for n in range(9)]), "All 9 trials have the same score"),
        (replace(searched(9), space=Space("Pop", (), (), "x")), "The space has no parameter."),
    ],
)
def test_where_nothing_can_be_said_it_is_said(record: SearchRecord, note: str) -> None:
    nothing = importance(record)
    assert nothing.method == "none"
    assert nothing.note.startswith(note)
    assert nothing.table[["importance", "correlation"]].isna().all(axis=None)
    assert len(nothing.table) == len(record.space.parameters)


def test_one_parameter_explains_all_there_is() -> None:
    alone = Space("LightGCN", SPACE.parameters[:1], (), "my.yaml")
    found = importance(replace(searched(9), space=alone))
    assert found.method == "spearman"
    assert "One parameter explains all there is to explain" in found.note
