"""The study of alignment: what it measures on a training, against loops; what it says, against written runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.execute import execute
from recbole_vagnn.experiments.plan import Contestant, Job, Plan
from recbole_vagnn.experiments.probe import Probe, Trained
from recbole_vagnn.experiments.studies import alignment_measures as measures
from recbole_vagnn.experiments.studies.alignment import INVERTED, Settings, plans
from recbole_vagnn.experiments.studies.run import Asked, make_request
from recbole_vagnn.experiments.studies.study import load_study
from recbole_vagnn.nn.alignment import alignment, common_neighbours, uniformity
from tests.experiments.studies.cases import USERS, Written, conduct
from tests.helpers import write_dataset
from tests.runs import SMALL

_trained: list[Trained] = []
Measured = tuple[Trained, dict[str, pd.DataFrame]]


def remember(trained: Trained) -> dict[str, pd.DataFrame]:
    """A probe that measures and keeps what it was given, with the model as it came."""
    state = {name: value.clone() for name, value in trained.model.state_dict().items()}
    tables = dict(measures.measure(trained))
    trained.model.load_state_dict(state)
    _trained.append(trained)
    return tables


def run(data_path: Path, **options: Any) -> Measured:
    given = {key: value for key, value in SMALL.items() if key not in ("show_progress", "torch_threads")}
    plan = Plan(
        (Contestant("VAGNN", "VAGNN"),),
        ("toy",),
        options={**given, "valid_metric": "Recall@5", "topk": [5], **options},
        probe=Probe(f"{__name__}:remember", snapshots=(0, 1, 7)),
    )
    record = execute(next(plan.jobs()), data_path, threads=1)
    return _trained.pop(), record.measured


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random interactions; a vlogger and its video without any, a video without a vlogger."""
    rng = np.random.default_rng(7)
    inter = [(f"u{u}", f"i{i}", 10 * t + u) for u in range(24) for t, i in enumerate(rng.choice(30, 9, replace=False))]
    item = [(f"i{i}", f"v{i % 6}" if i else "") for i in range(30)]
    return write_dataset(tmp_path_factory.mktemp("toy"), inter, [*item, ("cold", "nobody"), ("new", "v1")])


@pytest.fixture(scope="module")
def measured(toy: Path) -> Measured:
    return run(toy)


def vectors(trained: Trained, node: str) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """Ids of the nodes with training interactions, and their vectors in both views."""
    users, items = (trained.train.inter_feat[name].tolist() for name in ("user_id", "item_id"))
    owner = trained.train.vlogger_of_item.tolist()
    ids = {"users": set(users), "videos": set(items), "vloggers": {owner[v] for v in items} - {0}}[node]
    with torch.no_grad():
        views = trained.model.forward()
    return sorted(ids), *(getattr(view, node)[sorted(ids)] for view in views)


def row(tables: dict[str, pd.DataFrame], node: str, epoch: int | None, space: str = "views") -> pd.Series:
    """A row of the measures; epoch None = the tested one."""
    table = tables[measures.MEASURES]
    wanted = table["best"] if epoch is None else ~table["best"] & (table["epoch"] == epoch)
    found = table[wanted & (table["node"] == node) & (table["space"] == space)]
    assert len(found) == 1
    return found.iloc[0]


# ----------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize("node", measures.NODES)
def test_measures_of_the_tested_epoch_are_those_of_its_views(measured: Measured, node: str) -> None:
    trained, tables = measured
    ids, first, second = vectors(trained, node)
    got = row(tables, node, None)
    cosine = (first * second).sum(1) / first.norm(dim=1) / second.norm(dim=1)
    k = min(measures.NEIGHBOURS, len(ids) - 2)
    assert (got["nodes"], got["epoch"]) == (len(ids), trained.result.best_epoch + 1)
    assert got["cosine"] == pytest.approx(cosine.mean().item(), rel=1e-5)
    deciles = [got["cosine_low"], got["cosine_high"]]
    assert deciles == pytest.approx(np.quantile(cosine.double(), [0.1, 0.9]).tolist(), rel=1e-5)
    assert got["alignment"] == pytest.approx(alignment(first, second))
    assert got["uniformity_video"] == pytest.approx(uniformity(first))
    assert got["uniformity_vlogger"] == pytest.approx(uniformity(second))
    assert got["neighbours"] == pytest.approx(common_neighbours(first, second, k).mean().item())
    assert got["chance"] == pytest.approx(k / (len(ids) - 1))


def test_nodes_without_training_interactions_are_not_compared(measured: Measured) -> None:
    _, tables = measured
    shown = set(tables[measures.MAP]["id"])
    assert not shown & {"cold", "new", "nobody", "[PAD]"}
    assert {"u0", "v1"} <= shown


def test_snapshots_are_measured_with_their_own_parameters(measured: Measured) -> None:
    """Epoch 0 is the untrained model; 7 was never reached."""
    trained, tables = measured
    assert set(tables[measures.MEASURES].loc[~tables[measures.MEASURES]["best"], "epoch"]) == {0, 1}
    kept = {name: value.clone() for name, value in trained.model.state_dict().items()}
    for epoch in (0, 1):
        trained.model.load_state_dict(trained.snapshots[epoch])
        _, first, second = vectors(trained, "vloggers")
        got = row(tables, "vloggers", epoch)["alignment"]
        assert got == pytest.approx(alignment(first, second))
    trained.model.load_state_dict(kept)
    assert row(tables, "vloggers", 0)["alignment"] != pytest.approx(row(tables, "vloggers", 1)["alignment"])


def test_projections_are_what_the_heads_make_of_the_views_without_dropout(measured: Measured) -> None:
    trained, tables = measured
    _, first, second = vectors(trained, "videos")
    head = trained.model.heads["video"]
    with torch.no_grad():
        inner = [head.inner(x) for x in (first, second)]
        one, two = (head.norm(z + head.outer(torch.nn.functional.gelu(z))) for z in inner)
    want = torch.cosine_similarity(one, two).mean().item()
    assert row(tables, "videos", None, "projections")["cosine"] == pytest.approx(want, rel=1e-4)


def test_a_model_without_heads_has_no_projections(toy: Path) -> None:
    _, tables = run(toy, ssl_weight=0.0, epochs=1)
    assert set(tables[measures.MEASURES]["space"]) == {"views"}


def test_the_map_keeps_the_distances_that_its_plane_shows(measured: Measured) -> None:
    trained, tables = measured
    ids, first, second = vectors(trained, "users")
    both = torch.nn.functional.normalize(torch.cat([first, second]).double())
    u, s, _ = torch.linalg.svd(both - both.mean(0), full_matrices=False)
    want = torch.pdist(u[:, :2] * s[:2])
    table = tables[measures.MAP][tables[measures.MAP]["node"] == "users"]
    assert table["id"].tolist() == 2 * trained.train.id2token("user_id", ids).tolist()
    assert table["view"].tolist() == ["video"] * len(ids) + ["vlogger"] * len(ids)
    got = torch.pdist(torch.tensor(table[["x", "y"]].to_numpy()))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    assert table["explained"].iloc[0] == pytest.approx((s[:2].square().sum() / s.square().sum()).item(), rel=1e-4)


def test_of_many_nodes_the_same_are_drawn_each_time(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MOST_NODES", 10)
    monkeypatch.setattr(measures, "MAPPED", 4)
    one, other = (run(toy)[1] for _ in range(2))
    assert row(one, "users", None)["nodes"] == 10
    assert (one[measures.MAP].groupby(["node", "view"]).size() == 4).all()
    assert one[measures.MAP]["id"].tolist() == other[measures.MAP]["id"].tolist()


def test_a_model_of_one_view_is_refused(toy: Path) -> None:
    with pytest.raises(InputError, match="not two views"):
        run(toy, views="video", epochs=1)


# -------------------------------------------------------------------------------------- what is said

COSINES = {"VAGNN": 0.8, "no contrast": 0.4, INVERTED: -0.2}


def written(job: Job) -> dict[str, pd.DataFrame]:
    """Cosine of a model at the tested epoch, 0.1 more for vloggers and for seed 2021; half of it after one epoch."""
    rows, points = [], []
    for node in measures.NODES:
        for epoch, best in ((0, False), (1, False), (1, True)):
            level = COSINES[job.contestant.label] + 0.1 * (node == "vloggers") + 0.1 * (job.seed == 2021)
            cosine = level if best else level * epoch / 2
            what = {"epoch": epoch, "best": best, "node": node, "space": "views", "nodes": 50}
            cosines = {"cosine": cosine, "cosine_low": cosine - 0.1, "cosine_high": cosine + 0.1}
            others = {"uniformity_video": -2.0, "uniformity_vlogger": -1.0, "neighbours": 0.25, "chance": 0.2}
            rows.append({**what, **cosines, "alignment": 2 - 2 * cosine, **others})
        for view in ("video", "vlogger"):
            x = np.linspace(-1, 1, 6)
            points.append(pd.DataFrame({"node": node, "id": "n", "view": view, "x": x, "y": x**2, "explained": 0.5}))
    return {measures.MEASURES: pd.DataFrame(rows), measures.MAP: pd.concat(points)}


def values(job: Job) -> np.ndarray:
    return np.full(USERS, {"VAGNN": 0.4, "no contrast": 0.3, INVERTED: 0.5}[job.contestant.label])


def test_three_models_are_compared_and_the_inverted_one_has_the_weight_turned_round(data: Path) -> None:
    asked = Asked(("toy",), 1, options={"ssl_weight": 0.3})
    with pytest.raises(InputError, match="`ssl_weight` of VAGNN on toy is 0"):
        plans(make_request("alignment", load_study("alignment"), Asked(("toy",), 1, options={"ssl_weight": 0.0}), data))
    (plan,) = plans(make_request("alignment", load_study("alignment"), asked, data))
    weights = {job.contestant.label: job.options.get("ssl_weight") for job in plan.jobs()}
    assert weights == {"VAGNN": 0.3, "no contrast": 0.0, INVERTED: -0.3}
    assert plan.probe is not None
    assert plan.probe.snapshots == (0, 1, 2, 5, 10, 20, 40, 80)


def test_the_weight_of_tuned_settings_is_turned_round(data: Path, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "VAGNN.yaml").write_text("ssl_weight: 0.7\nembedding_size: 32\n")
    (plan,) = plans(make_request("alignment", load_study("alignment"), Asked(("toy",), 1, tuned=tmp_path), data))
    options = {job.contestant.label: job.options for job in plan.jobs()}
    assert options[INVERTED]["ssl_weight"] == -0.7
    assert {o["embedding_size"] for o in options.values()} == {32}


def test_words_tables_and_figures_have_the_written_numbers(tmp_path: Path, data: Path) -> None:
    conduct("alignment", Written(values, measured=written), tmp_path, data, datasets=("toy",), seeds=2)
    text = (tmp_path / "report.html").read_text()
    assert "VAGNN 0.85 / 0.85 / 0.95; no contrast 0.45 / 0.45 / 0.55; inverted sign −0.15 / −0.15 / −0.05" in text
    assert "common neighbours of users / videos / vloggers: VAGNN 25 % / 25 % / 25 %" in text
    assert "; by chance 20 % / 20 % / 20 %." in text
    assert "against VAGNN, with Recall@10 0.4000: no contrast −25.0 %*, inverted sign +25.0 %*" in text
    assert "against VAGNN, with NDCG@10 0.2000: no contrast −25.0 %*, inverted sign +25.0 %*" in text
    assert "0.85 ± 0.07" in text
    table = pd.read_csv(tmp_path / "alignment.csv")
    assert len(table) == 3 * 2 * 3 * 3
    for kind in ("alignment", "uniformity", "views-map"):
        assert (tmp_path / "figures" / f"toy.{kind}.png").stat().st_size > 10_000


def test_the_study_does_with_runs_missing(tmp_path: Path, data: Path) -> None:
    schedule = Written(values, failing="VAGNN", measured=written)
    conduct("alignment", schedule, tmp_path, data, datasets=("toy",), seeds=1)
    text = (tmp_path / "report.html").read_text()
    assert "no contrast 0.40 / 0.40 / 0.50; inverted sign −0.20 / −0.20 / −0.10" in text
    assert "against VAGNN" not in text
    assert "against no contrast" not in text


@pytest.mark.parametrize("epochs", ["all", [1, -1], [0.5], [True]])
def test_wrong_epochs_are_refused(epochs: Any) -> None:
    with pytest.raises(InputError, match="`epochs`"):
        Settings("VAGNN", epochs)
