"""The guard against writing after a freeze.

A worker that stood still for a while (SIGSTOP, a suspended machine, a blocked loop) may have
lost its partitions to another without knowing. It must end before it writes (design D6).
"""

import asyncio
import logging
import os
from collections.abc import Callable
from time import monotonic
from typing import NoReturn

log = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
#: The exit code of a frozen worker: EX_TEMPFAIL, start me again.
EXIT_FROZEN = 75


class FrozenError(Exception):
    """The worker stood still for too long; whoever starts it again gets its work."""


class FrozenGuard:
    """Notices that the event loop stood still for longer than `limit_seconds`."""

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._last_beat = clock()

    def begin(self) -> None:
        """Count from now."""
        self._last_beat = self._clock()

    async def beat_for_ever(self) -> None:
        """Note every second that the loop moves; `FrozenError` when it did not."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self.beat()

    def beat(self) -> None:
        """Note that the loop moves; `FrozenError` when it stood still before."""
        self.check()
        self._last_beat = self._clock()

    def check(self) -> None:
        """Call before each write; `FrozenError` when the loop stood still."""
        stood = self._clock() - self._last_beat
        if stood > self._limit:
            raise FrozenError(
                f"the worker stood still for {stood:.1f} s, longer than {self._limit:.1f} s: "
                "its partitions may have a new owner, so it ends before it writes"
            )


def end_frozen(error: FrozenError) -> NoReturn:
    """End the process at once, with nothing flushed: what is still to be written must not be."""
    log.critical("%s: ending; start the role again", error)
    logging.shutdown()
    os._exit(EXIT_FROZEN)
