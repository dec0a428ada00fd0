"""What a training step asks of a GPU: operations whose result has a size or a value that the program waits for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_vagnn import registry
from tests.helpers import make_config
from tests.models.dense import Data, interaction, random_triples

WAITING = (
    "_local_scalar_dense",
    "nonzero",
    "bincount",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
)


class Waits(TorchDispatchMode):
    """Counts the operations that would wait, selections by a mask among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        masks = [one for one in (args[1] if name == "index" else ()) if one is not None and one.dtype == torch.bool]
        if masks or name in WAITING:
            self.found["mask" if masks else name] += 1
        return func(*args, **(kwargs or {}))


def test_the_counter_sees_what_waits() -> None:
    rows = torch.tensor([0, 3, 1])
    with Waits() as waits:
        rows[rows > 0]
        torch.bincount(rows)
        int(rows.sum())
        torch.unique(rows)
    assert waits.found == {"mask": 1, "bincount": 1, "_local_scalar_dense": 1, "_unique2": 1}


@pytest.mark.parametrize("name", ["VAGNN", "SimGCL", "TripartiteSimGCL", "LightGCN"])
def test_a_step_waits_for_nothing_but_the_number_of_its_nodes(name: str, data: Data) -> None:
    folder, train = data
    config = make_config(folder, {"train_batch_size": 16, "fast_propagation": True} if name == "LightGCN" else {}, name)
    model = registry.model_class(name, config)(config, train)
    model.train()
    batch = interaction(model, random_triples(train))
    model.calculate_loss(batch)  # builds the matrices
    with torch.autograd.set_detect_anomaly(False), Waits() as waits:  # another test may have left it on
        losses = model.calculate_loss(batch)
        loss: Any = sum(losses) if isinstance(losses, tuple) else losses
        loss.backward()
    assert waits.found == ({} if name == "LightGCN" else {"_unique2": 1})
