"""What a search cost and what early stopping saved, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recbole_vagnn.experiments.tuning.cost import Cost, cost_of, sentences, total
from tests.experiments.tuning.cases import BUDGET, search_record, trial

# Epochs: 3 plateaus × 20 + 5 stopped × 10 + 3 whole × 40 + 3 of the failed one. The six that nobody stopped trained 30
# on average, so each stopped one saved 20, of two seconds.
WORKED = Cost(
    trials=12,
    finished=3,
    plateau=3,
    stopped=5,
    failed=1,
    epochs=233,
    most_epochs=480,
    saved=100.0,
    saved_at_most=150,
    seconds=466.0,
    seconds_saved=200.0,
    wall_seconds=500.0,
)


def test_a_search_costs_what_was_worked_out_by_hand() -> None:
    assert cost_of(search_record()) == WORKED


def test_a_search_whose_trials_were_all_stopped_is_compared_with_the_budget() -> None:
    trials = [trial(0, 0.1, "stopped", 10), trial(1, 0.2, "stopped", 30)]
    found = cost_of(search_record(trials=trials))
    assert (found.saved, found.saved_at_most, found.seconds_saved) == (40.0, 40, 80.0)


def test_a_stopped_trial_that_outlived_the_others_saved_nothing() -> None:
    trials = [trial(0, 0.1, "plateau", 12), trial(1, 0.2, "stopped", 30), trial(2, 0.2, "stopped", 10)]
    found = cost_of(search_record(trials=trials))
    assert (found.saved, found.saved_at_most) == (2.0, 40)


def test_a_trial_that_was_stopped_before_its_first_epoch_does_not_matter() -> None:
    trials = [trial(0, 0.1, "finished", 40), trial(1, None, "stopped", 0)]
    found = cost_of(search_record(trials=trials))
    assert (found.trials, found.stopped, found.saved, found.seconds_saved) == (2, 1, 0.0, 0.0)


def test_costs_add_up() -> None:
    twice = total([search_record(), search_record()])
    assert twice == replace(WORKED, **{name: 2 * getattr(WORKED, name) for name in WORKED.__dataclass_fields__})
    assert total([]) == Cost()


@pytest.mark.parametrize("search_seconds", [500.0, 7300.0])
def test_the_words_have_the_numbers(search_seconds: float) -> None:
    record = search_record(budget={**BUDGET, "wall_seconds": search_seconds})
    trials, saved = sentences(cost_of(record))
    assert "Trials: 12 (3 trained all their epochs, 3 ended by their own plateau, 5 stopped early" in trials
    assert "1 failed). 233 of at most 480 epochs were trained" in trials
    assert ("in 8.3 min." if search_seconds == 500.0 else "in 2 h 02 min.") in trials
    assert saved.startswith("Early stopping saved about 100 epochs (3.3 min), at most 150.")


def test_no_word_of_early_stopping_where_nothing_was_stopped() -> None:
    assert len(sentences(cost_of(search_record(trials=[trial(0, 0.1, "finished", 40)])))) == 1
