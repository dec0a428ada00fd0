"""Ray Tune's record of a running search, of one moment, whatever moment the search is killed at.

Ray writes the record into several files and copies them one by one, in a thread. A kill in between leaves the trials
of one moment beside the search algorithm of another (or half a file), and what goes on from there lacks a trial, or
has one too many. So the files are kept together, in one archive that is replaced as a whole.
"""

from __future__ import annotations

import re
import time
import zipfile
from io import BytesIO
from pathlib import Path

from recbole_vagnn.experiments.tuning.store import write_file

_TRIALS = "experiment_state-*.json"
# Of every session Ray names its files anew, by the second it began in, and reads those whose names are the last.
_OF_A_SESSION = re.compile(r"([^.].*state-)(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)(\..+)")


def keep(folder: Path, archive: Path) -> None:
    """Keep the record of the newest session in a folder.

    Args:
        folder: where Ray has written it, all of it.
        archive: is replaced as a whole.
    """
    session = max(_sessions(folder), default=None)
    if session is None:
        return
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as writer:
        for path in sorted(folder.glob(f"*-{session}.*")):
            if _OF_A_SESSION.fullmatch(path.name):
                writer.write(path, path.name)
    write_file(archive, content.getvalue())


def put_back(archive: Path, folder: Path) -> None:
    """Make the kept record the only one in Ray's folder of a search.

    It is named as of now: the folder in which Ray works may hold files of a session that was killed after it.

    Args:
        archive: as ``keep`` left it.
        folder: of the search; all else in it stays.
    """
    for path in list(folder.iterdir()):
        if _OF_A_SESSION.fullmatch(path.name):
            path.unlink()
    now = time.strftime("%Y-%m-%d_%H-%M-%S")
    with zipfile.ZipFile(archive) as reader:
        for name in reader.namelist():
            write_file(folder / _OF_A_SESSION.sub(rf"\g<1>{now}\g<3>", name), reader.read(name))


def _sessions(folder: Path) -> list[str]:
    return [match[2] for path in folder.glob(_TRIALS) if (match := _OF_A_SESSION.fullmatch(path.name))]
