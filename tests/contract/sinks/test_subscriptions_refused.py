"""What no subscription may be, on both engines."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from sinks.paging import Page, Slice
from sinks.webhooks import service
from sinks.webhooks.asked import Invalid
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.service import NotFound
from tests.contract.sinks.place import BODY, Place, names, open_place
from tests.contract.sinks.samples import uuid_of


async def test_what_there_is_not_is_not_found(place: Place) -> None:
    """And nothing is written."""
    (name, service) = (uuid_of("nobody"), place.service)
    for asked in (
        service.get(name),
        service.patch(name, {}),
        service.delete(name),
        service.test(name),
        service.resend(name, uuid_of("d")),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await service.deliveries(name, Slice(10)) == Page([], None)
    assert place.topic.records == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rule": "payments"}, "rule"),
        ({"rule": 5}, "rule"),
        ({"params": {"min_amount": -1}}, "params.min_amount"),
        ({"params": None}, "params"),
        ({"channel": None}, "channel"),
        ({"channel": {"type": "webhook"}}, "channel.url"),
        ({"channel": {"type": "email", "url": "x"}}, "channel.type"),
        ({"channel": {"type": "webhook", "url": 5}}, "channel.url"),
        ({"channel": {"type": "webhook", "url": "http://hooks.example/"}}, "channel.url"),
        ({"channel": {"type": "webhook", "url": "https://[::1]/"}}, "channel.url"),
        ({"cooldown_seconds": -1}, "cooldown_seconds"),
        ({"cooldown_seconds": True}, "cooldown_seconds"),
        ({"cooldown_seconds": 10**9}, "cooldown_seconds"),
        ({"enabled": "yes"}, "enabled"),
        ({"secret": "mine"}, "secret"),
        ({"site_id": "a site"}, "site_id"),
    ],
)
async def test_a_wrong_field_is_named(place: Place, changes: dict[str, Any], named: str) -> None:
    """And nothing is written."""
    with pytest.raises(Invalid) as caught:
        await place.service.create({**BODY, **changes})

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
    made = await place.service.create(BODY)
    inside = CheckingResolver(allow_private=False, getaddrinfo=names(*addresses))
    refusing = place.served(inside)

    with pytest.raises(Invalid, match="not public"):
        await refusing.create(BODY)
    elsewhere = {"type": "webhook", "url": "https://other.example/"}
    with pytest.raises(Invalid, match="not public"):
        await refusing.patch(made["subscription_id"], {"channel": elsewhere})
    await inside.close()
    assert len(place.topic.records) == 1


async def test_a_name_that_is_not_found_now_may_be_later(place: Place) -> None:
    """Each attempt looks again."""
    nowhere = CheckingResolver(allow_private=False, getaddrinfo=names())
    hopeful = place.served(nowhere)

    assert (await hopeful.create(BODY))["enabled"]
    await nowhere.close()


async def test_a_site_has_so_many_subscriptions_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs every event of the site."""
    monkeypatch.setattr(service, "MAX_PER_SITE", 1)
    await place.service.create(BODY)
    await place.service.create({**BODY, "site_id": "blog"})

    with pytest.raises(Invalid, match="at most 1"):
        await place.service.create(BODY)


async def test_several_processes_together_create_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts in the transaction that inserts; what is rejected is retracted in the topic."""
    monkeypatch.setattr(service, "MAX_PER_SITE", 5)
    async with open_place(place.url) as other:
        asked = [(place, other)[n % 2].service.create(BODY) for n in range(16)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await place.service.wait_for_rollbacks()
        await other.service.wait_for_rollbacks()
        created = [one for one in found if isinstance(one, dict)]
        listed = (await place.service.list(["shop"], Slice(100))).items

        assert Counter(type(one) for one in found) == {dict: 5, Invalid: 11}
        assert {one["subscription_id"] for one in listed} == {
            one["subscription_id"] for one in created
        }
        newest = dict([*place.topic.records, *other.topic.records])
        assert sum(record is not None for record in newest.values()) == len(created)
