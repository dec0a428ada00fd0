"""What keeps a running search, shows it, and says when it is over; without Ray."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recbole_vagnn.experiments.tuning import experiment as module
from recbole_vagnn.experiments.tuning.experiment import SearchObserver
from recbole_vagnn.experiments.tuning.journal import Journal
from recbole_vagnn.experiments.tuning.search import Search
from tests.experiments.tuning.toy_search import SPACE, toy_search
from tests.runs import write_toy


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A clock that stands still: ``clock["now"]`` moves it."""
    hands = {"now": 1000.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: hands["now"])
    return hands


def observer_of(search: Search, console: Console | None = None) -> SearchObserver:
    return SearchObserver(search, search.journal(), console or Console(file=StringIO(), width=200))


def report(evaluation: int, best: float, ended: str = "") -> dict[str, Any]:
    return {
        "evaluation": evaluation,
        "epoch": evaluation - 1,
        "score": best,
        "best": best,
        "best_epoch": evaluation - 1,
        "loss": 0.5,
        "seconds": 60.0,
        "total_seconds": 60.0 * evaluation,
        "node": "host",
        "ended": ended,
        "valid_recall@10": best,
        "pid": 12345,
        "time_total_s": 3.2,
    }


def play(observer: SearchObserver, *outcomes: str) -> list[bool]:
    """Trials one after the other, "ok" or a reason to fail; after each, whether the search is over."""
    over = []
    for outcome in outcomes:
        name = f"t{len(observer.journal.trials)}"
        observer.started(name, {"learning_rate": 0.001 * (1 + len(observer.journal.trials))})
        if outcome == "ok":
            observer.reported(name, report(1, 0.25, "plateau"))
            observer.completed(name)
        elif outcome == "died":
            observer.failed(name, "its process died")
        else:
            observer.reported(name, {"error": outcome, "done": True})
            observer.completed(name)
        over.append(observer.is_over())
    observer.all_known(list(observer.journal.trials))
    return over


def reopened(search: Search) -> Journal:
    return search.journal()


def test_three_failures_in_a_row_end_a_search(data_path: Path, tmp_path: Path) -> None:
    search = toy_search(tmp_path, data_path, budget={"trials": 9})
    observer = observer_of(search)
    assert play(observer, "ok", "bad 1", "died", "ok", "bad 2", "died", "bad 3") == [False] * 6 + [True]
    observer.close()
    journal = reopened(search)
    assert journal.hopeless
    assert journal.over == "3 trial(s) in a row failed, the last one: bad 3"
    assert journal.trials["t2"].error == "its process died (after 1 attempts)"


@pytest.mark.parametrize(("first", "tolerated"), [(0, 2), (1, 0), (2, 1), (5, 2)])
def test_a_search_ends_when_its_first_points_have_all_failed(
    data_path: Path, tmp_path: Path, first: int, tolerated: int
) -> None:
    points = "".join(f"  - {{learning_rate: 0.00{number + 1}}}\n" for number in range(first))
    space = ("first:\n" + points if first else "") + "space" + SPACE.partition("space")[2]
    observer = observer_of(toy_search(tmp_path, data_path, space=space, budget={"trials": 9}))
    assert play(observer, *["bad"] * (tolerated + 1)) == [False] * tolerated + [True]


def test_a_search_that_has_all_its_trials_is_over(data_path: Path, tmp_path: Path) -> None:
    search = toy_search(tmp_path, data_path, budget={"trials": 2})
    observer = observer_of(search)
    assert play(observer, "ok", "ok") == [False, False]
    observer.close()
    assert (reopened(search).over, reopened(search).hopeless) == ("all trials done", False)


def test_a_search_without_all_its_trials_was_interrupted(data_path: Path, tmp_path: Path) -> None:
    search = toy_search(tmp_path, data_path, budget={"trials": 3})
    observer = observer_of(search)
    play(observer, "ok", "ok")
    observer.started("running", {"learning_rate": 0.01})
    observer.all_known([*observer.journal.trials])
    with pytest.raises(KeyboardInterrupt):
        observer.close()
    assert reopened(search).over is None


def test_a_trial_that_ray_forgot_does_not_make_a_search_complete(data_path: Path, tmp_path: Path) -> None:
    observer = observer_of(toy_search(tmp_path, data_path, budget={"trials": 2}))
    play(observer, "ok", "ok")
    observer.all_known(["t1"])
    with pytest.raises(KeyboardInterrupt):
        observer.close()


def test_the_time_budget_covers_all_sessions_and_counts_running_trials_as_stopped(
    data_path: Path, tmp_path: Path, clock: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = toy_search(tmp_path, data_path, budget={"trials": 9, "seconds": 100.0})
    with monkeypatch.context() as patched:
        times = iter([0.0, *[70.0] * 99])
        patched.setattr("recbole_vagnn.experiments.tuning.journal.time.time", lambda: next(times))
        play(observer_of(search), "ok")
    observer = observer_of(search)  # 70 of 100 seconds are spent
    observer.started("running", {"learning_rate": 0.01})
    observer.reported("running", report(4, 0.5))
    clock["now"] += 29
    assert not observer.is_over()
    clock["now"] += 2
    assert observer.is_over()
    observer.all_known(["t0", "running"])
    observer.close()
    journal = reopened(search)
    assert (journal.over, journal.trials["running"].state) == ("time budget spent", "stopped")
    assert search.record(journal).trials[1].score == 0.5


def test_of_a_report_only_what_belongs_to_the_search_is_kept(data_path: Path, tmp_path: Path) -> None:
    search = toy_search(tmp_path, data_path, budget={"trials": 1})
    play(observer_of(search), "ok")
    (kept,) = reopened(search).trials["t0"].rows.values()
    assert kept == {
        key: value for key, value in report(1, 0.25, "plateau").items() if key not in ("pid", "time_total_s")
    }


# What a person sees


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_each_trial_that_ends_gives_a_line(data_path: Path, tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=200)
    observer = observer_of(toy_search(tmp_path, data_path, budget={"trials": 4}), console)
    with observer.board:
        play(observer, "ok", "the rate is wrong")
        observer.started("t2", {"learning_rate": 0.05})
        observer.reported("t2", report(3, 0.75))
        observer.retried("t2", "its machine is gone")
        observer.completed("t2")
    stopped = "stopped early for being worse than others"
    assert lines(console) == [
        "trial 0: Recall@10 0.2500 in epoch 1 of 1, ended by their own plateau, 1.0 min; learning_rate 0.001 "
        "(1 of 4 done)",
        "trial 1 failed: the rate is wrong (2 of 4 done)",
        "trial 2 died and goes on from its last checkpoint: its machine is gone (2 of 4 done)",
        f"trial 2: Recall@10 0.7500 in epoch 3 of 3, {stopped}, 3.0 min; learning_rate 0.05 (3 of 4 done)",
    ]


def table_text(observer: SearchObserver) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(observer.board.table())
    return "\n".join(lines(console))


def test_the_table_shows_what_runs_the_best_and_the_time_left(
    data_path: Path, tmp_path: Path, clock: dict[str, float]
) -> None:
    observer = observer_of(toy_search(tmp_path, data_path, budget={"trials": 5}))
    with observer.board:
        assert "BPR on toy: 0 of 5 trials, 0 s" in table_text(observer)
        play(observer, "ok", "bad")
        observer.started("running", {"learning_rate": 0.05})
        assert "0/24" in table_text(observer)
        observer.reported("running", report(7, 0.2))
        clock["now"] += 120
        text = table_text(observer)
    assert "BPR on toy: 2 of 5 trials (1 plateau, 1 failed), 2.0 min, about 3.0 min left" in text
    (running,) = (line for line in text.splitlines() if "learning_rate 0.05" in line)
    assert [cell.strip() for cell in running.strip("│").split("│")][:4] == ["2", "7/24", "0.2000", "0.2000"]
    (best,) = (line for line in text.splitlines() if "best: 0" in line)
    assert "0.2500" in best


@pytest.mark.parametrize(("metric", "best"), [("Recall@10", "best: 1"), ("AveragePopularity@10", "best: 0")])
def test_the_best_is_the_smallest_where_smaller_is_better(
    data_path: Path, tmp_path: Path, metric: str, best: str
) -> None:
    options = {"metrics": ["Recall", "AveragePopularity"], "valid_metric": metric}
    options["valid_metric_bigger"] = metric.startswith("Recall")
    observer = observer_of(toy_search(tmp_path, data_path, **options))
    for name, score in (("a", 0.1), ("b", 0.3)):
        observer.started(name, {"learning_rate": 0.1})
        observer.reported(name, report(1, score))
    assert best in table_text(observer)
