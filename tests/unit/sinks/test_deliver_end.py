"""Cancellation of the delivery loop."""

import asyncio
from typing import Any

import pytest

from sinks.delivery.dispatcher import Dispatcher


class _NothingDue:
    """A database without due dispatcher."""

    async def run(self, _: object) -> None:
        """Return None."""


@pytest.mark.parametrize("iterations", range(5))
async def test_a_cancellation_right_after_a_wake_up_is_not_lost(iterations: int) -> None:
    """At any number of loop iterations in between; `wait_for` lost it before Python 3.12."""
    unused: Any = None
    reader: Any = _NothingDue()
    dispatcher = Dispatcher(unused, reader, unused, unused)
    running = asyncio.create_task(dispatcher.run())
    for _ in range(10):
        await asyncio.sleep(0)
    dispatcher.wake()
    for _ in range(iterations):
        await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
