"""Alerts over a subscription's limits are counted in digests, on both engines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sinks.delivery import queue
from sinks.sql import outbox
from sinks.sql.digests import MAX_DIGEST_ALERTS, DeliveryLimits
from sinks.sql.engine import open_database
from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import NOON, uuid_of
from tests.contract.sinks.subscribed import ALERTS, alert, deliveries, store, subscribe

SECOND = 1_000_000
#: The clock while deliveries are enqueued; the alerts were raised earlier.
HOUR = datetime(2026, 5, 1, 9, tzinfo=UTC)
LIMITS = DeliveryLimits(per_minute=3, per_hour=5, subjects_per_cooldown=2, digest_seconds=3600)


@pytest.fixture
async def alerts(database_url: str) -> AsyncIterator[Writer]:
    """Yield a writer with small limits that owns the first partition of `alerts`."""
    writer = await samples.open_for_test(database_url)
    writer.limits = LIMITS
    await writer.assign(ALERTS, 0)
    yield writer
    await writer.close()


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the clock to a number of seconds after the start of an hour."""
    monkeypatch.setattr(outbox, "now_utc", lambda: HOUR + timedelta(seconds=seconds))


def forged(start: int, count: int) -> list[Any]:
    """Return payment alerts of many sessions, as a malicious client can cause."""
    return [
        alert(n, subject=f"s-{n}", raised_at=NOON + n * SECOND) for n in range(start, start + count)
    ]


async def sent(url: str, subscription_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the alerts that have their own delivery, and the data of the digests."""
    rows = [row for row in await deliveries(url) if row["subscription_id"] == subscription_id]
    return (
        [row["alert_id"] for row in rows if row["alert_id"]],
        [row["body"]["data"] for row in rows if row["body"]["type"] == "alert.digest"],
    )


async def test_alerts_over_the_rate_limits_are_counted_in_a_digest(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alert is stored, and delivered or counted once; the limits are sliding."""
    mine = await subscribe(database_url, "mine")
    set_clock(monkeypatch, 10)
    await store(alerts, 0, forged(0, 40))
    await store(alerts, 40, forged(40, 20))
    (alone, (digest,)) = await sent(database_url, mine)
    assert alone == [uuid_of(n) for n in range(3)]
    assert digest == {
        "subscription_id": mine,
        "site_id": "shop",
        "rule": "payment",
        "count": 57,
        "first_raised_at": "2026-04-01T12:00:03.000000Z",
        "last_raised_at": "2026-04-01T12:00:59.000000Z",
        "first_seq": 4,
        "last_seq": 60,
        "alerts": digest["alerts"],
    }
    shown = [uuid_of(n) for n in range(60 - MAX_DIGEST_ALERTS, 60)]
    assert [one["alert_id"] for one in digest["alerts"]] == shown
    assert digest["alerts"][-1]["subject"] == "s-59"

    set_clock(monkeypatch, 71)
    await store(alerts, 60, forged(60, 10))
    (alone, (digest,)) = await sent(database_url, mine)
    # The digest counts towards the five deliveries per hour.
    assert (len(alone), digest["count"]) == (4, 66)
    set_clock(monkeypatch, 3_700)
    await store(alerts, 70, forged(70, 1))
    (alone, digests) = await sent(database_url, mine)
    assert alone[-1] == uuid_of(70)
    assert len(alone) + sum(one["count"] for one in digests) == 71
    assert len(await samples.contents(database_url, AlertRow)) == 71


async def test_a_replay_counts_no_alert_twice(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in digests, either."""
    mine = await subscribe(database_url, "mine")
    set_clock(monkeypatch, 10)
    await store(alerts, 0, forged(0, 10))
    await store(alerts, 0, forged(0, 10))
    await store(alerts, 10, forged(0, 11))

    (alone, (digest,)) = await sent(database_url, mine)
    assert (len(alone), digest["count"]) == (3, 8)


async def test_subjects_that_clients_choose_do_not_defeat_a_cooldown(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number within a cooldown is limited; delivered subjects are not in the digest."""
    alerts.limits = LIMITS._replace(per_minute=1_000, per_hour=1_000)
    mine = await subscribe(database_url, "mine", cooldown_seconds=3_600)
    set_clock(monkeypatch, 10)
    again = [alert(f"again {n}", subject="s-1", raised_at=NOON) for n in range(5)]
    await store(alerts, 0, forged(0, 50) + again)
    await store(alerts, 55, forged(50, 50))

    (alone, (digest,)) = await sent(database_url, mine)
    assert alone == [uuid_of(0), uuid_of(1)]
    assert digest["count"] == 98
    later = alert("later", subject="s-x", raised_at=NOON + 3_601 * SECOND)
    await store(alerts, 105, [later])
    assert (await sent(database_url, mine))[0][-1] == uuid_of("later")


async def test_a_flooded_subscription_does_not_affect_others(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same site with another rule, and of another site."""
    flooded = await subscribe(database_url, "flooded")
    errors = await subscribe(database_url, "errors", rule="error.new")
    blog = await subscribe(database_url, "blog", site_id="blog")
    set_clock(monkeypatch, 10)
    other = [alert("error", rule="error.new"), alert("real", site_id="blog")]
    await store(alerts, 0, forged(0, 50) + other)

    assert len((await sent(database_url, flooded))[0]) == 3
    assert await sent(database_url, errors) == ([uuid_of("error")], [])
    assert await sent(database_url, blog) == ([uuid_of("real")], [])


async def test_a_claimed_digest_is_not_changed(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later alerts are counted in the next one."""
    mine = await subscribe(database_url, "mine")
    set_clock(monkeypatch, 10)
    await store(alerts, 0, forged(0, 10))
    database = open_database(database_url)
    try:
        before = await database.run(lambda c: queue.claim(c, HOUR, {}, 100, 100))
        early = HOUR + timedelta(seconds=3_599)
        own = await database.run(lambda c: queue.claim(c, early, {}, 100, 100))
        due = HOUR + timedelta(seconds=3_600)
        (digest,) = await database.run(
            lambda c: [one for one in queue.claim(c, due, {}, 100, 100) if one.attempt == 1]
        )
    finally:
        await database.close()
    assert (len(before), len(own)) == (0, 3)
    assert (digest.body["type"], digest.body["data"]["count"]) == ("alert.digest", 7)

    await store(alerts, 10, forged(10, 4))
    (_, digests) = await sent(database_url, mine)
    assert [one["count"] for one in digests] == [7, 4]
