import asyncio
import gzip
import json
from typing import Any

import httpx
import pytest

from producer_api.app import Api
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
    """The answer has the id under which it is stored, and the key is site and session."""
    answer = await client.post("/api/event", json=EVENT)

    assert answer.status_code == 202
    (stored,) = fake.stored
    event = codec.decode(stored.value, RawEvent)
    assert answer.json() == {"status": "accepted", "event_id": event.event_id}
    assert stored.key == b"shop:s-1"
    assert (event.received_at, event.event_ts, event.time_source) == (NOW, NOW, "server")


async def test_headers_tell_id_and_type(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """So routing needs no decode; an id that the client chose is marked."""
    await client.post("/api/event", json=EVENT)
    await client.post("/api/event", json={**EVENT, "event_id": EVENT_ID})

    (ours, theirs) = (dict(record.headers) for record in fake.stored)
    assert ours.keys() == {"id", "type"}
    assert theirs == {
        "id": bytes.fromhex(EVENT_ID.replace("-", "")),
        "type": b"pageview",
        "client-id": b"",
    }


async def test_an_id_is_answered_in_its_canonical_form(client: httpx.AsyncClient) -> None:
    """Two spellings of one id are one event."""
    answer = await client.post("/api/event", json={**EVENT, "event_id": EVENT_ID})

    assert answer.json()["event_id"] == EVENT_ID.lower()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None, "image/png"])
async def test_json_is_read_whatever_it_is_called(
    client: httpx.AsyncClient, content_type: str | None
) -> None:
    """`sendBeacon` sends text/plain."""
    headers = {"content-type": content_type} if content_type else {}

    answer = await client.post("/api/event", content=json.dumps(EVENT), headers=headers)

    assert answer.status_code == 202


async def test_gzip_is_unpacked(client: httpx.AsyncClient) -> None:
    """In one member or several."""
    text = json.dumps(EVENT).encode()
    packed = gzip.compress(text[:10]) + gzip.compress(text[10:])

    answer = await client.post("/api/event", content=packed, headers={"content-encoding": "gzip"})

    assert answer.status_code == 202


async def test_a_body_of_64_kib_is_taken_and_one_more_byte_is_not(
    client: httpx.AsyncClient,
) -> None:
    """The limit is exact."""
    padded = json.dumps(EVENT).encode().ljust(64 * 1024)

    assert (await client.post("/api/event", content=padded)).status_code == 202
    assert (await client.post("/api/event", content=padded + b" ")).status_code == 413


async def test_an_endless_body_is_refused_at_the_limit(api: Api) -> None:
    """No more of it is read than the limit and the piece that crossed it."""
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


async def test_a_client_that_goes_away_is_not_answered(api: Api, fake: FakeKafka) -> None:
    """And what it sent of its event is forgotten."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    await api(
        {"type": "http", "method": "POST", "path": "/api/event", "headers": []}, receive, send
    )

    assert not fake.stored


async def test_what_kafka_does_not_take_is_500(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """With when to try again; nothing was promised."""
    fake.fails = True

    answer = await client.post("/api/event", json=EVENT)

    assert (answer.status_code, answer.json()["code"]) == (500, "not_accepted")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "reason",
    [
        RejectReason.KAFKA_LOGIN_FAILED,
        RejectReason.KAFKA_ACCESS_DENIED,
        RejectReason.KAFKA_RECORD_TOO_LARGE,
    ],
)
async def test_what_kafka_refuses_has_a_code_of_its_own(
    reason: RejectReason, client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """One event and each of a batch; the event is sound and may be sent again."""
    fake.fails, fake.failure = True, reason

    one = await client.post("/api/event", json=EVENT)
    batch = await client.post("/api/events", json=[EVENT])

    assert (one.status_code, one.json()["code"]) == (500, reason.code)
    assert one.headers["retry-after"] == "1"
    assert batch.status_code == 500
    [result] = batch.json()["results"]
    assert (result["status"], result["code"]) == ("failed", reason.code)


async def test_a_kafka_that_hangs_is_500_at_the_deadline(fake: FakeKafka) -> None:
    """Nobody waits for ever."""
    api = new_api(fake, SHORT_DEADLINE_SECONDS)
    await api.start()
    fake.lets_pass.clear()

    async with client_of(api) as client:
        answer = await client.post("/api/event", json=EVENT)

    assert (answer.status_code, answer.json()["code"]) == (500, "not_accepted")


async def test_before_kafka_was_ever_reached_events_are_500_at_once() -> None:
    """Without the number of partitions, no event can be placed."""
    api = new_api(FakeKafka(partitions=0))
    await api.start()
    async with client_of(api) as client:
        answer = await client.post("/api/event", json=EVENT)
        invalid = await client.post("/api/event", json={})

    assert answer.json()["code"] == "not_accepted"
    assert invalid.status_code == 400


async def test_a_full_server_is_503_at_once(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """The bytes that wait are bounded."""
    fake.lets_pass.clear()
    batch = [{**EVENT, "session_id": f"s{n}", "url": "x" * 2000} for n in range(400)]
    first = asyncio.create_task(client.post("/api/events", json=batch))
    await eventually_async(lambda: fake.batches, within_seconds=15, what="the first are on the way")

    answer = await client.post("/api/events", json=batch)

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    fake.lets_pass.set()
    assert (await first).status_code == 202


async def test_draining_answers_what_is_in_flight_and_refuses_the_rest(
    api: Api, client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """And `drain` returns when the last one is answered."""
    fake.lets_pass.clear()
    begun = asyncio.create_task(client.post("/api/event", json=EVENT))
    await eventually_async(lambda: fake.batches, within_seconds=15, what="the event is on its way")
    drained = asyncio.create_task(api.drain())
    await asyncio.sleep(0)

    late = await client.post("/api/event", json=EVENT)
    ready = await client.get("/readyz")

    assert (late.status_code, late.json()["code"]) == (503, "shutting_down")
    assert late.headers["retry-after"] == "1"
    assert ready.status_code == 503
    fake.lets_pass.set()
    assert (await begun).status_code == 202
    await asyncio.wait_for(drained, 5)


async def test_a_fault_of_ours_is_500_and_logged_without_the_event(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No text of a user gets into the log."""

    def fail(event: RawEvent) -> bytes:
        raise ValueError(event.session_id)

    monkeypatch.setattr(codec, "encode", fail)

    answer = await client.post("/api/event", json={**EVENT, "session_id": "secret", "own": 1})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_metrics_count_by_type_and_by_reason(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """All types and reasons are there from the start; no text of a user ever is."""
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
