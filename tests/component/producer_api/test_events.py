import json
from typing import Any

import httpx
import pytest

from schemas import codec
from schemas.records import RawEvent
from tests.component.producer_api.fake_kafka import FakeKafka

GOOD: dict[str, Any] = {"type": "copy", "site_id": "shop", "session_id": "s-1"}
NDJSON = {"content-type": "application/x-ndjson; charset=utf-8"}


async def test_each_event_is_judged_alone_and_told_in_order(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """A bad event never harms its neighbours, not even by what no JSON may hold."""
    body = (
        b'[{"type":"copy","site_id":"shop","session_id":"s-1","title":"first"},'
        b'{"type":"copy","site_id":"shop","session_id":"\\ud800"},'
        b'{"type":"nonsense","site_id":"shop","session_id":"s-1"},'
        b'{"type":"copy","site_id":"shop","session_id":"s-1","duration":NaN},'
        b'{"type":"copy","site_id":"shop","session_id":"\xff"},'
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"},"
        b'{"type":"copy","site_id":"shop","session_id":"s-1","title":"last"}]'
    )

    answer = await client.post("/api/events", content=body)

    told = answer.json()
    assert answer.status_code == 207
    assert (told["accepted"], told["rejected"]) == (2, 5)
    assert [result["index"] for result in told["results"]] == list(range(7))
    assert [result.get("code") for result in told["results"]] == [
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
    assert [told["results"][index]["event_id"] for index in (0, 6)] == [
        event.event_id for event in events
    ]


async def test_all_accepted_is_202(client: httpx.AsyncClient) -> None:
    """In each of the three forms of a batch."""
    lines = "\n".join([json.dumps(GOOD), "", json.dumps(GOOD), ""])

    answers = [
        await client.post("/api/events", json=[GOOD, GOOD]),
        await client.post("/api/events", json={"sdk": "js", "events": [GOOD, GOOD]}),
        await client.post("/api/events", content=lines, headers=NDJSON),
    ]

    assert [(answer.status_code, answer.json()["accepted"]) for answer in answers] == [(202, 2)] * 3


async def test_none_accepted_is_400(client: httpx.AsyncClient) -> None:
    """With a result for each."""
    answer = await client.post("/api/events", json=[{}, 5])

    assert answer.status_code == 400
    assert [result["code"] for result in answer.json()["results"]] == [
        "missing_fields",
        "not_an_object",
    ]


async def test_a_broken_line_is_one_rejected_event(client: httpx.AsyncClient) -> None:
    """The lines round it are taken."""
    lines = f'{json.dumps(GOOD)}\n{{"type": \n{json.dumps(GOOD)}'

    answer = await client.post("/api/events", content=lines, headers=NDJSON)

    assert answer.status_code == 207
    assert [result["status"] for result in answer.json()["results"]] == [
        "accepted",
        "rejected",
        "accepted",
    ]


async def test_all_valid_ones_failed_is_500(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """Each says that it failed; the rejected one stays rejected."""
    fake.fails = True

    answer = await client.post("/api/events", json=[GOOD, {}])

    assert answer.status_code == 500
    assert answer.headers["retry-after"] == "1"
    assert [(result["status"], result["code"]) for result in answer.json()["results"]] == [
        ("failed", "not_accepted"),
        ("rejected", "missing_fields"),
    ]
    assert answer.json()["rejected"] == 1


async def test_a_thousand_events_are_taken_and_one_more_is_not(client: httpx.AsyncClient) -> None:
    """The limit is exact, in every form."""
    event = json.dumps(GOOD)
    lines = [event] * 1001

    array = f"[{','.join(lines[:1000])}]"
    assert (await client.post("/api/events", content=array)).json()["accepted"] == 1000
    array = f"[{','.join(lines)}]"
    assert (await client.post("/api/events", content=array)).status_code == 413
    ndjson = await client.post("/api/events", content="\n".join(lines), headers=NDJSON)
    assert ndjson.json()["code"] == "too_many_events"


async def test_a_batch_over_2_mib_is_413(client: httpx.AsyncClient) -> None:
    """Whatever is in it."""
    answer = await client.post("/api/events", content=b" " * (2 * 1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_one_event_of_a_batch_has_the_limit_of_a_single_one(
    client: httpx.AsyncClient,
) -> None:
    """So a batch is no way round it."""
    answer = await client.post("/api/events", json=[GOOD, {**GOOD, "title": "x" * 65_536}])

    assert [result.get("code") for result in answer.json()["results"]] == [None, "event_too_large"]


async def test_events_of_one_session_stay_in_order(
    client: httpx.AsyncClient, fake: FakeKafka
) -> None:
    """They share a key, and so a partition."""
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
    """And in which direction, however the event is read."""
    events = [event | more for event in (_OLD, _AHEAD, _NOW, GOOD, {**_OLD, "site_id": "archive"})]

    told = (await client.post("/api/events", json=events)).json()["results"]

    assert [result.get("clamped") for result in told] == ["too_old", "too_new", None, None, None]


async def test_a_client_may_ask_not_to_clamp(client: httpx.AsyncClient, fake: FakeKafka) -> None:
    """An event that would be clamped is rejected, one that is at home among old ones is not."""
    never = {"Headrace-Clamp": "never"}
    answer = await client.post("/api/events", json=[_OLD, _NOW, _AHEAD], headers=never)
    one = await client.post("/api/event", json=_OLD, headers=never)

    codes = [result.get("code") for result in answer.json()["results"]]
    assert (answer.status_code, codes) == (207, ["would_be_clamped", None, "would_be_clamped"])
    assert (one.status_code, one.json()["field"]) == (409, "timestamp")
    assert len(fake.stored) == 1
