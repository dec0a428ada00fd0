"""Spaces that would fail in every trial are refused before the first; spaces that can work are not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.space import check_space, read_space
from recbole_vagnn.experiments.tuning.space_check import searchable_options
from tests.runs import write_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


def check(folder: Path, data_path: Path, model: str, text: str, **options: Any) -> None:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    space = read_space(model, path, dataset="toy", data_path=data_path)
    check_space(space, "toy", data_path, options)


@pytest.mark.parametrize(
    ("model", "entries", "message"),
    [
        ("VAGNN", "learnin_rate: [1, 2]", r"`learnin_rate` is no option of VAGNN\. Did you mean 'learning_rate'\? Opt"),
        ("LightGCN", "ssl_tau: [1, 2]", r"`ssl_tau` is no option of LightGCN\..* Options: .*n_layers"),
        ("EASE", "learning_rate: [1, 2]", "`learning_rate` is an option of the run or its data"),
        ("VAGNN", "stopping_step: [1, 2]", "`stopping_step` is part of the protocol, which all trials share"),
        ("VAGNN", "sampler: [vectorised, recbole]", "`sampler` is part of the protocol"),
        ("VAGNN", "epochs: [1, 2]", "`epochs` is part of the protocol"),
        ("VAGNN", "seed: [1, 2]", "`seed` is an option of the run or its data, which all trials share"),
        ("VAGNN", "torch_threads: [1, 2]", "`torch_threads` is an option of the run or its data"),
        ("VAGNN", "variant: [no_contrast]", "`variant` is an option of the run or its data"),
        ("VAGNN", "FOLLOW_TIME_FIELD: [a, b]", "`FOLLOW_TIME_FIELD` is an option of the run or its data"),
        ("VAGNN", "val_interval: [a, b]", "`val_interval` is an option of the run or its data"),
        (
            "VAGNN",
            "n_layers: {range: [1, 4]}",
            r"`n_layers` is a whole number \(default: 2\).* 1\.0 and 4\.0.*int: \[low",
        ),
        ("VAGNN", "n_layers: {range: [1, 4], step: 1}", r"`n_layers` is a whole number \(default: 2\)"),
        ("VAGNN", "n_layers: {log: [1, 4]}", r"`n_layers` is a whole number \(default: 2\)"),
        ("VAGNN", "n_layers: [1, 0.5]", r"`n_layers` is 0\.5; it must be a whole number \(default: 2\)"),
        ("VAGNN", "ssl_tau: [0.1, warm]", r"`ssl_tau` is 'warm'; it must be a number \(default: 0\.05\)"),
        ("VAGNN", "ssl_tau: [0.1, ~]", r"`ssl_tau` is None; it must be a number"),
        ("VAGNN", "meta_paths: {int: [0, 1]}", r"`meta_paths` is True by default, no number; list its values"),
        ("VAGNN", "meta_paths: [0, 1]", r"`meta_paths` is 0; it must be True or False"),
        ("VAGNN", "mix: {range: [0, 1]}", r"`mix` is 'adaptive' by default, no number; list its values"),
        ("VAGNN", "mix: [adaptive, 0.5]", r"`mix` has the value 0\.5; each must be text \(default: 'adaptive'\)"),
        ("NGCF", "hidden_size_list: [64, 32]", r"`hidden_size_list` has the value 64; each must be a list \(default:"),
        (
            "NGCF",
            "hidden_size_list: {int: [1, 3]}",
            r"`hidden_size_list` has the value .* 1 and 3; each must be a list",
        ),
        ("SimGCL", "ssl_tau: {range: [0.0, 1.0]}", r"`ssl_tau` is 0\.0; it must be a number above 0"),
        ("SimGCL", "n_layers: {int: [0, 4]}", r"`n_layers` is 0; it must be a whole number at least 1"),
        ("XSimGCL", "contrast_layer: {int: [1, 4]}", r"contrast_layer"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, toy: Path, model: str, entries: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"mine\.yaml: .*({message})"):
        check(tmp_path, toy, model, f"space: {{{entries}}}")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("VAGNN", "first: [{}]\nspace: {mix: [adaptive, equal], meta_paths: [True, False], n_layers: {int: [0, 3]}}"),
        ("EASE", "space: {reg_weight: {log: [1, 100]}}"),
        ("NGCF", "first: [{}]\nspace: {hidden_size_list: [[64], [64, 64, 64]], train_batch_size: [512, 1024]}"),
        ("BPR", "space: {learner: [adam, sgd], weight_decay: [0, 1e-5], embedding_size: {int: [16, 64], step: 16}}"),
        # Four is too many for the default of two layers, but not for four.
        ("XSimGCL", "space: {contrast_layer: {int: [1, 4]}, n_layers: {int: [1, 4]}}"),
    ],
)
def test_what_can_work_passes(tmp_path: Path, toy: Path, model: str, text: str) -> None:
    check(tmp_path, toy, model, text)


def test_a_first_point_that_the_model_refuses_is_named(tmp_path: Path, toy: Path) -> None:
    text = "first: [{contrast_layer: 3, n_layers: 2}]\nspace: {contrast_layer: {int: [1, 3]}, n_layers: {int: [2, 3]}}"
    with pytest.raises(InputError, match=r"mine\.yaml: .*contrast_layer"):
        check(tmp_path, toy, "XSimGCL", text)


def test_an_option_fixed_for_all_trials_is_not_searched(tmp_path: Path, toy: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: `n_layers` is fixed at 3 for all trials"):
        check(tmp_path, toy, "LightGCN", "space: {n_layers: [1, 3]}", n_layers=3)


def test_a_mistake_of_the_other_options_is_not_blamed_on_the_space(tmp_path: Path, toy: Path) -> None:
    with pytest.raises(InputError, match=r"^LightGCN on toy: Unknown option 'n_layer'"):
        check(tmp_path, toy, "LightGCN", "space: {reg_weight: [0.1, 0.2]}", n_layer=3)


def test_nothing_is_left_behind(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    check(tmp_path, toy, "LightGCN", "first: [{}]\nspace: {reg_weight: [1e-4, 0.2]}")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_only_options_of_the_model_and_its_training_are_searchable() -> None:
    assert searchable_options("EASE") == ["reg_weight"]
    assert searchable_options("Pop") == []
    assert {"ssl_tau", "walk_prob", "learning_rate"} <= set(searchable_options("VAGNN"))
    assert not {"seed", "epochs", "topk", "neg_scope", "data_path", "load_col"} & set(searchable_options("VAGNN"))
