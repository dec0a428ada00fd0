"""What stands for ``recbole_vagnn.distributed.worker.work`` in tests of how processes end; imports little."""

from __future__ import annotations

import os
import signal
from typing import Any

from recbole_vagnn.distributed.worker import Job, Report


def one_dies(index: int, job: Job, to_parent: Any) -> None:
    """Process 1 is killed, process 0 has lost its connection and would go on for ever."""
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    to_parent.send(Report("lost", "gloo: connection closed by peer"))
    signal.pause()


def one_mistakes(index: int, job: Job, to_parent: Any) -> None:
    """Process 1 tells of a mistake, process 0 would go on for ever."""
    if index == 1:
        to_parent.send(Report("mistake", "mend this"))
    else:
        signal.pause()
