"""RecBole 1.2.1 on the installed numpy, scipy, pandas and torch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_vagnn import compat, registry
from tests.helpers import load_loaders, load_splits
from tests.runs import options_for, subprocess_environment, write_toy


def with_versions(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    def version(name: str) -> str:
        found = versions[name]
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(compat, "version", version)


@pytest.mark.parametrize(
    ("versions", "named"),
    [
        ({"recbole": None, "pandas": "2.3.0"}, ["not installed", "pip install --no-deps recbole==1.2.1"]),
        ({"recbole": "1.1.0", "pandas": "2.3.0"}, ["1.1.0", "pip install --no-deps recbole==1.2.1"]),
        ({"recbole": "1.2.1", "pandas": "3.0.1"}, ["pandas 3.0.1", 'pip install "pandas>=2.2,<3"']),
        ({"recbole": "1.2.1", "pandas": "10.0"}, ["pandas 10.0", 'pip install "pandas>=2.2,<3"']),
        ({"recbole": "1.2.1", "pandas": None}, ["pandas", "not installed", 'pip install "pandas>=2.2,<3"']),
    ],
)
def test_wrong_stack_is_refused_in_one_sentence_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None], named: list[str]
) -> None:
    with_versions(monkeypatch, **versions)
    with pytest.raises(ImportError) as caught:
        compat.check_stack()
    message = str(caught.value)
    assert all(part in message for part in named)
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message  # one sentence


def test_the_supported_stack_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, recbole="1.2.1", pandas="2.3.3")
    compat.check_stack()


IMPORT_ALONE = """
import json, sys
import recbole_vagnn
heavy = ("ray", "matplotlib", "torch", "pandas", "recbole", "scipy", "numpy")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""

RECBOLE_FIRST = """
import json
import numpy as np
before = set(dir(np))
from recbole.quick_start import run_recbole
import recbole.quick_start.quick_start as quick_start
import recbole.config.configurator as configurator
import recbole.trainer.trainer as trainer
import recbole.utils.utils, recbole.data.utils, recbole.utils, recbole.data
import recbole_vagnn
from recbole_vagnn import VAGNN, VloggerDataset
wired = {
    "quick_start.get_model": quick_start.get_model("VAGNN") is VAGNN,
    "config.get_model": configurator.get_model("VAGNN") is VAGNN,
    "utils.get_model": recbole.utils.get_model is quick_start.get_model is recbole.utils.utils.get_model,
    "create_dataset": recbole.data.create_dataset is quick_start.create_dataset is recbole.data.utils.create_dataset,
    "create_dataset is ours": quick_start.create_dataset.__module__ != "recbole_vagnn.registry"
    and hasattr(quick_start.create_dataset, "__wrapped__"),
    "get_trainer": hasattr(quick_start.get_trainer, "__wrapped__"),
    "load_data_and_model": hasattr(quick_start.load_data_and_model, "__wrapped__"),
    "torch.load": trainer.torch.load.__module__ == "recbole_vagnn.compat",
    "numpy views": hasattr(recbole.evaluator.metrics.np, "float"),
}
print(json.dumps([wired, sorted(set(dir(np)) - before)]))
"""


def in_subprocess(program: str, folder: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=subprocess_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    assert in_subprocess(IMPORT_ALONE, tmp_path) == []


def test_recbole_imported_before_the_package_is_wired_too(tmp_path: Path) -> None:
    wired, new_in_numpy = in_subprocess(RECBOLE_FIRST, tmp_path)  # type: ignore[misc]
    assert all(wired.values()), wired
    assert new_in_numpy == []


def test_numpy_itself_gets_no_removed_names_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    from recbole.config import Config
    from recbole.evaluator import metrics

    monkeypatch.setattr(sys, "argv", ["pytest"])
    Config(model="BPR", dataset="ml-100k")  # RecBole's would write np.float and others here
    for name in ("float", "str", "int", "object", "float_", "unicode"):
        assert not hasattr(np, name), name
    assert metrics.np.float is np.float64
    assert metrics.np.zeros is np.zeros


def test_a_module_view_shows_later_changes_of_the_module_and_hides_none() -> None:
    view = compat.ModuleView(torch, load="replaced")
    assert view.load == "replaced"
    assert torch.load != "replaced"
    assert view.nn is torch.nn
    with pytest.raises(AttributeError):
        view.no_such_name  # noqa: B018


@pytest.mark.parametrize("model", ["LightGCN", "NGCF"])
def test_recbole_graph_models_build_the_right_adjacency(tmp_path: Path, model: str) -> None:
    from recbole_vagnn import registry

    data_path = write_toy(tmp_path, users=6, items=12, per_user=5)
    config, (train, _, _) = load_splits(data_path, options_for(data_path), model)
    network = registry.model_class(model)(config, train)

    n = train.user_num + train.item_num
    adjacency = np.zeros((n, n))
    inter = train.inter_feat
    for user, item in zip(inter["user_id"].tolist(), inter["item_id"].tolist(), strict=True):
        adjacency[user, train.user_num + item] = adjacency[train.user_num + item, user] = 1.0
    degree = adjacency.sum(axis=1) + 1e-7  # RecBole's guard against division by zero
    expected = adjacency / np.sqrt(np.outer(degree, degree))

    found = network.norm_adj_matrix.to_dense().numpy()
    assert adjacency.sum() == 2 * len(train)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("negatives", [None, {"distribution": "uniform", "sample_num": 2}])
def test_recboles_pop_counts_every_training_interaction_and_no_negative(
    tmp_path: Path, negatives: dict[str, object] | None
) -> None:
    options = {"train_batch_size": 64, "train_neg_sample_args": negatives}
    config, (train, _, _) = load_loaders(write_toy(tmp_path), options, model="Pop")
    model = registry.model_class("Pop")(config, train._dataset)
    for batch in train:
        model.calculate_loss(batch)
    expected = np.bincount(train._dataset.inter_feat["item_id"].numpy(), minlength=model.n_items)
    assert expected.max() > 1
    np.testing.assert_array_equal(model.item_cnt.numpy().ravel(), expected)
