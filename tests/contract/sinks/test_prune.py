"""What becomes of deliveries that are done, on both engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from sinks.sql.engine import Database, open_database
from sinks.sql.tables import DeliveryAttemptRow, DeliveryRow
from sinks.sql.types import now_utc
from sinks.webhooks import prune, queue
from sinks.webhooks.prune import Retention
from sinks.webhooks.schedule import Outcome
from tests.contract.sinks import samples
from tests.contract.sinks.subscribed import ALERTS, alert, store, subscribe

#: What is kept a month, a month later.
KEPT = timedelta(days=30)
GOOD = Outcome(204, None, 12)

Prune = Callable[..., Retention]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give the database."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def retention(database: Database) -> Prune:
    """Give what prunes so many days from now."""

    def make(days: int, kept: timedelta = KEPT) -> Retention:
        later = now_utc() + timedelta(days=days)
        return Retention(database, kept, lambda: later)

    return make


async def deliver(database: Database, url: str, names: range, most: int) -> None:
    """Store alerts, and take at most so many of their deliveries as delivered."""
    writer = await samples.open_for_test(url)
    await writer.assign(ALERTS, 0)
    await store(writer, names.start, [alert(n, subject=f"s-{n}") for n in names])
    await writer.close()
    now = now_utc()

    def finish(connection: Connection) -> None:
        for one in queue.claim(connection, now, {}, most, most):
            queue.finish(connection, one, GOOD, None, now)

    await database.run(finish)


async def left(url: str) -> tuple[list[str], int]:
    """Return the states of the deliveries that there are, and how many attempts."""
    rows = await samples.contents(url, DeliveryRow)
    attempts = await samples.contents(url, DeliveryAttemptRow)
    return sorted(row["state"] for row in rows), len(attempts)


async def test_what_is_done_goes_after_a_month_with_its_attempts(
    database: Database, database_url: str, retention: Prune
) -> None:
    """Not before; and what is pending stays, however long."""
    await subscribe(database_url, "mine")
    await deliver(database, database_url, range(5), 3)

    assert await retention(29).purge() == 0
    assert await left(database_url) == (["delivered"] * 3 + ["pending"] * 2, 3)
    assert await retention(31).purge() == 3
    assert await left(database_url) == (["pending"] * 2, 0)
    assert await retention(31).purge() == 0


async def test_what_was_for_one_that_is_gone_goes_too(
    database: Database, database_url: str, retention: Prune
) -> None:
    """Of each subscription that ever had some, delivered or cancelled."""
    for name in ("one", "other", "third"):
        await subscribe(database_url, name)
    await deliver(database, database_url, range(4), 6)
    await samples.execute(database_url, "DELETE FROM subscriptions")
    await database.run(queue.cancel_orphans)

    assert await retention(31).purge() == 12
    assert await left(database_url) == ([], 0)


async def test_what_a_cooldown_is_measured_from_stays_as_long_as_that(
    database: Database, database_url: str, retention: Prune
) -> None:
    """Else it would be forgotten, and the same thing told again."""
    day = timedelta(days=1)
    await subscribe(database_url, "cool", cooldown_seconds=10 * 86_400)
    await subscribe(database_url, "eager")
    await deliver(database, database_url, range(3), 100)

    assert await retention(9, day).purge() == 3
    assert await left(database_url) == (["delivered"] * 3, 3)
    assert await retention(11, day).purge() == 3


async def test_a_few_go_at_once_and_two_who_prune_do_not_meet(
    database: Database, database_url: str, retention: Prune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction holds more than that, and each delivery is counted by one."""
    monkeypatch.setattr(prune, "BATCH_SIZE", 2)
    sizes: list[int] = []
    delete_batch = prune.delete_batch

    def noted(*given: Any, **named: Any) -> int:
        sizes.append(delete_batch(*given, **named))
        return sizes[-1]

    monkeypatch.setattr(prune, "delete_batch", noted)
    await subscribe(database_url, "mine")
    await deliver(database, database_url, range(9), 9)

    both = await asyncio.gather(retention(31).purge(), retention(31).purge())

    assert sum(both) == sum(sizes) == 9
    assert max(sizes) == 2
    assert await left(database_url) == ([], 0)
