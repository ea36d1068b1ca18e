"""Changes of subscriptions that were written only to the topic or only to SQL."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.records import Subscription
from sinks.delivery import subscription_store
from sinks.delivery.publisher import Unavailable
from sinks.delivery.sender import CheckingResolver
from sinks.delivery.subscription_spec import SubscriptionSpec
from sinks.delivery.topic_reconciler import GRACE_PERIOD
from sinks.paging import Slice
from sinks.sql.tables import SubscriptionRow
from sinks.sql.types import micros, now_utc
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Harness, names
from tests.contract.sinks.samples import uuid_of


async def test_nothing_is_changed_while_kafka_is_unavailable(harness: Harness) -> None:
    """All changes raise `Unavailable`."""
    made = await harness.service.create(BODY)
    harness.topic.is_away = True

    with pytest.raises(Unavailable):
        await harness.service.create(BODY)
    with pytest.raises(Unavailable):
        await harness.service.patch(made["subscription_id"], {"enabled": False})
    with pytest.raises(Unavailable):
        await harness.service.delete(made["subscription_id"])
    assert (await harness.service.list(None, Slice(10))).items == [
        {key: made[key] for key in made if key != "secret"}
    ]


async def test_a_subscription_that_cannot_be_stored_is_rolled_back(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secret was not returned."""

    def fail(*_: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr(subscription_store, "add", fail)
    with pytest.raises(Unavailable):
        await harness.service.create(BODY)
    await harness.service.wait_for_rollbacks()

    ((name, first), (same, last)) = harness.topic.records
    assert first is not None
    assert (name, last) == (same, None)


async def test_a_cancelled_creation_is_rolled_back(harness: Harness) -> None:
    """Its secret was not returned."""
    real, reached = harness.topic.publish, asyncio.Event()

    async def slow(name: str, record: Subscription | None) -> None:
        await real(name, record)
        if record is not None:
            reached.set()
            await asyncio.Event().wait()

    resolver = CheckingResolver(allow_private=False, getaddrinfo=names("1.1.1.1"))
    making = harness.service_with(resolver, slow)
    task = asyncio.create_task(making.create(BODY))
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await making.wait_for_rollbacks()

    assert harness.topic.last() is None
    assert await samples.contents(harness.url, SubscriptionRow) == []
    await resolver.close()


async def test_a_crash_between_the_two_writes_is_reconciled(harness: Harness) -> None:
    """The topic is authoritative; a record without a row is deleted after the grace period."""
    kept, deleted, changed = [
        (await harness.service.create(BODY))["subscription_id"] for _ in range(3)
    ]
    now = now_utc()
    await harness.topic.publish(deleted, None)
    newer = _record(changed, now, cooldown_seconds=7, enabled=False)
    await harness.topic.publish(changed, newer)
    half = uuid_of("half")
    await harness.topic.publish(half, _record(half, now))
    written = len(harness.topic.records)

    await harness.reconciler(now).reconcile()
    assert await _names(harness) == {kept, changed}
    assert len(harness.topic.records) == written

    await harness.reconciler(now + GRACE_PERIOD + timedelta(seconds=1)).reconcile()
    assert harness.topic.records[written:] == [(half, None)]
    shown = await harness.service.get(changed)
    assert (shown["params"], shown["cooldown_seconds"], shown["enabled"]) == ({}, 7, False)
    assert shown["channel"] == BODY["channel"]
    before = len(harness.topic.records)
    await harness.reconciler(now + timedelta(hours=1)).reconcile()
    assert len(harness.topic.records) == before


async def test_a_record_missing_in_the_topic_is_published_again(harness: Harness) -> None:
    """As after the topic was recreated."""
    name = (await harness.service.create(BODY))["subscription_id"]
    ((_, record),) = harness.topic.records
    harness.topic.records.clear()

    await harness.reconciler(now_utc() + timedelta(hours=1)).reconcile()

    assert harness.topic.records == [(name, record)]


async def _names(harness: Harness) -> set[str]:
    return {row["subscription_id"] for row in await samples.contents(harness.url, SubscriptionRow)}


def _record(name: str, at: datetime, **fields: Any) -> Subscription:
    spec = SubscriptionSpec(
        "shop", "payment", {}, "", **{"cooldown_seconds": 0, "enabled": True, **fields}
    )
    return subscription_store.record_of(name, spec, micros(at))
