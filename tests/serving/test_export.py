"""Exported vectors are the model's, and an index over them finds what the model ranks highest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from recbole.quick_start import load_data_and_model
from recbole.utils.case_study import full_sort_topk

from recbole_vagnn import load
from recbole_vagnn.errors import InputError
from recbole_vagnn.serving import export as export_module
from recbole_vagnn.serving.checkpoint import read_checkpoint
from recbole_vagnn.serving.export import export_vectors, number_of_rows
from tests.runs import run_toy, write_toy
from tests.serving.cases import write, write_small

TABLES = ("users", "videos", "vloggers")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = write_toy(tmp_path_factory.mktemp("toy"))
    return run_toy(data, {"epochs": 3})


@pytest.fixture(scope="module")
def exported(run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "vectors"
    export_vectors(read_checkpoint(run.checkpoint), folder)
    return folder


def ids_of(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.ids.txt").read_text(encoding="utf-8").splitlines()


def test_arrays_parquet_and_checkpoint_hold_the_same_vectors(run: Any, exported: Path) -> None:
    recommender = load(run.checkpoint)
    history = recommender.checkpoint.history
    counts = {"users": history.user_counts, "videos": history.video_counts, "vloggers": history.vlogger_counts}
    for name in TABLES:
        ids, vectors = recommender.vectors(name)
        array = np.load(exported / f"{name}.npy", mmap_mode="r")
        table = pq.read_table(exported / f"{name}.parquet")
        assert ids_of(exported, name) == ids == table.column("id").to_pylist()
        np.testing.assert_array_equal(array, vectors)
        np.testing.assert_array_equal(np.array(table.column("vector").to_pylist(), dtype=np.float32), vectors)
        assert table.column("interactions").to_pylist() == counts[name].tolist()
    about = json.loads((exported / "export.json").read_text())
    assert (about["metric"], about["size"], about["model"]) == ("inner product", 16, "VAGNN")


def test_exact_inner_product_search_gives_the_models_own_ranking(
    run: Any, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RecBole's full_sort_topk on its .pth, which leaves out training and validation items of the test loader."""
    monkeypatch.chdir(tmp_path)
    config, model, dataset, _, _, test = load_data_and_model(run.checkpoint)
    model.eval()
    users, videos = (np.load(exported / f"{name}.npy") for name in ("users", "videos"))
    user_ids, video_ids = ids_of(exported, "users"), ids_of(exported, "videos")
    rows = np.arange(1, dataset.user_num)
    values, ranked = full_sort_topk(rows, model, test, k=10, device=config["device"])
    wanted = dataset.id2token("item_id", ranked.cpu())
    recommender = load(run.checkpoint)
    for row, items, scores in zip(rows, wanted, values.cpu().numpy(), strict=True):
        user = str(dataset.id2token("user_id", int(row)))
        inner = videos @ users[user_ids.index(user)]
        seen = set(recommender.recommend([user], 1000, exclude_seen="none")["video"])
        seen -= set(recommender.recommend([user], 1000, exclude_seen="history")["video"])
        order = [video_ids[v] for v in np.argsort(-inner, kind="stable") if video_ids[v] not in seen][:10]
        assert order == items.tolist()
        np.testing.assert_allclose([inner[video_ids.index(v)] for v in order], scores, rtol=1e-5)


def test_vlogger_vectors_rank_vloggers_as_the_auxiliary_task_does(run: Any, exported: Path) -> None:
    users, vloggers = (np.load(exported / f"{name}.npy") for name in ("users", "vloggers"))
    scores = users @ vloggers.T
    table = load(run.checkpoint).recommend(None, 6, what="vloggers", exclude_seen="none")
    for user, rows in table.groupby("user"):
        order = np.argsort(-scores[ids_of(exported, "users").index(user)], kind="stable")
        assert rows["vlogger"].tolist() == [ids_of(exported, "vloggers")[p] for p in order]


def test_an_approximate_index_finds_almost_all_of_the_exact_best(exported: Path) -> None:
    """Clustered vectors of realistic size: FAISS' graph index over inner products."""
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 32))
    videos, users = (
        (centres[rng.integers(40, size=n)] + 0.5 * rng.normal(size=(n, 32))).astype(np.float32) for n in (4000, 200)
    )
    exact = faiss.IndexFlatIP(32)
    exact.add(videos)
    _, best = exact.search(users, 10)
    np.testing.assert_array_equal(best[:, 0], (users @ videos.T).argmax(axis=1))
    graph = faiss.IndexHNSWFlat(32, 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efSearch = 128
    graph.add(videos)
    _, found = graph.search(users, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, best, strict=True)])
    assert recall > 0.9
    own = faiss.IndexFlatIP(16)
    own.add(np.load(exported / "videos.npy"))
    _, found = own.search(np.load(exported / "users.npy"), 5)
    scores = np.load(exported / "users.npy") @ np.load(exported / "videos.npy").T
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :5])


def test_parts_are_written_one_after_the_other_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, _ = write(tmp_path / "c", write_small(tmp_path / "data"), "VAGNN")
    export_vectors(found, tmp_path / "whole")
    monkeypatch.setattr(export_module, "_ROWS", 4)
    told: list[int] = []
    export_vectors(found, tmp_path / "parts", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == number_of_rows(found)
    assert len(told) > 3 + 5
    for name in TABLES:
        np.testing.assert_array_equal(
            np.load(tmp_path / "parts" / f"{name}.npy"), np.load(tmp_path / "whole" / f"{name}.npy")
        )
        assert pq.read_table(tmp_path / "parts" / f"{name}.parquet").equals(
            pq.read_table(tmp_path / "whole" / f"{name}.parquet")
        )


def test_a_model_without_creators_exports_users_and_videos(tmp_path: Path) -> None:
    found, _, _ = write(tmp_path / "c", write_small(tmp_path / "data"), "BPR", {"VLOGGER_ID_FIELD": None})
    names = {path.name for path in export_vectors(found, tmp_path / "out")}
    assert names == {"export.json", *(f"{n}{s}" for n in ("users", "videos") for s in (".npy", ".parquet", ".ids.txt"))}


def test_an_earlier_export_is_replaced_only_when_asked_and_nothing_else_ever(exported: Path, run: Any) -> None:
    found = read_checkpoint(run.checkpoint)
    with pytest.raises(InputError, match="Add --overwrite to replace it"):
        export_vectors(found, exported)
    before = (exported / "users.npy").read_bytes()
    (exported / "users.npy").write_bytes(b"")
    export_vectors(found, exported, overwrite=True)
    assert (exported / "users.npy").read_bytes() == before
    mine = exported.parent / "mine"
    mine.mkdir()
    (mine / "notes.txt").touch()
    with pytest.raises(InputError, match="is no export of this command"):
        export_vectors(found, mine, overwrite=True)
    assert (mine / "notes.txt").is_file()


def test_a_failed_export_leaves_nothing(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_vectors(read_checkpoint(run.checkpoint), tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_models_without_vectors_are_refused(tmp_path: Path) -> None:
    found, _, _ = write(tmp_path / "c", write_small(tmp_path / "data"), "VloggerPop", spread_out=False)
    with pytest.raises(InputError, match="VloggerPop ranks by no inner product, so it has no vectors to export"):
        export_vectors(found, tmp_path / "out")
