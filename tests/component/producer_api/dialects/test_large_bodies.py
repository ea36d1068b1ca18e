"""Large bodies are translated without blocking the event loop."""

import gc
import gzip
import json
import random
import threading
from typing import Any

import httpx
import pytest

from producer_api.events.derive.salts import day_name
from producer_api.events.dialects import segment
from producer_api.events.dialects.decoding import MAX_BYTES, batch_of
from producer_api.http import dialects
from producer_api.http.app import Api
from tests.component.producer_api.conftest import client_of, new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import connected, head
from tests.component.producer_api.test_direct import WithFastPath
from tests.fixtures.waiting import eventually_async

#: Text that hardly compresses.
NOISE = random.Random(1).randbytes(40_000).hex()  # noqa: S311 - the same each time


async def started(fake: FakeKafka) -> Api:
    """Return a started application, with the salt of today."""
    api = new_api(fake)
    for day in api.salts.missing():
        api.salts.apply(day_name(day).encode(), api.salts.candidate(day))
    await api.start()
    return api


def pages(count: int, size: int) -> bytes:
    """Return a batch of Segment's clients."""
    page = {"type": "page", "anonymousId": "a", "properties": {"text": NOISE[:size]}}
    return json.dumps({"writeKey": "shop", "batch": [page] * count}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "in_thread"),
    [
        (pages(2, 1_000), {}, False),
        (pages(2, 40_000), {}, True),
        (pages(1_000, 10), {}, True),
        (gzip.compress(pages(1, 40_000)), {}, True),
        (gzip.compress(pages(2, 1_000)), {"content-encoding": "gzip"}, False),
        (gzip.compress(pages(2, 40_000)), {"content-encoding": "gzip"}, True),
    ],
)
async def test_large_bodies_are_translated_in_a_thread(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    headers: dict[str, str],
    in_thread: bool,
) -> None:
    """Also compressed ones."""
    threads: list[int] = []

    def record(value: Any) -> list[Any]:
        threads.append(threading.get_ident())
        return batch_of(value)

    monkeypatch.setattr(segment, "batch_of", record)
    response = await client.post("/v1/batch", content=body, headers=headers)

    assert response.status_code == 200
    assert [thread != threading.get_ident() for thread in threads] == [in_thread]


async def test_all_events_of_a_large_body_are_stored(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """In order, up to the limits of a body and of a batch."""
    response = await client.post("/v1/batch", content=pages(2_000, 0).ljust(MAX_BYTES))

    assert response.status_code == 200
    ids = [dict(stored.headers)["event-id"] for stored in fake.stored]
    assert ids == sorted(set(ids))
    assert len(ids) == 2_000


def posthog(*sizes: int) -> bytes:
    """Return a batch of version 1 of PostHog's API, with an event of each size."""
    return json.dumps(
        {
            "batch": [
                {
                    "event": "e",
                    "uuid": f"0197c2a4-7d1b-7c3e-9a55-{number:012x}",
                    "distinct_id": "u",
                    "properties": {"text": NOISE * 4 if size > len(NOISE) else NOISE[:size]},
                }
                for number, size in enumerate(sizes)
            ]
        }
    ).encode()


TOO_LARGE = 300_000
BODIES = {
    "accepted": ("/v1/batch", pages(60, 2_000)),
    "rejected in part": ("/i/v1/analytics/events", posthog(1, TOO_LARGE, 2)),
    "rejected as a whole": ("/i/v1/analytics/events", posthog(TOO_LARGE)),
    "not JSON": ("/v1/batch", pages(60, 2_000)[:-1]),
    "too many events": ("/v1/batch", pages(2_001, 50)),
    "no events": ("/v1/batch", b'{"batch":[]}'.ljust(100_000)),
    "no dialect": ("/capture", b"{}".ljust(100_000)),
    "a form": ("/matomo.php", b"idsite=shop&rec=1&url=https://shop.example/&x=" + b"y" * 100_000),
}


@pytest.mark.parametrize("name", BODIES)
async def test_large_bodies_get_the_response_of_small_ones(
    fake: FakeKafka, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The same events are stored, and rejections are counted once."""
    (path, body) = BODIES[name]
    headers = {"authorization": "Bearer shop"}
    outcomes = []
    for limit in (64 * 1024, MAX_BYTES):
        monkeypatch.setattr(dialects, "_LARGE_BYTES", limit)
        api = await started(fake)
        async with client_of(api) as client:
            response = await client.post(path, content=body, headers=headers)
        rejected = [
            (sample.labels["reason"], sample.value)
            for metric in api.metrics.rejections.collect()
            for sample in metric.samples
            if "reason" in sample.labels and sample.value
        ]
        outcomes.append((response.status_code, response.content, rejected, len(fake.stored)))
        fake.stored.clear()

    assert outcomes[0] == outcomes[1]


#: In no other object of the process.
_MARKER = "a marker of this test"


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_events_are_not_kept_until_kafka_has_them(fake: FakeKafka, count: int) -> None:
    """Only their ids: the decoded values take many times the memory of the body."""
    page = {
        "type": "page",
        "anonymousId": "a",
        "properties": {_MARKER: [[1], {"text": NOISE[:99]}]},
    }
    body = json.dumps({"writeKey": "shop", "batch": [page] * count}).encode()
    app = WithFastPath(await started(fake))
    fake.responds.clear()
    async with connected(app) as client:
        await client.send(head(length=len(body)).replace(b"/api/event", b"/v1/batch") + body)
        await eventually_async(lambda: fake.batches, within_seconds=15, what="they are in flight")
        gc.collect()
        marked = [one for one in gc.get_objects() if type(one) is dict and _MARKER in one]
        kept = len(marked) - 1  # ours
        del marked

        fake.responds.set()
        assert await client.status() == 200
    assert kept == 0
