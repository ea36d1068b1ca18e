"""The life of subscriptions, on both engines; Kafka is a list of what was written."""

from base64 import b64decode
from datetime import datetime
from functools import partial

import pytest

from sinks.webhooks.service import Invalid
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Place
from tests.contract.sinks.subscribed import deliveries


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


async def test_lists_are_bounded_by_when_what_they_hold_was_made(place: Place) -> None:
    """The first moment is within, the last one is not."""
    made = [await place.service.create("shop", BODY) for _ in range(3)]
    name = made[0]["subscription_id"]
    for _ in made:
        await place.service.test(name)
    sent = (await place.service.deliveries(name, 10, None))["items"]

    for items, listed in (
        (made, partial(place.service.list, None)),
        (sent[::-1], partial(place.service.deliveries, name)),
    ):
        (_, second, third) = [datetime.fromisoformat(item["created_at"]) for item in items]
        found = (await listed(10, None, (second, third)))["items"]
        assert [item["created_at"] for item in found] == [items[1]["created_at"]]
        assert len((await listed(10, None, (second, None)))["items"]) == 2
        assert len((await listed(10, None, (None, second)))["items"]) == 1


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
