"""Linger at moderate rates: wait shortly for more records before a produce request.

A produce request costs web and broker half a millisecond of CPU, whether it has one record or
fifty (docs/adr/0087). At high rates, records accumulate while the previous request is in flight.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

_LINGER_SECONDS = 0.04
#: Clients that wait for a response send the next event just after it. Waiting for longer than
#: this share of the linger would only delay them.
_RESPONSE_SHARE = 1 / 3
#: Records per second. At lower rates, there is rarely a second record; at higher ones, they
#: accumulate anyway.
_MIN_RATE, _MAX_RATE = 100, 1_000
_MEASURE_SECONDS = 0.5
#: After so many waits in a row without a gain, records are sent immediately for a while.
_MAX_USELESS = 3
_OFF_SECONDS = 3.0

Sleep = Callable[[float], Awaitable[None]]


class Linger:
    """Decides whether produce requests wait for more records; all partitions wait together."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._measured_at = clock()
        self._records = 0
        self._is_moderate = False
        self._off_until = clock()
        self._useless = 0
        self._wait: asyncio.Task[None] | None = None

    def add(self) -> None:
        """Count a record."""
        self._records += 1

    async def wait(self) -> None:
        """Wait for more records, if that is likely to gain any."""
        if self._wait is None:
            if not self._is_useful():
                return
            self._wait = asyncio.get_running_loop().create_task(self._run())
        await asyncio.wait([self._wait])

    def _is_useful(self) -> bool:
        now = self._clock()
        seconds = now - self._measured_at
        if seconds >= _MEASURE_SECONDS:
            self._is_moderate = _MIN_RATE <= self._records / seconds <= _MAX_RATE
            self._measured_at, self._records = now, 0
        return self._is_moderate and now >= self._off_until

    async def _run(self) -> None:
        await self._sleep(_LINGER_SECONDS * _RESPONSE_SHARE)
        records = self._records
        await self._sleep(_LINGER_SECONDS * (1 - _RESPONSE_SHARE))
        self._useless = 0 if self._records > records else self._useless + 1
        if self._useless == _MAX_USELESS:
            self._useless, self._off_until = 0, self._clock() + _OFF_SECONDS
        self._wait = None
