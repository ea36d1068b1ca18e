"""The end of the loop that delivers; what it delivers needs SQL, and is tested there."""

import asyncio
from typing import Any

import pytest

from sinks.webhooks.deliver import Dispatcher


class _NothingDue:
    """A database in which no delivery waits."""

    async def run(self, _: object) -> None:
        """Find none."""


@pytest.mark.parametrize("turns", range(5))
async def test_an_end_right_after_a_wake_is_heard(turns: int) -> None:
    """However many turns of the loop are in between; before Python 3.12 `wait_for` would not."""
    unused: Any = None
    reader: Any = _NothingDue()
    deliveries = Dispatcher(unused, reader, unused, unused)
    running = asyncio.create_task(deliveries.run())
    for _ in range(10):
        await asyncio.sleep(0)
    deliveries.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
