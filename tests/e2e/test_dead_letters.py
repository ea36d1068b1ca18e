"""Poison of every kind in a whole headrace, and what an operator does about it."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from infra.dead_letters.letter import DeadLetter
from infra.dead_letters.read import open_letters
from infra.dead_letters.replay import Choice, Report, replay
from schemas import codec
from schemas.headers import Source
from schemas.records import PageDuration, RawEvent, SessionState, Visit
from schemas.settings import KafkaSettings
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually, eventually_async

pytestmark = pytest.mark.timeout(240)

_PARTITIONS = 4
_NOON = 1_775_044_800_000_000
_BRAKE = "HEADRACE_KAFKA__MAX_REFUSED_IN_A_ROW"

Headers = list[tuple[str, bytes]]


def _event(session: str, **fields: Any) -> RawEvent:
    given: dict[str, Any] = {
        "event_id": str(uuid4()),
        "type": "pageview",
        "site_id": "poisoned",
        "session_id": session,
        "received_at": _NOON,
        "event_ts": _NOON,
        "time_source": "server",
    }
    return RawEvent(**{**given, **fields})


def _headers(event_type: bytes = b"pageview") -> Headers:
    return [("id", uuid4().bytes), ("type", event_type)]


_WHOLE = codec.encode(_event("poison"))
_KEY = b"poisoned:poison"

#: Key, value and headers in events-raw, and who refuses it, why.
_POISON: dict[str, tuple[bytes | None, bytes, Headers, set[tuple[str, str]]]] = {
    name: (_KEY, value, _headers(), {("sessionize", why), ("store_events", why)})
    for name, value, why in (
        ("random bytes", bytes(range(1, 200)), "undecodable"),
        ("truncated Avro", _WHOLE[:-7], "undecodable"),
        ("an unknown schema id", b"\x00\x00\x00\x27\x0f" + _WHOLE[5:], "undecodable"),
        ("trailing bytes", _WHOLE + b"\x00", "undecodable"),
        ("no bytes at all", b"", "undecodable"),
    )
} | {
    "a NUL character": (
        b"poisoned:nul",
        codec.encode(_event("nul", title="a\0b")),
        _headers(),
        {("store_events", "row_refused")},
    ),
    "no key": (None, _WHOLE, _headers(), {("route_events", "bad_key")}),
    "no headers": (
        _KEY,
        b"x",
        [],
        {("route_events", "bad_headers"), ("store_events", "undecodable")},
    ),
    "an unknown type": (
        _KEY,
        codec.encode(_event("poison", type="dance")),
        _headers(b"dance"),
        {("route_events", "unknown_type")},
    ),
}


async def _send(stack: Stack, topic: str, records: Iterable[tuple[int, Any, Any, Headers]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all") as producer:
        for partition, key, value, headers in records:
            await producer.send_and_wait(topic, value, key, partition, headers=headers)


def _settings(stack: Stack) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=stack.kafka, partitions=_PARTITIONS)


async def _letters(stack: Stack) -> list[DeadLetter]:
    async with open_letters(_settings(stack), None) as letters:
        return [letter async for _, letter in letters]


def _status(stack: Stack) -> tuple[int, Any]:
    argv = ["status", "--json", "--data-dir", str(stack.data_dir)]
    told = subprocess.run([sys.executable, "-m", "infra", *argv], capture_output=True, check=False)
    return told.returncode, json.loads(told.stdout)


def _lag(stack: Stack) -> int:
    return sum(flow["lag"] for flow in _status(stack)[1]["flows"])


def _good(number: int) -> dict[str, object]:
    return {"type": "pageview", "site_id": "good", "session_id": f"s{number % 40}", "path": "/"}


def _post_good(stack: Stack) -> None:
    assert stack.post([_good(number) for number in range(200)], "/api/events")[0] == 202


def _has_good(stack: Stack, events: int) -> bool:
    stored = stack.rows("SELECT count(*) AS n FROM events WHERE site_id = 'good'")
    counted = stack.rows("SELECT sum(events) AS n FROM sessions WHERE site_id = 'good'")
    return stored == counted == [{"n": events}]


async def test_poison_of_every_kind_is_dead_lettered_and_its_neighbours_are_not(
    make_stack: MakeStack,
) -> None:
    """Once each, by who cannot use it, with why; replayed unmended, it is refused again."""
    stack = await asyncio.to_thread(make_stack, {})
    await asyncio.to_thread(_post_good, stack)
    poison = [
        (partition, key, value, headers)
        for key, value, headers, _ in _POISON.values()
        for partition in range(_PARTITIONS)
    ]
    await _send(stack, "events-raw", poison)
    await asyncio.to_thread(_post_good, stack)
    refusals = [who for *_, refusing in _POISON.values() for who in refusing]
    expected = Counter(refusals * _PARTITIONS)

    async def all_are_refused() -> bool:
        return len(await _letters(stack)) == expected.total()

    await eventually_async(all_are_refused, within_seconds=40, what="all poison is refused")
    await asyncio.to_thread(
        lambda: eventually(
            lambda: _has_good(stack, 400), within_seconds=40, what="the neighbours are counted"
        )
    )
    letters = await _letters(stack)
    assert Counter((letter.stage, letter.reason) for letter in letters) == expected
    assert len({(letter.stage, letter.source) for letter in letters}) == expected.total()
    assert len({(letter.stage, letter.origin) for letter in letters}) == expected.total()

    report = Report()
    await replay(_settings(stack), Choice(), report, lambda _: None, dry_run=False)
    assert report.replayed.total() == expected.total()

    async def all_are_refused_again() -> bool:
        return len(await _letters(stack)) == 2 * expected.total()

    await eventually_async(all_are_refused_again, within_seconds=40, what="all is refused again")
    again = Counter((letter.stage, letter.reason) for letter in await _letters(stack))
    assert again == expected + expected
    assert await asyncio.to_thread(_has_good, stack, 400)
    await asyncio.to_thread(
        lambda: eventually(
            lambda: _lag(stack) == 0, within_seconds=60, what="status shows that all is read"
        )
    )
    code, status = await asyncio.to_thread(_status, stack)
    assert (code, {problem["do"].partition(",")[0] for problem in status["problems"]}) == (
        1,
        {
            f"see `headrace dlq list --topic {topic}-dlq`"
            for topic in ("events-raw", "events-session")
        },
    )


async def test_a_braked_partition_goes_on_where_it_was_once_its_cause_is_mended(
    make_stack: MakeStack,
) -> None:
    """The role says so until then; here what is mended is the operator's mind: all are poison."""
    stack = await asyncio.to_thread(make_stack, {})
    poison = [
        (0, _KEY, b"garbage", [("src", Source(0, offset, 0).pack()), ("type", b"pageview")])
        for offset in range(60)
    ]
    await _send(stack, "events-session", poison)
    await asyncio.to_thread(
        lambda: eventually(
            lambda: "is stopped" in stack.why_not_ready, within_seconds=20, what="the brake holds"
        )
    )
    await asyncio.to_thread(_post_good, stack)
    assert len(await _letters(stack)) <= 50
    code, status = await asyncio.to_thread(_status, stack)
    told = [one["what"] for one in status["problems"]]
    assert code == 1
    assert [one for one in told if one.startswith("streams is not ready: sessionize: ")]
    assert [one for one in told if "streams does not move on in events-session, part" in one]

    assert await asyncio.to_thread(stack.stop) == 0
    code, status = await asyncio.to_thread(_status, stack)
    assert (code, len(status["tables"])) == (1, 4)
    assert "No broker is ready" in status["problems"][0]["what"]
    stack.settings[_BRAKE] = "1000"
    await asyncio.to_thread(stack.start)

    await asyncio.to_thread(
        lambda: eventually(lambda: _has_good(stack, 200), within_seconds=40, what="it goes on")
    )
    assert {(one.stage, one.reason) for one in await _letters(stack)} == {
        ("sessionize", "undecodable")
    }
    assert len(await _letters(stack)) == 60


#: Who had refused what, though it is right: the cause is mended since.
_MENDED: dict[str, tuple[str, bytes, bytes]] = {
    "sessionize": ("events-session", b"poisoned:a", codec.encode(_event("a"))),
    "aggregate_durations": (
        "events-pageleave",
        b"poisoned:a",
        codec.encode(_event("a", type="pageleave", duration_ms=500, path="/a")),
    ),
    "raise_alerts": ("events-alert", b"poisoned", codec.encode(_event("a", type="payment"))),
    "store_events": ("events-raw", b"poisoned:b", codec.encode(_event("b"))),
    "store_sessions": (
        "sessions",
        b"poisoned:c",
        codec.encode(
            SessionState(
                site_id="poisoned",
                session_id="c",
                src_offset=1,
                visits=[
                    Visit(
                        visit_id=str(uuid4()),
                        began_offset=1,
                        started_at=_NOON,
                        ended_at=_NOON,
                        last_log_ms=0,
                        state="closed",
                        revision=3,
                        events=7,
                        pageviews=1,
                        errors=0,
                        payments=0,
                        engagements=0,
                    )
                ],
            )
        ),
    ),
    "store_durations": (
        "page-durations",
        b"1:poisoned:2026-04-01T12Z:/b",
        codec.encode(
            PageDuration(
                site_id="poisoned",
                hour=_NOON,
                path="/b",
                partition=1,
                generation=1,
                revision=2,
                src_offset=1,
                last_log_ms=0,
                leaves=2,
                total_ms=20,
                min_ms=9,
                max_ms=11,
                sketch=b"",
            )
        ),
    ),
}


def _bury(stage: str, offset: int) -> tuple[int, bytes, bytes, Headers]:
    (topic, key, value) = _MENDED[stage]
    why = {"dlq-reason": "rule_failed", "dlq-detail": "KeyError()", "dlq-stage": stage}
    where = {"dlq-topic": topic, "dlq-partition": "1", "dlq-offset": str(offset), "dlq-at": "1"}
    told = [(name, text.encode()) for name, text in (why | where).items()]
    src = [("src", Source(1, 5, 1).pack())] if topic.startswith("events-") else []
    return (1, key, value, [*_headers(), *src, *told])


def _poisoned(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    return {
        "events": stack.rows("SELECT session_id, kafka_offset AS n FROM events"),
        "sessions": stack.rows("SELECT session_id, events AS n FROM sessions ORDER BY 1"),
        "pages": stack.rows("SELECT path, leaves AS n FROM page_durations ORDER BY 1"),
        "alerts": stack.rows("SELECT rule, count(*) AS n FROM alerts GROUP BY rule"),
    }


async def test_a_dead_letter_has_its_effect_once_however_often_it_is_replayed(
    make_stack: MakeStack,
) -> None:
    """Two operators at the same time, a letter written twice, and once more later."""
    stack = await asyncio.to_thread(make_stack, {})
    for stage, (topic, _, _) in _MENDED.items():
        # The router had passed it on twice; of what sinks read, the letter was written twice.
        copies = [_bury(stage, 70), _bury(stage, 71 if topic.startswith("events-s") else 70)]
        await _send(stack, f"{topic}-dlq", copies)
    reports = [Report(), Report(), Report()]

    async def operate(report: Report) -> None:
        await replay(_settings(stack), Choice(), report, lambda _: None, dry_run=False)

    await asyncio.gather(operate(reports[0]), operate(reports[1]))

    expected = {
        "events": [{"session_id": "b", "n": 70}],
        "sessions": [{"session_id": "a", "n": 1}, {"session_id": "c", "n": 7}],
        "pages": [{"path": "/a", "n": 1}, {"path": "/b", "n": 2}],
        "alerts": [{"rule": "payment", "n": 1}],
    }
    await asyncio.to_thread(
        lambda: eventually(
            lambda: _poisoned(stack) == expected, within_seconds=40, what="all have their effect"
        )
    )
    await operate(reports[2])
    assert reports[0].replayed.total() == len(_MENDED)
    assert (reports[2].replayed.total(), reports[2].before.total()) == (0, len(_MENDED))

    # A session that comes after all of it, in the same partitions, shows that all is done.
    await asyncio.to_thread(_post_good, stack)
    await asyncio.to_thread(
        lambda: eventually(lambda: _has_good(stack, 200), within_seconds=40, what="all is read")
    )
    stack_rows = _poisoned(stack)
    assert [row for row in stack_rows["sessions"] if row["session_id"] in "ac"] == expected[
        "sessions"
    ]
    assert stack_rows["alerts"] == expected["alerts"]
    assert stack_rows["pages"] == expected["pages"]
