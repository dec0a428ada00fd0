"""Spaces: points, grids, what a search algorithm draws from them, and how first points are completed."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search.optuna import OptunaSearch
from recbole.config import Config

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.tuning.space import Parameter, Space, read_space
from tests.runs import write_toy

RATE = Parameter("learning_rate", "loguniform", low=1e-4, high=1e-2)
LAYERS = Parameter("n_layers", "int", low=1, high=3)
MARGIN = Parameter("margin", "quniform", low=0.0, high=0.3, step=0.1)
SIZES = Parameter("sizes", "choice", ([64], [64, 64]))
DISCRETE = Space("VAGNN", (LAYERS, MARGIN, SIZES), ({"n_layers": 2, "margin": 0.3, "sizes": [64]},), "mine.yaml")
CONTINUOUS = Space(
    "VAGNN",
    (RATE, MARGIN, SIZES),
    ({"learning_rate": 1e-3, "margin": 0.3, "sizes": [64]}, {"learning_rate": 1e-2, "margin": 0.0, "sizes": [64, 64]}),
    "mine.yaml",
)


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- points -----------------------------------------------------------------------------------------------------------


def test_a_grid_has_every_point_once_and_the_first_ones_in_front() -> None:
    expected = {
        (layers, margin, size) for layers, margin, size in itertools.product((1, 2, 3), (0.0, 0.1, 0.2, 0.3), (1, 2))
    }
    grid = DISCRETE.grid()
    assert grid[0] == {"n_layers": 2, "margin": 0.3, "sizes": [64]}
    assert grid[1:4] == [
        {"n_layers": 1, "margin": 0.0, "sizes": [64]},
        {"n_layers": 1, "margin": 0.0, "sizes": [64, 64]},
        {"n_layers": 1, "margin": 0.1, "sizes": [64]},
    ]
    assert len(grid) == DISCRETE.size == 24
    assert {(point["n_layers"], point["margin"], len(point["sizes"])) for point in grid} == expected


def test_no_grid_of_a_continuous_range_or_of_too_many_points() -> None:
    message = r"mine\.yaml: `learning_rate` is continuous \(between 0\.0001 and 0\.01\).*learning_rate: \[a, b, …\]"
    with pytest.raises(InputError, match=message):
        CONTINUOUS.grid()
    assert CONTINUOUS.size is None
    large = Space("VAGNN", tuple(Parameter(name, "int", low=1, high=100) for name in "abc"), (), "mine.yaml")
    with pytest.raises(InputError, match=r"mine\.yaml: a grid of 1000000 points is too large"):
        large.grid()


def test_a_model_without_parameters_has_one_point() -> None:
    space = Space("Pop", (), ({},), "Pop.yaml")
    assert (space.size, space.grid(), space.names(), space.contains({})) == (1, [{}], (), True)


def test_a_point_has_a_value_for_every_parameter_and_nothing_else() -> None:
    point = {"n_layers": 2, "margin": 0.1 + 0.2, "sizes": [64]}
    assert DISCRETE.canonical(point) == {"n_layers": 2, "margin": 0.3, "sizes": [64]}
    assert DISCRETE.contains(point)
    for wrong, message in (
        ({"n_layers": 2, "sizes": [64]}, "has no value for margin"),
        ({**point, "seed": 1}, r"mine\.yaml: seed of the point .* is not searched"),
        ({**point, "n_layers": 4}, r"mine\.yaml: `n_layers`: 4 is not a whole number between 1 and 3"),
    ):
        assert not DISCRETE.contains(wrong)
        with pytest.raises(InputError, match=message):
            DISCRETE.canonical(wrong)


def test_options_left_alone_leave_the_points_too() -> None:
    space = CONTINUOUS.without({"learning_rate", "margin", "unknown"})
    assert space.names() == ("sizes",)
    assert space.first == ({"sizes": [64]}, {"sizes": [64, 64]})
    assert CONTINUOUS.without(CONTINUOUS.names()).first == ({},)  # equal points are tried once
    assert CONTINUOUS.without([]) == CONTINUOUS


# --- search algorithms ------------------------------------------------------------------------------------------------


def suggestions(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """What Ray's OptunaSearch tries where every trial's score is its learning rate."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = OptunaSearch(
        space.distributions(), metric="score", mode="max", points_to_evaluate=list(space.first), seed=seed
    )
    found = []
    for number in range(count):
        point = search.suggest(str(number))
        assert point is not None
        found.append(point)
        search.on_trial_complete(str(number), {"score": point["learning_rate"], "training_iteration": 1})
    return found


def test_optuna_tries_the_first_points_first_and_stays_inside() -> None:
    found = suggestions(CONTINUOUS, 30, seed=5)
    assert found[:2] == list(CONTINUOUS.first)
    assert all(CONTINUOUS.contains(point) for point in found)
    assert found == suggestions(CONTINUOUS, 30, seed=5)
    assert found != suggestions(CONTINUOUS, 30, seed=6)
    rates = [point["learning_rate"] for point in found[2:]]
    assert sum(rates[14:]) > 1.5 * sum(rates[:14])  # it learns that high scores lie at high rates


def test_ray_draws_points_of_the_space() -> None:
    domains = CONTINUOUS.tune()
    for _ in range(50):
        assert CONTINUOUS.contains({name: domain.sample() for name, domain in domains.items()})


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_toy(tmp_path_factory.mktemp("data"))
    write(folder / "toy", "learning_rate: 0.003\nssl_weight: 0.2\n", "toy.yaml")
    return folder


SPACE = """
first: [{}, {n_layers: 3}, {learning_rate: 0.001}, {n_layers: 2}]
space:
  learning_rate: {log: [1e-4, 1e-2]}
  n_layers: {int: [1, 4]}
  ssl_weight: {log: [5e-4, 2.0]}
"""


def test_a_point_is_completed_from_the_models_file_and_then_the_data_sets(tmp_path: Path, toy: Path) -> None:
    path = write(tmp_path, SPACE)
    assert read_space("VAGNN", path, dataset="toy", data_path=toy).first == (
        {"learning_rate": 0.003, "n_layers": 2, "ssl_weight": 0.2},
        {"learning_rate": 0.003, "n_layers": 3, "ssl_weight": 0.2},
        {"learning_rate": 0.001, "n_layers": 2, "ssl_weight": 0.2},  # the last point is the first one again
    )
    assert read_space("VAGNN", path).first == (
        {"learning_rate": 0.001, "n_layers": 2, "ssl_weight": 0.05},  # the third is this one too
        {"learning_rate": 0.001, "n_layers": 3, "ssl_weight": 0.05},
    )
    assert read_space("VAGNN", path, dataset="ml-100k-director").first[0]["learning_rate"] == 0.005


def test_what_all_trials_share_is_not_searched(tmp_path: Path, toy: Path) -> None:
    path = write(tmp_path, SPACE)
    space = read_space("VAGNN", path, dataset="toy", data_path=toy, options={"n_layers": 3, "epochs": 5})
    assert space.names() == ("learning_rate", "ssl_weight")
    assert space.first == (
        {"learning_rate": 0.003, "ssl_weight": 0.2},
        {"learning_rate": 0.001, "ssl_weight": 0.2},
    )
    variant = read_space("VAGNN", path, dataset="toy", data_path=toy, options={"variant": "no_contrast"})
    assert variant.names() == ("learning_rate", "n_layers")  # the variant sets ssl_weight
    everything = read_space("VAGNN", path, options=dict.fromkeys(("learning_rate", "n_layers", "ssl_weight"), 1))
    assert (everything.size, everything.first) == (1, ({},))


def test_recboles_format_is_told_by_the_files_name(tmp_path: Path) -> None:
    path = write(tmp_path, "learning_rate choice [0.01, 0.001]\n", "hyper.test")
    assert read_space("BPR", path) == Space(
        "BPR", (Parameter("learning_rate", "choice", (0.01, 0.001)),), (), str(path)
    )
    assert read_space("BPR", write(tmp_path, "space: {k: [1]}", "other.YML")).names() == ("k",)
    with pytest.raises(InputError, match=r"line 1: 'space:' is not NAME TYPE VALUES.*YAML has a name that ends with"):
        read_space("BPR", write(tmp_path, "space:\n  k: [1]\n", "mine.txt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {}", r"mine\.yaml: the space is empty, there is nothing to search"),
        (
            "first: [{ssl_tau: 0.07}]\nspace: {ssl_tau: [0.05, 0.1]}",
            r"mine\.yaml: point 1 of `first` lies outside the space: `ssl_tau`: 0\.07 is not one of 0\.05, 0\.1\. Chan",
        ),
        (
            "first: [{n_layers: 0.5}]\nspace: {n_layers: {int: [1, 4]}}",
            r"`n_layers`: 0\.5 is not a whole number between 1 and 4",
        ),
        (
            "first: [{ssl_tau: 0.1}, {}]\nspace: {ssl_tau: [0.1, 0.2]}",
            r"point 2 of `first` lies outside .*0\.05 is not one of 0\.1, 0\.2\. It takes from the property files: "
            r"ssl_tau 0\.05",
        ),
        (
            "first: [{}]\nspace: {ssl_tua: [0.1, 0.2]}",
            r"point 1 of `first` leaves out `ssl_tua`, which has no default\. Did you mean 'ssl_tau'",
        ),
    ],
)
def test_a_wrong_space_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_space("VAGNN", write(tmp_path, text))


def test_models_that_do_not_exist_or_have_no_space(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Unknown model 'VAGN'\. Did you mean 'VAGNN'"):
        read_space("VAGN")
    with pytest.raises(
        InputError, match=r"no search space for ENMF\. Write one .*--space.*Shipped: BPR, .*EASE, .*XSimG"
    ):
        read_space("ENMF")
    path = write(tmp_path, "", "hyper.test")
    with pytest.raises(InputError, match=r"hyper\.test: the space is empty"):
        read_space("ENMF", path)


# --- use --------------------------------------------------------------------------------------------------------------


def test_a_found_value_wins_over_the_data_sets_files(tmp_path: Path, toy: Path) -> None:
    best = write(tmp_path, "learning_rate: 0.0005\nssl_weight: 0.7\n", "best.yaml")
    for dataset in ("toy", "ml-100k-director"):  # a file in the folder, and one that we ship
        by_file = VloggerConfig("VAGNN", dataset, {"data_path": str(toy)}, [best])
        by_value = VloggerConfig("VAGNN", dataset, {"data_path": str(toy), "learning_rate": 0.0005, "ssl_weight": 0.7})
        recboles = Config("VAGNN", dataset, [str(best)], {"data_path": str(toy)})
        for config in (by_file, by_value, recboles):
            assert (config["learning_rate"], config["ssl_weight"]) == (0.0005, 0.7)
