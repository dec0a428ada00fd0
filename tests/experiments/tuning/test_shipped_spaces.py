"""The spaces that we ship: complete, fair, with the authors' settings inside and first."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from recbole.utils import ModelType

from recbole_vagnn import registry
from recbole_vagnn.defaults import properties_dir, property_file, read_yaml
from recbole_vagnn.experiments.plan import read_plan
from recbole_vagnn.experiments.tuning.hyper_test import read_hyper_test
from recbole_vagnn.experiments.tuning.space import Parameter, Space, check_space, read_space
from recbole_vagnn.experiments.tuning.space_files import read_space_file
from tests.runs import REPOSITORY

FILES = sorted(path.stem for path in (properties_dir() / "search").glob("*.yaml"))
TRAINED = [name for name in FILES if registry.model_class(name).type != ModelType.TRADITIONAL]
# On a data set whose file sets no learning rate, the first point is the authors'. Written down from their papers and
# programs (docs/baselines.md), not read from our files; Pop and VloggerPop have none.
AUTHORS: dict[str, dict[str, Any]] = {
    "BPR": {"learning_rate": 0.001, "weight_decay": 0.0},
    "ItemKNN": {"k": 100, "shrink": 0.0},
    "EASE": {"reg_weight": 250.0},
    "SLIMElastic": {"alpha": 0.2, "l1_ratio": 0.02},
    "NGCF": {
        "learning_rate": 1e-4,
        "reg_weight": 1e-5,
        "message_dropout": 0.1,
        "node_dropout": 0.0,
        "hidden_size_list": [64, 64, 64],
    },
    "LightGCN": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 3},
    "TripartiteLightGCN": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 3},
    "GTN": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 3, "lambda2": 4.0},
    "SGL": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 3, "ssl_weight": 0.1, "ssl_tau": 0.2},
    "SimGCL": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 2, "ssl_weight": 0.5, "ssl_tau": 0.2},
    "XSimGCL": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 2, "ssl_weight": 0.2, "ssl_tau": 0.15},
    "TripartiteSimGCL": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 2, "ssl_weight": 0.5, "ssl_tau": 0.2},
    "SimGCLVlogger": {"learning_rate": 0.001, "reg_weight": 1e-4, "n_layers": 2, "ssl_weight": 0.5, "ssl_tau": 0.2},
    "NCL": {"learning_rate": 0.001, "reg_weight": 1e-4, "ssl_temp": 0.1, "ssl_reg": 1e-7, "proto_reg": 8e-8},
    "SimpleX": {"learning_rate": 1e-4, "reg_weight": 1e-8, "margin": 0.9, "negative_weight": 150, "gamma": 0.5},
    "VAGNN": {
        "learning_rate": 0.001,
        "reg_weight": 1e-4,
        "n_layers": 2,
        "ssl_weight": 0.05,
        "ssl_tau": 0.05,
        "aux_weight": 5.0,
    },
    # Ours, from the search on validation data that docs/models.md tells of.
    "CreatorEASE": {"reg_weight": 250.0, "creator_weight": 1.0, "recency_decay": 1.0},
    "CreatorItemKNN": {"k": 100, "shrink": 0.0, "creator_weight": 1.0, "recency_decay": 1.0},
    "CreatorRecencyGCN": {
        "learning_rate": 0.001,
        "reg_weight": 1e-4,
        "n_layers": 2,
        "ssl_weight": 0.0,
        "ssl_tau": 0.15,
        "objective": "hard",
        "candidates": 16,
        "recency_decay": 0.8,
    },
    "Pop": {},
    "VloggerPop": {},
}
# The same choice for every model that ranks by one inner product; their authors train by BPR.
OBJECTIVES = {"objective": ["bpr", "hard"], "candidates": [8, 16, 32]}
WITH_OBJECTIVE = [*(name for name in registry.MODELS if name not in ("VloggerPop", "CreatorEASE", "CreatorItemKNN"))]
WITH_OBJECTIVE += registry.OBJECTIVE_MODELS
for _name in WITH_OBJECTIVE:
    AUTHORS[_name] = {"objective": "bpr", "candidates": 16, **AUTHORS[_name]}


@cache
def shipped(model: str) -> Space:
    """The space of a model, completed from its own file alone."""
    return read_space(model)


def parameter(space: Space, name: str) -> Parameter | None:
    return next((found for found in space.parameters if found.name == name), None)


def test_every_model_of_the_benchmarks_has_a_space() -> None:
    contestants = {c.model for plan in ("full", "paper", "strong") for c in read_plan(plan).contestants}
    assert contestants | {"Pop", "SimpleX", "NCL"} == set(FILES) == set(AUTHORS)


@pytest.mark.parametrize("model", FILES)
def test_a_search_would_accept_it(model: str, tmp_path: Path) -> None:
    """Every bound and every listed value makes a configuration, and every first point is one."""
    space = read_space(model, dataset="ml-100k-director", data_path=tmp_path)
    check_space(space, "ml-100k-director", tmp_path)
    assert all(space.contains(point) for point in space.first)


@pytest.mark.parametrize("model", FILES)
def test_the_authors_setting_is_tried_first(model: str) -> None:
    assert shipped(model).first[0] == AUTHORS[model]


@pytest.mark.parametrize("model", TRAINED)
@pytest.mark.parametrize("dataset", ["ml-100k-director", "takatak"])
def test_where_a_data_set_says_otherwise_the_authors_setting_comes_second(model: str, dataset: str) -> None:
    file = read_yaml(property_file("dataset", dataset) or Path())
    first = read_space(model, dataset=dataset).first
    untuned = {name: file.get(name, value) for name, value in AUTHORS[model].items()}
    authors = AUTHORS[model] if model != "SimpleX" else {**AUTHORS[model], "gamma": 1.0}  # 0.5 is RecBole's
    assert first[0] == untuned
    assert authors in first[:2]


def test_both_published_pairs_of_vagnn_are_tried_on_either_data_set() -> None:
    takatak, wechat = {"ssl_weight": 0.05, "ssl_tau": 0.05}, {"ssl_weight": 5e-4, "ssl_tau": 0.5}
    for dataset, pairs in {"takatak": [takatak, wechat], "wechat-channels": [wechat, takatak]}.items():
        first = read_space("VAGNN", dataset=dataset).first
        found = [{name: point[name] for name in ("ssl_weight", "ssl_tau")} for point in first]
        assert [pair for number, pair in enumerate(found) if pair not in found[:number]] == pairs


@pytest.mark.parametrize("model", ["SGL", "SimGCL", "XSimGCL", "TripartiteSimGCL", "SimGCLVlogger"])
def test_contrastive_rivals_try_a_weak_contrast_by_both_objectives_and_no_fewer_points_than_vagnn(model: str) -> None:
    first = read_space(model, dataset="ml-100k-director").first
    assert {point["objective"] for point in first if point["ssl_weight"] == 0.01} == {"bpr", "hard"}
    assert len(first) >= len(read_space("VAGNN", dataset="ml-100k-director").first)


@pytest.mark.parametrize("model", WITH_OBJECTIVE)
def test_every_model_has_the_same_choice_of_objectives_and_tries_both(model: str) -> None:
    space = shipped(model)
    for name, values in OBJECTIVES.items():
        found = parameter(space, name)
        assert found is not None
        assert (found.kind, list(found.values)) == ("choice", values)
    assert "hard" in {point["objective"] for point in space.first}
    assert set(FILES) - set(WITH_OBJECTIVE) == {
        name for name in FILES if parameter(shipped(name), "objective") is None
    }  # fmt: skip


def test_small_and_large_lambda2_of_gtn_are_both_searched_and_tried() -> None:
    space = shipped("GTN")
    found = parameter(space, "lambda2")
    assert found is not None
    assert min(found.points()) == 0.01
    assert {1.0, 4.0} <= set(found.points())
    assert {point["lambda2"] for point in space.first} == {4.0, 0.1}


@pytest.mark.parametrize("model", TRAINED)
def test_no_trained_model_is_favoured(model: str) -> None:
    """One range for what models have in common: learning rate, L2 weight, layers, temperature."""
    space = shipped(model)
    assert parameter(space, "learning_rate") == Parameter("learning_rate", "loguniform", low=1e-4, high=1e-2)
    regulariser = parameter(space, "weight_decay" if model == "BPR" else "reg_weight")
    if model == "BPR":  # another scale, and 0 must be among them
        assert regulariser is not None
        assert {0.0, 1e-6, 1e-4} <= set(regulariser.values)
    else:
        low = 1e-8 if model == "SimpleX" else 1e-6
        assert regulariser == Parameter("reg_weight", "loguniform", low=low, high=1e-2)
    own = read_yaml(property_file("model", model) or Path())
    if "n_layers" in own and model != "NCL":
        assert parameter(space, "n_layers") == Parameter("n_layers", "int", low=1, high=4)
    for tau in own.keys() & {"ssl_tau", "ssl_temp"}:
        assert parameter(space, tau) == Parameter(tau, "loguniform", low=0.05, high=1.0)


@pytest.mark.parametrize("model", FILES)
def test_a_space_is_small_and_leaves_alone_what_is_equal_for_all(model: str) -> None:
    space = shipped(model)
    assert len(space.parameters) <= 8
    assert (space.size == 1) == (model in ("Pop", "VloggerPop"))
    assert not {"embedding_size", "train_batch_size", "learner"} & set(space.names())
    assert len(space.first) <= 5


# --- docs/search_spaces.md --------------------------------------------------------------------------------------------


def in_words(found: Parameter) -> str:
    """A parameter as the page writes it."""
    if found.kind == "choice":
        return f"`{found.name}` " + ", ".join(
            f"{value:g}" if isinstance(value, (int, float)) else str(value) for value in found.values
        )
    text = f"`{found.name}` {found.low:g} … {found.high:g}"
    text += " (log)" if found.kind == "loguniform" else ""
    return text + (f" by {found.step:g}" if found.step else "")


def test_the_pages_table_says_what_the_files_say() -> None:
    page = (REPOSITORY / "docs" / "search_spaces.md").read_text(encoding="utf-8")
    written: dict[str, str] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "models":
            written |= dict.fromkeys(cells[0].split(", "), cells[1])
    assert written == {
        model: "; ".join(map(in_words, shipped(model).parameters)) or "–" for model in FILES
    }  # fmt: skip


def test_the_pages_examples_are_spaces(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "search_spaces.md").read_text(encoding="utf-8")
    blocks = page.split("```")[1::2]
    yaml, recboles = tmp_path / "mine.yaml", tmp_path / "hyper.test"
    yaml.write_text(blocks[0].removeprefix("yaml\n"), encoding="utf-8")
    recboles.write_text(blocks[1], encoding="utf-8")
    assert [found.name for found in read_hyper_test(recboles)] == ["learning_rate", "n_layers", "dropout", "margin"]
    parameters, first = read_space_file(yaml)
    assert [found.name for found in parameters] == ["learning_rate", "dropout", "n_layers", "ssl_tau"]
    assert first == ({}, {"ssl_tau": 0.1, "n_layers": 3})
