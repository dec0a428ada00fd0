"""The machine that figures come from: hardware, versions, memory of this process, and who else was busy on it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("recbole", "torch", "numpy", "scipy", "pandas")
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # what proc(5) says to write there
_BUSY_CORES = 0.1  # others below this do not move a median by what a table shows
_SHORTEST = 0.2  # seconds: the kernel counts a processor's time in hundredths


# --- description ------------------------------------------------------------------------------------------------


def describe(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Hardware, versions and what decides how threads behave, as JSON can hold it."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "commit": _commit(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(("OMP_", "MKL_"))},
    }


def cpu_model() -> str:
    """Name of the processor, or of its architecture where the system does not say."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


# --- memory -----------------------------------------------------------------------------------------------------


def resident_mib() -> float:
    """Resident memory of this process now, in MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20


def peak_mib() -> float:
    """Largest resident memory of this process since the last :func:`reset_peak`, in MiB.

    Not getrusage where there is another way: it would count the process that started this one, too.
    """
    if _STATUS.is_file():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_peak() -> bool:
    """Let :func:`peak_mib` start again from what is resident now; False where the system cannot."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


# --- disturbance ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """Who used the processors while something was measured.

    Attributes:
        wall_s: seconds it took.
        own_cores: cores this process and its children used, on average.
        other_cores: cores that other processes used.
        stolen_cores: cores that the hypervisor gave to other guests; 0 where it does not say.
    """

    wall_s: float
    own_cores: float
    other_cores: float
    stolen_cores: float

    @property
    def disturbed(self) -> bool:
        """Whether figures may be off; at two threads a second load makes them several times too high."""
        return self.wall_s >= _SHORTEST and max(self.other_cores, self.stolen_cores) > _BUSY_CORES

    def to_json(self) -> dict[str, float | bool]:
        """The attributes, rounded, and the verdict."""
        return {**{name: round(value, 3) for name, value in asdict(self).items()}, "disturbed": self.disturbed}


class LoadWatch:
    """Seen from its end, who used the processors since its beginning.

    Example:
        >>> watch = LoadWatch()
        >>> watch.so_far().own_cores >= 0
        True
    """

    def __init__(self) -> None:
        self._start = _clocks()

    def so_far(self) -> Load:
        """The load from the beginning until now."""
        wall, own, busy, stolen = (now - then for now, then in zip(_clocks(), self._start, strict=True))
        wall = max(wall, 1e-9)
        return Load(wall, own / wall, max(0.0, busy - own) / wall, max(0.0, stolen) / wall)


@contextmanager
def watched(found: dict[str, Load], name: str) -> Iterator[None]:
    """Put the load of the block into ``found[name]``."""
    watch = LoadWatch()
    yield
    found[name] = watch.so_far()


def _clocks() -> tuple[float, float, float, float]:
    """Seconds: now; this process and its children; all processes; stolen."""
    times = os.times()
    every = psutil.cpu_times()._asdict()
    # A guest's time is in its host's user time already.
    idle = sum(every.get(name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice", "steal"))
    busy = sum(every.values()) - idle
    return time.perf_counter(), sum(times[:4]), busy, every.get("steal", 0.0)
