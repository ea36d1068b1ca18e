"""What the command changes of its process."""

import platform
import subprocess
import sys

import pytest

_FREE = """
import os
import psutil
import headrace.__main__

def resident() -> int:
    return psutil.Process(os.getpid()).memory_info().rss

large = b"x" * (16 << 20)
del large  # glibc would keep smaller buffers from now on
buffers, between = [], []
for _ in range(64):
    buffers.append(b"x" * (1 << 20))
    between.append(b"x" * 64_000)
before = resident()
buffers.clear()
print((before - resident()) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_freed_buffers_are_returned_to_the_system() -> None:
    """Also after a larger one was freed, and with other objects between them."""
    done = subprocess.run(
        [sys.executable, "-c", _FREE], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(done.stdout) >= 60
