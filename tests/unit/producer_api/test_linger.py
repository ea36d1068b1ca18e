import asyncio

import pytest

from producer_api.produce.linger import Linger


class Records:
    """Records that arrive at a rate, with a clock that advances while `linger` waits."""

    def __init__(self, per_second: float) -> None:
        self.now = 0.0
        self._per_second = per_second
        self.waits = 0
        #: Whether records arrive while the linger waits.
        self.arrive = True
        self.linger = Linger(lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits += 1
        if self.arrive:
            self.linger.add()
        self.now += seconds

    async def send(self, seconds: float) -> float:
        """Let records arrive for a time, and send one; return how long it waits (s)."""
        for _ in range(round(seconds * self._per_second)):
            self.linger.add()
        self.now += seconds
        sent_at = self.now
        await self.linger.wait()
        return self.now - sent_at


@pytest.mark.parametrize("per_second", [0, 50, 2_000])
async def test_records_at_low_and_high_rates_are_sent_immediately(per_second: float) -> None:
    """There are no others to wait for, or enough of them anyway."""
    assert await Records(per_second).send(1) == 0


async def test_records_at_moderate_rates_wait_together() -> None:
    """Those of all partitions are sent in one request."""
    records = Records(200)
    await records.send(1)
    records.waits = 0

    await asyncio.gather(records.linger.wait(), records.linger.wait())

    assert records.waits == 2, "both parts of one wait"


async def test_a_rate_is_moderate_only_while_it_is() -> None:
    """A single event after a pause is sent immediately."""
    records = Records(200)

    assert await records.send(1) > 0
    records.now += 60
    assert await records.send(0) == 0


async def test_a_client_that_waits_for_each_response_is_not_delayed() -> None:
    """It sends nothing while its request lingers; a later attempt is made after three seconds."""
    records = Records(200)
    records.arrive = False

    waits = [await records.send(1.2) for _ in range(6)]

    assert [wait > 0 for wait in waits] == [True, True, True, False, False, True]
