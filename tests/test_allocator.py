"""Compiled kernels that nobody uses again do not pile up."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# gelu of 500 shapes, as the projection heads meet them; oneDNN reads the limit once, so each case is a process.
PROGRAM = """
import ctypes, os
import torch
from recbole_vagnn.allocator import keep_few_kernels

class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c mmapped d e used free f".split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Heap
{call}
torch.set_num_threads(1)
torch.nn.functional.gelu(torch.zeros(1, 16))
before = mallinfo().used
for rows in range(2, 502):
    torch.nn.functional.gelu(torch.zeros(rows, 16))
print(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"), mallinfo().used - before)
"""


def kept(call: str) -> tuple[str, int]:
    command = [sys.executable, "-c", PROGRAM.format(call=call)]
    limit, grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return limit, int(grown)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="not told what is in use",
)
def test_only_sixteen_compiled_kernels_stay() -> None:
    _, all_of_them = kept("")
    limit, few = kept("keep_few_kernels()")
    assert limit == "16"
    if all_of_them < 2**20:
        pytest.skip("this build of torch compiles nothing here")
    assert few < all_of_them / 10


def test_a_limit_of_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "300")
    assert kept("keep_few_kernels()")[0] == "300"
