"""Training for model selection: the curves of a run, without test data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn.config import VloggerConfig, known_keys
from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.selection import SelectionData
from recbole_vagnn.errors import InputError
from recbole_vagnn.fit import Evaluation, fit, load
from tests.runs import options_for, run_toy, write_toy


def config_of(data_path: Path, model: str, **options: Any) -> VloggerConfig:
    given = options_for(data_path, options)
    if "embedding_size" not in known_keys(model, "toy"):
        del given["embedding_size"]
    return VloggerConfig(model, "toy", given)


def evaluations(config: VloggerConfig, content: bytes, **more: Any) -> list[Evaluation]:
    told: list[Evaluation] = []
    fit(config, SelectionData.from_bytes(content), told.append, **more)
    return told


CASES: dict[str, dict[str, Any]] = {
    "VAGNN": {},
    "VAGNN with sampled candidates": {"eval_args": {"mode": "uni10"}},
    "LightGCN with dynamic negatives": {"train_neg_sample_args": {"dynamic": True, "candidate_num": 3}},
    "BPR with RecBole's sampler": {"sampler": "recbole"},
    "BPR by popularity": {"train_neg_sample_args": {"distribution": "popularity"}},
    "BPR with a split at random": {"eval_args": {"split": {"RS": [0.7, 0.2, 0.1]}, "order": "RO"}},
    "MultiVAE": {},
    "EASE": {},
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_scores_are_those_of_a_run(tmp_path: Path, case: str) -> None:
    model, options = case.split()[0], {"epochs": 4, **CASES[case]}
    data_path = write_toy(tmp_path, items=40)
    result = run_toy(data_path, options, model)
    told = evaluations(config_of(data_path, model, **options), load(config_of(data_path, model, **options)).to_bytes())
    assert [one.metrics for one in told] == [record["valid"] for record in result.history]
    assert [one.loss for one in told] == [sum(record["losses"].values()) for record in result.history]
    assert [one.number for one in told] == list(range(1, len(result.history) + 1))
    assert (told[-1].best_epoch, told[-1].best) == (result.best_epoch, (result.valid or {})["recall@10"])
    assert [one.ended for one in told] == [None] * (len(told) - 1) + ["finished"]


class Poison:
    """Nobody may touch it."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"somebody read {name} of the test data")


def test_nothing_of_the_test_data_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_path = write_toy(tmp_path)
    build = VloggerDataset.build
    monkeypatch.setattr(VloggerDataset, "build", lambda self: [*build(self)[:2], Poison()])
    with pytest.raises(AssertionError, match="somebody read"):
        run_toy(data_path)
    config = config_of(data_path, "VAGNN")
    assert len(evaluations(config_of(data_path, "VAGNN"), load(config).to_bytes())) == 2


def test_it_goes_on_from_a_state_as_if_nothing_had_happened(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    options = {"epochs": 8, "learning_rate": 0.05, "stopping_step": 3}
    content = load(config_of(data_path, "VAGNN", **options)).to_bytes()
    state = tmp_path / "state"

    def keep(evaluation: Evaluation) -> None:
        told.append(evaluation)
        if evaluation.number == 3:
            evaluation.save(state)

    told: list[Evaluation] = []
    fit(config_of(data_path, "VAGNN", **options), SelectionData.from_bytes(content), keep)
    resumed = evaluations(config_of(data_path, "VAGNN", **options), content, resume=state)
    numbers = [[(one.number, one.epoch, one.metrics, one.loss, one.best, one.best_epoch, one.ended) for one in part]
               for part in (told[3:], resumed)]  # fmt: skip
    assert numbers[0] == numbers[1]
    assert resumed[0].seconds > told[2].seconds
    assert not list(tmp_path.rglob("*.pth"))
    assert not list(tmp_path.rglob("*.last"))


def test_a_state_of_other_data_is_refused(tmp_path: Path) -> None:
    data_path, other = write_toy(tmp_path / "a"), write_toy(tmp_path / "b", items=25)
    state = tmp_path / "state"
    content = load(config_of(data_path, "BPR")).to_bytes()
    fit(config_of(data_path, "BPR"), SelectionData.from_bytes(content), lambda one: one.save(state))
    with pytest.raises(InputError, match="data have changed"):
        evaluations(config_of(other, "BPR"), load(config_of(other, "BPR")).to_bytes(), resume=state)


def test_a_plateau_ends_it_where_it_ends_a_run(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    options = {"epochs": 30, "learning_rate": 0.3, "stopping_step": 1}
    result = run_toy(data_path, options)
    told = evaluations(config_of(data_path, "VAGNN", **options), load(config_of(data_path, "VAGNN")).to_bytes())
    assert result.epochs < 30
    assert [one.ended for one in told] == [None] * (result.epochs - 1) + ["plateau"]
    assert told[-1].best_epoch == result.best_epoch


def test_evaluations_that_are_rarer_than_epochs(tmp_path: Path) -> None:
    """After the last evaluation nothing more is trained that nobody would see."""
    data_path = write_toy(tmp_path)
    config = config_of(data_path, "VAGNN", epochs=5, eval_step=2)
    told = evaluations(config, load(config_of(data_path, "VAGNN")).to_bytes())
    assert [(one.number, one.epoch, one.ended) for one in told] == [(1, 1, None), (2, 3, "finished")]
    assert sum(one.seconds_since for one in told) == pytest.approx(told[-1].seconds)


def test_a_loss_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    data_path = write_toy(tmp_path)
    config = config_of(data_path, "BPR", learning_rate=1e30, epochs=5)
    with pytest.raises(InputError, match="training loss of BPR is NaN"):
        evaluations(config, load(config_of(data_path, "BPR")).to_bytes())
