"""What becomes of a change when only one of topic and SQL has it, on both engines."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.records import Subscription
from sinks.paging import Slice
from sinks.sql.tables import SubscriptionRow
from sinks.sql.types import now_utc
from sinks.webhooks import mend, records
from sinks.webhooks.asked import SubscriptionSpec
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.topic import Unavailable
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Place, names
from tests.contract.sinks.samples import uuid_of


async def test_nothing_is_changed_while_kafka_is_away(place: Place) -> None:
    """And all that is asked is told so."""
    made = await place.service.create(BODY)
    place.topic.is_away = True

    with pytest.raises(Unavailable):
        await place.service.create(BODY)
    with pytest.raises(Unavailable):
        await place.service.patch(made["subscription_id"], {"enabled": False})
    with pytest.raises(Unavailable):
        await place.service.delete(made["subscription_id"])
    assert (await place.service.list(None, Slice(10))).items == [
        {key: made[key] for key in made if key != "secret"}
    ]


async def test_what_could_not_be_stored_is_taken_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told its secret: nobody could verify what we would send."""

    def fail(*_: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr(records, "add", fail)
    with pytest.raises(Unavailable):
        await place.service.create(BODY)
    await place.service.wait_for_rollbacks()

    ((name, first), (same, last)) = place.topic.records
    assert first is not None
    assert (name, last) == (same, None)


async def test_one_who_went_away_while_it_was_made_leaves_nothing(place: Place) -> None:
    """The request was cancelled: its answer, with the secret, reached nobody."""
    real, reached = place.topic.publish, asyncio.Event()

    async def slow(name: str, record: Subscription | None) -> None:
        await real(name, record)
        if record is not None:
            reached.set()
            await asyncio.Event().wait()

    resolver = CheckingResolver(allow_private=False, getaddrinfo=names("1.1.1.1"))
    making = place.served(resolver, slow)
    task = asyncio.create_task(making.create(BODY))
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await making.wait_for_rollbacks()

    assert place.topic.last() is None
    assert await samples.contents(place.url, SubscriptionRow) == []
    await resolver.close()


async def test_a_crash_between_the_two_writes_is_mended(place: Place) -> None:
    """The topic is right; what is new in it and has no secret is taken back, in time."""
    kept, deleted, changed = [
        (await place.service.create(BODY))["subscription_id"] for _ in range(3)
    ]
    now = now_utc()
    await place.topic.publish(deleted, None)
    newer = _record(changed, now, cooldown_seconds=7, enabled=False)
    await place.topic.publish(changed, newer)
    half = uuid_of("half")
    await place.topic.publish(half, _record(half, now))
    written = len(place.topic.records)

    await place.reconciler(now).reconcile()
    assert await _names(place) == {kept, changed}
    assert len(place.topic.records) == written

    await place.reconciler(now + mend.GRACE_PERIOD + timedelta(seconds=1)).reconcile()
    assert place.topic.records[written:] == [(half, None)]
    shown = await place.service.get(changed)
    assert (shown["params"], shown["cooldown_seconds"], shown["enabled"]) == ({}, 7, False)
    assert shown["channel"] == BODY["channel"]
    before = len(place.topic.records)
    await place.reconciler(now + timedelta(hours=1)).reconcile()
    assert len(place.topic.records) == before


async def test_what_the_topic_has_lost_is_written_again(place: Place) -> None:
    """As when it was made anew."""
    name = (await place.service.create(BODY))["subscription_id"]
    ((_, record),) = place.topic.records
    place.topic.records.clear()

    await place.reconciler(now_utc() + timedelta(hours=1)).reconcile()

    assert place.topic.records == [(name, record)]


async def _names(place: Place) -> set[str]:
    return {row["subscription_id"] for row in await samples.contents(place.url, SubscriptionRow)}


def _record(name: str, at: datetime, **fields: Any) -> Subscription:
    asked = SubscriptionSpec(
        "shop", "payment", {}, "", **{"cooldown_seconds": 0, "enabled": True, **fields}
    )
    return records.record_of(name, asked, records.micros(at))
