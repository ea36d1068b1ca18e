"""The address of a client is in no record, header, log line, metric or response."""

import logging
from dataclasses import replace

import httpx
import pytest

from producer_api.events.client import Grant, SitePolicy
from producer_api.events.derive.salts import DAY_US, day_name
from producer_api.http.app import Api
from schemas import codec
from schemas.records import RawEvent, Trust
from tests.component.producer_api.conftest import NOW
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.unit.producer_api.derivation import CHROME

#: The address of the connection, and one that the body reports: both in Australia.
PEER, REPORTED = "1.1.1.1", "1.0.0.1"
EVENT = {"type": "pageview", "site_id": "shop", "session_id": "s-1"}
WITH_OWN_IP = {**EVENT, "ip": REPORTED, "user_agent": CHROME, "own": {"a": 1}}
INVALID = [{**EVENT, "ip": 7}, {**EVENT, "ip": "nonsense"}, {**EVENT, "ip": f"{REPORTED}/24"}]
BODIES = [
    EVENT,
    {**EVENT, "url": "https://shop.example/?utm_source=x", "user_agent": CHROME},
    WITH_OWN_IP,
    {**EVENT, "type": "no such type", "ip": REPORTED},
    *INVALID,
]


def trusting(api: Api, trust: Trust) -> httpx.AsyncClient:
    """Return a browser at the address `PEER`, for whose events `trust` vouches."""
    day = NOW // DAY_US
    api.salts.apply(day_name(day).encode(), api.salts.candidate(day))
    intake = api.intake
    intake._context = replace(  # noqa: SLF001 - no site is registered
        intake._context,  # noqa: SLF001
        authorize=lambda *_: Grant(trust, SitePolicy()),
    )
    transport = httpx.ASGITransport(api, client=(PEER, 50_000))
    headers = {"User-Agent": CHROME}
    return httpx.AsyncClient(transport=transport, base_url="http://headrace", headers=headers)


@pytest.mark.parametrize("trust", ["open", "origin", "key"])
async def test_addresses_are_nowhere(
    api: Api, fake: FakeKafka, caplog: pytest.LogCaptureFixture, trust: Trust
) -> None:
    """Whether events are accepted or rejected, with or without a site key."""
    with caplog.at_level(logging.DEBUG):
        async with trusting(api, trust) as client:
            answers = [await client.post("/api/event", json=body) for body in BODIES]
            answers.append(await client.post("/api/events", json=BODIES))
            answers.append(await client.get("/metrics"))

    output = [answer.text.encode() for answer in answers] + [caplog.text.encode()]
    output += [repr(record).encode() for record in fake.stored]
    assert len(fake.stored) >= 6
    for address in (PEER, REPORTED):
        assert [text for text in output if address.encode() in text] == []


async def test_a_key_lets_a_back_end_report_an_address(api: Api, fake: FakeKafka) -> None:
    """The country is derived from it; other unknown fields are stored."""
    async with trusting(api, "key") as client:
        response = await client.post("/api/event", json=WITH_OWN_IP)

    assert response.status_code == 202
    event = codec.decode(fake.stored[0].value, RawEvent)
    assert (event.country, event.trust, event.extra) == ("AU", "key", '{"own":{"a":1}}')
    assert (event.visitor_id or "").startswith("d-")


@pytest.mark.parametrize("body", INVALID)
async def test_an_invalid_address_is_rejected_with_a_key_only(
    api: Api, fake: FakeKafka, body: dict[str, object]
) -> None:
    """Without a key, the field means nothing."""
    async with trusting(api, "key") as client:
        rejected = await client.post("/api/event", json=body)
    async with trusting(api, "open") as client:
        accepted = await client.post("/api/event", json=body)

    assert (rejected.status_code, rejected.json()["field"]) == (400, "ip")
    assert accepted.status_code == 202
    assert codec.decode(fake.stored[0].value, RawEvent).extra is None


async def test_without_a_salt_an_event_has_no_visitor(api: Api, fake: FakeKafka) -> None:
    """It is accepted, although the salts are not loaded yet."""
    transport = httpx.ASGITransport(api, client=(PEER, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://headrace") as client:
        response = await client.post("/api/event", json=EVENT, headers={"User-Agent": CHROME})

    assert response.status_code == 202
    event = codec.decode(fake.stored[0].value, RawEvent)
    assert (event.visitor_id, event.country, event.browser) == (None, "AU", "Chrome")
