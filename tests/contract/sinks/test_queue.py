"""Leases of deliveries, on both engines."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from sinks.delivery import queue, subscription_store
from sinks.delivery.queue import LEASE, ClaimedDelivery
from sinks.delivery.schedule import Outcome
from sinks.sql.engine import open_database
from sinks.sql.tables import DeliveryAttemptRow
from sinks.sql.types import now_utc
from tests.contract.sinks import samples
from tests.contract.sinks.subscribed import ALERTS, alert, deliveries, store, subscribe

T = TypeVar("T")
Run = Callable[[Callable[[Connection], Any]], Any]

GOOD = Outcome(204, None, 12)
BAD = Outcome(500, None, 12)


@pytest.fixture
async def run(database_url: str) -> AsyncIterator[Run]:
    """Yield a function that runs transactions, with three alerts of a subscription."""
    await subscribe(database_url, "mine")
    writer = await samples.open_for_test(database_url)
    await writer.assign(ALERTS, 0)
    await store(writer, 0, [alert(n) for n in range(3)])
    await writer.close()
    database = open_database(database_url)
    yield database.run
    await database.close()


def claiming(
    now: datetime, limit: int = 100, **capacities: int
) -> Callable[[Connection], list[ClaimedDelivery]]:
    """Return a claim of up to two deliveries per subscription, unless in `capacities`."""
    return lambda connection: queue.claim(connection, now, capacities, 2, limit)


def finishing(
    one: ClaimedDelivery, outcome: Outcome, next_at: datetime | None
) -> Callable[..., Any]:
    """Return a transaction that records an outcome."""
    return lambda connection: queue.finish(connection, one, outcome, next_at, now_utc())


async def test_a_leased_delivery_is_not_claimed_again(database_url: str, run: Run) -> None:
    """Until the lease expires."""
    now = now_utc()
    claims = [await run(claiming(now)) for _ in range(3)]
    assert [len(claimed) for claimed in claims] == [2, 1, 0]
    names = {one.delivery_id for claimed in claims for one in claimed}
    assert len(names) == 3

    later = now + LEASE + timedelta(seconds=1)
    again = await run(claiming(later)) + await run(claiming(later))
    assert {one.delivery_id for one in again} == names
    assert {one.attempt for one in again} == {2}
    attempts = await samples.contents(database_url, DeliveryAttemptRow)
    assert [(row["status"], row["error"]) for row in attempts] == [(None, queue.NO_RESULT)] * 6


async def test_a_result_after_the_lease_was_lost_is_ignored(run: Run) -> None:
    """The delivery has a newer attempt."""
    now = now_utc()
    before = await run(claiming(now)) + await run(claiming(now))
    later = now + LEASE + timedelta(seconds=1)
    after = await run(claiming(later)) + await run(claiming(later))

    assert [await run(finishing(one, GOOD, None)) for one in before] == [None] * 3
    assert [await run(finishing(one, GOOD, None)) for one in after] == ["delivered"] * 3


async def test_success_finishes_a_delivery_and_failure_delays_it(
    database_url: str, run: Run
) -> None:
    """After the last attempt, failure is permanent."""
    now = now_utc()
    two = await run(claiming(now))
    (one,) = await run(claiming(now))
    later = now + timedelta(minutes=5)

    assert await run(finishing(two[0], GOOD, later)) == "delivered"
    assert await run(finishing(two[1], BAD, later)) == "pending"
    assert await run(finishing(one, BAD, None)) == "failed"

    rows = {row["delivery_id"]: row for row in await deliveries(database_url)}
    assert rows[two[0].delivery_id]["delivered_at"] is not None
    assert rows[two[1].delivery_id]["next_attempt_at"] == later
    assert [row["next_attempt_at"] for row in rows.values()].count(None) == 2
    (again,) = await run(claiming(later))
    assert (again.delivery_id, again.attempt, again.step) == (two[1].delivery_id, 2, 1)


async def test_each_subscription_has_capacity(database_url: str, run: Run) -> None:
    """However many deliveries of others are due."""
    other = await subscribe(database_url, "other")
    writer = await samples.open_for_test(database_url)
    await writer.assign(ALERTS, 0)
    await store(writer, 3, [alert(n) for n in range(3, 9)])
    await writer.close()

    claimed = await run(claiming(now_utc(), limit=100))
    assert [one.subscription_id == other for one in claimed].count(True) == 2
    full = await run(claiming(now_utc(), **{other: 0}))
    assert other not in {one.subscription_id for one in full}


async def test_disabling_a_subscription_cancels_pending_deliveries(
    database_url: str, run: Run
) -> None:
    """They are not claimed."""
    (row,) = await run(subscription_store.all_rows)
    spec = subscription_store.spec_of(row)
    off = type(spec)(spec.site_id, spec.rule, {}, spec.url, 0, enabled=False)
    (one,) = await run(claiming(now_utc(), limit=1))

    await run(
        lambda connection: subscription_store.change(
            connection, row.subscription_id, off, "gone", now_utc()
        )
    )

    assert {row["state"] for row in await deliveries(database_url)} == {"cancelled"}
    assert await run(claiming(now_utc())) == []
    assert await run(finishing(one, GOOD, None)) is None


async def test_deliveries_of_a_deleted_subscription_are_cancelled(
    database_url: str, run: Run
) -> None:
    """As if an alert had been stored while it was being deleted."""
    await samples.execute(database_url, "DELETE FROM subscriptions")

    assert await run(claiming(now_utc())) == []
    await run(queue.cancel_orphans)
    assert [row["state"] for row in await deliveries(database_url)] == ["cancelled"] * 3
