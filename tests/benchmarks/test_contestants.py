"""Who takes part, and that steps, epochs and evaluations are RecBole's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.dataset import Dataset
from recbole.sampler import Sampler
from recbole.trainer import Trainer
from speed import contestants, data
from speed.contestants import CONTESTANTS, FAST, OURS, RECBOLE, Competitor, extrapolated
from speed.timing import Sample

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.sampler import NegativeSampler
from recbole_vagnn.trainer import ResumableMixin

Small = tuple[Any, Any, list[Any]]


def competitor(small: Small, key: str) -> Competitor:
    ours, recbole, batches = small
    contestant = CONTESTANTS[key]
    return Competitor(contestant, recbole if contestant.kind == RECBOLE else ours, batches)


@pytest.mark.parametrize("key", CONTESTANTS)
def test_recbole_s_contestants_are_recbole_s_own_and_the_others_are_ours(small: Small, key: str) -> None:
    one = competitor(small, key)
    of_recbole = one.contestant.kind == RECBOLE
    assert type(one.model).__module__.startswith("recbole.model.") == of_recbole
    assert isinstance(one.trainer, ResumableMixin) != of_recbole
    assert one.config["n_layers"] == contestants.LAYERS or one.config["hidden_size_list"] == [64] * contestants.LAYERS
    assert one.config["embedding_size"] == data.SMALL.embedding
    assert one.config["train_batch_size"] == data.SMALL.batch
    if one.contestant.kind == FAST:
        parents = [parent.__module__ for parent in type(one.model).__mro__]
        assert f"recbole.model.general_recommender.{one.contestant.model.lower()}" in parents


def test_every_kind_loads_its_own_way_and_comes_to_the_same_interactions(small: Small) -> None:
    ours, recbole, _ = small
    assert type(ours.split) is VloggerDataset
    assert type(recbole.split) is Dataset
    assert type(ours.train._sampler) is NegativeSampler
    assert type(recbole.train._sampler) is Sampler
    assert ours.options["eval_batch_size"] == recbole.options["eval_batch_size"]
    assert ours.split.follow is not None
    data.require_same(ours, recbole)


def test_other_data_are_refused(small: Small, tmp_path: Path) -> None:
    size = data.Size(data.SMALL.interactions - 1, data.SMALL.users, data.SMALL.videos, data.SMALL.vloggers)
    data.simulate(tmp_path, size)
    with pytest.raises(RuntimeError, match="different training data"):
        data.require_same(small[0], data.load_recbole(tmp_path, size, 1000))


@pytest.mark.parametrize("key", ["LightGCN", "GTN", "VAGNN"])
def test_steps_change_the_parameters_as_recbole_s_loop_does(small: Small, key: str) -> None:
    one, other = competitor(small, key), competitor(small, key)
    start = [parameter.detach().clone() for parameter in one.model.parameters()]
    other.model.load_state_dict(one.model.state_dict())
    torch.manual_seed(5)
    for _ in range(3):
        one.step()
    torch.manual_seed(5)
    Trainer._train_epoch(other.trainer, small[2][:3], 0)
    for before, a, b in zip(start, one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, before)


def test_parts_of_a_step_add_up_to_it(small: Small) -> None:
    sample = competitor(small, "SimGCL").step()
    assert list(sample.parts) == ["forward", "backward", "optimiser"]
    assert min(sample.parts.values()) > 0
    assert sum(sample.parts.values()) == pytest.approx(sample.wall, rel=1e-9)


def test_rewinding_goes_back_to_the_first_batch(small: Small) -> None:
    one = competitor(small, "LightGCN")
    seen: list[Any] = []
    calculate = one.model.calculate_loss
    one.model.calculate_loss = lambda batch: seen.append(batch) or calculate(batch)
    one.step()
    one.step()
    one.rewind()
    one.step()
    assert [batch is small[2][i] for batch, i in zip(seen, (0, 1, 0), strict=True)] == [True] * 3


@pytest.mark.parametrize("key", ["VAGNN", "LightGCN", "SGL"])
def test_nothing_is_left_from_one_evaluation_to_the_next(small: Small, key: str) -> None:
    one = competitor(small, key)
    calls = []
    method = "compute_vectors" if one.contestant.kind == OURS else "forward"
    original = getattr(one.model, method)

    def counted(*arguments: Any) -> Any:
        calls.append(one.model.training)
        return original(*arguments)

    setattr(one.model, method, counted)
    for _ in range(2):
        one.evaluate()
        assert one.model.training
    assert calls.count(False) == 2  # once an evaluation


def test_an_evaluation_draws_no_graph_of_sgl_s(small: Small) -> None:
    one = competitor(small, "SGL")
    graphs = one.model.sub_graph1, one.model.sub_graph2
    one.evaluate()
    assert one.model.sub_graph1 is graphs[0]
    assert one.model.sub_graph2 is graphs[1]


# -------------------------------------------------------------------------------------- epochs


def test_a_whole_epoch_is_not_extrapolated(small: Small) -> None:
    sample = competitor(small, "GTN").epoch(float("inf"))
    assert sample.notes == {"batches": 9, "of": 9}


def test_the_beginning_of_an_epoch_ends_with_the_batch_in_which_the_time_is_up(small: Small) -> None:
    assert competitor(small, "GTN").epoch(0.0).notes == {"batches": 1, "of": 9}


def test_extrapolation_counts_what_comes_before_the_first_batch_once() -> None:
    found = extrapolated(Sample(5.0, 8.0), Sample(2.0, 2.0), batches=3, of=10)
    assert (found.wall, found.cpu) == pytest.approx((2 + 3 * 10 / 3, 2 + 6 * 10 / 3))
    whole = extrapolated(Sample(5.0, 8.0), Sample(2.0, 2.0), batches=10, of=10)
    assert (whole.wall, whole.cpu) == pytest.approx((5.0, 8.0))


def test_part_of_a_loader_hands_out_what_begins_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("speed.timing.time.perf_counter", lambda: now[0])

    class Loader:
        def __len__(self) -> int:
            return 5

        def __iter__(self) -> Iterator[int]:
            for number in range(5):
                now[0] += 1.0  # a second to make a batch
                yield number

    part = contestants._PartOfEpoch(Loader(), seconds=4.5)
    seen = []
    for batch in part:
        seen.append(batch)
        now[0] += 1.0  # and one to train on it
    # At hand at 1, 3, 5 s; done at 2, 4, 6 s, that is 1, 3, 5 s after the first: one more would begin too late.
    assert (seen, part.batches, part.begun.wall, len(part)) == ([0, 1, 2], 3, 1.0, 5)
