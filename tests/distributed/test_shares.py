"""The shares of a loss add up to the loss of the batch, without any process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.distributed.shares import loss_of_share, note_on, refuse_unfit
from recbole_vagnn.errors import InputError
from recbole_vagnn.nn.losses import bpr_loss
from recbole_vagnn.nn.share import Share
from tests.distributed.cases import MODELS, first_batch, gradients, total, train_set, trained
from tests.runs import options_for, write_toy


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("n", [0, 1, 2, 5, 64])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_the_parts_of_a_batch_are_disjoint_complete_in_order_and_of_one_size(n: int, world: int) -> None:
    rows = list(range(n))
    parts = [rows[Share(rank, world).rows(n)] for rank in range(world)]
    assert [row for part in parts for row in part] == rows
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == max(sizes)


def test_parts_of_bpr_add_up_to_its_mean() -> None:
    positive, negative = torch.randn(2, 5, dtype=torch.float64)
    parts = [bpr_loss(*Share(rank, 3).of(positive, negative), 5) for rank in range(3)]
    assert float(sum(parts)) == pytest.approx(float(bpr_loss(positive, negative)), rel=1e-12)


@pytest.mark.parametrize("case", MODELS)
def test_losses_and_gradients_of_all_shares_add_up_to_those_of_the_batch(case: str, data_path: Path) -> None:
    config, loader = train_set(data_path, case)
    batch = first_batch(config, loader)
    alone = trained(config, loader)
    loss = total(alone.calculate_loss(batch))
    loss.backward()
    want = gradients(alone)
    assert any(gradient.abs().max() > 1e-6 for gradient in want)
    for world in (2, 3):
        losses, added = 0.0, [torch.zeros_like(gradient) for gradient in want]
        for rank in range(world):
            model = trained(config, loader)
            part = total(loss_of_share(model, config, Share(rank, world))(model.calculate_loss, batch))
            part.backward()
            losses += part.item()
            added = [one + other for one, other in zip(added, gradients(model), strict=True)]
        assert losses == pytest.approx(loss.item(), rel=1e-5)
        for one, other in zip(added, want, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", MODELS)
def test_a_batch_of_fewer_rows_than_processes_has_empty_parts_and_no_nan(case: str, data_path: Path) -> None:
    config, loader = train_set(data_path, case)
    batch = first_batch(config, loader)[:2]
    alone = trained(config, loader)
    total(alone.calculate_loss(batch)).backward()
    added = [torch.zeros_like(gradient) for gradient in gradients(alone)]
    for rank in range(5):
        model = trained(config, loader)
        total(loss_of_share(model, config, Share(rank, 5))(model.calculate_loss, batch)).backward()
        added = [one + other for one, other in zip(added, gradients(model), strict=True)]
    for one, other in zip(added, gradients(alone), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_contrast_is_divided_and_not_repeated(data_path: Path) -> None:
    config, loader = train_set(data_path, "VAGNN")
    batch = first_batch(config, loader)
    parts = []
    for rank in range(2):
        model = trained(config, loader)
        model.share = Share(rank, 2)
        parts.append(model.calculate_loss(batch)[2].item())
    whole = trained(config, loader).calculate_loss(batch)[2].item()
    assert sum(parts) == pytest.approx(whole, rel=1e-5)
    assert parts[0] != pytest.approx(parts[1], rel=1e-6)  # different anchors


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("Pop", {}, "not trained by gradients"),
        ("VloggerPop", {}, "not trained by gradients"),
        ("NCL", {}, "NCLTrainer"),
        ("RecVAE", {}, "RecVAETrainer"),
        ("BPR", {"train_neg_sample_args": {"dynamic": True, "candidate_num": 2}}, "chosen by scores|by scores"),
    ],
)
def test_what_processes_cannot_train_in_step_is_refused(
    model: str, options: dict[str, object], message: str, data_path: Path
) -> None:
    folders = {key: value for key, value in options_for(data_path).items() if key in ("data_path", "checkpoint_dir")}
    config = VloggerConfig(model, "toy", {**folders, **options})
    with pytest.raises(InputError, match=message):
        refuse_unfit(config)


def test_a_loss_that_is_not_divided_is_told(data_path: Path) -> None:
    told = {}
    for case in MODELS:
        config, loader = train_set(data_path, case)
        refuse_unfit(config)
        told[case] = note_on(trained(config, loader), config)
    assert {case for case, note in told.items() if note} == {"NeuMF, dropout", "BPR, hard"}
    assert "NeuMF" in str(told["NeuMF, dropout"])
