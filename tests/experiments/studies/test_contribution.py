"""The study of contribution: what it measures on a run, against loops; what it says, against written runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments import probe
from recbole_vagnn.experiments.plan import Job
from recbole_vagnn.experiments.probe import Probe, Trained
from recbole_vagnn.experiments.studies import contribution_measures as measures
from recbole_vagnn.experiments.studies.contribution import Settings
from recbole_vagnn.experiments.studies.contribution_findings import EVERYTHING, GROUPINGS, Contribution, spread
from tests.experiments.studies.cases import USERS, Written, conduct
from tests.helpers import write_dataset
from tests.models.cases import spread_parameters
from tests.runs import options_for, run_toy

_trained: list[Trained] = []
Measured = tuple[Trained, dict[str, pd.DataFrame]]


def remember(trained: Trained) -> dict[str, pd.DataFrame]:
    """A probe that gives the model large parameters, measures it and keeps what it was given."""
    if hasattr(trained.model, "score_parts"):
        spread_parameters(trained.model)
    _trained.append(trained)
    return dict(measures.measure(trained))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random interactions, every fifth video without a vlogger, and a user who has seen nearly everything."""
    rng = np.random.default_rng(7)
    inter = [(f"u{u}", f"i{i}", 10 * t + u) for u in range(24) for t, i in enumerate(rng.choice(30, 9, replace=False))]
    inter += [("busy", f"i{i}", 10 * i) for i in range(27)]
    item = [(f"i{i}", f"v{i % 6}" if i % 5 else "") for i in range(30)]
    return write_dataset(tmp_path_factory.mktemp("toy"), inter, item)


def measured_on(toy: Path, model: str = "VAGNN", **options: Any) -> Measured:
    result = run_toy(toy, {"epochs": 1, **options}, model)
    request = options_for(toy, options)
    tables = probe.measure(Probe(f"{__name__}:remember"), model, "toy", request, result, {})
    return _trained.pop(), tables


@pytest.fixture(scope="module")
def measured(toy: Path) -> Measured:
    return measured_on(toy)


def parts(trained: Trained) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A and B of every user and video, and w, from the views and not from ``score_parts``."""
    model = trained.model
    with torch.no_grad():
        (u1, v1, p1), (u2, v2, p2) = model.forward()
    owner = model.vlogger_of
    logits = (((v1 + v2) / 2 @ model.mix_matrix) * ((p1 + p2) / 2)[owner]).sum(1)
    w = torch.where(owner > 0, 1 / (1 + torch.exp(-logits)), 1.0)
    of_videos, of_vloggers = u1 @ v1.T + u2 @ v2.T, u1 @ p1[owner].T + u2 @ p2[owner].T
    return (w * of_videos).detach().numpy(), ((1 - w) * of_vloggers).detach().numpy(), w.detach().numpy()


def lists(trained: Trained, scores: np.ndarray, length: int = measures.LENGTH) -> dict[int, list[int]]:
    """Best unseen videos of every user."""
    seen: dict[int, set[int]] = {user: {0} for user in range(1, trained.train.user_num)}
    for split in (trained.train, trained.valid):
        for user, item in zip(split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True):
            seen[user].add(item)
    ranked = {user: sorted(range(scores.shape[1]), key=lambda v: -scores[user, v]) for user in seen}
    return {user: [v for v in ranked[user] if v not in seen[user]][:length] for user in seen}


# ----------------------------------------------------------------------------------------- the probe


def test_lists_and_their_parts_are_those_of_the_views(measured: Measured) -> None:
    trained, tables = measured
    video, vlogger, _ = parts(trained)
    owner, train = trained.train.vlogger_of_item, trained.train
    want = []
    for user, best in lists(trained, video + vlogger).items():
        for rank, v in enumerate(best, start=1):
            a, b = video[user, v], vlogger[user, v]
            positive = max(a, 0) + max(b, 0)
            share = max(b, 0) / positive if owner[v] and positive else np.nan
            name, token = (train.id2token(field, number) for field, number in (("user_id", user), ("item_id", v)))
            want.append((name, rank, token, a, b, share))
    got = tables[measures.LISTS]
    assert list(got.columns) == ["user", "rank", "id", "video", "vlogger", "share"]
    assert got[["user", "rank", "id"]].to_numpy().tolist() == [list(row[:3]) for row in want]
    np.testing.assert_allclose(got[["video", "vlogger", "share"]], [row[3:] for row in want], rtol=1e-8, atol=1e-10)
    assert got["share"].isna().any()
    assert got["share"].between(0.05, 0.95).any()


def test_a_user_who_has_seen_nearly_everything_gets_a_short_list(measured: Measured) -> None:
    _, tables = measured
    sizes = tables[measures.LISTS].groupby("user").size()
    assert sizes["busy"] == 30 - 26  # all but the test video were seen before it
    assert sizes.drop("busy").eq(measures.LENGTH).all()


def test_what_stays_of_a_list_by_one_part_alone(measured: Measured) -> None:
    trained, tables = measured
    video, vlogger, _ = parts(trained)
    whole = lists(trained, video + vlogger)
    candidates = {user: set(best) for user, best in lists(trained, video, length=99).items()}
    for name, part in (("by_video", video), ("by_vlogger", vlogger)):
        want = []
        for user, best in whole.items():
            expected = 0.0
            for v in best:  # how often v is in the list by this part, over the orders of equal ones
                above = sum(part[user, other] > part[user, v] for other in candidates[user])
                equal = sum(part[user, other] == part[user, v] for other in candidates[user])
                expected += np.mean([place < len(best) for place in range(above, above + equal)])
            want.append(expected / len(best))
        assert tables[measures.USERS][name].tolist() == pytest.approx(want)
    assert tables[measures.USERS]["by_vlogger"].mean() < 0.95
    history = dict(zip(tables[measures.USERS]["user"], tables[measures.USERS]["history"], strict=True))
    assert history["busy"] == 25
    assert history["u0"] == 7


def test_videos_have_their_weight_and_numbers(measured: Measured) -> None:
    trained, tables = measured
    _, _, w = parts(trained)
    table, train = tables[measures.VIDEOS], trained.train
    assert table["id"].tolist() == train.field2id_token["item_id"][1:].tolist()
    np.testing.assert_allclose(table["weight"], w[1:], rtol=1e-9)
    known = table[table["vlogger"] != ""].set_index("id")
    assert len(known) == 24
    assert known.at["i7", "vlogger"] == "v1"
    assert known.at["i7", "vlogger_videos"] == 4  # i1, i7, i13, i19; i25 has no vlogger
    assert table.loc[table["vlogger"] == "", "vlogger_videos"].eq(0).all()
    counted = pd.Series(train.inter_feat["item_id"].tolist()).value_counts()
    assert table["interactions"].tolist() == [counted.get(v, 0) for v in range(1, train.item_num)]
    assert table["recommended"].tolist() == [int((tables[measures.LISTS]["id"] == name).sum()) for name in table["id"]]


@pytest.mark.parametrize(("mix", "share"), [("video", 0.0), ("vlogger", 1.0)])
def test_with_one_part_alone_it_has_all_the_share(toy: Path, mix: str, share: float) -> None:
    _, tables = measured_on(toy, mix=mix)
    shares = tables[measures.LISTS]["share"].dropna()
    assert len(shares) > 50
    assert shares.eq(share).all()
    assert (
        tables[measures.USERS]["by_video" if mix == "video" else "by_vlogger"].mean() > 0.7
    )  # all, but for unknown ones


def test_blocks_and_draws_of_users(toy: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, tables = measured
    monkeypatch.setattr(measures, "_BLOCK", 31 * 3)
    again = measures.measure(trained)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(again[name], table)
    monkeypatch.setattr(measures, "MOST_USERS", 5)
    few = measures.measure(trained)[measures.USERS]
    assert len(few) == few["user"].nunique() == 5


def test_another_model_is_refused(toy: Path) -> None:
    with pytest.raises(InputError, match="BPR's score has no part of the vlogger"):
        measured_on(toy, "BPR")


# ----------------------------------------------------------------------------------------- the groups


def test_groups_are_named_and_filled_by_their_numbers() -> None:
    grouping = GROUPINGS["size"]
    assert grouping.labels == ("1", "2–3", "4–7", "8–15", "16–31", "32 or more")
    numbers = pd.Series([1, 2, 3, 4, 15, 16, 31, 32, 900])
    want = ["1", "2–3", "2–3", "4–7", "8–15", "16–31", "16–31", "32 or more", "32 or more"]
    assert grouping.of(numbers).tolist() == want


def written_tables() -> dict[str, pd.DataFrame]:
    """Three videos: w ¼ and ¾ of vloggers with 1 and 3 videos, and one of unknown vlogger."""
    numbers = {"interactions": [5, 50, 0], "vlogger_videos": [1, 3, 0], "recommended": [2, 1, 1]}
    videos = {"id": ["a", "b", "c"], "vlogger": ["p", "q", ""], "weight": [0.25, 0.75, 1.0], **numbers}
    lists = {
        "user": ["u", "u", "w", "w"],
        "rank": [1, 2, 1, 2],
        "id": ["a", "b", "a", "c"],
        "video": [1.0, -1.0, 3.0, 2.0],
        "vlogger": [1.0, 2.0, -1.0, 0.0],
        "share": [0.5, 1.0, 0.0, np.nan],
    }
    users = {"user": ["u", "w"], "history": [4, 5], "by_video": [0.5, 1.0], "by_vlogger": [0.25, np.nan]}
    named = {measures.VIDEOS: videos, measures.LISTS: lists, measures.USERS: users}
    return {name: pd.DataFrame(columns) for name, columns in named.items()}


def test_spreads_by_hand() -> None:
    tables = {name: frame.assign(seed=1) for name, frame in written_tables().items()}
    found = Contribution("toy", "VAGNN", *(tables[name] for name in (measures.VIDEOS, measures.LISTS, measures.USERS)))
    everything = spread(found.shares(), EVERYTHING, "share").iloc[0]
    assert everything["count"] == 3
    assert everything["mean"] == everything["median"] == pytest.approx(0.5)
    assert everything["high"] == pytest.approx(0.9)
    assert everything["against_video"] == everything["against_vlogger"] == pytest.approx(1 / 3)
    by_size = spread(found.shares(), "size", "share").set_index("group")
    assert by_size["count"].to_dict() == {"1": 2, "2–3": 1}
    assert by_size["mean"].to_dict() == {"1": 0.25, "2–3": 1.0}
    weights = spread(found.weights(), "popularity", "weight").set_index("group")
    assert weights["mean"].to_dict() == {"3–9": 0.25, "30–99": 0.75}
    assert weights["against_video"].isna().all()


# -------------------------------------------------------------------------------------- what is said


def values(_job: Job) -> np.ndarray:
    return np.linspace(0, 1, USERS)


def test_words_tables_and_figures_have_the_written_numbers(tmp_path: Path, data: Path) -> None:
    def written(_job: Job) -> dict[str, pd.DataFrame]:
        return written_tables()

    conduct("contribution", Written(values, measured=written), tmp_path, data, datasets=("toy",), seeds=2)
    text = (tmp_path / "report.html").read_text()
    assert "w of videos with a known vlogger is 0.50 on average (deciles 1 and 9: 0.25 and 0.75)" in text
    assert "50.0 % of the score of a recommended video comes from its vlogger, on average" in text
    assert "speaks against 33.3 % of them, the video&#x27;s own part against 33.3 %" in text
    assert "the video&#x27;s part alone, 75 % of a top-10 list stays; by the vlogger&#x27;s part alone, 25 %" in text
    assert "25.0 % of the recommended videos have no share" in text
    table = pd.read_csv(tmp_path / "contribution.csv")
    row = table[(table["quantity"] == "vlogger share") & (table["group"] == "2–3") & (table["seed"] == 2021)]
    assert row["mean"].tolist() == [1.0]
    for kind in ("weight-VAGNN", "contribution-VAGNN"):
        assert (tmp_path / "figures" / f"toy.{kind}.png").stat().st_size > 10_000


def test_the_study_does_with_runs_missing(tmp_path: Path, data: Path) -> None:
    def written(_job: Job) -> dict[str, pd.DataFrame]:
        return written_tables()

    schedule = Written(values, failing="VAGNN", measured=written)
    entries = {"models": ["VAGNN", {"equal": {"model": "VAGNN", "mix": "equal"}}]}
    conduct("contribution", schedule, tmp_path, data, datasets=("toy",), seeds=1, entries=entries)
    text = (tmp_path / "report.html").read_text()
    assert "toy, equal: w of videos" in text
    assert "toy, VAGNN" not in text


def test_wrong_models_are_refused() -> None:
    with pytest.raises(InputError, match="`models`"):
        Settings([])
