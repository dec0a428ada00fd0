"""The command line: arguments in, message or table out."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbole_vagnn import __version__, cli
from recbole_vagnn.cli import main, parse_arguments
from recbole_vagnn.errors import InputError
from tests.runs import REPOSITORY, arguments, options_for, write_toy


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--n_layers=3"], {"n_layers": 3}),
        (["--n_layers", "3", "--topk=[10,20]"], {"n_layers": 3, "topk": [10, 20]}),
        (["--learning_rate=1e-3", "--enable_amp=True"], {"learning_rate": 0.001, "enable_amp": True}),
        (["--eval_args={'mode': 'uni100'}"], {"eval_args": {"mode": "uni100"}}),
        (["--user_inter_num_interval=[5,inf)"], {"user_inter_num_interval": "[5,inf)"}),
        (["--a=b=c"], {"a": "b=c"}),
        (["--seed=1", "--seed=1"], {"seed": 1}),
        (["--ssl_weight", "-0.05"], {"ssl_weight": -0.05}),
        (["--variant=None", "--data_path=2024"], {"variant": None, "data_path": "2024"}),
    ],
)
def test_arguments_become_typed_options(words: list[str], options: dict[str, Any]) -> None:
    assert parse_arguments(words) == options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n_layers=3"], "write options as --key=value"),
        (["-x"], "'-x' is not understood"),
        (["--n_layers"], "--n_layers has no value"),
        (["--n_layers", "--seed=1"], "--n_layers has no value"),
        (["--seed=1", "--seed=2"], "--seed is given twice, as 1 and 2"),
    ],
)
def test_malformed_arguments_are_named(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_arguments(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lerning_rate=0.1"], "Did you mean 'learning_rate'?"),
        (["--model=vagn"], "Did you mean 'VAGNN'?"),
        (["--nproc=0"], "do not fit"),
        (["--world_size=2", "--nproc=3"], "do not fit"),
        (["--group_offset=1"], "do not fit"),
        (["--nproc=2", "--model=Pop"], "Use --nproc=1"),
        (["--metrics=[AUC]", "--valid_metric=AUC"], "uni100"),
        (["--variant=no_contrats"], "its variants: as_published"),
        (["--n_layers=two"], "`n_layers` is 'two'; it must be a whole number"),
        (["--mix=sum", "--topk=[10]"], "choose one of: adaptive, equal, video, vlogger"),
        (["--config_files=absent.yaml"], "absent.yaml does not exist"),
        (["--dataset=absent"], "absent does not exist"),
    ],
)
def test_mistakes_end_with_one_message_and_no_traceback(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("run", "--data_path", str(write_toy(tmp_path)), *(["--dataset=toy", *words]))
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.output.startswith("Error: ")
    assert not list(tmp_path.glob("saved/*"))


def test_a_run_prints_a_table_and_writes_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = options_for(write_toy(tmp_path), {"show_progress": True})
    words = ["run", "--model=VAGNN", "--dataset=toy", "--result_file=out.json", *arguments(options)]
    result = call(*words)
    assert result.exit_code == 0, result.output
    written = json.loads(Path("out.json").read_text())
    for metric, value in written["test"].items():
        row = next(line for line in result.output.splitlines() if f" {metric} " in line)
        assert f"{value:.4f}" in row
    assert "24 users, 30 items, 6 vloggers; 168 training, 24 validation and 24 test interactions" in result.output
    assert "epoch 1/2  bpr " in result.output


def test_config_files_are_read_in_order_and_arguments_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("n_layers: 1\nepochs: 1\n")
    Path("b.yaml").write_text("n_layers: 3\nssl_tau: 0.5\n")
    seen: dict[str, Any] = {}

    def fake_run(model: Any, dataset: Any, options: Any, config_files: Any, **_: Any) -> None:
        from recbole_vagnn.config import VloggerConfig

        config = VloggerConfig(model, dataset, options, config_files)
        seen.update({key: config[key] for key in ("n_layers", "epochs", "ssl_tau")})

    monkeypatch.setattr("recbole_vagnn.runner.run", fake_run)
    assert call("run", "--config_files", "a.yaml b.yaml", "--ssl_tau=0.1").exit_code == 0
    assert seen == {"n_layers": 3, "epochs": 1, "ssl_tau": 0.1}


def test_run_recbole_is_the_same_function_as_recbole_vagnn_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.commands["run"] is cli.run
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", "--no_such_option=1"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(REPOSITORY / "run_recbole.py"), run_name="__main__")
    assert stop.value.code == 1
    assert "Unknown option 'no_such_option'" in capsys.readouterr().err


def test_interruption_exits_130_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_vagnn.runner import Interrupted

    def interrupted(*_: Any, **__: Any) -> None:
        raise Interrupted(None, Path("run.last"))

    monkeypatch.setattr("recbole_vagnn.runner.run", interrupted)
    result = call("run")
    assert result.exit_code == 130
    assert "No epoch was evaluated yet." in result.output
    assert "--resume=run.last" in result.output


def test_options_lists_every_option_and_the_variants() -> None:
    lines = call("options", "VAGNN").output.splitlines()
    assert "ssl_tau = 0.05" in lines
    assert 'eval_batch_size = "auto"' in lines
    assert any(line.startswith("variants") and "no_contrast" in line for line in lines)
    assert "ssl_ratio = " not in "\n".join(lines)
    assert call("options", "SGL").output.count("drop_ratio = ") == 1


def test_models_lists_ours_and_recboles() -> None:
    lines = call("models").output.splitlines()
    assert lines[0] == "VAGNN  (ours)"
    assert {"LightGCN", "EASE", "ItemKNN"} <= set(lines)


def test_help_and_version() -> None:
    assert "--key=value" in call("run", "--help").output
    assert __version__ in call("--version").output


def test_a_bad_configuration_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("epochs: [1")
    result = call("run", "--config_files=bad.yaml")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Configuration file bad.yaml is not valid YAML")


def test_ctrl_c_before_training_exits_130_and_offers_no_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_vagnn.runner.run", interrupted)
    result = call("run")
    assert result.exit_code == 130
    assert "--resume" not in result.output


def test_resume_takes_the_whole_command_line_again_but_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options repeated, defaults spelled out and folders written another way change nothing."""
    monkeypatch.chdir(tmp_path)
    options = options_for(write_toy(tmp_path), {"epochs": 1})
    assert call("run", "--dataset=toy", *arguments(options)).exit_code == 0
    (last,) = (tmp_path / "saved").glob("*.last")
    again = {**options, "data_path": ".", "seed": 2020, "epochs": 2}
    result = call("run", "--dataset=toy", *arguments(again), f"--resume={last}")
    assert result.exit_code == 0, result.output
    assert "of 2" in result.output
    Path("a.yaml").write_text("epochs: 3\n")
    for words, message in (
        (["--n_layers=3"], "cannot change `n_layers` from 2 to 3"),
        (["--model=BPR"], "cannot change `model`"),
        (["--n_layer=3"], "Did you mean 'n_layers'?"),
        (["--config_files=a.yaml"], "leave `--config_files` out"),
    ):
        result = call("run", f"--resume={last}", *words)
        assert (result.exit_code, message in result.output) == (1, True), result.output


def test_options_shows_what_a_data_sets_own_file_sets(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "abc.yaml").write_text("n_layers: 5\n")
    assert "n_layers = 5\n" in call("options", "VAGNN", "--dataset", "abc", "--data_path", str(tmp_path)).output
