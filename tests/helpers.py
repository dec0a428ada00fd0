"""Small data sets and runs for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole.data import data_preparation

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.dataset import VloggerDataset

Rows = Sequence[Sequence[object]]


def write_file(path: Path, header: str, rows: Rows) -> Path:
    """Write an atomic file; ``header`` is written with spaces instead of tabs."""
    lines = [header.replace(" ", "\t"), *("\t".join(map(str, row)) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_dataset(
    folder: Path,
    inter: Rows,
    item: Rows | None,
    follow: Rows | None = None,
    name: str = "toy",
    inter_header: str = "user_id:token item_id:token timestamp:float",
    item_header: str = "item_id:token vlogger_id:token",
    follow_header: str = "follow_user_id:token follow_vlogger_id:token",
) -> Path:
    """Write ``folder/name/name.inter``, ``.item`` and ``.follow``; returns ``folder`` (the data_path)."""
    target = folder / name
    write_file(target / f"{name}.inter", inter_header, inter)
    if item is not None:
        write_file(target / f"{name}.item", item_header, item)
    if follow is not None:
        write_file(target / f"{name}.follow", follow_header, follow)
    return folder


def make_config(data_path: Path, options: Mapping[str, Any] | None = None, model: str = "VAGNN") -> VloggerConfig:
    """A configuration for data set ``toy`` whose files and checkpoints stay under ``data_path``."""
    base = {"data_path": str(data_path), "checkpoint_dir": str(data_path / "saved"), "show_progress": False}
    return VloggerConfig(model, "toy", {**base, **(options or {})})


def load_splits(
    data_path: Path, options: Mapping[str, Any] | None = None, model: str = "VAGNN"
) -> tuple[VloggerConfig, list[VloggerDataset]]:
    """Configuration and [training, validation, test] splits."""
    config = make_config(data_path, options, model)
    return config, registry.create_dataset(config).build()


def load_loaders(data_path: Path, options: Mapping[str, Any] | None = None, model: str = "VAGNN") -> Any:
    """Configuration and RecBole's three loaders."""
    config = make_config(data_path, options, model)
    return config, data_preparation(config, registry.create_dataset(config))
