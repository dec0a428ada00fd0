"""``checkpoint.json``: what a checkpoint is, in plain values that anyone can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError

MANIFEST = "checkpoint.json"
FORMAT = "recbole-vagnn checkpoint"
FORMAT_VERSION = 1  # raised when older versions of this package could no longer read what is written


@dataclass(frozen=True)
class Manifest:
    """Content of ``checkpoint.json``.

    Attributes:
        checkpoint: token that every file of the checkpoint carries.
        model, dataset: names.
        created: time, ISO 8601 with zone.
        fields: columns of the data: "user", "video" and "vlogger" → name; None without creators.
        request: options that the run was asked for; with the defaults of the same version they give the same model.
        result: metrics, sizes, fingerprint, every option, and versions: the run's result file without its history.
        vectors: length of the vectors and where those of vloggers come from, ``{"size": 128, "vloggers": "model"}``;
            None where the model ranks by no inner product.
        channels: descriptions of the propagation's channels; empty without.
    """

    checkpoint: str
    model: str
    dataset: str
    created: str
    fields: dict[str, str | None]
    request: dict[str, Any]
    result: dict[str, Any]
    vectors: dict[str, Any] | None = None
    channels: list[dict[str, Any]] = field(default_factory=list)

    @property
    def version(self) -> str:
        """Version of recbole-vagnn that wrote it."""
        return str(self.result["versions"]["recbole_vagnn"])

    @property
    def fingerprint(self) -> dict[str, str]:
        """Hashes of the splits and creators (data/fingerprint.py)."""
        return dict(self.result["fingerprint"])

    def write(self, folder: Path) -> None:
        """Write ``checkpoint.json`` into a folder."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")


# key → type; of a channel and of the nested mappings too
_TYPES: dict[str, type | tuple[type, ...]] = {
    "checkpoint": str,
    "model": str,
    "dataset": str,
    "created": str,
    "fields": dict,
    "request": dict,
    "result": dict,
    "vectors": (dict, type(None)),
    "channels": list,
}
_OF_RESULT = {"versions": dict, "fingerprint": dict, "test": dict, "sizes": dict, "config": dict}
_OF_VECTORS = {"size": int, "vloggers": (str, type(None))}
_OF_CHANNEL = {"nodes": str, "graph": int, "start": int, "stop": int, "counted": bool}


def read_manifest(folder: Path) -> Manifest:
    """Read ``checkpoint.json``.

    Raises:
        InputError: it is missing, damaged, something else, or of a format that this version cannot read.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(_no_checkpoint(folder)) from None
    except (
        ValueError,
        OSError,
        RecursionError,
    ) as error:  # damaged JSON, bytes that are no UTF-8; brackets in brackets
        raise InputError(f"{path} cannot be read ({error}). Copy the checkpoint again.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is not the checkpoint.json of a recbole-vagnn checkpoint.")
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path} has format {content.get('format_version')!r}, written by recbole-vagnn {_writer(content)}; this "
            f"version reads format {FORMAT_VERSION}. Install the version that wrote it, or train again."
        )
    _require(path, "", content, _TYPES)
    _require(path, "result.", content["result"], _OF_RESULT)
    if content["dataset"] in ("", "..") or Path(content["dataset"]).name != content["dataset"]:  # part of a path
        raise InputError(f"{path}: `dataset` is {content['dataset']!r}, which is no name of a data set.")
    if content["vectors"] is not None:
        _require(path, "vectors.", content["vectors"], _OF_VECTORS)
    for number, channel in enumerate(content["channels"]):
        if not isinstance(channel, dict):
            raise InputError(f"{path}: `channels[{number}]` is no mapping. Copy the checkpoint again.")
        _require(path, f"channels[{number}].", channel, _OF_CHANNEL)
    return Manifest(**{name: content[name] for name in _TYPES})


def _require(path: Path, prefix: str, content: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    for name, kind in types.items():
        if name not in content or not isinstance(content[name], kind):
            raise InputError(f"{path}: `{prefix}{name}` is missing or of the wrong type. Copy the checkpoint again.")


def _writer(content: Mapping[str, Any]) -> str:
    """Version that wrote a manifest, of which nothing else is known."""
    found: Any = content
    for key in ("result", "versions", "recbole_vagnn"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else "of an unknown version"


def _no_checkpoint(folder: Path) -> str:
    if folder.is_file():
        return (
            f"{folder} is a file; a checkpoint of recbole-vagnn is a folder with {MANIFEST} in it, which a run writes "
            f"beside RecBole's .pth under the same name. A .pth is a pickle, which may run code: it is not read."
        )
    if not folder.exists():
        return f"Checkpoint {folder} does not exist. Give the folder that a run printed, e.g. saved/VAGNN-…"
    return f"{folder} has no {MANIFEST}, so it is no checkpoint of recbole-vagnn."
