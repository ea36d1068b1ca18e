"""The life of subscriptions, on both engines; Kafka is a list of what was written."""

from base64 import b64decode
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from sinks.paging import Page, Slice, read_cursor
from sinks.webhooks.asked import Invalid
from sinks.webhooks.service import NotFound
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Place
from tests.contract.sinks.subscribed import deliveries

TEN = Slice(10)


async def test_a_subscription_is_made_shown_changed_and_deleted(place: Place) -> None:
    """Its secret is in the first answer only; each change is in the topic, too."""
    made = await place.service.create(BODY)
    secret = made.pop("secret")
    name = made["subscription_id"]

    assert 24 <= len(b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert made["params"] == {"min_amount": 10, "currency": "EUR"}
    assert made["channel"] == BODY["channel"]
    assert (made["enabled"], made["disabled_reason"]) == (True, None)
    assert await place.service.get(name) == made
    assert await place.service.list(["shop"], TEN) == Page([made], None)
    assert await place.service.list(["blog"], TEN) == Page([], None)

    changed = await place.service.patch(name, {"params": {}, "enabled": False})
    assert (changed["params"], changed["enabled"]) == ({}, False)
    assert changed["updated_at"] > made["updated_at"]
    last = place.topic.last()
    assert last is not None
    assert (last.subscription_id, last.params, last.enabled) == (name, "{}", False)

    await place.service.delete(name)
    assert place.topic.last() is None
    for gone in (place.service.get, place.service.delete):
        with pytest.raises(NotFound):
            await gone(name)
    assert secret not in str(place.topic.records)


async def test_lists_go_on_where_they_ended(place: Place) -> None:
    """Newest first, whatever comes in between."""
    made = [(await place.service.create(BODY))["subscription_id"] for _ in range(5)]
    first = await place.service.list(None, Slice(2))
    await place.service.create(BODY)
    second = await place.service.list(None, Slice(2, _after(first)))
    third = await place.service.list(None, Slice(2, _after(second)))

    found = [item["subscription_id"] for page in (first, second, third) for item in page.items]
    assert found == made[::-1]
    assert third.next_cursor is None


def _after(page: Page) -> tuple[Any, ...]:
    return read_cursor(page.next_cursor or "", (datetime, UUID))


async def test_lists_are_bounded_by_when_what_they_hold_was_made(place: Place) -> None:
    """The first moment is within, the last one is not."""
    made = [await place.service.create(BODY) for _ in range(3)]
    name = made[0]["subscription_id"]
    for _ in made:
        await place.service.test(name)
    sent = (await place.service.deliveries(name, TEN)).items

    for items, listed in (
        (made, partial(place.service.list, None)),
        (sent[::-1], partial(place.service.deliveries, name)),
    ):
        (_, second, third) = [datetime.fromisoformat(item["created_at"]) for item in items]
        found = (await listed(Slice(10, None, second, third))).items
        assert [item["created_at"] for item in found] == [items[1]["created_at"]]
        assert len((await listed(Slice(10, None, second, None))).items) == 2
        assert len((await listed(Slice(10, None, None, second))).items) == 1


async def test_a_test_is_a_delivery_of_its_own_and_can_be_sent_again(place: Place) -> None:
    """But not while the subscription is off."""
    name = (await place.service.create(BODY))["subscription_id"]
    made = await place.service.test(name)
    assert (made["type"], made["state"], made["attempts"]) == ("test", "pending", [])
    (row,) = await deliveries(place.url)
    assert row["alert_id"] is None
    assert row["body"]["data"]["rule"] == "payment"
    await samples.execute(place.url, "UPDATE deliveries SET state = 'failed', step = 10")

    again = await place.service.resend(name, made["delivery_id"])
    listed = await place.service.deliveries(name, TEN)
    assert again["state"] == "pending"
    assert listed == Page([again], None)
    assert (await deliveries(place.url))[0]["step"] == 0
    other = (await place.service.create(BODY))["subscription_id"]
    with pytest.raises(NotFound):
        await place.service.resend(other, made["delivery_id"])

    await place.service.disable(name, "the receiver answered 410 Gone")
    assert (await place.service.deliveries(name, TEN)).items[0]["state"] == "cancelled"
    shown = await place.service.get(name)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    with pytest.raises(Invalid, match="is off"):
        await place.service.test(name)
    on = await place.service.patch(name, {"enabled": True})
    assert on["disabled_reason"] is None
