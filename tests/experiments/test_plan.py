"""Plans: what a file or the command line asks for is what is run, and mistakes are found beforehand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from recbole_vagnn import registry
from recbole_vagnn.errors import InputError
from recbole_vagnn.experiments.plan import (
    METRICS,
    PROTOCOL,
    TOPK,
    Condition,
    Contestant,
    Plan,
    configuration,
    protocol_hash,
    protocol_of,
    read_plan,
    seeds,
    with_changes,
)
from recbole_vagnn.experiments.probe import Probe
from tests.runs import write_toy


def plan(*models: str, **given: Any) -> Plan:
    contestants = tuple(Contestant(model, model) for model in models or ("Pop", "VAGNN"))
    return Plan(**{"contestants": contestants, "datasets": ("toy",), **given})


def write(folder: Path, text: str, name: str = "plan.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


def test_a_file_says_everything(tmp_path: Path) -> None:
    text = """
    models: [Pop, VAGNN, {VAGNN-1: {model: VAGNN, n_layers: 1}}, {EASE: {reg_weight: 5.0}}]
    datasets: [toy, 2024]
    seeds: [5, 3]
    options: {epochs: 7, eval_args: {mode: uni100}}
    ours: [VAGNN, VAGNN-1]
    tuned: somewhere
    """
    assert read_plan(write(tmp_path, text)) == Plan(
        contestants=(
            Contestant("Pop", "Pop"),
            Contestant("VAGNN", "VAGNN"),
            Contestant("VAGNN-1", "VAGNN", {"n_layers": 1}),
            Contestant("EASE", "EASE", {"reg_weight": 5.0}),
        ),
        datasets=("toy", "2024"),
        seeds=(5, 3),
        options={"epochs": 7, "eval_args": {"mode": "uni100"}},
        ours=("VAGNN", "VAGNN-1"),
        tuned=Path("somewhere"),
    )


def test_models_and_datasets_are_enough(tmp_path: Path) -> None:
    given = read_plan(write(tmp_path, "models: [Pop]\ndatasets: [toy]"))
    assert (given.seeds, given.options, given.ours, given.tuned, given.settings) == ((2020,), {}, (), None, "authors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [Pop]", r"plan\.yaml: unknown entry 'model'\. Did you mean 'models'\?.*Entries: models, datasets"),
        ("datasets: [toy]", "The plan has no models"),
        ("models: [Pop]", "The plan has no datasets"),
        ("models: VAGNN\ndatasets: [toy]", r"plan\.yaml: `models` is 'VAGNN'; it must be a list"),
        ("models: {VAGNN: {}}\ndatasets: [toy]", "`models` is .* must be a list"),
        ("models: [Pop]\ndatasets: toy", "`datasets` is 'toy'; it must be a list"),
        ("models: [Pop]\ndatasets: [toy]\nours: Pop", "`ours` is 'Pop'; it must be a list"),
        ("models: [Pop]\ndatasets: [toy]\noptions: [epochs]", "`options` is .* must be a mapping"),
        ("models: [Pop]\ndatasets: [toy]\ntuned: 3", "`tuned` is 3; it must be the path of a folder"),
        ("models: [3]", r"plan\.yaml: model 3 is not understood\. Write NAME, or LABEL:"),
        ("models: [{A: {}, B: {}}]", "model .* is not understood"),
        ("models: [{A: 3}]", "model .* is not understood"),
        ("models: [Pop, {Pop: {model: EASE}}]\ndatasets: [toy]", "names Pop twice among its models"),
        ("models: [Pop]\ndatasets: [toy, toy]", "names toy twice among its datasets"),
        ("models: [Pop]\ndatasets: [toy]\nseeds: [1, 2, 1]", "names 1 twice among its seeds"),
        ("models: [Pop]\ndatasets: [toy]\nours: [Pop, Pop]", "names Pop twice among its ours"),
        ("models: [Pop, VAGNN]\ndatasets: [toy]\nours: [VAGN]", "`ours` names 'VAGN'.*Did you mean 'VAGNN'"),
        ("models: [Pop]\ndatasets: [toy]\noptions: {seed: 3}", "`options` cannot set `seed`. Its place: .*`seeds`"),
        ("models: [{Pop: {torch_threads: 2}}]\ndatasets: [toy]", "Pop cannot set `torch_threads`.*--cpus-per-run"),
        ("- Pop", "must hold `key: value` lines"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_plan(write(tmp_path, text))


def test_plans_that_are_not_there() -> None:
    with pytest.raises(InputError, match=r"no plan 'papre'; give `paper`, `full` or a YAML file"):
        read_plan("papre")
    with pytest.raises(InputError, match=r"gone\.yaml does not exist"):
        read_plan("gone.yaml")


def test_seeds_are_counted_or_listed() -> None:
    assert seeds(3) == (2020, 2021, 2022)
    assert seeds([0, 2**32 - 1]) == (0, 2**32 - 1)


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "3", [], [1, 2.5], [True], [-1], [2**32], None])
def test_no_other_seeds(given: Any) -> None:
    with pytest.raises(InputError, match=r"`seeds` is .*how many, or a list"):
        seeds(given)


def test_seeds_are_outermost_and_models_innermost() -> None:
    keys = [job.key for job in plan("Pop", "EASE", datasets=("b", "a"), seeds=(2, 1)).jobs()]
    assert keys == [
        *(("b", "Pop", 2), ("b", "EASE", 2), ("a", "Pop", 2), ("a", "EASE", 2)),
        *(("b", "Pop", 1), ("b", "EASE", 1), ("a", "Pop", 1), ("a", "EASE", 1)),
    ]


def test_options_of_a_run(tmp_path: Path) -> None:
    """Tuned over the contestant's over the plan's over the defaults; the seed is the job's."""
    write(tmp_path, "c: 3\ntrain_neg_sample_args: {alpha: 0.5}", "toy/A.yaml")
    own = {"b": 2, "c": 2, "train_neg_sample_args": {"sample_num": 2, "alpha": 1.0}}
    given = Plan(
        (Contestant("A", "VAGNN", own),),
        ("toy",),
        (9,),
        {"a": 1, "b": 1, "c": 1, "topk": [3]},
        tuned=tmp_path,
    )
    (job,) = given.jobs()
    assert job.options == {
        "metrics": list(METRICS),
        "topk": [3],
        "a": 1,
        "b": 2,
        "c": 3,
        "seed": 9,
        "train_neg_sample_args": {"sample_num": 2, "alpha": 0.5},
    }
    assert (job.settings, given.settings) == ("tuned", "tuned")
    (plain,) = plan("Pop").jobs()
    assert (plain.options, plain.settings) == (
        {"metrics": list(METRICS), "topk": list(TOPK), "seed": 2020},
        "authors",
    )


def test_a_contestant_tuned_as_another_starts_from_its_options_and_keeps_its_own(tmp_path: Path) -> None:
    write(tmp_path, "b: 3\nc: 3", "toy/A.yaml")
    variant = Contestant("A without b", "VAGNN", {"b": 0}, tuned_as="A")
    given = Plan((Contestant("A", "VAGNN", {"b": 1}), variant), ("toy",), tuned=tmp_path)
    assert [{key: job.options[key] for key in "bc"} for job in given.jobs()] == [{"b": 3, "c": 3}, {"b": 0, "c": 3}]
    untuned = Plan((variant,), ("toy",))
    assert [job.options["b"] for job in untuned.jobs()] == [0]


def test_a_tuned_base_must_be_there_once(toy: Path, tmp_path: Path) -> None:
    variant = Contestant("B", "VAGNN", {"n_layers": 1}, tuned_as="VAGNN")
    given = Plan((Contestant("VAGNN", "VAGNN"), variant), ("toy",), tuned=tmp_path)
    with pytest.raises(InputError, match=r"1 of 1 tuned settings are missing, first .*toy/VAGNN\.yaml"):
        given.check(toy)
    write(tmp_path, "", "toy/VAGNN.yaml")
    given.check(toy)


def test_a_condition_changes_the_data_of_all_and_is_part_of_their_name(toy: Path) -> None:
    change = {"degradation": {"links_removed": 0.5}}
    given = plan("Pop", "VAGNN", condition=Condition("poorer", change), probe=Probe("a:b"))
    given.check(toy)
    for job in given.jobs():
        assert (job.dataset, job.data, job.condition) == ("toy", "toy@poorer", "poorer")
        assert job.key == ("toy@poorer", job.contestant.label, 2020)
        assert job.options["degradation"] == change["degradation"]
        assert job.probe == Probe("a:b")
    (plain,) = plan("Pop").jobs()
    assert (plain.data, plain.key[0], plain.probe) == ("toy", "toy", None)
    assert plain.options_hash != next(iter(given.jobs())).options_hash


@pytest.mark.parametrize("key", PROTOCOL)
def test_no_contestant_has_a_protocol_of_its_own(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"A has options of its own that all runs must share: {key}. Put them"):
        list(Plan((Contestant("A", "VAGNN", {key: 1}),), ("toy",)).jobs())
    write(tmp_path, f"{key}: 1", "toy/Pop.yaml")
    with pytest.raises(InputError, match=f"Pop has options of its own that all runs must share: {key}"):
        list(plan("Pop", tuned=tmp_path).jobs())


def test_tuned_settings_cannot_choose_the_seed(tmp_path: Path) -> None:
    write(tmp_path, "seed: 1", "toy/Pop.yaml")
    with pytest.raises(InputError, match=r"toy/Pop\.yaml cannot set `seed`"):
        list(plan("Pop", tuned=tmp_path).jobs())


def test_all_models_are_tuned_or_none(toy: Path, tmp_path: Path) -> None:
    write(tmp_path, "", "toy/Pop.yaml")
    with pytest.raises(InputError, match=r"1 of 2 tuned settings are missing, first .*toy/VAGNN\.yaml"):
        plan(tuned=tmp_path).check(toy)
    plan("Pop", tuned=tmp_path).check(toy)


@pytest.mark.parametrize(
    ("contestant", "options", "message"),
    [
        (Contestant("A", "VAGN"), {}, "A on toy: Unknown model 'VAGN'.*Did you mean 'VAGNN'"),
        (Contestant("A", "VAGNN", {"n_layer": 3}), {}, "A on toy: Unknown option 'n_layer'.*'n_layers'"),
        (Contestant("A", "VAGNN", {"n_layers": "x"}), {}, "A on toy: `n_layers` is 'x'; it must be a whole number"),
        (Contestant("A", "VAGNN"), {"epoch": 3}, "Unknown option 'epoch'"),
        (
            Contestant("A", "VAGNN", {"val_interval": {}}),
            {},
            "A has options of its own that change the data: val_inter",
        ),
        (Contestant("A", "VAGNN", {"VLOGGER_ID_FIELD": "x"}), {}, "that change the data: VLOGGER_ID_FIELD"),
        (Contestant("A", "VAGNN", {"degradation": {}}), {}, "that change the data: degradation"),
        (
            Contestant("A", "VAGNN", {"variant": "as_published"}),
            {},
            "On toy A would run with `neg_scope` 'unseen_vlogger', Pop with 'any': all runs share it",
        ),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    toy: Path, contestant: Contestant, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Plan((Contestant("Pop", "Pop"), contestant), ("toy",), options=options).check(toy)


def test_missing_data_are_found_beforehand(toy: Path) -> None:
    with pytest.raises(InputError, match=r"Data set 'toys' is not in .*recbole-vagnn prepare"):
        plan(datasets=("toy", "toys")).check(toy)


def test_what_all_share_may_be_changed_for_all(toy: Path) -> None:
    options = {"val_interval": {}, "neg_scope": "unseen_vlogger", "eval_step": 3, "topk": [5, 10]}
    given = Plan((Contestant("Pop", "Pop"), Contestant("A", "VAGNN", {"variant": "as_published"})), ("toy",))
    with_changes(given, options=options).check(toy)


def test_a_check_leaves_the_choice_of_the_gpu_to_the_runs(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    plan("Pop").check(toy)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    plan("Pop").check(toy)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


@pytest.mark.parametrize("name", ["paper", "full"])
def test_shipped_plans_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def nothing_is_read(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(registry, "create_dataset", nothing_is_read)
    shipped = read_plan(name)
    shipped.check(tmp_path)
    paper = {"NGCF", "LightGCN", "GTN", "SGL", "SimGCL", "VAGNN"}
    if name == "paper":
        assert set(shipped.labels) == paper
        assert len(shipped.seeds) == 5
    else:
        assert paper | {"EASE", "ItemKNN", "XSimGCL", "VloggerPop", "TripartiteSimGCL"} < set(shipped.labels)


def test_changes_of_the_command_line() -> None:
    before = plan("Pop", "VAGNN", ours=("VAGNN",), options={"epochs": 3, "eval_args": {"split": {"LS": "test_only"}}})
    assert with_changes(before, contestants=None, seeds=None, options={}) == before
    after = with_changes(before, seeds=(1,), options={"epochs": 5, "eval_args": {"mode": "uni100"}}, tuned=Path("t"))
    assert after.options == {"epochs": 5, "eval_args": {"split": {"LS": "test_only"}, "mode": "uni100"}}
    assert (after.seeds, after.tuned, after.ours, after.contestants) == (
        (1,),
        Path("t"),
        ("VAGNN",),
        before.contestants,
    )
    assert before.options["epochs"] == 3
    without = with_changes(before, contestants=(Contestant("Pop", "Pop"),))
    assert (without.labels, without.ours) == (("Pop",), ())
    with pytest.raises(InputError, match="`ours` names 'VAGNN'"):
        with_changes(before, contestants=(Contestant("Pop", "Pop"),), ours=("VAGNN",))


def test_protocol_hash_differs_where_the_protocol_does_and_nowhere_else() -> None:
    config = dict.fromkeys(PROTOCOL, 1)
    others = [protocol_hash({**config, key: 2}) for key in PROTOCOL]
    assert len({*others, protocol_hash(config)}) == len(PROTOCOL) + 1
    assert protocol_hash({**config, "learning_rate": 2, "seed": 5}) == protocol_hash(config)
    assert protocol_hash(dict(reversed(config.items()))) == protocol_hash(config)


def test_models_of_every_kind_have_one_protocol(toy: Path) -> None:
    """Also where the data set's own file sets it, which linear models do not follow."""
    models = ("Pop", "EASE", "LightGCN", "VAGNN")

    def hashes() -> set[str]:
        jobs = list(plan(*models).jobs())
        return {protocol_of(job, configuration(job, toy).as_begun) for job in jobs}

    before, own = hashes(), toy / "toy" / "toy.yaml"
    own.write_text("eval_step: 5\n")
    try:
        after = hashes()
        plan(*models).check(toy)
    finally:
        own.unlink()
    assert len(before) == len(after) == 1
    assert before != after
