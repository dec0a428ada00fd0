"""What a data set was made from, so that making it again changes nothing and a mix-up is noticed.

``NAME.prepare.json`` holds the source, its options, and size and hash of every file read and written. No time of
day and no folder is in it: the same input gives the same bytes anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_vagnn.errors import InputError

FORMAT = 1  # raised when the same input and options give other files
LISTING = "files of this kind beside them"
_BLOCK_BYTES = 2**22


@dataclass(frozen=True)
class Recipe:
    """What determines a data set.

    Attributes:
        source: name of the source.
        options: every option of source and filters, with folders reduced to names.
        inputs: file (as ``Places`` names it) → size and hash; a folder that was searched → its listing.
    """

    source: str
    options: dict[str, Any]
    inputs: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """As it is written to and read from JSON."""
        content = {"format": FORMAT, "source": self.source, "options": self.options, "inputs": self.inputs}
        return json.loads(json.dumps(content, default=str))  # type: ignore[no-any-return]


def describe_file(path: Path) -> dict[str, Any]:
    """Size and hash of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return {"bytes": path.stat().st_size, "blake2b": digest.hexdigest()}


@dataclass(frozen=True)
class Places:
    """Where a source's files are, and names for them that hold nothing of the way to the input; paths are absolute.

    Attributes:
        folder: the input, if it is a folder.
        roots: folders that may hold files, the first that has one counts.
        flags: flag that gives a file or folder → what it gives.
    """

    folder: Path | None
    roots: tuple[Path, ...]
    flags: Mapping[str, Path]

    def names(self, path: Path) -> list[str]:
        """``--flag NAME`` for each flag that gives the file, else its place under a root or a flag's folder."""
        path = Path(os.path.abspath(path))
        given = [f"{flag} {path.name}" for flag, file in self.flags.items() if file == path]
        under = [path.relative_to(root).as_posix() for root in self.roots if path.is_relative_to(root)]
        under += [
            f"{f} {path.relative_to(place).as_posix()}" for f, place in self.flags.items() if place in path.parents
        ]
        return given or under[:1] or [path.name]

    def find(self, name: str) -> Path | None:
        """The file that has this name now, or None."""
        flag, _, rest = name.partition(" ")
        if flag in self.flags:
            files = [self.flags[flag], self.flags[flag] / rest]
        else:
            files = [root / name for root in self.roots]
        return next((file for file in files if file.is_file()), None)


def describe_inputs(files: Iterable[Path], places: Places) -> dict[str, Any]:
    """Size and hash of the files read.

    Where the source looked for them in a folder, the names of the files of the same kind beside them are part of
    it, so that one more log is noticed.
    """
    files = sorted({Path(os.path.abspath(file)) for file in files})
    inputs: dict[str, Any] = {}
    for path in files:
        inputs |= dict.fromkeys(places.names(path), describe_file(path))
    if places.folder is not None:
        found = [path for path in files if path.is_relative_to(places.folder)]
        suffixes, folders = {path.suffix for path in found}, {path.parent for path in found}
        inputs[LISTING] = sorted(p.name for folder in folders for p in folder.iterdir() if p.suffix in suffixes)
    return inputs


def recorded_inputs(folder: Path, name: str) -> list[str]:
    """Names of the files a data set was made from; none where it was not made by us."""
    try:
        found = json.loads((folder / f"{name}.prepare.json").read_text(encoding="utf-8"))
        return [file for file in found["inputs"] if file != LISTING]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def write_manifest(path: Path, recipe: Recipe, outputs: Iterable[Path]) -> None:
    """Write the manifest beside the files it lists."""
    content = recipe.plain() | {"outputs": {output.name: describe_file(output) for output in outputs}}
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def is_up_to_date(folder: Path, name: str, recipe: Recipe) -> bool:
    """Whether ``folder`` holds exactly what ``recipe`` gives.

    Raises:
        InputError: the folder holds something else; the message names what differs.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    path = folder / f"{name}.prepare.json"
    mend = "Choose another --name, or replace it with --overwrite."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        outputs: dict[str, Any] = found.pop("outputs")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        raise InputError(f"{folder} exists and was not made by `recbole-vagnn prepare`. {mend}") from None
    if different := _differences(found, recipe.plain()):
        raise InputError(f"{folder} was made from something else: {'; '.join(different)}. {mend}")
    for file, description in outputs.items():
        if not (folder / file).is_file() or describe_file(folder / file) != description:
            raise InputError(f"{folder / file} was changed or removed after it was made. {mend}")
    return True


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    different = [
        f"{key} {found.get(key)!r}, now {wanted[key]!r}"
        for key in ("format", "source")
        if found.get(key) != wanted[key]
    ]
    before, now = found.get("options") or {}, wanted["options"]
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            different.append(f"{key} {before.get(key)!r}, now {now.get(key)!r}")
    before, now = found.get("inputs") or {}, wanted["inputs"]
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return different + ([f"changed input: {', '.join(changed)}"] if changed else [])
