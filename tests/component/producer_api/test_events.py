import gc
import json
import math
import threading
from typing import Any

import httpx
import pytest

from producer_api.events.batch import split
from producer_api.http import event_endpoints
from producer_api.http.app import Api
from schemas import codec
from schemas.records import RawEvent
from tests.component.producer_api.fake_kafka import FakeKafka

GOOD: dict[str, Any] = {"type": "copy", "site_id": "shop", "session_id": "s-1"}
NDJSON = {"content-type": "application/x-ndjson; charset=utf-8"}


async def test_each_event_is_validated_on_its_own(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """Even an event that is invalid JSON does not affect the others; results are in order."""
    body = (
        b'[{"type":"copy","site_id":"shop","session_id":"s-1","title":"first"},'
        b'{"type":"copy","site_id":"shop","session_id":"\\ud800"},'
        b'{"type":"nonsense","site_id":"shop","session_id":"s-1"},'
        b'{"type":"copy","site_id":"shop","session_id":"s-1","duration":NaN},'
        b'{"type":"copy","site_id":"shop","session_id":"\xff"},'
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"},"
        b'{"type":"copy","site_id":"shop","session_id":"s-1","title":"last"}]'
    )

    response = await client.post("/api/events", content=body)

    content = response.json()
    assert response.status_code == 207
    assert (content["accepted"], content["rejected"]) == (2, 5)
    assert [result["index"] for result in content["results"]] == list(range(7))
    assert [result.get("code") for result in content["results"]] == [
        None,
        "lone_surrogate",
        "unknown_type",
        "invalid_json",
        "invalid_utf8",
        "invalid_json",
        None,
    ]
    events = [codec.decode(record.value, RawEvent) for record in fake.stored]
    assert [event.title for event in events] == ["first", "last"]
    assert [content["results"][index]["event_id"] for index in (0, 6)] == [
        event.event_id for event in events
    ]


async def test_if_all_are_accepted_the_status_is_202(client: httpx.AsyncClient) -> None:
    """For each of the three batch formats."""
    lines = "\n".join([json.dumps(GOOD), "", json.dumps(GOOD), ""])

    responses = [
        await client.post("/api/events", json=[GOOD, GOOD]),
        await client.post("/api/events", json={"sdk": "js", "events": [GOOD, GOOD]}),
        await client.post("/api/events", content=lines, headers=NDJSON),
    ]

    assert [(response.status_code, response.json()["accepted"]) for response in responses] == [
        (202, 2)
    ] * 3


async def test_if_none_is_accepted_the_status_is_400(client: httpx.AsyncClient) -> None:
    """Each event has its result."""
    response = await client.post("/api/events", json=[{}, 5])

    assert response.status_code == 400
    assert [result["code"] for result in response.json()["results"]] == [
        "missing_fields",
        "not_an_object",
    ]


async def test_an_invalid_line_is_one_rejected_event(client: httpx.AsyncClient) -> None:
    """The other lines are accepted."""
    lines = f'{json.dumps(GOOD)}\n{{"type": \n{json.dumps(GOOD)}'

    response = await client.post("/api/events", content=lines, headers=NDJSON)

    assert response.status_code == 207
    assert [result["status"] for result in response.json()["results"]] == [
        "accepted",
        "rejected",
        "accepted",
    ]


async def test_if_all_valid_events_failed_the_status_is_500(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """Valid events have the status `failed`, invalid ones `rejected`."""
    fake.fails = True

    response = await client.post("/api/events", json=[GOOD, {}])

    assert response.status_code == 500
    assert response.headers["retry-after"] == "1"
    assert [(result["status"], result["code"]) for result in response.json()["results"]] == [
        ("failed", "not_accepted"),
        ("rejected", "missing_fields"),
    ]
    assert response.json()["rejected"] == 1


async def test_the_limit_of_a_batch_is_1000_events(client: httpx.AsyncClient) -> None:
    """The limit is exact for every format."""
    event = json.dumps(GOOD)
    lines = [event] * 1001

    array = f"[{','.join(lines[:1000])}]"
    assert (await client.post("/api/events", content=array)).json()["accepted"] == 1000
    array = f"[{','.join(lines)}]"
    assert (await client.post("/api/events", content=array)).status_code == 413
    ndjson = await client.post("/api/events", content="\n".join(lines), headers=NDJSON)
    assert ndjson.json()["code"] == "too_many_events"


async def test_the_limit_of_a_batch_is_2_mib(client: httpx.AsyncClient) -> None:
    """A larger body gets 413, whatever it contains."""
    response = await client.post("/api/events", content=b" " * (2 * 1024 * 1024 + 1))

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_events_of_a_batch_have_the_size_limit_of_single_events(
    client: httpx.AsyncClient,
) -> None:
    """Only the event over the limit is rejected."""
    response = await client.post("/api/events", json=[GOOD, {**GOOD, "title": "x" * 65_536}])

    assert [result.get("code") for result in response.json()["results"]] == [
        None,
        "event_too_large",
    ]


async def test_events_of_one_session_stay_in_order(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """They have the same key and therefore the same partition."""
    await client.post("/api/events", json=[{**GOOD, "title": str(n)} for n in range(200)])

    titles = [codec.decode(record.value, RawEvent).title for record in fake.stored]
    assert titles == [str(n) for n in range(200)]
    assert len({record.partition for record in fake.stored}) == 1


_OLD = {**GOOD, "timestamp": "2024-03-01T10:00:00Z"}
_AHEAD = {**GOOD, "timestamp": "2026-02-01T12:00:00Z"}
_NOW = {**GOOD, "timestamp": "2026-01-31T11:00:00+00:00"}


@pytest.mark.parametrize("more", [{}, {"unknown": 1}])
async def test_a_result_says_that_a_timestamp_was_clamped(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    """And in which direction, on the fast path and in `parse`."""
    events = [event | more for event in (_OLD, _AHEAD, _NOW, GOOD, {**_OLD, "site_id": "archive"})]

    content = (await client.post("/api/events", json=events)).json()["results"]

    assert [result.get("clamped") for result in content] == ["too_old", "too_new", None, None, None]


async def test_a_client_can_disable_clamping(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """An event that would be clamped is then rejected; the others are accepted."""
    never = {"Headrace-Clamp": "never"}
    response = await client.post("/api/events", json=[_OLD, _NOW, _AHEAD], headers=never)
    single = await client.post("/api/event", json=_OLD, headers=never)

    codes = [result.get("code") for result in response.json()["results"]]
    assert (response.status_code, codes) == (207, ["would_be_clamped", None, "would_be_clamped"])
    assert (single.status_code, single.json()["field"]) == (409, "timestamp")
    assert len(fake.stored) == 1


async def test_the_rejected_events_of_a_batch_are_in_no_reference_cycle(api: Api) -> None:
    """Garbage collections are rare, so their frames would take the memory of many batches."""
    bodies = (b"{", b'{"type":"copy"}', b'{"type":"?","site_id":"s","session_id":"s"}', b"[]")
    client = api.intake.clients.read({}, [], "127.0.0.1")
    await api.intake.send_batch(bodies, client)  # what is loaded at the first event
    gc.collect()

    await api.intake.send_batch(bodies * 50, client)

    assert gc.collect() < len(bodies)


@pytest.mark.parametrize("is_valid", [True, False])
async def test_a_batch_with_invalid_json_does_not_block_the_event_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, is_valid: bool
) -> None:
    """It is split in a thread, because that may take 100 ms."""
    threads: list[int] = []

    def record(body: bytes, content_type: bytes) -> list[bytes]:
        threads.append(threading.get_ident())
        return split(body, content_type)

    monkeypatch.setattr(event_endpoints, "split", record)
    body = json.dumps([GOOD, {**GOOD, "duration": 1 if is_valid else math.nan}])

    response = await client.post("/api/events", content=body)

    assert response.status_code == (202 if is_valid else 207)
    assert len(threads) == (0 if is_valid else 1)
    assert threading.get_ident() not in threads
