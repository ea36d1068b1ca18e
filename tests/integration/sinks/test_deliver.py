"""The delivery loop with real receivers, on both engines."""

import asyncio
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from aiohttp import web

from sinks.delivery import queue, schedule, sender
from sinks.sql.digests import DeliveryLimits
from sinks.sql.tables import DeliveryAttemptRow
from sinks.sql.types import now_utc
from tests.contract.sinks import samples
from tests.contract.sinks.samples import NOON, uuid_of
from tests.contract.sinks.subscribed import (
    ALERTS,
    SECRET,
    alert,
    deliveries,
    store,
    subscribe,
)
from tests.fixtures.waiting import eventually_async
from tests.integration.sinks.loop import delivering, delivering_beside, raise_alerts, states
from tests.integration.sinks.receivers import failing, good, hanging, receiving

_ROOT = Path(__file__).parents[3]


async def test_slow_receivers_do_not_delay_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One responds, one hangs, one fails for a while."""
    monkeypatch.setattr(schedule, "DELAYS", (0, 0.2, 0.2, 0.2, 0.2, 0.2))
    monkeypatch.setattr(sender, "TIMEOUT_SECONDS", 5.0)
    async with (
        receiving(good) as healthy,
        receiving(hanging) as slow,
        receiving(failing(10, 500)) as flaky,
    ):
        ids = {
            name: await subscribe(database_url, name, url=receiver.url)
            for name, receiver in (("slow", slow), ("healthy", healthy), ("failing", flaky))
        }
        async with delivering(database_url):
            alert_ids = await raise_alerts(database_url, 0, 40)
            await eventually_async(
                lambda: len(healthy.messages) >= 40,
                within_seconds=12,
                what="all alerts are delivered",
            )

            async def all_retried() -> bool:
                found = await states(database_url)
                return all(found[ids["failing"], one] == "delivered" for one in alert_ids)

            await eventually_async(
                all_retried, within_seconds=20, what="failed deliveries are retried"
            )
    found = await states(database_url)

    assert sorted(healthy.alert_ids()) == sorted(alert_ids)
    assert set(flaky.alert_ids()) == set(alert_ids)
    assert len(flaky.messages) == 50
    assert all(found[ids["healthy"], one] == "delivered" for one in alert_ids)
    assert all(found[ids["slow"], one] == "pending" for one in alert_ids)
    assert len(slow.messages) < 40  # a few at a time, each until its timeout
    for message in healthy.messages + flaky.messages + slow.messages:
        assert message.verified(SECRET)["type"] == "alert.raised"


async def test_attempts_have_the_same_id_and_different_timestamps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receivers can detect repeats and replayed messages; all attempts are listed."""
    monkeypatch.setattr(schedule, "DELAYS", (0, 0.2, 0.2))
    times = iter(now_utc() + timedelta(seconds=n) for n in range(1_000_000))
    async with receiving(failing(2, 500)) as receiver:
        await subscribe(database_url, "mine", url=receiver.url)
        await raise_alerts(database_url, 0, 1)
        async with delivering(database_url, clock=lambda: next(times)):
            await eventually_async(
                lambda: len(receiver.messages) == 3, within_seconds=20, what="three attempts"
            )
            await _until(database_url, "delivered")

    assert len({message.headers["webhook-id"] for message in receiver.messages}) == 1
    assert len({message.headers["webhook-timestamp"] for message in receiver.messages}) == 3
    rows = await samples.contents(database_url, DeliveryAttemptRow)
    assert sorted((row["attempt"], row["status"]) for row in rows) == [(1, 500), (2, 500), (3, 200)]


async def test_a_delivery_fails_permanently_after_the_last_attempt(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not retried."""
    monkeypatch.setattr(schedule, "DELAYS", (0, 0.1))
    async with receiving(failing(99, 404)) as receiver:
        await subscribe(database_url, "mine", url=receiver.url)
        await raise_alerts(database_url, 0, 1)
        async with delivering(database_url):
            await _until(database_url, "failed")

    assert len(receiver.messages) == 2
    assert "failed permanently after 2 attempts (status 404)" in caplog.text


async def test_410_gone_disables_the_subscription(database_url: str) -> None:
    """Immediately, with the reason."""
    async with receiving(failing(1, 410)) as receiver:
        mine = await subscribe(database_url, "mine", url=receiver.url)
        await raise_alerts(database_url, 0, 1)
        async with delivering(database_url) as disabled:
            await eventually_async(
                lambda: disabled, within_seconds=10, what="the subscription is disabled"
            )

    assert disabled == [(mine, "the receiver answered 410 Gone")]
    assert len(receiver.messages) == 1


async def test_retry_after_delays_the_next_attempt(database_url: str) -> None:
    """The time is stored in SQL."""
    async with receiving(failing(1, 429, Retry_After="1000")) as receiver:
        await subscribe(database_url, "mine", url=receiver.url)
        await raise_alerts(database_url, 0, 1)
        async with delivering(database_url):

            async def is_scheduled() -> bool:
                (row,) = await deliveries(database_url)
                next_at: datetime = row["next_attempt_at"]
                return bool(row["step"] == 1 and next_at > now_utc() + timedelta(seconds=990))

            await eventually_async(is_scheduled, within_seconds=10, what="the retry is scheduled")


async def test_two_loops_share_the_work(database_url: str) -> None:
    """Each delivery is sent once, by one of them."""
    async with receiving(good) as receiver:
        await subscribe(database_url, "mine", url=receiver.url)
        async with delivering(database_url), delivering(database_url):
            alert_ids = await raise_alerts(database_url, 0, 60)

            async def all_delivered() -> bool:
                return set((await states(database_url)).values()) == {"delivered"}

            await eventually_async(all_delivered, within_seconds=20, what="all deliveries succeed")

    assert sorted(receiver.alert_ids()) == sorted(alert_ids)


@pytest.mark.fault
async def test_deliveries_are_resumed_after_kill_9(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, whatever was in flight."""
    monkeypatch.setattr(queue, "LEASE", timedelta(seconds=1))
    stuck = asyncio.Event()

    async def behave(number: int, _request: web.Request) -> web.StreamResponse:
        if number >= 10 and not stuck.is_set():  # in flight when the process is killed
            await stuck.wait()
        return web.Response(status=200)

    async with receiving(behave) as receiver:
        await subscribe(database_url, "mine", url=receiver.url)
        alert_ids = await raise_alerts(database_url, 0, 50)
        process = _start(database_url)
        try:
            await eventually_async(
                lambda: len(receiver.messages) >= 14, within_seconds=60, what="some are in flight"
            )
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        stuck.set()
        async with delivering(database_url):

            async def all_delivered() -> bool:
                return set((await states(database_url)).values()) == {"delivered"}

            await eventually_async(all_delivered, within_seconds=30, what="all deliveries succeed")

    assert set(receiver.alert_ids()) == set(alert_ids)
    assert len(receiver.messages) <= 50 + 5  # four in flight, and one without a recorded result


def _start(url: str) -> Popen[bytes]:
    return Popen([sys.executable, "-m", __name__, url], cwd=_ROOT, stdout=DEVNULL)


async def _until(url: str, state: str) -> None:
    async def has_state() -> bool:
        return set((await states(url)).values()) == {state}

    await eventually_async(has_state, within_seconds=20, what=f"the state is {state}")


async def _main(url: str) -> None:
    queue.LEASE = timedelta(seconds=1)
    async with delivering(url):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))


async def test_ten_thousand_forged_payments_delay_no_other_subscription(database_url: str) -> None:
    """They become a limited number of messages and one digest that counts the others."""
    async with receiving(good) as flooded, receiving(good) as other:
        mine = await subscribe(database_url, "mine", url=flooded.url, cooldown_seconds=1)
        await subscribe(database_url, "other", url=other.url, site_id="blog")
        writer = await samples.open_for_test(database_url)
        writer.limits = DeliveryLimits(per_minute=50, per_hour=50, digest_seconds=5)
        try:
            await writer.assign(ALERTS, 0)
            async with delivering_beside(writer, database_url):
                for start in range(0, 10_000, 1_000):
                    forged = [
                        alert(n, subject=f"s-{n}", raised_at=NOON + n * 100_000)
                        for n in range(start, start + 1_000)
                    ]
                    await store(writer, start, forged)
                await store(writer, 10_000, [alert("real", site_id="blog")])
                await eventually_async(
                    lambda: other.alert_ids() == [uuid_of("real")],
                    within_seconds=5,
                    what="the real payment of another site is delivered",
                )

                def is_complete() -> bool:
                    messages = [message.verified(SECRET) for message in flooded.messages]
                    digests = [one["data"] for one in messages if one["type"] == "alert.digest"]
                    single = len(messages) - len(digests)
                    return single == 50 and sum(one["count"] for one in digests) == 9_950

                await eventually_async(
                    is_complete, within_seconds=30, what="the digest counts the rest"
                )

                async def all_recorded() -> bool:
                    rows = await deliveries(database_url)
                    return {row["state"] for row in rows} == {"delivered"}

                await eventually_async(
                    all_recorded, within_seconds=20, what="all results are recorded"
                )
        finally:
            await writer.close()
    assert len(flooded.messages) <= 55
    messages = [message.verified(SECRET) for message in flooded.messages]
    digests = [one["data"] for one in messages if one["type"] == "alert.digest"]
    assert {digest["subscription_id"] for digest in digests} == {mine}
