"""Fencing: a worker that was suspended must not write to partitions that it may have lost.

After SIGSTOP, a suspended machine or a blocked event loop, the group may have assigned the
partitions of this zombie worker to another one. It exits before its next write (design D6).
"""

import asyncio
import logging
import os
from collections.abc import Callable
from time import monotonic
from typing import NoReturn

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 1.0
#: The exit code of a fenced worker: EX_TEMPFAIL of sysexits.h, which service managers restart.
EXIT_FENCED = 75


class FencedError(Exception):
    """The worker was suspended for too long and may be a zombie; a restart resumes its work."""


class Fence:
    """Detects that the event loop was suspended for longer than `limit_seconds`."""

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._last_heartbeat = clock()

    def begin(self) -> None:
        """Record the first heartbeat."""
        self._last_heartbeat = self._clock()

    async def monitor(self) -> None:
        """Record a heartbeat of the event loop every second; raise `FencedError` if one is late."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self.heartbeat()

    def heartbeat(self) -> None:
        """Record a heartbeat; raise `FencedError` if the last one is too old."""
        self.check()
        self._last_heartbeat = self._clock()

    def check(self) -> None:
        """Raise `FencedError` if the last heartbeat is too old. Call it before each write."""
        gap = self._clock() - self._last_heartbeat
        if gap > self._limit:
            raise FencedError(
                f"the worker was suspended for {gap:.1f} s, longer than {self._limit:.1f} s: "
                "its partitions may have a new owner, so it exits before it writes"
            )


def exit_fenced(error: FencedError) -> NoReturn:
    """Exit the process at once, without flushing: pending writes must not happen."""
    log.critical("%s; restart the role", error)
    logging.shutdown()
    os._exit(EXIT_FENCED)
