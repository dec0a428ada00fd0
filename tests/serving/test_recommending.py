"""Lists against a plain ranking in Python; what is left out, for whom, and who gets what is popular."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving import recommending
from recbole_vagnn.serving.ranking import best
from recbole_vagnn.serving.recommender import Recommender
from tests.helpers import write_dataset
from tests.models.cases import random_rows
from tests.runs import run_toy
from tests.serving.cases import TIMED, recommender_of, scores_of

FOLLOW = [["u0", "a0", 0], ["u0", "a1", 999], ["u1", "a2", 0], ["u3", "a0", 999], ["u3", "a1", 999], ["u3", "a2", 999]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inter, item = random_rows(1, 9, 14, 4, (4, 7))
    folder = tmp_path_factory.mktemp("small")
    return write_dataset(folder, inter, item, FOLLOW, follow_header=TIMED)


@pytest.fixture(scope="module")
def served(data: Path) -> tuple[Recommender, Any, Any]:
    return recommender_of(data, "VAGNN")


def naive(
    served: tuple[Recommender, Any, Any], what: str, topk: int, exclude: str, candidates: list[str] | None
) -> dict[str, list[str]]:
    """User → ids, best first, from the splits' own interactions and the model's scores of pairs."""
    recommender, model, splits = served
    train = splits[0]
    users, items, vloggers = (train.field2id_token[field] for field in ("user_id", "item_id", "vlogger_id"))
    owner = train.vlogger_of_item
    u, p = recommender.vectors("users")[1], recommender.vectors("vloggers")[1]
    scores = scores_of(model) if what == "videos" else u @ p.T
    names = items if what == "videos" else vloggers
    taken = {"all": splits, "history": splits[:2], "none": ()}[exclude]
    found = {}
    for user in range(1, len(users)):
        seen: set[str] = set()
        for split in taken:
            mine = [
                i
                for x, i in zip(split.inter_feat["user_id"].tolist(), split.inter_feat["item_id"].tolist(), strict=True)
                if x == user
            ]
            seen |= {str(items[i]) for i in mine} if what == "videos" else {str(vloggers[owner[i]]) for i in mine}
        if what == "vloggers" and exclude != "none":
            seen |= {v for x, v, t in FOLLOW if x == users[user] and (exclude == "all" or t == 0)}
        pool = [
            i for i in range(1, len(names)) if names[i] not in seen and (candidates is None or names[i] in candidates)
        ]
        found[str(users[user])] = [str(names[i]) for i in sorted(pool, key=lambda i: -scores[user - 1, i - 1])[:topk]]
    return found


def lists_of(table: pd.DataFrame, column: str) -> dict[str, list[str]]:
    return {user: rows.sort_values("rank")[column].tolist() for user, rows in table.groupby("user")}


@pytest.mark.parametrize("what", ["videos", "vloggers"])
@pytest.mark.parametrize("exclude", ["all", "history", "none"])
@pytest.mark.parametrize("candidates", [None, True])
def test_lists_equal_a_plain_ranking(
    served: tuple[Recommender, Any, Any], what: str, exclude: str, candidates: bool | None
) -> None:
    chosen = (["v9", "v1", "v_cold", "v4", "v1"] if what == "videos" else ["a3", "a0"]) if candidates else None
    for topk in (1, 3, 50):
        table = served[0].recommend(None, topk, what=what, exclude_seen=exclude, candidates=chosen)
        wanted = naive(served, what, topk, exclude, chosen)
        assert lists_of(table, what[:-1]) == {user: ids for user, ids in wanted.items() if ids}


def test_scores_ranks_and_creators_of_a_table_are_those_of_its_rows(served: tuple[Recommender, Any, Any]) -> None:
    recommender, _, (train, _, _) = served
    table = recommender.recommend(None, 4)
    np.testing.assert_allclose(table["score"], recommender.score(table["user"], table["video"]), rtol=1e-6)
    for _, rows in table.groupby("user"):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["score"].is_monotonic_decreasing
    items, vloggers = train.field2token_id["item_id"], train.field2id_token["vlogger_id"]
    for video, vlogger in zip(table["video"], table["vlogger"], strict=True):
        number = train.vlogger_of_item[items[video]]
        assert vlogger == (vloggers[number] if number else None)
    assert table["vlogger"].isna().any()
    assert set(table["source"]) == {"model"}


def test_the_size_of_a_batch_changes_nothing(
    served: tuple[Recommender, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = served[0].recommend(None, 5, explain=True)
    monkeypatch.setattr(recommending, "_LARGEST_BATCH", 2)
    parts = list(served[0].tables(None, 5, explain=True))
    assert len(parts) == 5
    pd.testing.assert_frame_equal(pd.concat([part.to_pandas() for part in parts], ignore_index=True), whole)


def test_a_batch_fits_the_memory() -> None:
    query = recommending.Query("video", 10, "all", None)
    assert query.batch_size(10) == recommending._LARGEST_BATCH
    assert query.batch_size(1_000_000) * 24 * 1_000_000 <= recommending._MEMORY
    assert query.batch_size(10**12) == 1


def test_users_are_answered_in_their_order(served: tuple[Recommender, Any, Any]) -> None:
    table = served[0].recommend(["u5", "u1", "u3"], 2)
    assert table["user"].tolist() == ["u5", "u5", "u1", "u1", "u3", "u3"]


def test_unknown_users_get_the_most_popular_and_are_marked(served: tuple[Recommender, Any, Any]) -> None:
    recommender, _, (train, _, _) = served
    table = recommender.recommend(["u1", "nobody", "u2"], 3)
    assert table["source"].tolist() == ["model"] * 3 + ["popularity"] * 3 + ["model"] * 3
    items = np.asarray(train.inter_feat["item_id"])
    counts = np.bincount(items, minlength=train.item_num)[1:]
    rows = table[table["user"] == "nobody"]
    order = sorted(range(len(counts)), key=lambda v: (-counts[v], v))[:3]
    assert rows["video"].tolist() == train.id2token("item_id", np.array(order) + 1).tolist()
    assert rows["score"].tolist() == [float(counts[v]) for v in order]


def test_a_known_user_who_was_not_trained_on_gets_what_is_popular_and_new_to_them(tmp_path: Path) -> None:
    """By time, the last half of all interactions is held out: `late` comes only after it."""
    inter = [(f"u{t % 3}", f"i{t}", t) for t in range(12)] + [("late", "i0", 100), ("late", "i1", 101)]
    write_dataset(tmp_path, inter, [(f"i{t}", f"a{t % 2}") for t in range(12)])
    splits = {"split": {"TS": [0.5, 0.2, 0.3]}, "order": "TO"}
    options = {"eval_args": splits, "topk": [1], "valid_metric": "Recall@1"}
    recommender, _, (train, _, _) = recommender_of(tmp_path, "VAGNN", options)
    assert train.field2token_id["user_id"]["late"] not in train.inter_feat["user_id"].tolist()
    table = recommender.recommend(["late"], 3)
    assert set(table["source"]) == {"popularity"}
    assert not {"i0", "i1"} & set(table["video"])
    assert recommender.recommend(["late"], 3, exclude_seen="history")["video"].tolist() == ["i0", "i1", "i2"]


def test_explanations_of_popular_videos_are_empty(served: tuple[Recommender, Any, Any]) -> None:
    table = served[0].recommend(["nobody", "u1"], 2, explain=True)
    assert table["because"].isna().tolist() == [True, True, False, False]
    assert table["from_video"].isna().tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"what": "video"}, "`what` is 'video'; choose one of: videos, vloggers. Did you mean 'videos'"),
        ({"exclude_seen": "yes"}, "`exclude_seen` is 'yes'"),
        ({"topk": 0}, "`topk` is 0"),
        ({"topk": True}, "`topk` is True"),
        (
            {"candidates": ["v1", "v77"]},
            r"1 of 2 video id\(s\) are not in the checkpoint, first 'v77'. Did you mean 'v",
        ),
        ({"users": []}, "the list of users is empty"),
        ({"users": "u1"}, r"`users` is the text 'u1'; give a list of ids, e.g. \['u1'\]"),
    ],
)
def test_wrong_requests_are_refused(
    served: tuple[Recommender, Any, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        served[0].recommend(**{"users": ["u1"], **arguments})


def test_without_creators_there_are_no_vloggers_to_recommend(data: Path) -> None:
    recommender, _, _ = recommender_of(data, "BPR", {"VLOGGER_ID_FIELD": None})
    assert recommender.recommend(["u1"], 2)["vlogger"].isna().all()
    with pytest.raises(InputError, match="toy has no vloggers to recommend"):
        recommender.recommend(["u1"], what="vloggers")


def test_scores_of_pairs(served: tuple[Recommender, Any, Any]) -> None:
    recommender, model, (train, _, _) = served
    scores = scores_of(model)
    row, column = (train.field2token_id[f][t] - 1 for f, t in (("user_id", "u4"), ("item_id", "v3")))
    assert recommender.score(["u4"], ["v3"]).tolist() == pytest.approx([scores[row, column]])
    with pytest.raises(InputError, match="1 users and 2 videos"):
        recommender.score(["u4"], ["v3", "v1"])
    with pytest.raises(InputError, match=r"1 of 1 user id\(s\)"):
        recommender.score(["u99"], ["v3"])


def test_similar_videos_are_those_of_the_largest_cosine(served: tuple[Recommender, Any, Any]) -> None:
    recommender = served[0]
    for what, one, similar in (
        ("videos", "v3", recommender.similar_videos),
        ("vloggers", "a1", recommender.similar_vloggers),
    ):
        ids, vectors = recommender.vectors(what)
        me = vectors[ids.index(one)]
        cosines = {
            other: float(np.dot(me, x) / np.linalg.norm(me) / np.linalg.norm(x))
            for other, x in zip(ids, vectors, strict=True)
            if other != one
        }
        table = similar(one, 3)
        wanted = sorted(cosines, key=lambda other: -cosines[other])[:3]
        assert table[what[:-1]].tolist() == wanted
        assert table["similarity"].tolist() == pytest.approx([cosines[other] for other in wanted])
        assert len(similar(one, 1000)) == len(ids) - 1


def test_a_folded_in_user_gets_the_best_of_the_rest(served: tuple[Recommender, Any, Any]) -> None:
    recommender = served[0]
    history = ["v1", "v2", "v6"]
    ids, vectors = recommender.vectors("videos")
    scores = vectors @ recommender.fold_in(history)
    wanted = sorted((v for v in ids if v not in history), key=lambda v: -scores[ids.index(v)])
    table = recommender.recommend_from(history, 50)
    assert table["video"].tolist() == wanted
    assert set(table["source"]) == {"fold-in"}
    assert set(table["user"]) == {""}
    owners = {v: recommender.checkpoint.history.vlogger_of[ids.index(v)] for v in history}
    met = {recommender.checkpoint.vloggers.ids([p])[0] for p in owners.values() if p >= 0}
    assert met
    of_vloggers = recommender.recommend_from(history, 50, what="vloggers")["vlogger"].tolist()
    assert sorted([*of_vloggers, *met]) == sorted(recommender.checkpoint.vloggers.all_ids().to_pylist())


def test_a_known_user_folded_in_is_spared_what_was_seen_before(served: tuple[Recommender, Any, Any]) -> None:
    recommender = served[0]
    before = recommender.recommend(["u2"], 50)["video"].tolist()
    news = before[:2]
    table = recommender.recommend_from(news, 50, user="u2")
    assert set(table["video"]) == set(before) - set(news)
    assert set(table["user"]) == {"u2"}
    assert recommender.recommend_from([], 50, user="u2")["video"].tolist() == before
    some = recommender.recommend_from(news, 5, user="u2", candidates=[before[3], before[0]])
    assert some["video"].tolist() == [before[3]]


def test_models_without_vectors_say_what_they_cannot_do(data: Path) -> None:
    done = run_toy(data, {"topk": [5], "valid_metric": "Recall@5"}, "EASE")
    from recbole_vagnn import load

    recommender = load(done.checkpoint)
    for call in (
        lambda: recommender.vectors(),
        lambda: recommender.explain("u1", "v1"),
        lambda: recommender.similar_videos("v1"),
    ):
        with pytest.raises(InputError, match="EASE ranks by no inner product"):
            call()


# --- ranking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_best_equals_sorting_with_ties_in_order_of_columns(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 4, (50, 7)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    got = best(scores.copy(), k)
    for row, columns, values in zip(scores, *got, strict=True):
        wanted = sorted(range(7), key=lambda c, row=row: (-row[c], c))[:k]
        assert columns.tolist() == wanted
        assert values.tolist() == [row[c] for c in wanted]


def test_best_of_nothing_and_of_nan() -> None:
    assert best(np.zeros((2, 0)), 3).columns.shape == (2, 0)
    got = best(np.array([[np.nan, 1.0, np.inf]]), 3)
    assert got.columns.tolist() == [[2, 1, 0]]
    assert got.scores.tolist() == [[np.inf, 1.0, -np.inf]]
