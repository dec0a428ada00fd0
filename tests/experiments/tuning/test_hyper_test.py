"""RecBole's format of search spaces: read as RecBole itself reads it, hyperopt's part played by a recorder."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recbole.config import Config
from recbole.trainer.hyper_tuning import HyperTuning

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.hyper_test import read_hyper_test
from recbole_vagnn.experiments.tuning.parameter import Parameter

FILE = """learning_rate loguniform -8, 0
embedding_size choice [64, 96, 128]

train_batch_size choice [512,1024, 2048]
mlp_hidden_size choice ['[64, 64, 64]','[128,64]', "(32, 16)"]
dropout_prob uniform 0.0,1.0
margin quniform 0, 1.0, 0.25
odd quniform 1,10,3
between quniform -0.5,0.5,0.2
type choice ['ED', 'ND', 'None', 'true', '0.5', "3"]
single choice (0.1, 1e-3)
"""


@pytest.fixture
def as_recbole_reads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """RecBole's reader; each of hyperopt's functions gives back its own name and arguments."""
    functions = {
        kind: lambda name, *arguments, kind=kind: (kind, name, *arguments)
        for kind in ("choice", "uniform", "quniform", "loguniform")
    }
    module = ModuleType("hyperopt")
    module.hp = SimpleNamespace(**functions)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hyperopt", module)
    return HyperTuning._build_space_from_file


def values_of(drawn: tuple[Any, ...]) -> list[Any]:
    """What RecBole's Config makes of the values of a choice."""
    return [Config._convert_config_dict(None, {"x": value})["x"] for value in drawn]


def write(folder: Path, text: str, name: str = "hyper.test") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def agrees(mine: Parameter, kind: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a parameter has the values that hyperopt documents for the arguments."""
    if kind == "choice":
        theirs = [list(value) if isinstance(value, tuple) else value for value in values_of(arguments[0])]
        return mine.kind == "choice" and repr(list(mine.values)) == repr(theirs)
    if kind == "quniform":
        low, high, q = arguments
        inside = np.linspace(low, high, 100_001)[1:-1]
        theirs = np.unique(np.round(inside / q) * q)
        return mine.kind == "quniform" and np.allclose(mine.points(), np.unique(theirs.round(9)), atol=1e-9)
    low, high = arguments if kind == "uniform" else map(math.exp, arguments)
    return (mine.kind, mine.low, mine.high) == (kind, low, high)


def test_every_line_means_what_it_means_to_recbole(tmp_path: Path, as_recbole_reads: Any) -> None:
    path = write(tmp_path, FILE)
    theirs = as_recbole_reads(path)
    mine = {parameter.name: parameter for parameter in read_hyper_test(path)}
    assert list(mine) == list(theirs)
    assert len(mine) == 10
    for name, (kind, named, *arguments) in theirs.items():
        assert named == name
        assert agrees(mine[name], kind, tuple(arguments)), name


def test_the_exponents_of_loguniform_are_of_e(tmp_path: Path) -> None:
    (parameter,) = read_hyper_test(write(tmp_path, "learning_rate loguniform -8,0"))
    assert (parameter.low, parameter.high) == (pytest.approx(3.3546e-4, rel=1e-4), 1.0)


def test_quniform_has_multiples_of_q_as_hyperopt_does(tmp_path: Path) -> None:
    (parameter,) = read_hyper_test(write(tmp_path, "x quniform 1,10,3"))
    assert parameter.points() == [0.0, 3.0, 6.0, 9.0]  # round(1.2 / 3) is 0: the ends may lie outside


def test_comments_tabs_and_spaces_are_passed_over(tmp_path: Path) -> None:
    text = "# a remark of more than three words\n\n  n_layers\tchoice   [1, 2]  \n"
    assert read_hyper_test(write(tmp_path, text)) == (Parameter("n_layers", "choice", (1, 2)),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rate", r"hyper\.test, line 2: 'learning_rate' is not NAME TYPE VALUES"),
        ("a choise [1]", r"line 2: `a`: unknown type 'choise'\. Did you mean 'choice'\? Types: choice, uniform"),
        ("a choice 1,2 3", r"line 2: `a`: '1,2 3' is not a list such as"),
        ("a choice [open('x')]", r"line 2: `a`: .* is not a list such as"),
        ("a choice range(3)", r"line 2: `a`: .* is not a list such as"),
        ("a choice []", r"line 2: `a`: the list of values is empty"),
        ("a uniform 1", r"line 2: `a`: '1' is not low,high, numbers with commas"),
        ("a uniform 1,2,3", r"line 2: `a`: '1,2,3' is not low,high, numbers with commas"),
        ("a uniform 1,x", r"line 2: `a`: '1,x' is not low,high"),
        ("a uniform 0,nan", r"line 2: `a`: '0,nan' is not low,high"),
        ("a quniform 0,1", r"line 2: `a`: '0,1' is not low,high,q"),
        ("a uniform 2,1", r"line 2: `a`: the bounds 2\.0 and 1\.0 enclose nothing"),
        ("a quniform 2,1,1", r"line 2: `a`: the bounds 2\.0 and 1\.0 enclose nothing"),
        ("a quniform 1,2,0", r"line 2: `a`: the step 0\.0 must be a number above 0"),
        ("a quniform 1,1.2,1", r"line 2: `a`: the bounds 1\.0 and 1\.0 enclose nothing\. They allow one value"),
        ("a loguniform 0,-3", r"line 2: `a`: the bounds 1\.0 and 0\.049.* enclose nothing"),
        ("a loguniform 0,10000", r"line 2: `a`: the bounds '0,10000' are exponents of e; these are too large"),
        ("a loguniform -10000,0", r"line 2: `a`: the lower bound of a logarithmic range is 0\.0; it must be above 0"),
        ("k choice [1]", r"line 2: `k` is given a second time"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_hyper_test(write(tmp_path, f"k choice [3]\n{line}\n"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Search space .*gone\.test cannot be read: .*No such file"):
        read_hyper_test(tmp_path / "gone.test")
    with pytest.raises(InputError, match=r"Search space .* cannot be read: .*[Ii]s a directory"):
        read_hyper_test(tmp_path)
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"Search space .*binary cannot be read: .*utf-8"):
        read_hyper_test(path)
