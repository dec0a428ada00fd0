"""Simulated platforms of chosen sizes, loaded as RecBole loads them and as we do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "bench"


@dataclass(frozen=True)
class Size:
    """Size of a simulated platform; 0 = left to the simulation (docs/simulation.md).

    Attributes:
        interactions: before the split; leave-one-out takes two of each user away.
        users, videos, vloggers: how many.
        batch: training triples a batch.
        embedding: d.
    """

    interactions: int
    users: int = 0
    videos: int = 0
    vloggers: int = 0
    batch: int = 4096
    embedding: int = 64

    @property
    def options(self) -> dict[str, int]:
        """Options of ``prepare simulate``."""
        every = asdict(self)
        return {name: every[name] for name in ("users", "videos", "vloggers", "interactions")}


TAKATAK = Size(1_000_000, 14_571, 13_133, 912)
SMALL = Size(2_400, 120, 120, 12, batch=256, embedding=16)

# What every contestant has in common, whichever class loads the data. Without `rm_dup_inter` (a simulated user sees a
# video once) RecBole and we number users and items alike; it sorts equal times by chance.
COMMON: dict[str, Any] = {
    "rm_dup_inter": None,
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "vlogger_id"]},
    "use_gpu": False,
    "show_progress": False,
}


@dataclass(frozen=True)
class Loaded:
    """A data set as one program loads it.

    Attributes:
        train: RecBole's training loader, valid: its evaluation loader.
        options: options of every model that is run on it.
    """

    train: Any
    valid: Any
    options: dict[str, Any]

    @property
    def split(self) -> Any:
        """The training split."""
        return self.train._dataset


def simulate(folder: Path, size: Size) -> None:
    """Write the data set ``NAME`` into ``folder``."""
    from recbole_vagnn.prepare.pipeline.run import prepare

    prepare("simulate", name=NAME, data_path=folder, options=size.options)


def load_ours(folder: Path, size: Size) -> Loaded:
    """Load with VloggerDataset and its sampler, follow pairs included."""
    from recbole_vagnn import registry

    options = _options(folder, size)
    return _load("VAGNN", options, registry.create_dataset)


def load_recbole(folder: Path, size: Size, eval_batch_size: int) -> Loaded:
    """Load with RecBole's own Dataset and sampler.

    Args:
        folder, size: as given to :func:`simulate`.
        eval_batch_size: users × items; RecBole's default is one user a batch here.
    """
    from recbole.data.dataset import Dataset

    options = {**_options(folder, size), "eval_batch_size": eval_batch_size}
    return _load("LightGCN", options, Dataset)


def _options(folder: Path, size: Size) -> dict[str, Any]:
    sizes = {"train_batch_size": size.batch, "embedding_size": size.embedding}
    return {**COMMON, **sizes, "data_path": str(folder), "checkpoint_dir": str(folder / "saved")}


def _load(model: str, options: dict[str, Any], create: Any) -> Loaded:
    from recbole.data import data_preparation

    from recbole_vagnn.config import VloggerConfig

    config = VloggerConfig(model, NAME, options)
    train, valid, _ = data_preparation(config, create(config))
    return Loaded(train, valid, {**options, "eval_batch_size": config["eval_batch_size"]})


def require_same(ours: Loaded, recbole: Loaded) -> None:
    """Raise RuntimeError unless both programs train on the same interactions under the same ids."""
    matrices = [ours.split.interactions(), recbole.split.inter_matrix(form="csr")]
    if matrices[0].shape != matrices[1].shape or abs(matrices[0] - matrices[1]).nnz:
        raise RuntimeError("RecBole and recbole-vagnn came to different training data; the contest would be unfair.")
