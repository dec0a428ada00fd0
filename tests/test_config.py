"""Options: precedence, checks, types, and what never happens (argv, eval)."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn import InputError, defaults
from recbole_vagnn.config import VloggerConfig, known_keys, parse_option


def write_yaml(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- precedence ---------------------------------------------------------------------------------------------


def test_each_source_overrides_the_ones_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """overall < model < variant < data set < file < later file < options; each key is set first by its source."""
    keys = ["embedding_size", "n_layers", "epochs", "stopping_step", "eval_step", "head_size", "eval_memory_mb"]
    folder = tmp_path / "properties"
    real = (defaults.properties_dir() / "overall.yaml").read_text(encoding="utf-8")
    sources = ["overall", "model/VAGNN", "variant/VAGNN/v", "dataset/toy"]
    given = ["one.yaml", "two.yaml"]
    for rank, name in enumerate(sources):
        text = "".join(f"{key}: {rank + 1}\n" for key in keys[rank:])
        write_yaml(folder / f"{name}.yaml", (real if rank == 0 else "") + text)
    for rank, name in enumerate(given, start=len(sources)):
        write_yaml(tmp_path / name, "".join(f"{key}: {rank + 1}\n" for key in keys[rank:]))
    monkeypatch.setattr(defaults, "properties_dir", lambda: folder)

    options = {"variant": "v", keys[6]: 7}
    made = VloggerConfig("VAGNN", "toy", options, [tmp_path / name for name in given])
    assert [made[key] for key in keys] == [1, 2, 3, 4, 5, 6, 7]


def test_the_shipped_data_set_file_is_used_and_options_override_it() -> None:
    assert VloggerConfig("VAGNN", "wechat-channels")["ssl_tau"] == 0.5
    assert VloggerConfig("VAGNN", "wechat-channels", {"ssl_tau": 0.2})["ssl_tau"] == 0.2
    assert VloggerConfig("VAGNN", "takatak")["ssl_tau"] == 0.05


def test_model_and_dataset_come_from_arguments_then_options_then_defaults() -> None:
    made = VloggerConfig()
    assert (made["model"], made["dataset"]) == ("VAGNN", "ml-100k-director")
    made = VloggerConfig(options={"model": "BPR", "dataset": "toy"})
    assert (made["model"], made["dataset"]) == ("BPR", "toy")
    assert VloggerConfig("LightGCN", "toy", {"model": "BPR"})["model"] == "LightGCN"


def test_nested_entries_of_a_file_survive_options_that_set_others(tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "a.yaml", "eval_args: {mode: uni100}\ntrain_neg_sample_args: {sample_num: 3}\n")
    options = {"eval_args": {"order": "RO"}, "train_neg_sample_args": {"alpha": 0.5}}
    made = VloggerConfig("VAGNN", "toy", options, [file])
    assert made["eval_args"]["mode"] == {"valid": "uni100", "test": "uni100"}
    assert made["eval_args"]["order"] == "RO"
    assert made["eval_args"]["split"] == {"LS": "valid_and_test"}
    assert made["train_neg_sample_args"]["sample_num"] == 3
    assert made["train_neg_sample_args"]["alpha"] == 0.5


# --- keys ---------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"Unknown option 'n_layer' for VAGNN. Did you mean 'n_layers'"):
        VloggerConfig("VAGNN", "toy", {"n_layer": 3})


def test_an_unknown_key_in_a_file_is_refused_too(tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "a.yaml", "learning_rat: 0.1\n")
    with pytest.raises(InputError, match="Did you mean 'learning_rate'"):
        VloggerConfig("VAGNN", "toy", config_files=[file])


def test_another_models_option_is_refused() -> None:
    with pytest.raises(InputError, match="Unknown option 'walk_prob' for BPR"):
        VloggerConfig("BPR", "toy", {"walk_prob": 0.1})


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SGL", {"ssl_tau": 0.5, "ssl_weight": 0.1, "drop_ratio": 0.2, "type": "ND", "reg_weight": 1e-4}),
        ("NGCF", {"hidden_size_list": [8, 8], "node_dropout": 0.1, "message_dropout": 0.2}),
        ("ItemKNN", {"k": 5, "shrink": 1.0}),
        ("EASE", {"reg_weight": 100.0}),
    ],
)
def test_hyper_parameters_of_recboles_models_are_known(model: str, options: dict[str, Any]) -> None:
    made = VloggerConfig(model, "toy", options)
    assert {key: made[key] for key in options} == options


def test_known_keys_hold_recboles_general_options_but_not_config_file() -> None:
    known = known_keys("VAGNN", "toy")
    assert {"walk_prob", "clip_grad_norm", "weight_decay", "benchmark_filename", "enable_amp", "seed"} <= known
    assert "config_file" not in known


def test_recboles_own_defaults_stay_where_ours_say_nothing() -> None:
    made = VloggerConfig("DGCF", "toy")
    assert made["n_factors"] == 4
    assert made["USER_ID_FIELD"] == "user_id"
    assert made["learner"] == "adam"
    assert made["epochs"] == 300


def test_our_files_for_recboles_models_set_its_deviations_right_and_give_way_to_the_user() -> None:
    made = VloggerConfig("LightGCN", "toy")
    assert [made[key] for key in ("n_layers", "reg_weight", "require_pow")] == [3, 1e-4, True]
    assert VloggerConfig("LightGCN", "toy", {"require_pow": False, "n_layers": 2})["n_layers"] == 2
    assert VloggerConfig("EASE", "toy")["train_neg_sample_args"]["distribution"] == "none"
    assert VloggerConfig("SimpleX", "toy")["train_neg_sample_args"]["sample_num"] == 10


# --- types and values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": "ten"}, "`epochs` is 'ten'; it must be a whole number"),
        ({"epochs": 1.5}, "`epochs` is 1.5; it must be a whole number"),
        ({"epochs": None}, "`epochs` is None; it must be a whole number"),
        ({"epochs": True}, "`epochs` is True; it must be a whole number"),
        ({"learning_rate": "fast"}, "`learning_rate` is 'fast'; it must be a number"),
        ({"learning_rate": None}, "`learning_rate` is None; it must be a number"),
        ({"meta_paths": "maybe"}, "`meta_paths` is 'maybe'; it must be True or False"),
        ({"meta_paths": 1}, "`meta_paths` is 1; it must be True or False"),
        ({"eval_args": "full"}, "`eval_args` is 'full'; it must be a mapping"),
        ({"data_path": 2024}, "`data_path` is 2024; it must be text"),
        ({"valid_metric": 5}, "`valid_metric` is 5; it must be text"),
        ({"user_inter_num_interval": [5, 9]}, "`user_inter_num_interval`"),
        ({"topk": "ten"}, "`topk` is 'ten'"),
        ({"topk": [10, 0]}, "`topk` is .*above 0"),
        ({"topk": []}, "`topk` is"),
        ({"seed": -1}, "`seed` is -1; it must be at least 0 and below 2.32"),
        ({"seed": 2**32}, "`seed` is 4294967296"),
        ({"split_seed": -5}, "`split_seed` is -5"),
        ({"torch_threads": 0}, "`torch_threads` is 0"),
        ({"torch_threads": "all"}, "`torch_threads` is 'all'"),
        ({"eval_args": {"modes": "full"}}, "`eval_args` has no entry 'modes'. Did you mean 'mode'"),
        ({"train_neg_sample_args": {"sample_nums": 2}}, "Did you mean 'sample_num'"),
        ({"train_neg_sample_args": {"distribution": "zipf"}}, "`train_neg_sample_args.distribution` is 'zipf'"),
        ({"eval_args": {"mode": "unix"}}, "`eval_args.mode` is 'unix'"),
        ({"eval_args": {"mode": {"train": "full"}}}, "`eval_args.mode` is"),
        ({"eval_args": {"order": "time"}}, "`eval_args.order` is 'time'; choose one of: RO, TO"),
        ({"eval_args": {"split": {"LOO": "valid_and_test"}}}, "`eval_args.split` is"),
        ({"eval_args": {"split": {"LS": "both"}}}, "`eval_args.split.LS` is 'both'"),
        ({"eval_args": {"split": "RS"}}, "`eval_args.split` is 'RS'"),
        ({"metrics": ["Recal"]}, "Unknown metric 'Recal'. Did you mean 'recall'"),
        ({"valid_metric": "Recal@10"}, "Unknown metric 'Recal'. Did you mean 'recall'"),
        ({"valid_metric": "MRR@10"}, "`valid_metric` is 'MRR@10', which `metrics`"),
        ({"valid_metric": "Recall@7"}, "`valid_metric` is 'Recall@7', which `metrics`"),
        ({"valid_metric": "Recall"}, "`valid_metric` is 'Recall', which `metrics`"),
        ({"valid_metric": "Recall@x"}, "`valid_metric` is 'Recall@x', which `metrics`"),
        ({"metrics": ["AUC"], "valid_metric": "AUC"}, "AUC need sampled or labelled items, not full ranking"),
        ({"metrics": ["AUC", "Recall"]}, "cannot be computed together"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VloggerConfig("VAGNN", "toy", options)


def test_right_values_of_every_kind_are_taken() -> None:
    options = {
        "epochs": 3,
        "learning_rate": 1,
        "topk": 5,
        "valid_metric": "recall@5",
        "VLOGGER_ID_FIELD": None,
        "user_inter_num_interval": "[5,inf)",
        "clip_grad_norm": {"max_norm": 1.0},
        "train_neg_sample_args": None,
        "seed": 2**32 - 1,
    }
    made = VloggerConfig("VAGNN", "toy", options)
    assert made["topk"] == [5]
    assert made["train_neg_sample_args"]["distribution"] == "none"
    for key in ("epochs", "learning_rate", "VLOGGER_ID_FIELD", "user_inter_num_interval", "clip_grad_norm", "seed"):
        assert made[key] == options[key]


def test_a_mode_alone_keeps_leave_one_out() -> None:
    made = VloggerConfig("VAGNN", "toy", {"eval_args": {"mode": "uni100"}})
    assert made["eval_args"] == {
        "split": {"LS": "valid_and_test"},
        "order": "TO",
        "group_by": "user",
        "mode": {"valid": "uni100", "test": "uni100"},
    }
    assert made["test_neg_sample_args"] == {"distribution": "uniform", "sample_num": 100}


def test_gauc_can_steer_training_without_a_cutoff() -> None:
    made = VloggerConfig("VAGNN", "toy", {"metrics": ["GAUC", "Recall"], "valid_metric": "GAUC"})
    assert made["valid_metric"] == "GAUC"


def test_value_metrics_are_taken_with_sampled_items() -> None:
    options = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args": {"mode": "uni5"}}
    assert VloggerConfig("VAGNN", "toy", options)["metrics"] == ["AUC"]


def test_the_callers_options_are_left_as_they_are() -> None:
    options = {"train_neg_sample_args": {"sample_num": 2}, "eval_args": {"mode": "full"}, "metrics": ["Recall"]}
    before = copy.deepcopy(options)
    made = VloggerConfig("VAGNN", "toy", options)
    made["train_neg_sample_args"]["alpha"] = 9.0
    assert options == before


# --- text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("user_inter_num_interval", "[5,inf)", "[5,inf)"),
        ("item_inter_num_interval", "[5,10]", "[5,10]"),
        ("item_inter_num_interval", "None", None),
        ("val_interval", "{rating: '[3,inf)'}", {"rating": "[3,inf)"}),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", "5E-4", 0.0005),
        ("ssl_weight", "-0.05", -0.05),
        ("n_layers", "3", 3),
        ("meta_paths", "False", False),
        ("variant", "None", None),
        ("VLOGGER_ID_FIELD", "None", None),
        ("VLOGGER_ID_FIELD", "director_id", "director_id"),
        ("eval_args", "{'mode':'uni100'}", {"mode": "uni100"}),
        ("eval_args", "{'split': {'RS': [0.8, 0.1, 0.1]}}", {"split": {"RS": [0.8, 0.1, 0.1]}}),
        ("topk", "[10,20]", [10, 20]),
        ("metrics", "['Recall', 'NDCG']", ["Recall", "NDCG"]),
        ("data_path", "2024", "2024"),
        ("valid_metric", "Recall@10", "Recall@10"),
        ("x", "[unclosed", "[unclosed"),
    ],
)
def test_text_becomes_a_typed_value(key: str, text: str, value: object) -> None:
    parsed = parse_option(key, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('touch pwned')", "!!python/object/apply:os.system ['touch pwned']", "open('pwned', 'w')"],
)
def test_no_text_is_ever_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    parsed = parse_option("encoding", text)
    assert parsed == text
    assert VloggerConfig("VAGNN", "toy", {"encoding": parsed})["encoding"] == text
    assert os.listdir(tmp_path) == []


# --- surroundings -------------------------------------------------------------------------------------------


def test_the_process_arguments_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["worker", "--epochs=7", "--model=BPR", "--no_such_key=1"])
    made = VloggerConfig("VAGNN", "toy")
    assert (made["epochs"], made["model"], made["no_such_key"]) == (300, "VAGNN", None)


def test_folders_are_absolute_wherever_the_process_goes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = VloggerConfig("VAGNN", "toy", {"data_path": "here", "checkpoint_dir": "kept"})
    assert made["data_path"] == str(tmp_path / "here" / "toy")
    assert made["checkpoint_dir"] == str(tmp_path / "kept")
    assert made.request["data_path"] == str(tmp_path / "here")
    again = VloggerConfig("VAGNN", "toy", made.request)
    assert again.final_config_dict == made.final_config_dict


def test_a_gpu_that_was_chosen_outside_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    VloggerConfig("VAGNN", "toy", {"gpu_id": "0"})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize("variant", defaults.variants("VAGNN"))
def test_every_shipped_variant_makes_a_configuration_that_holds_its_values(variant: str) -> None:
    text = (defaults.properties_dir() / "variant" / "VAGNN" / f"{variant}.yaml").read_text(encoding="utf-8")
    wanted = defaults.parse_yaml(text)
    made = VloggerConfig("VAGNN", "toy", {"variant": variant})
    assert wanted
    assert {key: made[key] for key in wanted} == wanted
    assert set(wanted) <= known_keys("VAGNN", "toy")


def test_an_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no variant 'no_such'; its variants: as_published, .*vlogger_free"):
        VloggerConfig("VAGNN", "toy", {"variant": "no_such"})
    with pytest.raises(InputError, match="BPR has no variant 'as_published'; its variants: none"):
        VloggerConfig("BPR", "toy", {"variant": "as_published"})


@pytest.mark.parametrize(
    ("text", "message"),
    [("epochs: [1", "not valid YAML"), ("- epochs\n", "must hold `key: value` lines, found list")],
)
def test_a_bad_configuration_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = write_yaml(tmp_path / "bad.yaml", text)
    with pytest.raises(InputError, match=message) as caught:
        VloggerConfig("VAGNN", "toy", config_files=[file])
    assert str(file) in str(caught.value)


def test_a_missing_configuration_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere.yaml does not exist"):
        VloggerConfig("VAGNN", "toy", config_files=["nowhere.yaml"])


def test_traditional_models_are_evaluated_in_their_only_epoch() -> None:
    assert VloggerConfig("ItemKNN", "toy", {"eval_step": 5})["eval_step"] == 1
    assert VloggerConfig("BPR", "toy", {"eval_step": 5})["eval_step"] == 5
