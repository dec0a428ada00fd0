"""Which class a name stands for, in our look-ups and in RecBole's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.config import Config
from recbole.data.utils import create_dataset
from recbole.quick_start import load_data_and_model, run_recbole
from recbole.trainer import Trainer
from recbole.utils import ModelType, get_model, get_trainer

from recbole_vagnn import VAGNN, InputError, VloggerDataset, registry
from recbole_vagnn.trainer import ResumableMixin
from tests.helpers import make_config
from tests.runs import options_for, run_toy, write_toy


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.mark.parametrize(("typed", "meant"), [("vagnn", "VAGNN"), ("LightGCM", "LightGCN"), ("itemknn", "ItemKNN")])
def test_an_unknown_model_is_refused_with_the_closest_name(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Unknown model '{typed}'. Did you mean '{meant}'"):
        registry.model_class(typed)


def test_known_models_are_ours_first_and_recboles_general_ones() -> None:
    known = registry.known_models()
    assert known[0] == "VAGNN"
    assert {"BPR", "LightGCN", "NGCF", "SGL", "NCL", "ItemKNN", "EASE", "Pop", "MultiVAE"} <= set(known)
    assert "SASRec" not in known
    assert "KGAT" not in known


def test_every_known_model_name_is_a_class_of_its_module() -> None:
    for name, module in registry.recbole_models().items():
        text = (registry.recbole_folder() / Path(*module.split(".")[1:])).with_suffix(".py").read_text("utf-8")
        assert f"class {name}(" in text


def test_recboles_look_ups_know_our_model_and_keep_their_own() -> None:
    from recbole.model.general_recommender.bpr import BPR

    assert get_model("VAGNN") is VAGNN is registry.model_class("VAGNN")
    assert get_model("BPR") is BPR is registry.model_class("BPR")
    assert issubclass(get_trainer(ModelType.GENERAL, "VAGNN"), ResumableMixin)
    assert get_trainer(ModelType.GENERAL, "BPR") is Trainer
    assert get_trainer(ModelType.TRADITIONAL, "Pop").__name__ == "TraditionalTrainer"
    with pytest.raises(ValueError, match="NoSuchModel"):
        get_model("NoSuchModel")


def chosen_class(monkeypatch: pytest.MonkeyPatch, config: Config) -> str:
    """Class that RecBole's create_dataset makes, without loading data."""
    import recbole.data.dataset as recbole_datasets

    def named(name: str) -> type:
        return type(name, (), {"__init__": lambda self, config: None})

    monkeypatch.setattr(recbole_datasets, "Dataset", named("Dataset"))
    monkeypatch.setattr(registry, "dataset_class", lambda: named("VloggerDataset"))
    return type(create_dataset(config)).__name__


def test_recboles_own_runs_keep_recboles_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_class(monkeypatch, Config(model="BPR", dataset="ml-100k")) == "Dataset"


def test_our_model_gets_the_vlogger_dataset_from_recboles_create_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_class(monkeypatch, Config(model="VAGNN", dataset="toy")) == "VloggerDataset"


@pytest.mark.parametrize("field", ["vlogger_id", None])
def test_recboles_models_configured_by_us_get_the_vlogger_dataset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str | None
) -> None:
    config = make_config(tmp_path, {"VLOGGER_ID_FIELD": field}, "BPR")
    assert chosen_class(monkeypatch, config) == "VloggerDataset"


@pytest.mark.parametrize("key", ["save_dataset", "save_dataloaders"])
def test_recboles_caches_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"`{key}` is not supported"):
        create_dataset(make_config(write_toy(tmp_path), {key: True}))


def test_recboles_run_recbole_and_load_data_and_model_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_path = write_toy(tmp_path)
    kept: dict[str, Any] = {}
    trained = VAGNN.full_sort_predict

    def remembered(self: VAGNN, interaction: Any) -> torch.Tensor:
        scores = trained(self, interaction)
        kept["last"] = (interaction["user_id"].clone(), scores.clone())  # test evaluation is the last one
        return scores

    monkeypatch.setattr(VAGNN, "full_sort_predict", remembered)
    options = options_for(data_path, {"n_layers": 1})
    result = run_recbole(model="VAGNN", dataset="toy", config_dict=options)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert set(result["test_result"]) == {"recall@5", "recall@10", "ndcg@5", "ndcg@10"}
    (checkpoint,) = (tmp_path / "saved").glob("*.pth")

    config, model, dataset, _train, _valid, test = load_data_and_model(str(checkpoint))
    assert isinstance(model, VAGNN)
    assert isinstance(dataset, VloggerDataset)
    assert config["n_layers"] == 1
    model.eval()
    users, scores = kept["last"]
    loaded = model.full_sort_predict({"user_id": users})
    assert torch.equal(users, test.uid_list[: len(users)])
    assert torch.equal(loaded, scores)


def test_a_run_of_ours_with_recboles_model_loads_with_load_data_and_model(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    result = run_toy(data_path, {"epochs": 1, "VLOGGER_ID_FIELD": None}, "BPR")
    _config, model, dataset, _train, _valid, test = load_data_and_model(result.checkpoint)
    assert isinstance(dataset, VloggerDataset)
    again = recall_at_5(model, test)
    assert again == pytest.approx(result.test["recall@5"], abs=1e-12)


def recall_at_5(model: Any, test: Any) -> float:
    """Recall@5 of a loaded model by RecBole's case-study function."""
    from recbole.utils.case_study import full_sort_topk

    users = test.uid_list.tolist()
    _, top = full_sort_topk(users, model, test, 5)
    hits = [
        len(set(row.tolist()) & set(test.uid2positive_item[user].tolist())) / len(test.uid2positive_item[user])
        for user, row in zip(users, top, strict=True)
    ]
    return sum(hits) / len(hits)


@pytest.mark.parametrize("watched", [False, True])
def test_looking_for_a_model_leaves_autograds_watch_for_nan_as_it_was(
    monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    """RecBole's SINE turns it on when it is imported: every later backward pass would look for NaN."""
    for name in ("recbole.model.sequential_recommender", "recbole.model.sequential_recommender.sine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with torch.autograd.set_detect_anomaly(watched):
        with pytest.raises(ValueError, match="LightGNC"):
            get_model("LightGNC")
        assert "recbole.model.sequential_recommender.sine" in sys.modules
        assert torch.is_anomaly_enabled() == watched
