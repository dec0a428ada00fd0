"""Freed memory is kept for the next step and given back now and then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recbole_vagnn import allocator
from recbole_vagnn.allocator import FreedMemory

# Blocks of 64 KiB, every second one freed: none of the gaps lies at the end of the heap.
PROGRAM = """
import ctypes
from recbole_vagnn.allocator import give_back_freed_memory, keep_freed_memory

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024

kept = keep_freed_memory()
blocks = [bytearray(b"x") * (64 * 1024) for _ in range(3200)]
full = resident()
del blocks[::2]
freed = resident()
given = give_back_freed_memory()
print(kept, given, full - freed, freed - resident())
"""


@pytest.mark.skipif(not allocator._of_glibc("malloc_trim"), reason="the C library is not glibc")
def test_gaps_between_living_blocks_stay_until_they_are_given_back() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout.split()
    kept, given, at_once, afterwards = printed
    assert (kept, given) == ("True", "True")
    assert float(at_once) < 20  # MiB, of the 100 that were freed
    assert float(afterwards) > 60  # the pages at the edges of blocks stay


def test_memory_is_given_back_at_most_once_in_the_time_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 5.0, 9.9, 10.0, 15.0, 19.9, 21.0, 30.9, 31.0])
    returns: list[None] = []
    monkeypatch.setattr(allocator, "give_back_freed_memory", lambda: returns.append(None))
    memory = FreedMemory(10.0, lambda: next(times))
    due = [memory.give_back_if_due() for _ in range(8)]
    assert due == [False, False, True, False, False, True, False, True]
    assert len(returns) == 3
