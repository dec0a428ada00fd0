"""Writing a folder so that it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``target`` that becomes ``target`` when the block ends well.

    After an error or Ctrl-C nothing is left behind. If another process has made ``target`` meanwhile, its
    folder stays and ours is removed.

    Args:
        target: the folder.
        replace: whether a folder that is there already gives way.
    """
    missing = [parent for parent in target.parents if not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield draft
        draft.chmod(0o755)
        if replace and target.is_dir():
            _swap(draft, target)
            return
        try:
            os.rename(draft, target)
        except OSError:
            if not target.is_dir() or not any(target.iterdir()):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in missing if not target.exists() else ():
            with suppress(OSError):
                parent.rmdir()


def _swap(draft: Path, target: Path) -> None:
    """Put ``draft`` in ``target``'s place; should that fail, the old folder comes back."""
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        os.rename(target, old / "data")
        os.rename(draft, target)
    except BaseException:  # Ctrl-C too
        if not target.exists():
            os.rename(old / "data", target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
