"""Arrays in safetensors files, read row by row where they are large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from recbole_vagnn.errors import InputError

IntArray = NDArray[np.int64]
Array = NDArray[Any]
REAL, WHOLE = "real", "whole"
_DTYPES = {REAL: ("F32", "F64"), WHOLE: ("I64", "I32", "U8")}  # what numpy reads and a checkpoint is written with


class Rows(Protocol):
    """A table read a few rows at a time, from memory or from a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole table."""

    def take(self, rows: IntArray) -> Array:
        """The given rows, in their order, as one array."""

    def whole(self) -> Array:
        """All rows."""


@dataclass(frozen=True)
class MemoryRows:
    """A table in memory."""

    values: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole table."""
        return self.values.shape

    def take(self, rows: IntArray) -> Array:
        """The given rows, in their order."""
        return self.values[rows]

    def whole(self) -> Array:
        """All rows."""
        return self.values


class FileRows:
    """A tensor of a safetensors file, of which only what is asked for is read.

    Args:
        file: the open file; path: its name; name: of the tensor.
        below: every value read is checked to be at least ``lowest`` and below this; None = not checked.
    """

    def __init__(self, file: Any, path: Path, name: str, lowest: int = 0, below: int | None = None) -> None:
        self._slice = file.get_slice(name)
        self._shape = tuple(self._slice.get_shape())
        self._nothing = file.get_tensor(name) if self._shape[0] == 0 else None  # it cannot be sliced
        self._where, self._lowest, self._below = f"{path}: tensor {name!r}", lowest, below

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole table."""
        return self._shape

    def part(self, start: int, stop: int) -> Array:
        """Rows ``start`` … ``stop`` − 1.

        Raises:
            InputError: a value is out of bounds.
        """
        if self._nothing is not None or start == stop:
            return self._slice[0:1][:0] if self._nothing is None else self._nothing  # type: ignore[no-any-return]
        found: Array = self._slice[start:stop]
        if self._below is not None and (found.min() < self._lowest or found.max() >= self._below):
            raise InputError(
                f"{self._where} has a value that is not from {self._lowest} to {self._below - 1}. Copy the checkpoint "
                f"again."
            )
        return found

    def take(self, rows: IntArray) -> Array:
        """The given rows, in their order; a run of neighbours is read at once."""
        if len(rows) == 0:
            return self.part(0, 0)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True)
        return np.concatenate([self.part(int(rows[a]), int(rows[b - 1]) + 1) for a, b in runs])

    def whole(self) -> Array:
        """All rows."""
        return self.part(0, self._shape[0])


@dataclass(frozen=True)
class Lists:
    """One list of numbers for each row, laid end to end.

    Attributes:
        offsets: (n + 1,) int64, start of each row's list.
        values: the columns of the lists, each (nnz,), by name.
    """

    offsets: IntArray
    values: Mapping[str, Rows]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, row: int, name: str) -> Array:
        """A column of one row's list."""
        return self.take(np.array([row]), name)[1]

    def take(self, rows: IntArray, name: str) -> tuple[IntArray, Array]:
        """A column of some rows' lists.

        Args:
            rows: (k,) rows.
            name: of the column.

        Returns:
            (m,) int64 place in ``rows`` of each entry, ascending, and the (m,) entries.
        """
        starts, sizes = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        places = np.repeat(np.arange(len(rows)), sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return places, self.values[name].take(np.repeat(starts, sizes) + within)


def to_lists(rows: IntArray, n_rows: int, **columns: Array) -> Lists:
    """Lists in memory from one row number for each entry; entries of a row keep their order."""
    order = np.argsort(rows, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))]).astype(np.int64)
    return Lists(offsets, {name: MemoryRows(values[order]) for name, values in columns.items()})


def write_arrays(path: Path, arrays: Mapping[str, Array], checkpoint: str) -> None:
    """Write arrays to a safetensors file.

    Args:
        path: the file.
        arrays: by name.
        checkpoint: token of the checkpoint that the file belongs to.
    """
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path, {"checkpoint": checkpoint})


class ArrayFile:
    """A safetensors file of a checkpoint; opening it can run no code.

    Attributes:
        names: of the tensors in it.

    Args:
        path: the file.
        checkpoint: token of the checkpoint, which the file must carry too.

    Raises:
        InputError: the file is missing, damaged, or belongs to another checkpoint.
    """

    def __init__(self, path: Path, checkpoint: str) -> None:
        if not path.is_file():
            raise InputError(f"{path} does not exist: the checkpoint is incomplete. Copy the whole folder again.")
        try:
            self._file = safe_open(path, framework="numpy")
            self.names = set(self._file.keys())
            metadata = self._file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{path} is damaged or no safetensors file ({error}); nothing was loaded from it. Copy the checkpoint "
                f"again."
            ) from None
        self.path = path
        require_same_checkpoint(path, metadata.get("checkpoint"), checkpoint)

    def rows(
        self, name: str, shape: Sequence[int | None], kind: str, lowest: int = 0, below: int | None = None
    ) -> FileRows:
        """A tensor of the file.

        Args:
            name: of the tensor.
            shape: what it must be; None for a size that may be anything.
            kind: ``REAL`` or ``WHOLE``, what its numbers must be.
            lowest, below: bounds of its values, checked when they are read; ``below`` None = any value.

        Raises:
            InputError: there is none, or it has another shape or numbers of another kind.
        """
        if name not in self.names:
            raise InputError(f"{self.path} lacks the tensor {name!r}. Copy the checkpoint again.")
        about = self._file.get_slice(name)
        found, dtype = tuple(about.get_shape()), about.get_dtype()
        if not _fits(found, shape):
            wanted = " × ".join("any" if size is None else str(size) for size in shape)
            raise InputError(f"{self.path}: tensor {name!r} has shape {found}, not {wanted}. Copy it again.")
        if dtype not in _DTYPES[kind]:
            raise InputError(f"{self.path}: tensor {name!r} has {dtype} numbers, not {kind} ones. Copy it again.")
        return FileRows(self._file, self.path, name, lowest, below)

    def size(self, name: str) -> int:
        """Length of a tensor of one dimension."""
        return self.rows(name, (None,), WHOLE).shape[0]

    def lists(self, prefix: str, n_rows: int, columns: Mapping[str, int | None]) -> Lists:
        """Lists written as tensors ``PREFIX.offsets`` and ``PREFIX.COLUMN``.

        Args:
            prefix: of the tensors' names.
            n_rows: number of lists.
            columns: name → bound that its whole numbers are below; None for a column of real numbers.

        Raises:
            InputError: a tensor is missing or does not fit.
        """
        offsets = self.rows(f"{prefix}.offsets", (n_rows + 1,), WHOLE).whole().astype(np.int64)
        if int(offsets[0]) != 0 or (np.diff(offsets) < 0).any():
            raise InputError(f"{self.path}: {prefix}.offsets do not ascend from 0. Copy the checkpoint again.")
        shape = (int(offsets[-1]),)
        values = {
            name: self.rows(f"{prefix}.{name}", shape, REAL if below is None else WHOLE, below=below)
            for name, below in columns.items()
        }
        return Lists(offsets, values)


def list_arrays(prefix: str, lists: Lists) -> dict[str, Array]:
    """What :meth:`ArrayFile.lists` reads."""
    return {f"{prefix}.offsets": lists.offsets, **{f"{prefix}.{k}": v.whole() for k, v in lists.values.items()}}


def require_same_checkpoint(path: Path, found: str | None, expected: str) -> None:
    """Raise InputError unless a file carries the token of its checkpoint."""
    if found != expected:
        raise InputError(
            f"{path} belongs to another checkpoint than checkpoint.json beside it (token {found!r}, not {expected!r}). "
            f"Copy the whole folder again, while no run writes to it."
        )


def _fits(found: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(found) == len(wanted) and all(w is None or w == f for f, w in zip(found, wanted, strict=True))
