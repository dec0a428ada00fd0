"""Finding a source's files in the folder that a user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recbole_vagnn.errors import InputError

ENDINGS = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".parquet")
_SHOWN = 10


def find_files(folder: Path, stems: Sequence[str], subfolders: Sequence[str] = ("data",)) -> list[list[Path]]:
    """Files in the first of ``folder`` and its subfolders that has one of every stem.

    Args:
        folder: where to look first.
        stems: names without their ending; ``*`` stands for anything. Endings: see ``ENDINGS``.
        subfolders: where to look next.

    Returns:
        for each stem its files, in the order of the numbers in their names (``4_08`` before ``4_22``, ``part2``
        before ``part10``), then of the names.

    Raises:
        InputError: no place has a file of every stem, or a file is there in two formats.
    """
    places = [folder, *(folder / name for name in subfolders)]
    for place in places:
        found = [_of_stem(place, stem) for stem in stems]
        if all(found):
            for files in found:
                _refuse_twice(files)
            return found
    raise InputError(_nothing_found(folder, stems, subfolders))


def by_numbers(path: Path) -> tuple[list[int], str]:
    """Sort key: the numbers in a file's name, then the name."""
    return [int(number) for number in re.findall(r"\d+", path.name)], path.name


def _of_stem(place: Path, stem: str) -> list[Path]:
    files = (path for ending in ENDINGS for path in place.glob(stem + ending) if path.is_file())
    return sorted(files, key=by_numbers)


def _refuse_twice(files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in files:
        stem = path.name.partition(".")[0]
        if stem in seen:
            raise InputError(f"{path.parent} holds both {seen[stem].name} and {path.name}: remove one of them.")
        seen[stem] = path


def _nothing_found(folder: Path, stems: Sequence[str], subfolders: Sequence[str]) -> str:
    names = ", ".join(f"{stem}.csv" for stem in stems)
    elsewhere = "".join(f", {folder / name}" for name in subfolders)
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f", … ({len(others)} in all)" if len(others) > _SHOWN else ""
    return (
        f"Looked for {names} (or {', '.join(ENDINGS[1:])}) in {folder}{elsewhere}: none of them has a file of each "
        f"name. {folder} holds: {', '.join(others[:_SHOWN]) or 'nothing'}{more}. Give the folder with these files "
        f"as --input."
    )
