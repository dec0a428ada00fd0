"""Writing atomic files so that a data set appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``target`` that becomes ``target`` when the block ends well.

    After an error or Ctrl-C nothing is left behind. If another process has made ``target`` meanwhile, its
    folder stays and ours is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield draft
        draft.chmod(0o755)
        try:
            os.rename(draft, target)
        except OSError:
            if not target.is_dir() or not any(target.iterdir()):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_atomic(frame: pd.DataFrame, path: Path, types: dict[str, str]) -> None:
    """Write an atomic file with header ``name:type`` and tab-separated fields.

    Args:
        frame: has the columns of ``types``.
        path: the file to write.
        types: column → RecBole type, in the order of the file.
    """
    header = [f"{name}:{kind}" for name, kind in types.items()]
    frame[list(types)].to_csv(path, sep="\t", index=False, header=header, lineterminator="\n")
