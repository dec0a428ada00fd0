"""A checkpoint: a folder that holds a trained model as data, not as code, and is served without the training data.

| file | content |
|---|---|
| ``checkpoint.json`` | model, options, metrics, versions, fingerprint (``manifest.py``) |
| ``model.safetensors`` | the weights, for whoever has the data and goes on with the model |
| ``vectors.safetensors`` | final vectors of users, videos and vloggers; absent if the model ranks by no inner product |
| ``propagation.safetensors`` | what explanations and fold-in need; absent if the model does not propagate linearly |
| ``history.safetensors`` | interactions and follows by split, creators, popularity |
| ``users.parquet``, ``videos.parquet``, ``vloggers.parquet`` | original ids, row by row |

Nothing in it is unpickled or evaluated, whoever wrote it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recbole_vagnn.errors import InputError
from recbole_vagnn.serving.arrays import (
    REAL,
    WHOLE,
    Array,
    ArrayFile,
    Lists,
    Rows,
    list_arrays,
    require_same_checkpoint,
    write_arrays,
)
from recbole_vagnn.serving.manifest import MANIFEST, Manifest, read_manifest
from recbole_vagnn.serving.propagation import VIDEO, VLOGGER, Channel, Propagation
from recbole_vagnn.serving.vocabulary import UNKNOWN, Vocabulary

IntArray = NDArray[np.int64]
WEIGHTS = "model.safetensors"
_VECTORS, _PROPAGATION, _HISTORY = "vectors.safetensors", "propagation.safetensors", "history.safetensors"
_TABLES = {"user": "users.parquet", VIDEO: "videos.parquet", VLOGGER: "vloggers.parquet"}
TRAIN, VALID, TEST = 0, 1, 2  # codes of the splits


@dataclass(frozen=True)
class Vectors:
    """Final vectors; s(u, v) = users[u] · videos[v] and y(u, p) = users[u] · vloggers[p].

    Attributes:
        users: (n_users, k) float; videos: (n_videos, k); vloggers: (n_vloggers, k), or None without creators.
        vlogger_share: (n_videos,), see :class:`~recbole_vagnn.serving.extract.ModelVectors`; None without.
    """

    users: Rows
    videos: Rows
    vloggers: Rows | None
    vlogger_share: Rows | None


@dataclass(frozen=True)
class History:
    """What users did, and whose videos are.

    Attributes:
        vlogger_of: (n_videos,) int64 row of each video's vlogger, −1 = unknown.
        user_counts, video_counts, vlogger_counts: (n,) int64 training interactions.
        seen: of each user, the columns ``videos`` (rows) and ``split``: TRAIN, VALID (validation, or withheld from
            training by ``degradation``) or TEST.
        follows: of each user, the columns ``vloggers`` and ``split``: TRAIN = old enough for training, TEST = not
            older than the user's held-out interactions.
    """

    vlogger_of: IntArray
    user_counts: IntArray
    video_counts: IntArray
    vlogger_counts: IntArray
    seen: Lists
    follows: Lists


@dataclass(frozen=True)
class Checkpoint:
    """Everything in a checkpoint but the weights, which only its model can use.

    Attributes:
        folder: where it was read from; None before it is written.
        manifest: see :class:`~recbole_vagnn.serving.manifest.Manifest`.
        users, videos, vloggers: original ids by row.
        history: see :class:`History`.
        vectors: None if the model ranks by no inner product.
        propagation: None if the model does not propagate linearly.
    """

    folder: Path | None
    manifest: Manifest
    users: Vocabulary
    videos: Vocabulary
    vloggers: Vocabulary
    history: History
    vectors: Vectors | None
    propagation: Propagation | None


# --- writing ----------------------------------------------------------------------------------------------------


def write_checkpoint(checkpoint: Checkpoint, weights: Mapping[str, Any], folder: Path) -> None:
    """Write a checkpoint, whole or not at all; one of the same name is replaced.

    Args:
        checkpoint: what to write.
        weights: name → torch tensor of the model's state.
        folder: the folder to be made.

    Raises:
        InputError: something that is no checkpoint is in the way.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} exists and is no checkpoint. Move it away, or write somewhere else.")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write_files(checkpoint, weights, draft)
        if folder.exists():
            folder.rename(old)  # a folder with files cannot be replaced in one step
        draft.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_files(checkpoint: Checkpoint, weights: Mapping[str, Any], draft: Path) -> None:
    from safetensors.torch import save_file

    token = checkpoint.manifest.checkpoint
    save_file(_apart(weights), draft / WEIGHTS, {"checkpoint": token})
    if checkpoint.vectors is not None:
        write_arrays(draft / _VECTORS, _given(vars(checkpoint.vectors)), token)
    if checkpoint.propagation is not None:
        arrays: dict[str, Array] = {}
        for number, channel in enumerate(checkpoint.propagation.channels):
            arrays |= {f"{number}.messages": channel.messages.whole(), f"{number}.degrees": channel.degrees}
            arrays |= list_arrays(f"{number}.edges", channel.edges)
        write_arrays(draft / _PROPAGATION, arrays, token)
    history = checkpoint.history
    counts = {name: getattr(history, name) for name in ("vlogger_of", "user_counts", "video_counts", "vlogger_counts")}
    lists = list_arrays("seen", history.seen) | list_arrays("follows", history.follows)
    write_arrays(draft / _HISTORY, counts | lists, token)
    for vocabulary in (checkpoint.users, checkpoint.videos, checkpoint.vloggers):
        table = pa.table({"id": vocabulary.all_ids()}).replace_schema_metadata({"checkpoint": token})
        pq.write_table(table, draft / _TABLES[vocabulary.kind])
    checkpoint.manifest.write(draft)


def _given(tables: Mapping[str, Rows | None]) -> dict[str, Array]:
    return {name: table.whole() for name, table in tables.items() if table is not None}


def _apart(weights: Mapping[str, Any]) -> dict[str, Any]:
    """On the CPU, each in memory of its own, as safetensors wants them."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}


# --- reading ----------------------------------------------------------------------------------------------------


def checkpoint_folder(path: str | Path) -> Path:
    """The checkpoint that a path means: a folder, a file in it, or the .pth or .last file beside it."""
    given = Path(path).expanduser()
    meant = [given]
    if given.is_file():
        meant.append(given.parent)
    if given.suffix in (".pth", ".last"):
        meant.append(given.with_suffix(""))
    return next((folder for folder in meant if (folder / MANIFEST).is_file()), given)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint; large tables are read when they are used.

    Args:
        path: see :func:`checkpoint_folder`.

    Raises:
        InputError: it is missing, incomplete, damaged, of another format, or its files do not belong together.
    """
    folder = checkpoint_folder(path)
    manifest = read_manifest(folder)
    file = ArrayFile(folder / _HISTORY, manifest.checkpoint)
    # Sizes are those of a file whose length vouches for them; a Parquet file can claim any number of rows.
    sizes = {kind: file.size(f"{kind}_counts") for kind in _TABLES}
    users, videos, vloggers = (_read_ids(folder, kind, size, manifest.checkpoint) for kind, size in sizes.items())
    return Checkpoint(
        folder,
        manifest,
        users,
        videos,
        vloggers,
        _read_history(file, sizes),
        _read_vectors(folder, manifest, sizes),
        _read_propagation(folder, manifest, sizes),
    )


def _read_ids(folder: Path, kind: str, size: int, token: str) -> Vocabulary:
    path = folder / _TABLES[kind]
    if not path.is_file():
        raise InputError(f"{path} does not exist: the checkpoint is incomplete. Copy the whole folder again.")
    try:
        with pq.ParquetFile(path) as file:
            found = (file.schema_arrow.metadata or {}).get(b"checkpoint", b"").decode()
            n, text = file.metadata.num_rows, pa.types.is_large_string(file.schema_arrow.field("id").type)
            column = file.read(["id"]).column("id").combine_chunks() if n == size and text else None
    except (pa.ArrowException, KeyError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is damaged or no Parquet file of ids ({error}); nothing was loaded from it. Copy the checkpoint "
            f"again."
        ) from None
    require_same_checkpoint(path, found, token)
    if column is None or column.null_count:
        raise InputError(
            f"{path} has {n} ids{'' if text else ' that are no text'}, and {size} are needed, each a text. Copy the "
            f"checkpoint again."
        )
    return Vocabulary(kind, column)


def _read_history(file: ArrayFile, sizes: Mapping[str, int]) -> History:
    counts = {f"{kind}_counts": file.rows(f"{kind}_counts", (size,), WHOLE).whole() for kind, size in sizes.items()}
    owners = file.rows("vlogger_of", (sizes[VIDEO],), WHOLE, lowest=UNKNOWN, below=sizes[VLOGGER])
    return History(
        vlogger_of=owners.whole(),
        seen=file.lists("seen", sizes["user"], {"videos": sizes[VIDEO], "split": TEST + 1}),
        follows=file.lists("follows", sizes["user"], {"vloggers": sizes[VLOGGER], "split": TEST + 1}),
        **counts,
    )


def _read_vectors(folder: Path, manifest: Manifest, sizes: Mapping[str, int]) -> Vectors | None:
    if manifest.vectors is None:
        return None
    file, k = ArrayFile(folder / _VECTORS, manifest.checkpoint), manifest.vectors["size"]
    return Vectors(
        users=file.rows("users", (sizes["user"], k), REAL),
        videos=file.rows("videos", (sizes[VIDEO], k), REAL),
        vloggers=file.rows("vloggers", (sizes[VLOGGER], k), REAL) if manifest.vectors["vloggers"] is not None else None,
        vlogger_share=file.rows("vlogger_share", (sizes[VIDEO],), REAL) if "vlogger_share" in file.names else None,
    )


def _read_propagation(folder: Path, manifest: Manifest, sizes: Mapping[str, int]) -> Propagation | None:
    if not manifest.channels or manifest.vectors is None:
        return None
    file = ArrayFile(folder / _PROPAGATION, manifest.checkpoint)
    size = manifest.vectors["size"]
    channels = (_read_channel(file, number, about, size, sizes) for number, about in enumerate(manifest.channels))
    return Propagation(size, tuple(channels))


def _read_channel(
    file: ArrayFile, number: int, about: Mapping[str, Any], size: int, sizes: Mapping[str, int]
) -> Channel:
    where = f"{file.path.with_name(MANIFEST)}: `channels[{number}]"
    if about["nodes"] not in (VIDEO, VLOGGER):
        raise InputError(f"{where}.nodes` is {about['nodes']!r}.")
    start, stop = about["start"], about["stop"]
    if not 0 <= start < stop <= size:
        raise InputError(f"{where}` fills {start} to {stop} of a vector of {size} numbers. Copy the checkpoint again.")
    n_nodes = sizes[about["nodes"]]
    return Channel(
        **{name: about[name] for name in ("nodes", "graph", "start", "stop", "counted")},
        messages=file.rows(f"{number}.messages", (n_nodes, stop - start), REAL),
        degrees=file.rows(f"{number}.degrees", (n_nodes,), REAL).whole(),
        edges=file.lists(f"{number}.edges", sizes["user"], {"nodes": n_nodes, "weights": None}),
    )
