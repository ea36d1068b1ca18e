"""The life of subscriptions, on both engines; Kafka is a list of what was written."""

import asyncio
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.codec import encode
from schemas.records import Subscription
from sinks.sql.engine import Database, open_database
from sinks.sql.tables import SubscriptionRow
from sinks.sql.types import now_utc
from sinks.webhooks import mend, records, service
from sinks.webhooks.asked import Asked
from sinks.webhooks.mend import Mending
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.service import Invalid, Subscriptions, Unavailable
from tests.contract.sinks import samples
from tests.contract.sinks.samples import uuid_of
from tests.contract.sinks.subscribed import deliveries

BODY: dict[str, Any] = {
    "site_id": "shop",
    "rule": "payment",
    "params": {"min_amount": 10, "currency": "eur"},
    "channel": {"type": "webhook", "url": "https://hooks.example/x"},
    "cooldown_seconds": 60,
}


@dataclass
class Topic:
    """The topic, as a list of its records; away at will."""

    records: list[tuple[str, Subscription | None]] = field(default_factory=list)
    is_away: bool = False

    async def publish(self, subscription_id: str, record: Subscription | None) -> None:
        """Write a record."""
        if self.is_away:
            raise Unavailable("away")
        self.records.append((subscription_id, record))

    def last(self) -> Subscription | None:
        """Return the last record."""
        return self.records[-1][1]


@dataclass
class Place:
    """A service, and what it writes to."""

    url: str
    database: Database
    topic: Topic
    service: Subscriptions

    def mending(self, now: datetime) -> Mending:
        """Return what mends at some time, and knows the topic."""
        found = Mending(self.database, self.topic.publish, lambda: now)
        for name, record in self.topic.records:
            found.apply(name.encode(), None if record is None else encode(record))
        return found


def names(*addresses: str) -> Any:
    """Return a `getaddrinfo` that answers so."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not found")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, 443)) for name in addresses]

    return resolve


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    """Give a service for which each name is at 1.1.1.1."""
    database, topic = open_database(database_url), Topic()
    resolver = CheckingResolver(allow_private=False, getaddrinfo=names("1.1.1.1"))
    made = Subscriptions(database, topic.publish, resolver, allow_private=False)
    yield Place(database_url, database, topic, made)
    await made.undone()
    await resolver.close()
    await database.close()


async def test_a_subscription_is_made_shown_changed_and_deleted(place: Place) -> None:
    """Its secret is in the first answer only; each change is in the topic, too."""
    made = await place.service.create("shop", BODY)
    secret = made.pop("secret")
    name = made["subscription_id"]

    assert 24 <= len(b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert made["params"] == {"min_amount": 10, "currency": "EUR"}
    assert made["channel"] == BODY["channel"]
    assert (made["enabled"], made["disabled_reason"]) == (True, None)
    assert await place.service.get(name.upper()) == made
    assert await place.service.list(["shop"], 10, None) == {"items": [made], "next_cursor": None}
    assert await place.service.list(["blog"], 10, None) == {"items": [], "next_cursor": None}

    changed = await place.service.patch(name, {"params": {}, "enabled": False})
    assert changed is not None
    assert (changed["params"], changed["enabled"]) == ({}, False)
    assert changed["updated_at"] > made["updated_at"]
    last = place.topic.last()
    assert last is not None
    assert (last.subscription_id, last.params, last.enabled) == (name, "{}", False)

    assert await place.service.delete(name) is True
    assert place.topic.last() is None
    assert await place.service.get(name) is None
    assert await place.service.delete(name) is False
    assert secret not in str(place.topic.records)


async def test_what_there_is_not_is_not_found(place: Place) -> None:
    """Nor what is no id at all."""
    for name in (uuid_of("nobody"), "x", "", "../x", "\0"):
        assert await place.service.get(name) is None
        assert await place.service.patch(name, {}) is None
        assert await place.service.delete(name) is False
        assert await place.service.test(name) is None
        assert await place.service.resend(name, uuid_of("d")) is None
        assert await place.service.deliveries(name, 10, None) == {"items": [], "next_cursor": None}
    assert place.topic.records == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rule": "payments"}, "rule"),
        ({"rule": 5}, "rule"),
        ({"params": {"min_amount": -1}}, "params.min_amount"),
        ({"params": None}, "params"),
        ({"channel": None}, "channel"),
        ({"channel": {"type": "webhook"}}, "channel"),
        ({"channel": {"type": "email", "url": "x"}}, "channel.type"),
        ({"channel": {"type": "webhook", "url": 5}}, "channel.url"),
        ({"channel": {"type": "webhook", "url": "http://hooks.example/"}}, "channel.url"),
        ({"channel": {"type": "webhook", "url": "https://[::1]/"}}, "channel.url"),
        ({"cooldown_seconds": -1}, "cooldown_seconds"),
        ({"cooldown_seconds": True}, "cooldown_seconds"),
        ({"cooldown_seconds": 10**9}, "cooldown_seconds"),
        ({"enabled": "yes"}, "enabled"),
        ({"secret": "mine"}, "secret"),
        ({"site_id": "another"}, "site_id"),
    ],
)
async def test_a_wrong_field_is_named(place: Place, changes: dict[str, Any], named: str) -> None:
    """And nothing is written."""
    with pytest.raises(Invalid) as caught:
        await place.service.create("shop", {**BODY, **changes})

    assert caught.value.field == named
    assert caught.value.sentence
    assert place.topic.records == []


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("169.254.169.254",), ("1.1.1.1", "10.0.0.1"), ("::ffff:7f00:1",)]
)
async def test_a_name_that_leads_inside_is_refused(
    place: Place, addresses: tuple[str, ...]
) -> None:
    """Also when only one of its addresses does, and when the subscription is there already."""
    made = await place.service.create("shop", BODY)
    inside = CheckingResolver(allow_private=False, getaddrinfo=names(*addresses))
    refusing = Subscriptions(place.database, place.topic.publish, inside, allow_private=False)

    with pytest.raises(Invalid, match="not public"):
        await refusing.create("shop", BODY)
    elsewhere = {"type": "webhook", "url": "https://other.example/"}
    with pytest.raises(Invalid, match="not public"):
        await refusing.patch(made["subscription_id"], {"channel": elsewhere})
    await inside.close()
    assert len(place.topic.records) == 1


async def test_a_name_that_is_not_found_now_may_be_later(place: Place) -> None:
    """Each attempt looks again."""
    nowhere = CheckingResolver(allow_private=False, getaddrinfo=names())
    hopeful = Subscriptions(place.database, place.topic.publish, nowhere, allow_private=False)

    assert (await hopeful.create("shop", BODY))["enabled"]
    await nowhere.close()


async def test_a_site_has_so_many_subscriptions_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs every event of the site."""
    monkeypatch.setattr(service, "MAX_OF_SITE", 1)
    await place.service.create("shop", BODY)
    await place.service.create("blog", {**BODY, "site_id": "blog"})

    with pytest.raises(Invalid, match="at most 1"):
        await place.service.create("shop", BODY)


async def test_lists_go_on_where_they_ended(place: Place) -> None:
    """Newest first, whatever comes in between."""
    made = [(await place.service.create("shop", BODY))["subscription_id"] for _ in range(5)]
    first = await place.service.list(None, 2, None)
    await place.service.create("shop", BODY)
    second = await place.service.list(None, 2, first["next_cursor"])
    third = await place.service.list(None, 2, second["next_cursor"])

    found = [item["subscription_id"] for page in (first, second, third) for item in page["items"]]
    assert found == made[::-1]
    assert third["next_cursor"] is None
    for cursor in ("", "x", "bnVsbA", "WyJ4IiwgInkiXQ", "W1tb" * 10_000):
        with pytest.raises(Invalid):
            await place.service.list(None, 2, cursor)


async def test_a_test_is_a_delivery_of_its_own_and_can_be_sent_again(place: Place) -> None:
    """But not while the subscription is off."""
    name = (await place.service.create("shop", BODY))["subscription_id"]
    made = await place.service.test(name)
    assert made is not None
    assert (made["type"], made["state"], made["attempts"]) == ("test", "pending", [])
    (row,) = await deliveries(place.url)
    assert row["alert_id"] is None
    assert row["body"]["data"]["rule"] == "payment"
    await samples.execute(place.url, "UPDATE deliveries SET state = 'failed', step = 10")

    again = await place.service.resend(name, made["delivery_id"])
    listed = await place.service.deliveries(name, 10, None)
    assert again is not None
    assert again["state"] == "pending"
    assert listed == {"items": [again], "next_cursor": None}
    assert (await deliveries(place.url))[0]["step"] == 0
    other = (await place.service.create("shop", BODY))["subscription_id"]
    assert await place.service.resend(other, made["delivery_id"]) is None

    await place.service.disable(name, "the receiver answered 410 Gone")
    assert (await place.service.deliveries(name, 10, None))["items"][0]["state"] == "cancelled"
    shown = await place.service.get(name)
    assert shown is not None
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    with pytest.raises(Invalid, match="is off"):
        await place.service.test(name)
    on = await place.service.patch(name, {"enabled": True})
    assert on is not None
    assert on["disabled_reason"] is None


async def test_nothing_is_changed_while_kafka_is_away(place: Place) -> None:
    """And all that is asked is told so."""
    made = await place.service.create("shop", BODY)
    place.topic.is_away = True

    with pytest.raises(Unavailable):
        await place.service.create("shop", BODY)
    with pytest.raises(Unavailable):
        await place.service.patch(made["subscription_id"], {"enabled": False})
    with pytest.raises(Unavailable):
        await place.service.delete(made["subscription_id"])
    assert (await place.service.list(None, 10, None))["items"] == [
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
        await place.service.create("shop", BODY)
    await place.service.undone()

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
    making = Subscriptions(place.database, slow, resolver, allow_private=False)
    task = asyncio.create_task(making.create("shop", BODY))
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await making.undone()

    assert place.topic.last() is None
    assert await samples.contents(place.url, SubscriptionRow) == []
    await resolver.close()


async def test_a_crash_between_the_two_writes_is_mended(place: Place) -> None:
    """The topic is right; what is new in it and has no secret is taken back, in time."""
    kept, deleted, changed = [
        (await place.service.create("shop", BODY))["subscription_id"] for _ in range(3)
    ]
    now = now_utc()
    await place.topic.publish(deleted, None)
    newer = _record(changed, now, cooldown_seconds=7, enabled=False)
    await place.topic.publish(changed, newer)
    half = uuid_of("half")
    await place.topic.publish(half, _record(half, now))
    written = len(place.topic.records)

    await place.mending(now).mend()
    assert await _names(place) == {kept, changed}
    assert len(place.topic.records) == written

    await place.mending(now + mend.GRACE + timedelta(seconds=1)).mend()
    assert place.topic.records[written:] == [(half, None)]
    shown = await place.service.get(changed)
    assert shown is not None
    assert (shown["params"], shown["cooldown_seconds"], shown["enabled"]) == ({}, 7, False)
    assert shown["channel"] == BODY["channel"]
    before = len(place.topic.records)
    await place.mending(now + timedelta(hours=1)).mend()
    assert len(place.topic.records) == before


async def test_what_the_topic_has_lost_is_written_again(place: Place) -> None:
    """As when it was made anew."""
    name = (await place.service.create("shop", BODY))["subscription_id"]
    ((_, record),) = place.topic.records
    place.topic.records.clear()

    await place.mending(now_utc() + timedelta(hours=1)).mend()

    assert place.topic.records == [(name, record)]


async def _names(place: Place) -> set[str]:
    return {row["subscription_id"] for row in await samples.contents(place.url, SubscriptionRow)}


def _record(name: str, at: datetime, **fields: Any) -> Subscription:
    asked = Asked("shop", "payment", {}, "", **{"cooldown_seconds": 0, "enabled": True, **fields})
    return records.record_of(name, asked, records.micros(at))
