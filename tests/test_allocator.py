"""What a step frees stays in the process; compiled kernels that nobody uses again do not."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

HEAP = """
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c mmapped d e used free f".split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Heap
"""

# gelu of 500 shapes, as the projection heads meet them; oneDNN reads the limit once, so each case is a process.
PROGRAM = """
import ctypes, os
import torch
from recbole_vagnn.allocator import keep_few_kernels

{heap}
{call}
torch.set_num_threads(1)
torch.nn.functional.gelu(torch.zeros(1, 16))
before = mallinfo().used
for rows in range(2, 502):
    torch.nn.functional.gelu(torch.zeros(rows, 16))
print(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"), mallinfo().used - before)
"""


def kept(call: str) -> tuple[str, int]:
    command = [sys.executable, "-c", PROGRAM.format(heap=HEAP, call=call)]
    limit, grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return limit, int(grown)


glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="not told what is in use",
)


@glibc
def test_only_sixteen_compiled_kernels_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)  # an earlier run of this process has set it
    _, all_of_them = kept("")
    limit, few = kept("keep_few_kernels()")
    assert limit == "16"
    if all_of_them < 2**20:
        pytest.skip("this build of torch compiles nothing here")
    assert few < all_of_them / 10


@glibc
def test_a_limit_of_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "300")
    assert kept("keep_few_kernels()")[0] == "300"


# Large blocks come from mmap, and go back at once, but for the inner ones. The last does not fit where those were.
BLOCKS = """
import ctypes
from recbole_vagnn.allocator import keep_freed_memory, large_blocks_kept
{heap}
def mapped(mib):
    before = mallinfo().mmapped
    block = bytearray(mib * 2**20)
    return (mallinfo().mmapped - before) // 2**20

print(keep_freed_memory(), mapped(64))
with large_blocks_kept() as kept:
    print(kept, mapped(64))
print(mapped(256))
"""


@glibc
def test_large_blocks_are_kept_while_a_model_is_trained() -> None:
    command = [sys.executable, "-c", BLOCKS.format(heap=HEAP)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    assert printed[:3] == ["True 64", "True 0", "256"]
