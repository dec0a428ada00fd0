"""Checkpoints of small models, made without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from recbole.utils import init_seed

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig, known_keys
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.data.follow import FollowPairs
from recbole_vagnn.result import Result, installed_versions, plain
from recbole_vagnn.serving.checkpoint import Checkpoint, read_checkpoint
from recbole_vagnn.serving.recommender import Recommender
from recbole_vagnn.serving.snapshot import keep_model, snapshot
from tests.helpers import Rows, make_config, write_dataset
from tests.models.cases import random_rows
from tests.models.dense import spread

SMALL: dict[str, Any] = {"embedding_size": 5, "train_batch_size": 16, "topk": [5, 10]}
TIMED = "follow_user_id:token follow_vlogger_id:token follow_time:float"


def write_small(folder: Path, follow: Rows | None = None) -> Path:
    """9 users, 17 videos (some of unknown vlogger, one of a lone and one of a cold one); the data_path."""
    inter, item = random_rows(1, 9, 14, 4, (4, 7))
    return write_dataset(folder, inter, item, follow, follow_header=TIMED)


def load(data_path: Path, name: str, options: Mapping[str, Any] | None = None) -> tuple[VloggerConfig, Any, Any]:
    """Configuration, splits, and every follow pair of data set ``toy``."""
    known = known_keys(name, "toy")
    config = make_config(data_path, {key: v for key, v in SMALL.items() if key in known} | dict(options or {}), name)
    dataset = registry.create_dataset(config)
    return config, dataset.build(), dataset.follow


def build(config: VloggerConfig, train: Any, spread_out: bool = True) -> Any:
    """The model; by default with every parameter standard normal, so that no part is small, ours in float64."""
    init_seed(config["seed"], True)
    model = registry.model_class(config["model"])(config, train)
    if spread_out:
        spread(model)
        model.to(torch.float64 if config["model"] in registry.MODELS else torch.float32)
    return model.eval()


def result_of(config: VloggerConfig, splits: Sequence[Any]) -> Result:
    """What a run would say of a model that was not trained."""
    return Result(
        model=config["model"],
        dataset=config["dataset"],
        seed=config["seed"],
        config=plain(config.final_config_dict),
        fingerprint=fingerprint(*splits),
        sizes={},
        valid=None,
        test={"recall@5": 0.25},
        best_epoch=0,
        epochs=0,
        seconds={},
        peak_memory_mb=0.0,
        peak_gpu_memory_mb=None,
        parameters=1,
        checkpoint="",
        versions=installed_versions(),
        history=[],
    )


def in_memory(
    model: Any, config: VloggerConfig, splits: Sequence[Any], follow: FollowPairs | None = None
) -> Checkpoint:
    """The model's checkpoint, not written."""
    return snapshot(model, splits, follow, config, result_of(config, splits))[0]


def recommender_of(
    data_path: Path, name: str, options: Mapping[str, Any] | None = None
) -> tuple[Recommender, Any, Sequence[Any]]:
    """A recommender of a spread model, the model, and its splits."""
    config, splits, follow = load(data_path, name, options)
    model = build(config, splits[0])
    return Recommender(in_memory(model, config, splits, follow)), model, splits


def write(
    folder: Path, data_path: Path, name: str, options: Mapping[str, Any] | None = None, spread_out: bool = True
) -> tuple[Checkpoint, Any, Sequence[Any]]:
    """A written and re-read checkpoint, its model, and the splits."""
    config, splits, follow = load(data_path, name, options)
    model = build(config, splits[0], spread_out)
    keep_model(folder, model, splits, follow, config, result_of(config, splits))
    return read_checkpoint(folder), model, splits


def scores_of(model: Any) -> Any:
    """(n_users, n_videos) float64: the model's own scores without the padding ids."""
    from tests.models.dense import all_scores

    with torch.no_grad():
        return all_scores(model).view(model.n_users, model.n_items).double().numpy()[1:, 1:]
