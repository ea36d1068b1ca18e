"""Slow lists do not block other requests, on both engines."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection

from sinks.delivery import delivery_store, queue, service
from sinks.delivery.schedule import Outcome
from sinks.paging import Slice
from sinks.sql.types import now_utc
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Harness
from tests.contract.sinks.subscribed import ALERTS, alert, deliveries, store
from tests.fixtures.waiting import eventually_async

_HELD_SECONDS = 30


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let lists of deliveries last as long as the test; yield an item per started list."""
    begun: list[int] = []
    over = threading.Event()
    listed = delivery_store.page

    def hold(connection: Connection, *given: Any) -> Any:
        found = listed(connection, *given)
        begun.append(len(begun))
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_sleep({_HELD_SECONDS})")
        else:
            over.wait(_HELD_SECONDS)
        return found

    monkeypatch.setattr(delivery_store, "page", hold)
    monkeypatch.setattr(service, "_DEADLINE_SECONDS", float(_HELD_SECONDS))
    yield begun
    over.set()


async def test_a_slow_list_does_not_delay_writes(harness: Harness, held: list[int]) -> None:
    """Alerts, deliveries and changes are written while lists are being read."""
    asked = {**BODY, "params": {}, "cooldown_seconds": 0}
    name = (await harness.service.create(asked))["subscription_id"]
    lists = [asyncio.create_task(harness.service.deliveries(name, Slice(1_000))) for _ in range(4)]
    await eventually_async(lambda: len(held) == 4, within_seconds=20, what="all are being read")

    writer = await samples.open_for_test(harness.url)
    await writer.assign(ALERTS, 0)
    await store(writer, 0, [alert(n) for n in range(3)])
    await writer.close()
    (one, *_) = await harness.database.run(lambda c: queue.claim(c, now_utc(), {}, 3, 3))
    await harness.database.run(
        lambda c: queue.finish(c, one, Outcome(204, None, 1), None, now_utc())
    )
    assert await harness.service.test(name)

    assert [task.done() for task in lists] == [False] * 4
    states = [row["state"] for row in await deliveries(harness.url)]
    assert sorted(states) == ["delivered", "pending", "pending", "pending"]
    for task in lists:
        task.cancel()
    for task in lists:
        with suppress(asyncio.CancelledError):
            await task
