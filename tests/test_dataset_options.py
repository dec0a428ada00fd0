"""``<data_path>/NAME/NAME.yaml``, the option file of a prepared data set; and the protocol files that we ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from recbole.config import Config
from recbole.data.utils import create_dataset
from recbole.quick_start import run_recbole

from recbole_vagnn import InputError, VloggerDataset, defaults
from recbole_vagnn.cli import main
from recbole_vagnn.config import VloggerConfig, known_keys
from recbole_vagnn.runner import run
from recbole_vagnn.trainer import read_last_state
from tests.runs import arguments, numbers, options_for, run_toy, write_toy

PROTOCOL = defaults.properties_dir() / "benchmark" / "authors_protocol.yaml"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


def write_options(data_path: Path, text: str, name: str = "toy") -> Path:
    path = data_path / name / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def configured(data_path: Path, options: dict[str, Any] | None = None, model: str = "VAGNN", **more: Any) -> Config:
    return VloggerConfig(model, "toy", {"data_path": str(data_path), **(options or {})}, **more)


def by_recbole(data_path: Path, options: dict[str, Any] | None = None, model: str = "VAGNN") -> Config:
    return Config(model=model, dataset="toy", config_dict={"data_path": str(data_path), **(options or {})})


BOTH = pytest.mark.parametrize("make", [configured, by_recbole])


# --- precedence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["ours", "RecBole's"])
def test_the_file_lies_between_the_shipped_data_set_file_and_the_config_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    """overall < model < variant < shipped data set < NAME.yaml < config file < options; each sets one key first."""
    keys = ["embedding_size", "n_layers", "epochs", "stopping_step", "eval_step", "head_size", "eval_memory_mb"]
    real, folder = defaults.properties_dir() / "overall.yaml", tmp_path / "properties"
    layers = ["overall", "model/VAGNN", "variant/VAGNN/v", "dataset/toy"]
    for rank, name in enumerate(layers):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}: {rank + 1}\n" for key in keys[rank:])
        path.write_text((real.read_text(encoding="utf-8") if rank == 0 else "") + text, encoding="utf-8")
    write_options(tmp_path / "data", "".join(f"{key}: 5\n" for key in keys[4:]))
    (tmp_path / "given.yaml").write_text("".join(f"{key}: 6\n" for key in keys[5:]), encoding="utf-8")
    monkeypatch.setattr(defaults, "properties_dir", lambda: folder)

    options = {"variant": "v", keys[6]: 7, "data_path": str(tmp_path / "data")}
    if make == "ours":
        made: Config = VloggerConfig("VAGNN", "toy", options, [tmp_path / "given.yaml"])
    else:
        made = Config("VAGNN", "toy", [str(tmp_path / "given.yaml")], options)
    assert [made[key] for key in keys] == [1, 2, 3, 4, 5, 6, 7]


@BOTH
def test_entries_of_a_nested_option_that_the_file_leaves_out_stay(tmp_path: Path, make: Any) -> None:
    write_options(tmp_path, "eval_args: {split: {RS: [0.8, 0.1, 0.1]}, order: RO}\ntrain_neg_sample_args: {alpha: 0.5}")
    made = make(tmp_path)
    assert made["eval_args"] == {
        "split": {"RS": [0.8, 0.1, 0.1]},
        "order": "RO",
        "group_by": "user",
        "mode": {"valid": "full", "test": "full"},
    }
    assert made["train_neg_sample_args"]["alpha"] == 0.5
    assert made["train_neg_sample_args"]["distribution"] == "uniform"


def test_an_option_of_the_command_keeps_the_files_other_nested_entries(tmp_path: Path) -> None:
    write_options(tmp_path, "eval_args: {split: {RS: [0.6, 0.2, 0.2]}, order: RO}")
    made = configured(tmp_path, {"eval_args": {"mode": "uni5"}})
    assert made["eval_args"]["split"] == {"RS": [0.6, 0.2, 0.2]}
    assert made["eval_args"]["mode"] == {"valid": "uni5", "test": "uni5"}


@BOTH
@pytest.mark.parametrize("text", ["", "# nothing yet\n", None])
def test_without_options_nothing_changes(tmp_path: Path, make: Any, text: str | None) -> None:
    before = make(tmp_path).final_config_dict
    if text is not None:
        write_options(tmp_path, text)
    assert make(tmp_path).final_config_dict == before


@BOTH
def test_only_the_file_of_the_named_data_set_is_read(tmp_path: Path, make: Any) -> None:
    write_options(tmp_path, "n_layers: 7", name="other")
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "other.yaml").write_text("n_layers: 7")
    assert make(tmp_path)["n_layers"] == 2


def test_the_folder_may_come_from_a_file_or_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_options(tmp_path / "dataset", "n_layers: 5")
    assert VloggerConfig("VAGNN", "toy")["n_layers"] == 5  # data_path: dataset
    write_options(tmp_path / "elsewhere", "n_layers: 6")
    (tmp_path / "where.yaml").write_text("data_path: elsewhere")
    assert VloggerConfig("VAGNN", "toy", config_files=["where.yaml"])["n_layers"] == 6
    monkeypatch.setenv("HOME", str(tmp_path))
    assert VloggerConfig("VAGNN", "toy", {"data_path": "~/elsewhere"})["n_layers"] == 6
    assert Config("VAGNN", "toy")["n_layers"] == 5


# --- keys and values --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("model", ["VAGNN", "BPR"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_layer: 3", "unknown option 'n_layer'. Did you mean 'n_layers'"),
        ("lerning_rate: 0.1", "unknown option 'lerning_rate'. Did you mean 'learning_rate'"),
        ("VLOGER_ID_FIELD: x", "Did you mean 'VLOGGER_ID_FIELD'"),
        ("1: 2", "unknown option 1."),
        ("config_file: a.yaml", "unknown option 'config_file'"),
        ("epochs: ten", "`epochs` is 'ten'; it must be a whole number"),
        ("learning_rate: fast", "`learning_rate` is 'fast'; it must be a number"),
        ("reproducibility: maybe", "`reproducibility` is 'maybe'; it must be True or False"),
        ("eval_args: full", "`eval_args` is 'full'; it must be a mapping"),
        ("eval_args: {modes: full}", "`eval_args` has no entry 'modes'. Did you mean 'mode'"),
        ("model: BPR", "`model` cannot be set in a data set's file"),
        ("dataset: toy", "`dataset` cannot be set"),
        ("data_path: here", "`data_path` cannot be set"),
        ("variant: as_published", "`variant` cannot be set"),
        ("- epochs", "must hold `key: value` lines"),
        ("epochs: [1", "is not valid YAML"),
    ],
)
def test_mistakes_in_the_file_are_refused_with_its_name(
    tmp_path: Path, make: Any, model: str, text: str, message: str
) -> None:
    path = write_options(tmp_path, text)
    with pytest.raises(InputError) as caught:
        make(tmp_path, model=model)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_values_that_only_fit_together_wrongly_are_refused_as_everywhere(tmp_path: Path) -> None:
    write_options(tmp_path, "valid_metric: MRR@10")
    with pytest.raises(InputError, match="`valid_metric` is 'MRR@10'"):
        configured(tmp_path)


@pytest.mark.parametrize("make", [configured, by_recbole])
def test_hyper_parameters_of_other_models_are_passed_over(tmp_path: Path, make: Any) -> None:
    """One file serves every model that is compared on the data set."""
    write_options(tmp_path, "aux_weight: 2.0\nssl_tau: 0.3\nn_layers: 4\ndrop_ratio: 0.3\nlearning_rate: 0.01\n")
    vagnn, bpr, sgl = (make(tmp_path, model=model) for model in ("VAGNN", "BPR", "SGL"))
    assert [vagnn[key] for key in ("aux_weight", "ssl_tau", "n_layers", "drop_ratio")] == [2.0, 0.3, 4, None]
    assert [sgl[key] for key in ("aux_weight", "ssl_tau", "n_layers", "drop_ratio")] == [None, 0.3, 4, 0.3]
    assert [bpr[key] for key in ("aux_weight", "ssl_tau", "n_layers", "learning_rate")] == [None, None, None, 0.01]


def test_the_file_makes_no_key_known(tmp_path: Path) -> None:
    before = known_keys("BPR", "toy")
    write_options(tmp_path / "dataset", "aux_weight: 2.0\nVLOGGER_ID_FIELD: vlogger_id\n")
    VloggerConfig("BPR", "toy")
    assert known_keys("BPR", "toy") == before
    with pytest.raises(InputError, match="Unknown option 'aux_weight' for BPR"):
        VloggerConfig("BPR", "toy", {"aux_weight": 1.0})


def test_values_are_typed_and_never_evaluated(tmp_path: Path) -> None:
    write_options(tmp_path, "encoding: \"__import__('os').mkdir('pwned')\"\nlearning_rate: 1e-3\ntopk: [5, 7]\n")
    for made in (configured(tmp_path, {"valid_metric": "Recall@5"}), by_recbole(tmp_path)):
        assert made["encoding"] == "__import__('os').mkdir('pwned')"
        assert made["learning_rate"] == 0.001
        assert made["topk"] == [5, 7]
    assert not (tmp_path / "pwned").exists()


# --- runs -------------------------------------------------------------------------------------------------------


def renamed_creators(folder: Path) -> Path:
    """A toy data set whose columns are called as NAME.yaml says and as no default does."""
    data = write_toy(folder)
    for suffix, old, new in (("inter", "user_id:", "reader:"), ("item", "vlogger_id:", "author:")):
        path = data / "toy" / f"toy.{suffix}"
        path.write_text(path.read_text().replace(old, new, 1))
    write_options(data, "USER_ID_FIELD: reader\nVLOGGER_ID_FIELD: author\nssl_tau: 0.4\n")
    return data


@pytest.mark.parametrize("model", ["VAGNN", "BPR"])
def test_a_run_follows_the_file_and_its_result_shows_it(tmp_path: Path, model: str) -> None:
    own = {"ssl_tau": 0.4} if model == "VAGNN" else {}
    plain = run_toy(write_toy(tmp_path / "plain"), {"epochs": 1, **own}, model)
    result = run_toy(renamed_creators(tmp_path / "renamed"), {"epochs": 1}, model)
    assert result.config["USER_ID_FIELD"] == "reader"
    assert result.config["VLOGGER_ID_FIELD"] == "author"
    assert result.sizes == plain.sizes
    assert numbers(result) == numbers(plain)


def test_recboles_own_run_follows_the_file(tmp_path: Path) -> None:
    data = renamed_creators(tmp_path)
    ours = run_toy(data, {"epochs": 1})
    theirs = run_recbole(model="VAGNN", dataset="toy", config_dict=options_for(data, {"epochs": 1}))
    assert dict(theirs["test_result"]) == ours.test
    dataset = create_dataset(by_recbole(data, {"load_col": "auto"}, model="BPR"))
    assert isinstance(dataset, VloggerDataset)  # the file names creators, as shipped files of data sets do
    assert dataset.vlogger_num == 7


def test_the_command_lists_effective_values(tmp_path: Path) -> None:
    write_options(tmp_path / "dataset", "ssl_tau: 0.37\neval_args: {order: RO, split: {RS: [8, 1, 1]}}\n")
    shown = CliRunner().invoke(main, ["options", "VAGNN", "--dataset=toy"]).output
    assert "ssl_tau = 0.37" in shown
    assert '"order": "RO"' in shown
    write_options(tmp_path / "dataset", "ssl_tua: 0.37\n")
    refused = CliRunner().invoke(main, ["options", "VAGNN", "--dataset=toy"])
    assert refused.exit_code == 1
    assert "toy.yaml: unknown option 'ssl_tua'. Did you mean 'ssl_tau'" in refused.output


# --- resume -----------------------------------------------------------------------------------------------------


def begun(folder: Path, text: str | None, **options: Any) -> tuple[Path, Any]:
    data = write_toy(folder)
    if text is not None:
        write_options(data, text)
    return data, run_toy(data, {"epochs": 2, **options})


def test_a_run_with_an_unchanged_file_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    data, short = begun(tmp_path, "ssl_tau: 0.4\nlearning_rate: 0.02\n")
    longer = run(options={"epochs": 4}, resume=short.checkpoint, quiet=True)
    assert longer.config["ssl_tau"] == 0.4
    assert numbers(longer) == numbers(run_toy(data, {"epochs": 4}))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("ssl_tau: 0.4\n", "ssl_tau: 0.5\n", "`ssl_tau` was 0.4 and is 0.5 now"),
        ("ssl_tau: 0.4\n", "", "`ssl_tau` was 0.4 and is 0.05 now"),
        ("ssl_tau: 0.4\n", None, "`ssl_tau` was 0.4 and is 0.05 now"),
        (None, "learning_rate: 0.5\n", "`learning_rate` was 0.001 and is 0.5 now"),
        ("", "mask_valid_at_test: False\n", "`mask_valid_at_test` was True and is False now"),
        ("", "threshold: {rating: 3}\n", "`threshold` was None and is {'rating': 3} now"),
    ],
)
def test_a_run_whose_file_changed_is_not_resumed(
    tmp_path: Path, before: str | None, after: str | None, change: str
) -> None:
    data, done = begun(tmp_path, before)
    if after is None:
        (data / "toy" / "toy.yaml").unlink()
    else:
        write_options(data, after)
    with pytest.raises(InputError) as caught:
        run(resume=done.checkpoint, quiet=True)
    assert change in str(caught.value)
    assert str(data / "toy" / "toy.yaml") in str(caught.value)


def test_changes_that_do_not_reach_the_run_do_not_stop_it(tmp_path: Path) -> None:
    """An option given on the command line wins before and after; epochs and patience may change in a resume."""
    data, done = begun(tmp_path, "ssl_tau: 0.4\nn_layers: 1\nstopping_step: 5\n", n_layers=2)
    write_options(data, "# other words\nn_layers: 3\nssl_tau: 0.4\nstopping_step: 6\ndrop_ratio: 0.1\n")
    assert numbers(run(resume=done.checkpoint, quiet=True)) == numbers(done)


def test_a_changed_file_of_ours_is_noticed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade between start and resume may bring another default."""
    _, done = begun(tmp_path, None)
    state = read_last_state(Path(done.checkpoint).with_suffix(".last"))
    assert state["extra"]["config"]["walk_prob"] == 0.4
    real = defaults.read_yaml

    def upgraded(path: Path) -> dict[str, Any]:
        content = real(path)
        return {**content, "walk_prob": 0.6} if path.stem == "VAGNN" else content

    monkeypatch.setattr(defaults, "read_yaml", upgraded)
    with pytest.raises(InputError, match=r"`walk_prob` was 0\.4 and is 0.6 now"):
        run(resume=done.checkpoint, quiet=True)


# --- the authors' protocol --------------------------------------------------------------------------------------


def test_the_protocol_file_holds_known_options_with_a_comment_each() -> None:
    wanted = defaults.read_yaml(PROTOCOL)
    assert wanted.keys() <= known_keys("VAGNN", "takatak")
    lines = PROTOCOL.read_text(encoding="utf-8").splitlines()
    assert all("#" in line for line in lines if line.partition(":")[0] in wanted)


@pytest.mark.parametrize(("dataset", "ssl_weight", "tau"), [("takatak", 0.05, 0.05), ("wechat-channels", 5e-4, 0.5)])
def test_the_protocol_gives_the_published_settings(dataset: str, ssl_weight: float, tau: float) -> None:
    made = VloggerConfig("VAGNN", dataset, config_files=[PROTOCOL])
    published = {
        "mask_valid_at_test": False,
        "neg_scope": "unseen_vlogger",
        "contrast_nodes": "batch",
        "embedding_size": 64,
        "n_layers": 2,
        "train_batch_size": 4096,
        "learning_rate": 0.001,
        "reg_weight": 1e-4,
        "aux_weight": 5.0,
        "ssl_weight": ssl_weight,
        "ssl_tau": tau,
        "metrics": ["Recall", "NDCG"],
        "topk": [10, 20, 50],
        "valid_metric": "Recall@10",
        "stopping_step": 10,
        "rm_dup_inter": "last",
    }
    assert {key: made[key] for key in published} == published
    assert made["eval_args"] == {
        "split": {"LS": "valid_and_test"},
        "order": "TO",
        "group_by": "user",
        "mode": {"valid": "full", "test": "full"},
    }


def test_a_toy_run_follows_the_protocol(tmp_path: Path) -> None:
    data = write_toy(tmp_path)
    options = {"epochs": 2, "topk": [5, 10]}
    by_file = run_toy(data, options, config_files=[PROTOCOL])
    by_hand = run_toy(
        data, {**options, "variant": "as_published", "mask_valid_at_test": False, "valid_metric": "Recall@10"}
    )
    assert by_file.config["mask_valid_at_test"] is False
    assert numbers(by_file) == numbers(by_hand)
    assert by_file.test != run_toy(data, {**options, "variant": "as_published"}).test


def test_the_commands_take_the_protocol(tmp_path: Path) -> None:
    data = write_toy(tmp_path, users=40, items=60)
    options = {key: value for key, value in options_for(data, {"epochs": 1}).items() if key != "topk"}
    words = ["run", "--model=VAGNN", "--dataset=toy", f"--config_files={PROTOCOL}", *arguments(options)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    again = run_recbole(model="VAGNN", dataset="toy", config_file_list=[str(PROTOCOL)], config_dict=options)
    assert set(again["test_result"]) == {f"{name}@{k}" for name in ("recall", "ndcg") for k in (10, 20, 50)}


def test_protocol_files_are_no_variants_or_models() -> None:
    assert "authors_protocol" not in defaults.variants("VAGNN")
    assert defaults.property_file("model", "authors_protocol") is None
