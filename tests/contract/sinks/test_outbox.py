"""Alerts and their deliveries in one transaction, on both engines."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from schemas.records import Alert
from sinks.sql import outbox
from sinks.sql.tables import AlertRow, DeliveryRow
from sinks.sql.writer import Writer
from tests.contract.sinks import samples
from tests.contract.sinks.samples import NOON, NOON_TIME, uuid_of
from tests.contract.sinks.subscribed import (
    ALERTS,
    alert,
    delivered_alerts,
    deliveries,
    store,
    subscribe,
)

SECOND = 1_000_000


@pytest.fixture
async def alerts(database_url: str) -> AsyncIterator[Writer]:
    """Yield a writer that owns the first partition of `alerts`."""
    writer = await samples.open_for_test(database_url)
    await writer.assign(ALERTS, 0)
    yield writer
    await writer.close()


async def test_a_delivery_is_inserted_with_its_alert(database_url: str, alerts: Writer) -> None:
    """Due immediately, with the body of the webhook."""
    mine = await subscribe(database_url, "mine")
    await store(alerts, 0, [alert("a")])

    (row,) = await deliveries(database_url)
    assert (row["subscription_id"], row["alert_id"]) == (mine, uuid_of("a"))
    assert (row["state"], row["attempts"], row["raised_at"]) == ("pending", 0, NOON_TIME)
    assert row["next_attempt_at"] == row["created_at"]
    assert row["body"] == {
        "type": "alert.raised",
        "timestamp": "2026-04-01T12:00:00.000000Z",
        "data": {
            "alert_id": uuid_of("a"),
            "site_id": "shop",
            "rule": "payment",
            "subject": "s-1",
            "title": "Payment a",
            "details": {"amount": "1.00"},
            "event_id": uuid_of(("event", "a")),
            "raised_at": "2026-04-01T12:00:00.000000Z",
            "subscription_id": None,
            "seq": 1,
        },
    }


async def test_each_alert_is_delivered_to_matching_subscriptions(
    database_url: str, alerts: Writer
) -> None:
    """To the subscription that it names, or else to those with default parameters."""
    plain = await subscribe(database_url, "plain", rule="error.rate")
    often = await subscribe(database_url, "often", rule="error.rate", params={"count": 100})
    await subscribe(database_url, "other rule", rule="error.new")
    await subscribe(database_url, "other site", rule="error.rate", site_id="blog")
    await subscribe(database_url, "off", rule="error.rate", enabled=False)
    gone = uuid_of("gone")

    own = alert("own", rule="error.rate", subscription_id=often)
    orphan = alert("orphan", rule="error.rate", subscription_id=gone)
    await store(alerts, 0, [alert("all", rule="error.rate"), own, orphan])

    expected = [(plain, uuid_of("all")), (often, uuid_of("own"))]
    assert await delivered_alerts(database_url) == expected
    assert len(await samples.contents(database_url, AlertRow)) == 3


async def test_a_payment_is_delivered_to_subscriptions_with_a_lower_minimum(
    database_url: str, alerts: Writer
) -> None:
    """Amounts are decimals, currencies case-insensitive; without one, only `any` matches."""
    every = await subscribe(database_url, "every")
    large = await subscribe(database_url, "large", params={"min_amount": 99.5})
    euros = await subscribe(database_url, "euros", params={"currency": "EUR"})
    both = await subscribe(database_url, "both", params={"min_amount": 100, "currency": "EUR"})
    paid = {
        "small": '{"amount": "99.499999", "currency": "eur"}',
        "just": '{"amount": "99.50", "currency": "USD"}',
        "large": '{"amount": "100.00", "currency": "EUR"}',
        "negative": '{"amount": "-100.00"}',
        "unknown": "{}",
    }
    await store(alerts, 0, [alert(name, details=details) for name, details in paid.items()])

    found = await delivered_alerts(database_url)
    for one, names in {
        every: set(paid),
        large: {"just", "large"},
        euros: {"small", "large"},
        both: {"large"},
    }.items():
        assert {alert_id for name, alert_id in found if name == one} == set(map(uuid_of, names))
    assert len(await samples.contents(database_url, AlertRow)) == len(paid)


async def test_a_payment_without_a_site_key_is_not_delivered_to_subscriptions_that_require_one(
    database_url: str, alerts: Writer
) -> None:
    """Nor is one whose alert an earlier version raised, and a replay changes nothing."""
    vouched = await subscribe(database_url, "vouched", params={"trust": "key"})
    large = await subscribe(database_url, "large", params={"trust": "key", "min_amount": 10})
    every = await subscribe(database_url, "every")
    paid = {
        "forged": '{"amount": "50.00", "trust": "open"}',
        "browser": '{"amount": "50.00", "trust": "origin"}',
        "earlier": '{"amount": "50.00"}',
        "small": '{"amount": "5.00", "trust": "key"}',
        "sold": '{"amount": "50.00", "trust": "key"}',
    }
    raised = [alert(name, details=details) for name, details in paid.items()]

    await store(alerts, 0, raised)
    await store(alerts, 0, raised)
    await store(alerts, len(raised), raised)

    found = sorted(await delivered_alerts(database_url))
    expected = {every: [*paid], vouched: ["small", "sold"], large: ["sold"]}
    assert found == sorted(
        (one, uuid_of(name)) for one, names in expected.items() for name in names
    )


async def test_a_replay_enqueues_no_delivery_twice(database_url: str, alerts: Writer) -> None:
    """Nor do duplicate alerts, even for a subscription created in between."""
    await subscribe(database_url, "mine")
    await store(alerts, 0, [alert("a"), alert("a"), alert("b")])
    await subscribe(database_url, "later")
    await store(alerts, 0, [alert("a"), alert("a"), alert("b"), alert("b")])
    await store(alerts, 4, [alert("a"), alert("c")])

    names = [row["alert_id"] for row in await deliveries(database_url)]
    assert names == [uuid_of("a"), uuid_of("b"), *[uuid_of("c")] * 2]


async def test_a_subject_is_delivered_once_per_cooldown(database_url: str, alerts: Writer) -> None:
    """By the times at which the alerts were raised, within and across batches."""
    mine = await subscribe(database_url, "mine", cooldown_seconds=60)
    plan: list[tuple[str, int, str]] = [
        ("first", 0, "s-1"),
        ("soon", 59, "s-1"),
        ("another", 59, "s-2"),
        ("later", 60, "s-1"),
        ("before", -30, "s-1"),
        ("again", 119, "s-1"),
        ("at last", 120, "s-1"),
    ]
    raised = [
        alert(name, raised_at=NOON + seconds * SECOND, subject=subject)
        for name, seconds, subject in plan
    ]
    await store(alerts, 0, raised[:2])
    await store(alerts, 2, raised[2:4])
    for offset, one in enumerate(raised[4:], 4):
        await store(alerts, offset, [one])

    assert await delivered_alerts(database_url) == [
        (mine, uuid_of(name)) for name in ("first", "another", "later", "at last")
    ]


async def test_alert_and_delivery_are_inserted_atomically(
    database_url: str, alerts: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two rolls both back."""
    await subscribe(database_url, "mine")
    real = outbox.delivery_rows

    def crash(*given: Any) -> list[Any]:
        real(*given)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "delivery_rows", crash)
        with pytest.raises(RuntimeError, match="killed"):
            await store(alerts, 0, [alert("a")])
    assert await samples.contents(database_url, AlertRow) == []
    assert await samples.contents(database_url, DeliveryRow) == []

    await store(alerts, 0, [alert("a")])
    assert len(await delivered_alerts(database_url)) == 1


async def test_many_alerts_of_many_sites_are_stored_at_once(
    database_url: str, alerts: Writer
) -> None:
    """More than the maximum number of parameters of a statement."""
    await subscribe(database_url, "mine", site_id="site-7", cooldown_seconds=1)
    many: list[Alert] = [
        alert(n, site_id=f"site-{n % 1_500}", subject=f"s-{n}") for n in range(3_000)
    ]
    await store(alerts, 0, many)

    rows = await deliveries(database_url)
    assert [row["alert_id"] for row in rows] == [uuid_of(7), uuid_of(1_507)]
    assert rows[0]["raised_at"] - NOON_TIME == timedelta(0)
