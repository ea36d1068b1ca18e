"""Pins processes to cores."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import psutil


@cache
def all_cores() -> list[int]:
    """Return the cores that this process could use at the first call."""
    return sorted(os.sched_getaffinity(0))


def pin(pid: int, cores: Sequence[int]) -> None:
    """Pin all threads of a process to some cores; new threads and processes inherit it."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cores)


@contextmanager
def pinned(pids: Sequence[int], cores: Sequence[int]) -> Iterator[None]:
    """Pin processes until the block ends."""
    for pid in pids:
        pin(pid, cores)
    try:
        yield
    finally:
        for pid in pids:
            pin(pid, all_cores())
