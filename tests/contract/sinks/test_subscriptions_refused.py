"""Invalid subscriptions, on both engines."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from sinks.delivery import service
from sinks.delivery.sender import CheckingResolver
from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.paging import Page, Slice
from tests.contract.sinks.place import BODY, Harness, names, open_harness
from tests.contract.sinks.samples import uuid_of


async def test_an_unknown_subscription_is_not_found(harness: Harness) -> None:
    """Nothing is written."""
    (name, service) = (uuid_of("nobody"), harness.service)
    for request in (
        service.get(name),
        service.patch(name, {}),
        service.delete(name),
        service.test(name),
        service.resend(name, uuid_of("d")),
    ):
        with pytest.raises(NotFound):
            await request
    assert await service.deliveries(name, Slice(10)) == Page([], None)
    assert harness.topic.records == []


@pytest.mark.parametrize(
    ("changes", "field"),
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
async def test_an_invalid_field_is_reported(
    harness: Harness, changes: dict[str, Any], field: str
) -> None:
    """Nothing is written."""
    with pytest.raises(Invalid) as caught:
        await harness.service.create({**BODY, **changes})

    assert caught.value.field == field
    assert caught.value.sentence
    assert harness.topic.records == []


@pytest.mark.parametrize("field", ["params", "channel"])
async def test_an_object_is_required_in_the_words_of_json(harness: Harness, field: str) -> None:
    """Not as pydantic says it: "Input should be a valid dictionary or instance of Channel"."""
    with pytest.raises(Invalid, match=f"^{field} must be an object$"):
        await harness.service.create({**BODY, field: 5})


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("169.254.169.254",), ("1.1.1.1", "10.0.0.1"), ("::ffff:7f00:1",)]
)
async def test_a_host_with_a_private_address_is_rejected(
    harness: Harness, addresses: tuple[str, ...]
) -> None:
    """Even if only one of its addresses is private, and for changes."""
    made = await harness.service.create(BODY)
    private = CheckingResolver(allow_private=False, getaddrinfo=names(*addresses))
    service_ = harness.service_with(private)

    with pytest.raises(Invalid, match="not public"):
        await service_.create(BODY)
    channel = {"type": "webhook", "url": "https://other.example/"}
    with pytest.raises(Invalid, match="not public"):
        await service_.patch(made["subscription_id"], {"channel": channel})
    await private.close()
    assert len(harness.topic.records) == 1


async def test_an_unknown_host_name_is_accepted(harness: Harness) -> None:
    """Each attempt resolves it again."""
    unresolvable = CheckingResolver(allow_private=False, getaddrinfo=names())
    service_ = harness.service_with(unresolvable)

    assert (await service_.create(BODY))["enabled"]
    await unresolvable.close()


async def test_the_number_of_subscriptions_of_a_site_is_limited(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because each one is evaluated for every event of the site."""
    monkeypatch.setattr(service, "MAX_PER_SITE", 1)
    await harness.service.create(BODY)
    await harness.service.create({**BODY, "site_id": "blog"})

    with pytest.raises(Invalid, match="at most 1"):
        await harness.service.create(BODY)


async def test_concurrent_processes_respect_the_limit(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts within the inserting transaction; rejected ones get a tombstone."""
    monkeypatch.setattr(service, "MAX_PER_SITE", 5)
    async with open_harness(harness.url) as other:
        requests = [(harness, other)[n % 2].service.create(BODY) for n in range(16)]
        found = await asyncio.gather(*requests, return_exceptions=True)
        await harness.service.wait_for_rollbacks()
        await other.service.wait_for_rollbacks()
        created = [one for one in found if isinstance(one, dict)]
        listed = (await harness.service.list(["shop"], Slice(100))).items

        assert Counter(type(one) for one in found) == {dict: 5, Invalid: 11}
        assert {one["subscription_id"] for one in listed} == {
            one["subscription_id"] for one in created
        }
        newest = dict([*harness.topic.records, *other.topic.records])
        assert sum(record is not None for record in newest.values()) == len(created)
