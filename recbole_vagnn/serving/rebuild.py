"""The model itself again, for whoever has the data it was trained on."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from recbole_vagnn import registry
from recbole_vagnn.config import VloggerConfig
from recbole_vagnn.data.fingerprint import fingerprint
from recbole_vagnn.errors import InputError
from recbole_vagnn.runner import build_model, load_dataset
from recbole_vagnn.serving.arrays import require_same_checkpoint
from recbole_vagnn.serving.checkpoint import WEIGHTS, Checkpoint, read_checkpoint
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER
from recbole_vagnn.serving.snapshot import OTHER

_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@dataclass(frozen=True)
class Rebuilt:
    """A model with its data.

    Attributes:
        config: RecBole's Config.
        model: with the weights of the checkpoint, in evaluation mode.
        splits: training, validation and test data.
    """

    config: VloggerConfig
    model: Any
    splits: tuple[Any, Any, Any]


def load_model(checkpoint: str | Path | Checkpoint, data_path: str | Path | None = None) -> Rebuilt:
    """Build the model of a checkpoint from its data and give it its weights.

    Args:
        checkpoint: folder, or what :func:`~recbole_vagnn.serving.checkpoint.read_checkpoint` returned.
        data_path: folder of the data sets; by default the one the run used.

    Raises:
        InputError: the checkpoint cannot be read, or the data, their order or the options are not those of the run.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    if found.folder is None:
        raise InputError("This checkpoint was not read from a folder; its model is where it came from.")
    config = _config(found, data_path)
    with _own_generators(), _without_pickles(found):
        train, valid, test = load_dataset(config).build()
        _require_same_data(found, config, (train, valid, test))
        model = build_model(config, train)
    _load_weights(model, found.folder / WEIGHTS, found)
    model.eval()
    return Rebuilt(config, model, (train, valid, test))


def _config(checkpoint: Checkpoint, data_path: str | Path | None) -> VloggerConfig:
    manifest = checkpoint.manifest
    options = dict(manifest.request)
    embedded = manifest.dataset in registry.EMBEDDED_DATASETS
    if data_path is not None:
        options["data_path"] = str(data_path)
    elif embedded and not (Path(options["data_path"]) / manifest.dataset).is_dir():
        del options["data_path"]  # made where this machine keeps data, not where the checkpoint says
    folder = Path(options.get("data_path", "")) / manifest.dataset
    if not embedded and not folder.is_dir():
        raise InputError(
            f"The data of {manifest.dataset} are not at {folder}. Say where: --data_path=FOLDER, which has "
            f"{manifest.dataset}/ in it."
        )
    return VloggerConfig(manifest.model, manifest.dataset, options)


def _require_same_data(checkpoint: Checkpoint, config: VloggerConfig, splits: tuple[Any, Any, Any]) -> None:
    now, before = fingerprint(*splits), checkpoint.manifest.fingerprint
    changed = [name for name in now if now[name] != before.get(name)]
    train = splits[0]
    where = f"the data of {checkpoint.manifest.dataset} in {config['data_path']}"
    if changed:
        raise InputError(
            f"{checkpoint.folder} was trained on other data than {where}: {', '.join(changed)} differ. Give the folder "
            f"with its data as --data_path, or train again."
        )
    known = {"user": checkpoint.users, VIDEO: checkpoint.videos, VLOGGER: checkpoint.vloggers}
    for kind, field in checkpoint.manifest.fields.items():
        if field is not None and train.field2id_token[field][1:].tolist() != known[kind].all_ids().to_pylist():
            raise InputError(
                f"{where} are those that {checkpoint.folder} was trained on, but their rows are in another order, so "
                f"that the {kind}s have other numbers. Use the same files."
            )


def _load_weights(model: Any, path: Path, checkpoint: Checkpoint) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            token = (file.metadata() or {}).get("checkpoint")
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}); nothing was loaded from it.") from None
    require_same_checkpoint(path, token, checkpoint.manifest.checkpoint)
    state = {name: value for name, value in weights.items() if not name.startswith(OTHER)}
    others = {name.removeprefix(OTHER): value for name, value in weights.items() if name.startswith(OTHER)}
    if not others.keys() <= dict(model.other_parameter() or {}).keys():
        raise InputError(
            f"{path} has tensors that {checkpoint.manifest.model} does not keep. Copy the checkpoint again."
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        written, name = checkpoint.manifest.version, checkpoint.manifest.model
        raise InputError(
            f"The weights in {path}, written by recbole-vagnn {written}, do not fit the {name} of this version "
            f"({_version()}): {_first_line(error)}. Install the version that wrote them."
        ) from None
    for name, value in others.items():
        device = next(model.parameters()).device
        setattr(model, name, _like(getattr(model, name, None), value.to(device)))


def _like(present: Any, value: torch.Tensor) -> torch.Tensor:
    return torch.nn.Parameter(value, requires_grad=False) if isinstance(present, torch.nn.Parameter) else value


@contextmanager
def _without_pickles(checkpoint: Checkpoint) -> Iterator[None]:
    """Refuse an option of the checkpoint that has RecBole's model start from a pickle (NeuMF's `mf_pretrain_path`)."""
    before = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"  # stronger than what a call of torch.load asks for
    try:
        yield
    except pickle.UnpicklingError:
        raise InputError(
            f"{checkpoint.folder} was trained from another model's .pth, a pickle, which may run code: it is not read. "
            f"If you trust it, load the .pth beside the checkpoint with RecBole's load_data_and_model."
        ) from None
    finally:
        if before is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = before


@contextmanager
def _own_generators() -> Iterator[None]:
    """Load and build as a run does, which seeds every generator; those of the process are as before afterwards."""
    plain, numbers = random.getstate(), np.random.get_state()
    flags = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(numbers)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags


def _version() -> str:
    from recbole_vagnn import __version__

    return __version__


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0]
