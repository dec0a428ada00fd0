"""What model selection gets of a split does not depend on the test data."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_vagnn.data.dataset import VloggerDataset
from recbole_vagnn.data.selection import SelectionData
from recbole_vagnn.errors import InputError
from tests.helpers import load_splits, make_config, write_dataset
from tests.runs import write_toy

USERS, ITEMS, TRAINED = 12, 20, 6


def write_with_test_items(folder: Path, seed: int) -> Path:
    """Interactions of which the test items and their times alone depend on ``seed``; training rows come first."""
    rng, test_rng = np.random.default_rng(3), np.random.default_rng(seed)
    rows: list[list[tuple[str, str, int]]] = [[], [], []]
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        chosen = [*items[: TRAINED + 1], test_rng.choice(items[TRAINED + 1 :])]
        for step, item in enumerate(chosen):
            late = seed if step > TRAINED else 0
            rows[max(0, step - TRAINED + 1)].append((f"u{user}", f"i{item}", 100 * step + user + late))
    item_rows = [(f"i{item}", f"v{item % 4}") for item in range(ITEMS)]
    follow = [(f"u{user}", f"v{user % 4}") for user in range(USERS)]
    return write_dataset(folder, [row for part in rows for row in part], item_rows, follow)


def test_it_is_the_same_whatever_the_test_items_are(tmp_path: Path) -> None:
    splits = [load_splits(write_with_test_items(tmp_path, seed))[1] for seed in (1, 2)]
    tests = [np.asarray(split[2].inter_feat["item_id"]).tolist() for split in splits]
    assert tests[0] != tests[1]
    contents = [SelectionData.of(split) for split in splits]
    for first, second in ((contents[0].train, contents[1].train), (contents[0].valid, contents[1].valid)):
        assert everything_in(first) == everything_in(second)
    assert contents[0].fingerprint == contents[1].fingerprint


def everything_in(split: VloggerDataset) -> dict[str, bytes]:
    """Each attribute as bytes; of a table, all that would be pickled with its columns."""
    content = {}
    for name, value in vars(split).items():
        columns = value.interaction if isinstance(value, Interaction) else {"": value}
        for column, values in columns.items():
            stored = bytes(values.untyped_storage()) if isinstance(values, torch.Tensor) else pickle.dumps(values)
            content[f"{name} {column}"] = stored
    return content


def test_a_part_of_a_larger_table_does_not_take_the_rest_along(tmp_path: Path) -> None:
    _, splits = load_splits(write_toy(tmp_path))
    whole, train = splits[2].inter_feat.interaction, splits[0]
    train.inter_feat = Interaction({name: column[:5] for name, column in whole.items()})
    stored = SelectionData.of(splits).train.inter_feat["item_id"].untyped_storage()
    assert stored.nbytes() == 5 * 8


def test_it_follows_validation_and_training_items(tmp_path: Path) -> None:
    _, splits = load_splits(write_toy(tmp_path / "a"))
    before = SelectionData.of(splits)
    inter = tmp_path / "a" / "toy" / "toy.inter"
    lines = inter.read_text().splitlines()
    inter.write_text("\n".join([lines[0], *lines[2:]]) + "\n")  # without the first training row
    after = SelectionData.of(load_splits(tmp_path / "a")[1])
    assert before.fingerprint["train"] != after.fingerprint["train"]
    assert before.fingerprint["valid"] == after.fingerprint["valid"]


def test_masks_and_positives_are_those_of_a_run(tmp_path: Path) -> None:
    """Of validation: training items are masked; neither validation nor test items are."""
    data_path = write_toy(tmp_path)
    config, (train, valid, test) = load_splits(data_path, {"topk": [10]})
    pairs = [set(zip(s.inter_feat["user_id"].tolist(), s.inter_feat["item_id"].tolist(), strict=True)) for s in
             (train, valid, test)]  # fmt: skip
    content = SelectionData.from_bytes(SelectionData.of([train, valid, test]).to_bytes())
    _, loader = content.loaders(make_config(data_path, {"topk": [10]}))
    masked, positive = set(), set()
    for users, history, positive_row, positive_item in loader:
        ids = users["user_id"].tolist()
        masked |= {(ids[row], item) for row, item in zip(history[0].tolist(), history[1].tolist(), strict=True)}
        positive |= {(ids[row], item) for row, item in zip(positive_row.tolist(), positive_item.tolist(), strict=True)}
    assert (masked, positive) == (pairs[0], pairs[1])
    assert masked.isdisjoint(pairs[2])
    assert config["eval_batch_size"] == content.valid.config["eval_batch_size"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no validation": ({"eval_args": {"split": {"LS": "test_only"}}}, "has no validation interactions"),
    "popularity of test items in validation": ({"eval_args": {"mode": "pop5"}}, "Use full or uni5"),
    "popularity of test items in training": (
        {"sampler": "recbole", "train_neg_sample_args": {"distribution": "popularity"}},
        "`sampler: recbole`.*counts popularity in the test data",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_use_test_data_is_refused(tmp_path: Path, case: str) -> None:
    options, message = REFUSED[case]
    _, splits = load_splits(write_toy(tmp_path), options, "BPR")
    with pytest.raises(InputError, match=message):
        SelectionData.of(splits)
