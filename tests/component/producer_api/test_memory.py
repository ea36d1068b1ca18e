"""The memory of the role `api` reaches a plateau, whatever clients send."""

import gc
import json
import tracemalloc
from typing import Any

import pytest

from producer_api.access.control import MAX_BUCKETS
from producer_api.events.client import Client
from producer_api.events.derive.salts import DAY_US, day_name
from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from producer_api.http.pending import Sent
from schemas import codec
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import NOW
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_access import SHOP, key, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: After two rounds, all caches and token buckets are full.
PER_ROUND = max(10_000, MAX_BUCKETS // 2 + 1)
ROUNDS = 3
#: Growth of the last round: fragments, and integers that become larger.
MAX_GROWTH_BYTES = 2 * 1024 * 1024
#: What caches of the longest texts may take.
MAX_BYTES = 256 * 1024 * 1024


def client(api: Api, number: int, **headers: str) -> Client:
    """Return a client with an address, a browser and languages that no other has."""
    address = f"8.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    sent = {
        "user-agent": f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{number}.0 {'x' * 4_000}",
        "accept-language": f"en-x{number:x},{'de;q=0.5,' * 6_000}",
        "origin": SHOP,
        **headers,
    }
    raw = {name.encode(): value.encode() for name, value in sent.items()}
    return api.intake.clients.read(raw, [*raw.items()], address)


def event(number: int, **fields: object) -> bytes:
    """Return an event with texts as long as they may be, which no other event has."""
    own: dict[str, Any] = {
        "type": "pageview",
        "site_id": "shop",
        "session_id": f"{number:0128}",
        "url": f"{SHOP}/{number}?utm_source={number}&x={'y' * 4_000}",
        "referrer": f"https://{number}.example/{'z' * 4_000}",
        "hostname": f"{number}.shop.example",
        "title": "t" * 2_000,
        "utm": {"source": f"{number:0600}", "medium": f"{number:0600}"},
    }
    return json.dumps({**own, **fields}).encode()


async def flood(api: Api, fake: FakeKafka, numbers: range) -> None:
    """Send accepted events, and those of unknown sites, wrong keys and invalid texts."""
    for number in numbers:
        sent = api.intake.accept(event(number), client(api, number), {})
        assert isinstance(sent, Sent)
        await sent.confirmed
        api.intake.respond(sent)
        wrong_key = client(api, number, authorization=f"Bearer hrk_{number}")
        for body, sender in (
            (event(number, site_id=f"site-{number}"), client(api, number)),
            (event(number), wrong_key),
            (event(number, type=f"type-{number}"), client(api, number)),
            (b'{"type":"%d' % number, client(api, number)),
        ):
            assert not isinstance(api.intake.accept(body, sender, {}), Sent)
    fake.stored.clear()


async def test_memory_reaches_a_plateau(fake: FakeKafka) -> None:
    """Once the caches are full, more distinct clients, sites, keys and events add nothing."""
    settings = Settings(api=ApiSettings(sites="registered"))
    api = create_app(settings, connection=fake, now=lambda: NOW)
    api.sites.apply(b"shop", codec.encode(site(origins=[SHOP], keys=[key()])))
    await api.start()
    day = NOW // DAY_US
    api.salts.apply(day_name(day).encode(), api.salts.candidate(day))
    await flood(api, fake, range(10))  # loads lists and compiles patterns
    sizes: list[int] = []

    tracemalloc.start()
    try:
        for number in range(1, ROUNDS + 1):
            await flood(api, fake, range(number * PER_ROUND, (number + 1) * PER_ROUND))
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    print("traced bytes after each round:", sizes)  # noqa: T201 - the result
    assert sizes[-1] - sizes[-2] < MAX_GROWTH_BYTES, sizes
    assert sizes[-1] < MAX_BYTES, sizes
