"""Managing subscriptions, on both engines, with a topic in memory."""

from base64 import b64decode
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.paging import Page, Slice, read_cursor
from tests.contract.sinks import samples
from tests.contract.sinks.place import BODY, Harness
from tests.contract.sinks.subscribed import deliveries

TEN = Slice(10)


async def test_a_subscription_is_created_read_changed_and_deleted(harness: Harness) -> None:
    """Only the first response has the secret; each change is published."""
    made = await harness.service.create(BODY)
    secret = made.pop("secret")
    name = made["subscription_id"]

    assert 24 <= len(b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert made["params"] == {"min_amount": 10, "currency": "EUR"}
    assert made["channel"] == BODY["channel"]
    assert (made["enabled"], made["disabled_reason"]) == (True, None)
    assert await harness.service.get(name) == made
    assert await harness.service.list(["shop"], TEN) == Page([made], None)
    assert await harness.service.list(["blog"], TEN) == Page([], None)

    changed = await harness.service.patch(name, {"params": {}, "enabled": False})
    assert (changed["params"], changed["enabled"]) == ({}, False)
    assert changed["updated_at"] > made["updated_at"]
    last = harness.topic.last()
    assert last is not None
    assert (last.subscription_id, last.params, last.enabled) == (name, "{}", False)

    await harness.service.delete(name)
    assert harness.topic.last() is None
    for gone in (harness.service.get, harness.service.delete):
        with pytest.raises(NotFound):
            await gone(name)
    assert secret not in str(harness.topic.records)


async def test_lists_are_paginated(harness: Harness) -> None:
    """Newest first, whatever is inserted in between."""
    made = [(await harness.service.create(BODY))["subscription_id"] for _ in range(5)]
    first = await harness.service.list(None, Slice(2))
    await harness.service.create(BODY)
    second = await harness.service.list(None, Slice(2, _after(first)))
    third = await harness.service.list(None, Slice(2, _after(second)))

    found = [item["subscription_id"] for page in (first, second, third) for item in page.items]
    assert found == made[::-1]
    assert third.next_cursor is None


def _after(page: Page) -> tuple[Any, ...]:
    return read_cursor(page.next_cursor or "", (datetime, UUID))


async def test_lists_are_filtered_by_creation_time(harness: Harness) -> None:
    """`from` is inclusive, `to` exclusive."""
    made = [await harness.service.create(BODY) for _ in range(3)]
    name = made[0]["subscription_id"]
    for _ in made:
        await harness.service.test(name)
    sent = (await harness.service.deliveries(name, TEN)).items

    for items, listed in (
        (made, partial(harness.service.list, None)),
        (sent[::-1], partial(harness.service.deliveries, name)),
    ):
        (_, second, third) = [datetime.fromisoformat(item["created_at"]) for item in items]
        found = (await listed(Slice(10, None, second, third))).items
        assert [item["created_at"] for item in found] == [items[1]["created_at"]]
        assert len((await listed(Slice(10, None, second, None))).items) == 2
        assert len((await listed(Slice(10, None, None, second))).items) == 1


async def test_a_test_delivery_is_enqueued_and_can_be_resent(harness: Harness) -> None:
    """But not while the subscription is disabled."""
    name = (await harness.service.create(BODY))["subscription_id"]
    made = await harness.service.test(name)
    assert (made["type"], made["state"], made["attempts"]) == ("test", "pending", [])
    (row,) = await deliveries(harness.url)
    assert row["alert_id"] is None
    assert row["body"]["data"]["rule"] == "payment"
    await samples.execute(harness.url, "UPDATE deliveries SET state = 'failed', step = 10")

    again = await harness.service.resend(name, made["delivery_id"])
    listed = await harness.service.deliveries(name, TEN)
    assert again["state"] == "pending"
    assert listed == Page([again], None)
    assert (await deliveries(harness.url))[0]["step"] == 0
    other = (await harness.service.create(BODY))["subscription_id"]
    with pytest.raises(NotFound):
        await harness.service.resend(other, made["delivery_id"])

    await harness.service.disable(name, "the receiver answered 410 Gone")
    assert (await harness.service.deliveries(name, TEN)).items[0]["state"] == "cancelled"
    shown = await harness.service.get(name)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    with pytest.raises(Invalid, match="is disabled"):
        await harness.service.test(name)
    on = await harness.service.patch(name, {"enabled": True})
    assert on["disabled_reason"] is None
