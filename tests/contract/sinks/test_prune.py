"""Retention of deliveries, on both engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from sinks.delivery import queue
from sinks.delivery import retention as prune
from sinks.delivery.retention import Retention
from sinks.delivery.schedule import Outcome
from sinks.sql.engine import Database, open_database
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow
from sinks.sql.types import now_utc
from tests.contract.sinks import samples
from tests.contract.sinks.subscribed import ALERTS, alert, store, subscribe

#: The retention period.
KEPT = timedelta(days=30)
GOOD = Outcome(204, None, 12)

Prune = Callable[..., Retention]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield the database."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def retention(database: Database) -> Prune:
    """Return a factory of retention jobs whose clock is some days ahead."""

    def make(days: int, kept: timedelta = KEPT) -> Retention:
        later = now_utc() + timedelta(days=days)
        return Retention(database, kept, lambda: later)

    return make


async def deliver(database: Database, url: str, names: range, most: int) -> None:
    """Store alerts and mark up to `most` of their deliveries as delivered."""
    writer = await samples.open_for_test(url)
    await writer.assign(ALERTS, 0)
    await store(writer, names.start, [alert(n, subject=f"s-{n}") for n in names])
    await writer.close()
    now = now_utc()

    def finish(connection: Connection) -> None:
        for one in queue.claim(connection, now, {}, most, most):
            queue.finish(connection, one, GOOD, None, now)

    await database.run(finish)


async def remaining(url: str) -> tuple[list[str], int]:
    """Return the states of the remaining deliveries, and the number of attempts."""
    rows = await samples.contents(url, DeliveryRow)
    attempts = await samples.contents(url, DeliveryAttemptRow)
    return sorted(row["state"] for row in rows), len(attempts)


async def test_finished_deliveries_are_purged_after_the_retention_period(
    database: Database, database_url: str, retention: Prune
) -> None:
    """With their attempts; pending ones are kept."""
    await subscribe(database_url, "mine")
    await deliver(database, database_url, range(5), 3)

    assert await retention(29).purge() == 0
    assert await remaining(database_url) == (["delivered"] * 3 + ["pending"] * 2, 3)
    assert await retention(31).purge() == 3
    assert await remaining(database_url) == (["pending"] * 2, 0)
    assert await retention(31).purge() == 0


async def test_deliveries_of_deleted_subscriptions_are_purged(
    database: Database, database_url: str, retention: Prune
) -> None:
    """Delivered and cancelled ones."""
    for name in ("one", "other", "third"):
        await subscribe(database_url, name)
    await deliver(database, database_url, range(4), 6)
    await samples.execute(database_url, "DELETE FROM subscriptions")
    await database.run(queue.cancel_orphans)

    assert await retention(31).purge() == 12
    assert await remaining(database_url) == ([], 0)


async def test_deliveries_are_kept_for_the_cooldown(
    database: Database, database_url: str, retention: Prune
) -> None:
    """Otherwise the same subject would be delivered again."""
    day = timedelta(days=1)
    await subscribe(database_url, "cool", cooldown_seconds=10 * 86_400)
    await subscribe(database_url, "eager")
    await deliver(database, database_url, range(3), 100)

    assert await retention(9, day).purge() == 3
    assert await remaining(database_url) == (["delivered"] * 3, 3)
    assert await retention(11, day).purge() == 3


async def test_concurrent_purges_delete_small_batches(
    database: Database, database_url: str, retention: Prune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each delivery is counted by one of them."""
    monkeypatch.setattr(prune, "BATCH_SIZE", 2)
    sizes: list[int] = []
    delete_batch = prune.delete_batch

    def counted_delete(*args: Any, **kwargs: Any) -> int:
        sizes.append(delete_batch(*args, **kwargs))
        return sizes[-1]

    monkeypatch.setattr(prune, "delete_batch", counted_delete)
    await subscribe(database_url, "mine")
    await deliver(database, database_url, range(9), 9)

    both = await asyncio.gather(retention(31).purge(), retention(31).purge())

    assert sum(both) == sum(sizes) == 9
    assert max(sizes) == 2
    assert await remaining(database_url) == ([], 0)
