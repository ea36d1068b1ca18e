import asyncio
import gzip
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from producer_api.http.app import Api
from schemas import codec
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.reject_reasons import RejectReason
from tests.component.producer_api.conftest import NOW, SHORT_DEADLINE_SECONDS, client_of, new_api
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.fixtures.waiting import eventually_async

EVENT = {"type": "pageview", "site_id": "shop", "session_id": "s-1"}
EVENT_ID = "0197C2A4-7D1B-7C3E-9A55-2B8F6D0E4C11"


async def test_an_accepted_event_is_in_kafka(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """The response has the stored event id; the key consists of site and session id."""
    response = await client.post("/api/event", json=EVENT)

    assert response.status_code == 202
    (stored,) = fake.stored
    event = codec.decode(stored.value, RawEvent)
    assert response.json() == {"status": "accepted", "event_id": event.event_id}
    assert stored.key == b"shop:s-1"
    assert (event.received_at, event.event_ts, event.time_source) == (NOW, NOW, "server")


async def test_record_headers_contain_id_and_type(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """The router need not decode the value; an id set by the client is marked."""
    await client.post("/api/event", json=EVENT)
    await client.post("/api/event", json={**EVENT, "event_id": EVENT_ID})

    (ours, theirs) = (dict(record.headers) for record in fake.stored)
    assert ours.keys() == {"id", "event-id", "type"}
    assert str(UUID(bytes=ours["id"])).encode() == ours["event-id"]
    assert theirs == {
        "id": bytes.fromhex(EVENT_ID.replace("-", "")),
        "event-id": EVENT_ID.lower().encode(),
        "type": b"pageview",
        "client-id": b"",
    }


async def test_event_ids_are_returned_in_lower_case(client: httpx.AsyncClient) -> None:
    """The same id in another case is the same event."""
    response = await client.post("/api/event", json={**EVENT, "event_id": EVENT_ID})

    assert response.json()["event_id"] == EVENT_ID.lower()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None, "image/png"])
async def test_the_content_type_is_ignored(
    client: httpx.AsyncClient, content_type: str | None
) -> None:
    """`sendBeacon` sends text/plain."""
    headers = {"content-type": content_type} if content_type else {}

    response = await client.post("/api/event", content=json.dumps(EVENT), headers=headers)

    assert response.status_code == 202


async def test_gzip_is_decompressed(client: httpx.AsyncClient) -> None:
    """It may have several members."""
    text = json.dumps(EVENT).encode()
    compressed = gzip.compress(text[:10]) + gzip.compress(text[10:])

    response = await client.post(
        "/api/event", content=compressed, headers={"content-encoding": "gzip"}
    )

    assert response.status_code == 202


async def test_the_limit_of_a_body_is_64_kib(
    client: httpx.AsyncClient,
) -> None:
    """The limit is exact."""
    padded = json.dumps(EVENT).encode().ljust(64 * 1024)

    assert (await client.post("/api/event", content=padded)).status_code == 202
    assert (await client.post("/api/event", content=padded + b" ")).status_code == 413


async def test_an_endless_body_is_rejected_at_the_limit(api: Api) -> None:
    """No chunk is read after the one that exceeds the limit."""
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        if read == 10:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": bytes(10_000), "more_body": True}

    sent: list[tuple[int, dict[str, Any]]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append((read, message))

    scope = {"type": "http", "method": "POST", "path": "/api/event", "headers": []}
    await api(scope | {"headers": [(b"transfer-encoding", b"chunked")]}, receive, send)

    (read_before, start) = sent[0]
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]
    assert read_before == 7


async def test_a_disconnected_client_gets_no_response(api: Api, fake: FakeKafka) -> None:
    """Its incomplete event is discarded."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    await api(
        {"type": "http", "method": "POST", "path": "/api/event", "headers": []}, receive, send
    )

    assert not fake.stored


async def test_an_unconfirmed_event_gets_500(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """The response has a `Retry-After` header."""
    fake.fails = True

    response = await client.post("/api/event", json=EVENT)

    assert (response.status_code, response.json()["code"]) == (500, "not_accepted")
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "reason",
    [
        RejectReason.KAFKA_LOGIN_FAILED,
        RejectReason.KAFKA_ACCESS_DENIED,
        RejectReason.KAFKA_RECORD_TOO_LARGE,
    ],
)
async def test_each_refusal_of_kafka_has_its_own_code(
    reason: RejectReason, client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """For a single event and for each event of a batch."""
    fake.fails, fake.failure = True, reason

    single = await client.post("/api/event", json=EVENT)
    batch = await client.post("/api/events", json=[EVENT])

    assert (single.status_code, single.json()["code"]) == (500, reason.code)
    assert single.headers["retry-after"] == "1"
    assert batch.status_code == 500
    [result] = batch.json()["results"]
    assert (result["status"], result["code"]) == ("failed", reason.code)


async def test_an_unresponsive_kafka_causes_500_at_the_deadline(fake: FakeKafka) -> None:
    """The request does not wait longer."""
    api = new_api(fake, SHORT_DEADLINE_SECONDS)
    await api.start()
    fake.responds.clear()

    async with client_of(api) as client:
        response = await client.post("/api/event", json=EVENT)

    assert (response.status_code, response.json()["code"]) == (500, "not_accepted")


async def test_before_the_first_connection_events_get_500_at_once() -> None:
    """The number of partitions is not known yet."""
    api = new_api(FakeKafka(partitions=0))
    await api.start()
    async with client_of(api) as client:
        response = await client.post("/api/event", json=EVENT)
        invalid = await client.post("/api/event", json={})

    assert response.json()["code"] == "not_accepted"
    assert invalid.status_code == 400


async def test_an_overloaded_server_responds_503(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """The number of queued bytes is limited."""
    fake.responds.clear()
    batch = [{**EVENT, "session_id": f"s{n}", "referrer": "x" * 2000} for n in range(400)]
    first = asyncio.create_task(client.post("/api/events", json=batch))
    await eventually_async(
        lambda: fake.batches, within_seconds=15, what="the first batch is in flight"
    )

    response = await client.post("/api/events", json=batch)

    assert (response.status_code, response.json()["code"]) == (503, "overloaded")
    assert response.headers["retry-after"] == "1"
    fake.responds.set()
    assert (await first).status_code == 202


async def test_drain_finishes_requests_in_flight_and_rejects_new_ones(
    api: Api, client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """It returns when the last request has its response."""
    fake.responds.clear()
    earlier = asyncio.create_task(client.post("/api/event", json=EVENT))
    await eventually_async(lambda: fake.batches, within_seconds=15, what="the event is in flight")
    drained = asyncio.create_task(api.drain())
    await asyncio.sleep(0)

    late = await client.post("/api/event", json=EVENT)
    ready = await client.get("/readyz")

    assert (late.status_code, late.json()["code"]) == (503, "shutting_down")
    assert late.headers["retry-after"] == "1"
    assert ready.status_code == 503
    fake.responds.set()
    assert (await earlier).status_code == 202
    await asyncio.wait_for(drained, 5)


async def test_an_internal_error_is_logged_without_the_event(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is 500, and the log contains no data of the client."""

    def fail(event: RawEvent) -> bytes:
        raise ValueError(event.session_id)

    monkeypatch.setattr(codec, "encode", fail)

    response = await client.post("/api/event", json={**EVENT, "session_id": "secret", "own": 1})

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_metrics_count_by_type_and_by_reason(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """All types and reasons are exposed from the start, and no values of clients."""
    await client.post("/api/event", json=EVENT)
    await client.post("/api/event", json={**EVENT, "type": "evil"})
    fake.fails = True
    await client.post("/api/event", json=EVENT)

    text = (await client.get("/metrics")).text

    assert 'headrace_api_events_accepted_total{type="pageview"} 1.0' in text
    assert 'headrace_api_events_rejected_total{reason="unknown_type"} 1.0' in text
    assert "headrace_api_events_failed_total 1.0" in text
    assert "headrace_api_waiting_bytes 0.0" in text
    assert "headrace_api_request_seconds_count 3.0" in text
    assert all(f'{{type="{name}"}}' in text for name in EVENT_TYPES)
    assert "evil" not in text


async def test_responses_are_counted_by_route_and_status(client: httpx.AsyncClient) -> None:
    """Routes are those of the API; all other paths have one label."""
    await client.post("/api/events", json=[EVENT, {**EVENT, "type": "evil"}])
    await client.get("/readyz")
    for path in ("/evil", "/api/event/evil", "/evil2"):
        await client.post(path, json=EVENT)
    lines = [
        line
        for line in (await client.get("/metrics")).text.splitlines()
        if line.startswith("headrace_api_requests_total")
    ]

    assert sorted(lines) == [
        'headrace_api_requests_total{route="/api/events",status="207"} 1.0',
        'headrace_api_requests_total{route="/readyz",status="200"} 1.0',
        'headrace_api_requests_total{route="none",status="404"} 3.0',
    ]
