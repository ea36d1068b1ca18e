"""Poison records of every kind, written directly to the topics."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from schemas.codec import encode
from schemas.headers import EVENT_ID, SOURCE, TYPE, Source
from schemas.records import Alert, RawEvent
from schemas.topics import (
    ALERTS,
    EVENTS_ALERT,
    EVENTS_PAGELEAVE,
    EVENTS_RAW,
    EVENTS_SESSION,
    PAGE_DURATIONS,
    SESSIONS,
)
from tests.e2e.stack import PARTITIONS

#: A header with the name of a test's record; it is kept when the record is forwarded.
MARK = "test-mark"

#: A source position outside of the log, so that no event is taken for a repeat.
_NOWHERE = Source(99, 0, 0).pack()


class Poison(NamedTuple):
    """A poison record; the header `MARK` has its name."""

    name: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


def every_kind() -> list[Poison]:
    """Return poison records of every kind for every topic that an agent reads."""
    return [*_of_raw_headers(), *_of_routed_headers(), *_of_values()]


def undecodable(count: int) -> list[Poison]:
    """Return records of `events-raw` with valid headers and undecodable values."""
    return [
        Poison(f"garbage {number}", EVENTS_RAW.name, b"shop:s", os.urandom(80), valid_headers())
        for number in range(count)
    ]


def _of_values() -> Iterator[Poison]:
    """Yield invalid values with valid headers and keys."""
    event = encode(new_event())
    alert = encode(
        Alert(alert_id=str(uuid4()), site_id="s", rule="r", subject="", title="", details="{}",
              raised_at=0)
    )  # fmt: skip
    for topic in (EVENTS_RAW, EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT):
        values = {"another schema's": alert, "one byte short": event[:-1], **_garbage(event)}
        headers = valid_headers() if topic is EVENTS_RAW else _routed()
        for name, value in values.items():
            yield Poison(f"{name} in {topic.name}", topic.name, b"shop:s", value, headers)
    for topic in (SESSIONS, PAGE_DURATIONS, ALERTS):
        for name, value in {"another schema's": event, **_garbage(alert)}.items():
            yield Poison(f"{name} in {topic.name}", topic.name, b"shop:poison", value, {})


def _garbage(value: bytes) -> dict[str, bytes]:
    return {
        "random bytes": os.urandom(200),
        "no bytes": b"",
        "an unknown schema id": b"\x00\x00\x01\x00\x00" + value[5:],
        "bytes after the end": value + b"\x00",
        "cut off": value[: len(value) // 2],
    }


def _of_raw_headers() -> Iterator[Poison]:
    """Yield keys and headers that the router must reject."""
    garbage = os.urandom(40)
    good = valid_headers()
    for name, key, headers in (
        ("no key", None, good),
        ("no session in the key", b"shop", good),
        ("no headers", b"shop:s", {}),
        ("a short id", b"shop:s", {**good, EVENT_ID: b"short"}),
        ("an unknown type", b"shop:s", {**good, TYPE: b"no_such_type"}),
        ("a type of binary", b"shop:s", {**good, TYPE: b"\xff\x00\xfe"}),
    ):
        yield Poison(f"{name} in events-raw", EVENTS_RAW.name, key, garbage, headers)


def _of_routed_headers() -> Iterator[Poison]:
    """Yield keys and headers that agents must reject, with valid events."""
    event = encode(new_event())
    for topic in (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT):
        for name, key, headers in (
            ("no source", b"shop:s", {TYPE: b"pageview"}),
            ("a short source", b"shop:s", {**_routed(), SOURCE: b"\x00"}),
            ("another's key", b"shop:another", _routed()),
        ):
            yield Poison(f"{name} in {topic.name}", topic.name, key, event, headers)


def valid_headers(event_type: bytes = b"pageleave") -> dict[str, bytes]:
    """Return valid headers of `events-raw`."""
    return {EVENT_ID: uuid4().bytes, TYPE: event_type}


def _routed() -> dict[str, bytes]:
    return {**valid_headers(), SOURCE: _NOWHERE}


def new_event(**fields: Any) -> RawEvent:
    """Return a valid event with these fields."""
    now = time.time_ns() // 1_000
    given: dict[str, Any] = {
        "event_id": str(uuid4()),
        "type": "pageleave",
        "site_id": "shop",
        "session_id": "s",
        "received_at": now,
        "event_ts": now,
        "time_source": "server",
        "duration_ms": 1,
    }
    return RawEvent(**{**given, **fields})


def write(bootstrap: str, poison: Sequence[Poison], partition: int | None = None) -> None:
    """Write records to a partition, or round-robin; return when they are acknowledged."""

    async def run() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
            sent = []
            for number, record in enumerate(poison):
                headers = [*record.headers.items(), (MARK, record.name.encode())]
                target = number % PARTITIONS if partition is None else partition
                sent.append(
                    await producer.send(
                        record.topic, record.value, record.key, partition=target, headers=headers
                    )
                )
            await asyncio.gather(*sent)

    asyncio.run(run())
