"""The study of new videos: what it measures, against plain loops and RecBole; what it says, against written runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import probe
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.probe import Probe, Trained
from recbole_vagnn.experiments.studies import new_video_rankings as rankings
from recbole_vagnn.experiments.studies.new_videos import Settings
from recbole_vagnn.result import Result
from tests.experiments.studies.cases import USERS, Written, conduct
from tests.helpers import write_file
from tests.runs import options_for, run_toy, write_toy

HELD_OUT = {"new_video_share": 0.4, "new_video_seed": 3, "topk": [3, 5], "valid_metric": "Recall@5"}
QUESTIONS = (
    rankings.NEW_AMONG_ALL,
    rankings.NEW_AMONG_NEW,
    rankings.KNOWN_AMONG_ALL,
    rankings.KNOWN_AMONG_KNOWN,
)
Run = tuple[Trained, dict[str, pd.DataFrame], Result]
_trained: list[Trained] = []


def remember(trained: Trained) -> dict[str, pd.DataFrame]:
    """A probe that measures and keeps what it was given."""
    _trained.append(trained)
    return dict(rankings.measure(trained))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random interactions, every seventh video of unknown vlogger."""
    folder = write_toy(tmp_path_factory.mktemp("toy"))
    item = [(f"i{i}", f"v{i % 6}" if i % 7 else "") for i in range(30)]
    write_file(folder / "toy" / "toy.item", "item_id:token vlogger_id:token", item)
    return folder


def measured(toy: Path, model: str, **more: Any) -> Run:
    """A trained model, what was measured on it, and RecBole's own result."""
    options = {**HELD_OUT, **more}
    result = run_toy(toy, options, model)
    request = options_for(toy, options)
    if model in ("VloggerPop", "Pop"):
        del request["embedding_size"]
    tables = probe.measure(Probe(f"{__name__}:remember"), model, "toy", request, result, {})
    return _trained.pop(), tables, result


@pytest.fixture(scope="module")
def vagnn(toy: Path) -> Run:
    return measured(toy, "VAGNN")


@pytest.fixture(scope="module")
def counting(toy: Path) -> Run:
    return measured(toy, "VloggerPop")


def of(tables: dict[str, pd.DataFrame], rule: str, question: str) -> pd.DataFrame:
    table = tables[rankings.RANKINGS]
    return table[(table["rule"] == rule) & (table["question"] == question)].set_index("user")


def pairs(split: Any) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for user, item in zip(split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def by_loops(trained: Trained, scores: np.ndarray, question: str, k: int) -> dict[str, tuple[float, float, float]]:
    """Expected Recall@k, NDCG@k and share of new videos in the top k of each user, over the orders of equal scores."""
    train, valid, test = map(pairs, (trained.train, trained.valid, trained.test))
    new = set(np.flatnonzero(trained.train.new_videos).tolist())
    of_new = question.startswith("new")
    found = {}
    for user, wanted in (test if of_new else valid).items():
        seen = train.get(user, set()) | (valid.get(user, set()) if of_new else set())
        candidates = set(range(1, trained.train.item_num)) - seen
        if question == rankings.NEW_AMONG_NEW:
            candidates &= new
        elif question == rankings.KNOWN_AMONG_KNOWN:
            candidates -= new
        ranks = {}  # of each candidate: the ranks that it has in one order or another
        for item in candidates:
            above = sum(scores[user, other] > scores[user, item] for other in candidates)
            equal = sum(scores[user, other] == scores[user, item] for other in candidates)
            ranks[item] = range(above + 1, above + equal + 1)
        listed = {item: sum(rank <= k for rank in r) / len(r) for item, r in ranks.items()}
        gain = {item: sum(1 / np.log2(rank + 1) for rank in r if rank <= k) / len(r) for item, r in ranks.items()}
        ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
        recall, ndcg = sum(listed[v] for v in wanted) / len(wanted), sum(gain[v] for v in wanted) / ideal
        token = str(trained.train.id2token("user_id", user))
        found[token] = (recall, ndcg, sum(listed[v] for v in new & candidates) / k)
    return found


def all_scores(trained: Trained) -> np.ndarray:
    users = torch.arange(trained.train.user_num)
    with torch.no_grad():
        return trained.model.full_sort_predict(Interaction({"user_id": users})).view(len(users), -1).numpy()


# ----------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("k", [3, 5])
def test_metrics_are_those_of_plain_loops(vagnn: Run, question: str, k: int) -> None:
    trained, tables, _ = vagnn
    got = of(tables, rankings.OWN, question)
    want = by_loops(trained, all_scores(trained), question, k)
    assert set(got.index) == set(want)
    assert len(want) > 10
    for user, (recall, ndcg, _) in want.items():
        assert got.at[user, f"recall@{k}"] == pytest.approx(recall)
        assert got.at[user, f"ndcg@{k}"] == pytest.approx(ndcg)


def test_the_share_of_new_videos_is_that_of_plain_loops(vagnn: Run) -> None:
    trained, tables, _ = vagnn
    want = by_loops(trained, all_scores(trained), rankings.NEW_AMONG_ALL, rankings.SHARE_AT)
    got = of(tables, rankings.OWN, rankings.NEW_AMONG_ALL)["new_share"]
    assert {user: share for user, (*_, share) in want.items()} == pytest.approx(got.to_dict())
    assert of(tables, rankings.OWN, rankings.NEW_AMONG_NEW)["new_share"].isna().all()


@pytest.mark.parametrize("model", ["VAGNN", "TripartiteLightGCN", "BPR"])
def test_among_all_videos_the_metrics_are_recboles(toy: Path, model: str) -> None:
    _, tables, result = measured(toy, model)
    got = of(tables, rankings.OWN, rankings.NEW_AMONG_ALL)
    for name, values in result.per_user.items():
        assert dict(zip(result.users.tolist(), values.tolist(), strict=True)) == pytest.approx(got[name].to_dict())
    known = of(tables, rankings.OWN, rankings.KNOWN_AMONG_ALL)
    assert result.valid is not None
    assert known["recall@3"].mean() == pytest.approx(result.valid["recall@3"])


def test_the_vloggers_mean_is_what_the_option_gives(toy: Path, vagnn: Run) -> None:
    """The same parameters in a model with the option on: its own vectors, ranked by loops."""
    trained, tables, result = vagnn
    options = {**options_for(toy, HELD_OUT), "new_videos": "vlogger"}
    probe.measure(Probe(f"{__name__}:remember"), "VAGNN", "toy", options, result, {})
    users, items = (table.double() for table in _trained.pop().model.vectors())
    scores = (users.unsqueeze(1) * items).sum(2).numpy()  # equal rows, equal sums
    assert np.abs(scores - all_scores(trained)).max() > 0.01
    for question in QUESTIONS:
        got = of(tables, rankings.VLOGGER, question)
        for user, (recall, ndcg, _) in by_loops(trained, scores, question, 5).items():
            assert (got.at[user, "recall@5"], got.at[user, "ndcg@5"]) == pytest.approx((recall, ndcg))


def test_new_videos_of_one_vlogger_get_equal_scores(vagnn: Run) -> None:
    trained = vagnn[0]
    owner, new = trained.train.vlogger_of_item, np.flatnonzero(trained.train.new_videos)
    scores = rankings.rankers(trained)[rankings.VLOGGER](torch.arange(trained.train.user_num))
    same = [(v, w) for v in new for w in new if v < w and owner[v] == owner[w]]
    assert len(same) > 3
    for v, w in same:
        assert torch.equal(scores[:, v], scores[:, w])


def test_a_random_order_finds_the_share_of_candidates_it_looks_at(counting: Run) -> None:
    trained, tables, _ = counting
    new = int(trained.train.new_videos.sum())
    got = of(tables, rankings.RANDOM, rankings.NEW_AMONG_NEW)
    assert got["recall@3"].to_numpy() == pytest.approx(3 / new)
    among_all, train, valid = of(tables, rankings.RANDOM, rankings.NEW_AMONG_ALL), *map(pairs, _splits(trained))
    for user, seen in train.items():
        token = str(trained.train.id2token("user_id", user))
        if token in among_all.index:
            candidates = trained.train.item_num - 1 - len(seen | valid.get(user, set()))
            assert among_all.at[token, "recall@3"] == pytest.approx(3 / candidates)
            assert among_all.at[token, "new_share"] == pytest.approx(new / candidates)


def _splits(trained: Trained) -> tuple[Any, Any]:
    return trained.train, trained.valid


def test_vlogger_popularity_counts_the_training_interactions_of_the_vlogger(counting: Run) -> None:
    trained, tables, _ = counting
    owner = trained.train.vlogger_of_item.tolist()
    counts: dict[int, int] = {}
    for items in pairs(trained.train).values():
        for item in items:
            counts[owner[item]] = counts.get(owner[item], 0) + 1
    totals = torch.tensor([counts.get(p, 0) if p else 0 for p in owner], dtype=torch.float64)
    ranker = rankings.rankers(trained)[rankings.POPULARITY]
    torch.testing.assert_close(ranker(torch.tensor([1, 4])), totals.expand(2, -1))
    assert set(tables[rankings.RANKINGS]["rule"]) == {rankings.OWN, rankings.RANDOM, rankings.POPULARITY}


def test_batches_do_not_matter(toy: Path, vagnn: Run) -> None:
    trained, tables, result = vagnn
    options = {**options_for(toy, HELD_OUT), "eval_batch_size": 2 * trained.train.item_num}
    one = tables[rankings.RANKINGS].sort_values(["rule", "question", "user"], ignore_index=True)
    again = probe.measure(Probe(f"{__name__}:remember"), "VAGNN", "toy", options, result, {})
    assert _trained.pop().test_loader.step == 2
    other = again[rankings.RANKINGS].sort_values(["rule", "question", "user"], ignore_index=True)
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)


def test_a_run_without_new_videos_is_refused(toy: Path) -> None:
    with pytest.raises(InputError, match="new_video_share"):
        measured(toy, "BPR", new_video_share=0.0)


# -------------------------------------------------------------------------------------- what is said

# Mean of ndcg@10 among new videos by contestant and rule; recall is half of it, and draw 2 is 0.1 better.
BASE = {("VAGNN", "own"): 0.2, ("VAGNN", "vlogger"): 0.3, ("ItemKNN", "own"): 0.25, ("VloggerPop", "own"): 0.28}
FLOORS = {("VloggerPop", "random"): 0.1, ("VloggerPop", "vlogger popularity"): 0.35}
ENTRIES = {"models": ["VAGNN", "ItemKNN", "VloggerPop"], "draws": [1, 2], "variant": {}}


def written(job: Job) -> dict[str, pd.DataFrame]:
    draw, label = job.options["new_video_seed"], job.contestant.label
    frames = []
    for (of_label, rule), value in {**BASE, **FLOORS}.items():
        if of_label != label:
            continue
        for question, shift in zip(QUESTIONS, (-0.05, 0.0, 0.1, 0.2), strict=True):
            level = value + shift + 0.1 * (draw == 2) * (rule != "vlogger") + 0.04 * (job.seed - 2020.5)
            spread = np.linspace(-0.01, 0.01, USERS)
            share = (0.4 if rule == "vlogger" else 0.02) if question == rankings.NEW_AMONG_ALL else np.nan
            columns = {"recall@10": (level + spread) / 2, "ndcg@10": level + spread, "new_share": share}
            users = [f"u{i}" for i in range(USERS)]
            frames.append(pd.DataFrame({"user": users, "question": question, **columns, "rule": rule}))
    sizes = pd.DataFrame([{"new": 100, "videos": 1000, "interactions": 500 + draw, "users": USERS}])
    return {rankings.RANKINGS: pd.concat(frames, ignore_index=True), rankings.SIZES: sizes}


def values(_job: Job) -> np.ndarray:
    return np.linspace(0, 1, USERS)


def test_the_study_runs_every_model_on_every_draw(tmp_path: Path, data: Path) -> None:
    schedule = Written(values, measured=written)
    conduct("new-videos", schedule, tmp_path, data, datasets=("toy",), entries={**ENTRIES, "share": 0.3})
    got = {
        (job.contestant.label, job.options["new_video_share"], job.options["new_video_seed"]) for job in schedule.jobs
    }
    assert got == {(label, 0.3, draw) for label in ENTRIES["models"] for draw in (1, 2)}
    assert {job.data for job in schedule.jobs} == {"toy@new-0.3-draw-1", "toy@new-0.3-draw-2"}


def test_the_words_and_tables_have_the_means_over_draws(tmp_path: Path, data: Path) -> None:
    schedule = Written(values, measured=written)  # the two seeds differ by 0.04, but not in their means
    conduct("new-videos", schedule, tmp_path, data, datasets=("toy",), entries=ENTRIES, seeds=2)
    text = (tmp_path / "report.html").read_text()
    assert "new videos are 10.0 % of the catalogue. As published, VAGNN gives them 2.00 % of the top-10 places" in text
    assert "they get 40.0 %, and Recall@10 of known videos goes from 0.1750 to 0.2000" in text
    # own: .2 and .3; the mean: .3 and .3; random: .1 and .2
    assert "reaches NDCG@10 0.3000: +20.0 % against VAGNN, own vectors (higher in 1 of 2 draws)" in text
    assert "+100.0 % against random (higher in 2 of 2 draws)" in text
    assert "−25.0 % against vlogger popularity (higher in 0 of 2 draws)" in text
    assert "−9.1 % against VloggerPop (higher in 1 of 2 draws), the best other ranking" in text
    assert "100 of 1,000 videos are new in each draw, with 501 to 502 interactions" in text
    assert "0.2500 ± 0.0707" in text  # own, ndcg@10 among new
    table = pd.read_csv(tmp_path / "new_videos.csv")
    row = table[
        (table["ranking"] == "random") & (table["question"] == "new among new") & (table["metric"] == "ndcg@10")
    ]
    assert row.set_index(["draw", "seed"])["value"].to_dict() == pytest.approx(
        {(1, 2020): 0.08, (1, 2021): 0.12, (2, 2020): 0.18, (2, 2021): 0.22}
    )
    assert (tmp_path / "figures" / "toy.new-videos.png").is_file()


def test_the_study_does_with_runs_missing(tmp_path: Path, data: Path) -> None:
    schedule = Written(values, failing="VAGNN", measured=written)
    conduct("new-videos", schedule, tmp_path, data, datasets=("toy",), entries=ENTRIES)
    text = (tmp_path / "report.html").read_text()
    assert "No finding yet" in text
    assert "ItemKNN" in text
    assert "VAGNN, own vectors" not in text


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"share": 0.7}, "`share` is 0.7"),
        ({"draws": []}, "`draws`"),
        ({"draws": [1.5]}, "`draws`"),
        ({"models": "VAGNN"}, "`models`"),
        ({"variant": {"model": "VAGNN"}}, "`variant`"),
    ],
)
def test_wrong_entries_are_refused(entries: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"share": 0.2, "draws": [1], "models": ["VAGNN"], "variant": {}}
    with pytest.raises(InputError, match=message):
        Settings(**{**usual, **entries})
