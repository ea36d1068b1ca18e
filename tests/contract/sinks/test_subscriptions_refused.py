"""What no subscription may be, on both engines."""

from typing import Any

import pytest

from sinks.webhooks import service
from sinks.webhooks.sender import CheckingResolver
from sinks.webhooks.service import Invalid
from tests.contract.sinks.place import BODY, Place, names
from tests.contract.sinks.samples import uuid_of


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
    refusing = place.served(inside)

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
    hopeful = place.served(nowhere)

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
