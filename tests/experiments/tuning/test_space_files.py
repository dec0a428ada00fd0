"""Search spaces in YAML: each form is read as documented, each mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.parameter import Parameter
from recbole_vagnn.experiments.tuning.space_files import read_space_file


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_form_is_read(tmp_path: Path) -> None:
    text = """
    first: [{}, {n_layers: 2, ssl_tau: 0.1}]
    space:
      learning_rate: {log: [1e-4, 1E-2]}
      dropout: {range: [0, 1]}
      margin: {range: [0.0, 1.0], step: 0.1}
      n_layers: {int: [1, 4]}
      size: {int: [16, 64], step: 16}
      ssl_tau: [0.1, 1e-3, auto, True, ~, [64, 64]]
    """
    parameters, first = read_space_file(write(tmp_path, text))
    assert parameters == (
        Parameter("learning_rate", "loguniform", low=0.0001, high=0.01),
        Parameter("dropout", "uniform", low=0.0, high=1.0),
        Parameter("margin", "quniform", low=0.0, high=1.0, step=0.1),
        Parameter("n_layers", "int", low=1, high=4),
        Parameter("size", "int", low=16, high=64, step=16),
        Parameter("ssl_tau", "choice", (0.1, 0.001, "auto", True, None, [64, 64])),
    )
    assert first == ({}, {"n_layers": 2, "ssl_tau": 0.1})
    assert type(parameters[1].low) is float  # a range written in whole numbers is one of fractions
    assert type(parameters[3].low) is int


def test_without_first_points_nothing_is_tried_first(tmp_path: Path) -> None:
    assert read_space_file(write(tmp_path, "space: {x: [1]}"))[1] == ()
    assert read_space_file(write(tmp_path, "space: {}\nfirst: [{}]")) == ((), ({},))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {x: [1]}\nfrist: []", r"mine\.yaml: unknown entry 'frist'\. Did you mean 'first'\? Entries:"),
        ("first: []", r"mine\.yaml: `space` is None; it must be a mapping"),
        ("space:", r"mine\.yaml: `space` is None; it must be a mapping"),
        ("space: [x]", r"mine\.yaml: `space` is \['x'\]; it must be a mapping"),
        ("space: {x: 0.1}", r"mine\.yaml: `x` is 0\.1; write \[a, b, c\], {range: \[low, high\]}, {log:"),
        ("space: {x: 1e-4 - 1e-2}", r"mine\.yaml: `x` is '1e-4 - 1e-2'; write"),
        ("space: {x: {lgo: [1, 2]}}", r"mine\.yaml: `x`: unknown entry 'lgo'\. Did you mean 'log'\?"),
        ("space: {x: {}}", r"mine\.yaml: `x` has 0 of log, range and int; give one"),
        ("space: {x: {step: 1}}", r"mine\.yaml: `x` has 0 of log, range and int; give one"),
        ("space: {x: {log: [1, 2], int: [1, 2]}}", r"mine\.yaml: `x` has 2 of log, range and int; give one"),
        ("space: {x: {log: 3}}", r"mine\.yaml: `x`: log is 3; it must be two bounds"),
        ("space: {x: {range: [1, 2, 3]}}", r"mine\.yaml: `x`: range is \[1, 2, 3\]; it must be two bounds"),
        (
            "space: {x: {log: [0, 1]}}",
            r"mine\.yaml: `x`: the lower bound of a logarithmic range is 0; it must be above",
        ),
        ("space: {x: {log: [1, 0.1]}}", r"mine\.yaml: `x`: the bounds 1 and 0\.1 enclose nothing.*first: 0\.1, 1"),
        ("space: {x: {log: [1, 2], step: 1}}", r"mine\.yaml: `x`: a range of kind loguniform has no step"),
        ("space: {x: {int: [1, 2.5]}}", r"mine\.yaml: `x`: the bound 2\.5 must be a whole number"),
        ("space: {x: []}", r"mine\.yaml: `x`: the list of values is empty"),
        ("space: {x: [1, 1]}", r"mine\.yaml: `x`: 1 is listed twice"),
        ("space: {x: [{a: 1}]}", r"mine\.yaml: `x`: {'a': 1} cannot be a value"),
        ("space: {x: [1]}\nfirst: {x: 1}", r"mine\.yaml: `first` is {'x': 1}; it must be a list of points"),
        ("space: {x: [1]}\nfirst: [x]", r"mine\.yaml: `first` is \['x'\]; it must be a list of points"),
        (
            "space: {ssl_tau: [1]}\nfirst: [{}, {ssl_tua: 1}]",
            r"mine\.yaml: point 2 of `first` gives `ssl_tua`, which `space` does not have\. Did you mean 'ssl_tau'\?",
        ),
        ("space: [", r"mine\.yaml is not valid YAML"),
        ("- x", r"mine\.yaml must hold `key: value` lines"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_space_file(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml does not exist"):
        read_space_file(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match=r"cannot be read: .*[Ii]s a directory"):
        read_space_file(tmp_path)
