"""Models on toy data, and the processes that compare their gradients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from recbole.data import data_preparation

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig, known_keys
from recbole_vagnn.distributed.ranks import CPU_BACKEND, Meeting, RanksDiffer, joined
from recbole_vagnn.runner import build_model, build_trainer, run
from tests.runs import numbers, options_for

_SOFTMAX = {"objective": "softmax", "candidates": 4, "softmax_tau": 0.3, "reg_weight": 0.1}
_CREATOR_RECENCY = {"ssl_weight": 0.7, "eps": 0.1, "aux_weight": 0.5, "vlogger_weight": 0.5, "reg_weight": 0.1}

# Everything that draws is on: heads with dropout, noise, dropout of tables, of edges and of rows.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "VAGNN": ("VAGNN", {"ssl_weight": 0.7, "reg_weight": 0.1}),
    "VAGNN, batch": ("VAGNN", {"ssl_weight": 0.7, "contrast_nodes": "batch", "projection_heads": False}),
    "VAGNN, video": ("VAGNN", {"views": "video"}),
    "SimGCL": ("SimGCL", {"reg_weight": 0.1}),
    "XSimGCL": ("XSimGCL", {"reg_weight": 0.1}),
    "SimGCLVlogger": ("SimGCLVlogger", {"reg_weight": 0.1}),
    "TripartiteSimGCL": ("TripartiteSimGCL", {"reg_weight": 0.1}),
    "TripartiteLightGCN": ("TripartiteLightGCN", {"reg_weight": 0.1, "score": "video_and_vlogger"}),
    "GTN": ("GTN", {"reg_weight": 0.1}),
    "VAGNN, hard": ("VAGNN", {"objective": "hard", "candidates": 4, "ssl_weight": 0.7}),
    "VAGNN, softmax": ("VAGNN", {**_SOFTMAX, "softmax_normalised": True}),
    "VAGNN, softmax of the batch": ("VAGNN", {**_SOFTMAX, "softmax_source": "batch", "views": "vlogger"}),
    "SimGCL, softmax": ("SimGCL", _SOFTMAX),
    "XSimGCL, hard": ("XSimGCL", {"objective": "hard", "candidates": 4}),
    "TripartiteLightGCN, hard": ("TripartiteLightGCN", {"objective": "hard", "candidates": 4}),
    "GTN, softmax": ("GTN", _SOFTMAX),
    "CreatorRecencyGCN": ("CreatorRecencyGCN", {**_CREATOR_RECENCY, "candidates": 4}),
    "CreatorRecencyGCN, softmax": ("CreatorRecencyGCN", {**_CREATOR_RECENCY, **_SOFTMAX, "softmax_source": "batch"}),
    "BPR": ("BPR", {}),
    "BPR, hard": ("BPR", {"objective": "hard", "candidates": 4}),
    "LightGCN, softmax": ("LightGCN", _SOFTMAX),
    "SGL, softmax": ("SGL", _SOFTMAX),
    "NeuMF": ("NeuMF", {"dropout_prob": 0.0}),
    "NeuMF, dropout": ("NeuMF", {"dropout_prob": 0.3}),
    "LightGCN": ("LightGCN", {"reg_weight": 0.1}),
    "NGCF": ("NGCF", {"reg_weight": 0.1, "node_dropout": 0.1, "hidden_size_list": [8, 8]}),
    "SGL": ("SGL", {"reg_weight": 0.1}),
    "SGL, fast": ("SGL", {"reg_weight": 0.1, "fast_propagation": True}),
}


def train_set(data_path: Path, case: str) -> tuple[VloggerConfig, Any]:
    """Configuration and training loader of a case."""
    model, options = MODELS[case]
    given = options_for(data_path, options)
    known = known_keys(model, "toy")
    config = VloggerConfig(model, "toy", {key: value for key, value in given.items() if key in known})
    return config, data_preparation(config, registry.create_dataset(config))[0]


def trained(config: VloggerConfig, loader: Any) -> Any:
    """A model in training mode; every call makes the same one and leaves the generators in the same state."""
    model = build_model(config, loader._dataset)
    model.train()
    torch.manual_seed(3)
    return model


def total(losses: Any) -> torch.Tensor:
    return sum(losses) if isinstance(losses, tuple) else losses.sum()


def gradients(model: torch.nn.Module) -> list[torch.Tensor]:
    """Gradient of each parameter, 0 where there is none."""
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]


def first_batch(config: VloggerConfig, loader: Any) -> Any:
    """The first batch under the seed; it draws from generators of its own or those that it seeds."""
    torch.manual_seed(1)
    return next(iter(loader)).to(config["device"])


def gradients_of_ranks(data_path: Path, case: str, ranks: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Gradients of the first batch: of one process, and what this one of several holds after the backward."""
    config, loader = train_set(data_path, case)
    batch = first_batch(config, loader)
    alone = trained(config, loader)
    total(alone.calculate_loss(batch)).backward()
    model = trained(config, loader)
    trainer: Any = build_trainer(config, model, {}, ranks)
    torch.manual_seed(3)
    total(trainer.distributed_model(model.calculate_loss, batch)).backward()
    trainer.tensorboard.close()
    return gradients(alone), gradients(model)


SAMPLED: dict[str, Any] = {"eval_args": {"mode": "uni20"}, "sampler": "recbole", "epochs": 3}


def check_ranks(rank: int, world: int, folder: str, port: int, cases: Sequence[str]) -> None:
    """One of several processes: compare gradients, tell and refuse, go on with a run of sampled evaluation."""
    os.chdir(folder)
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with joined(rank, world, Meeting(port=port), CPU_BACKEND) as ranks:
        for case in cases:
            found[case] = gradients_of_ranks(Path(folder), case, ranks)
        found["sum"] = ranks.sum([1.0, float(rank)])
        try:
            ranks.require_equal("The ranks", rank)
        except RanksDiffer as error:
            found["refused"] = str(error)
        (begun,) = Path(folder, "saved").glob("*.last")
        result = run(options={"epochs": SAMPLED["epochs"]}, resume=begun, quiet=True, ranks=ranks)
        found["sampled"] = numbers(result)
    torch.save(found, Path(folder, f"found-{rank}.pt"))
