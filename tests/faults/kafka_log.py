"""What stands in Kafka: the log that the database is the fold of."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import headers as names
from schemas.codec import CodecError, decode
from schemas.headers import SOURCE, Source, find
from schemas.records import RawEvent
from schemas.topics import DEAD_LETTERS, EVENTS_ALERT, EVENTS_RAW, EVENTS_SESSION
from tests.e2e.poison import MARK
from tests.e2e.stack import PARTITIONS
from tests.reference import Log


class DeadLetter(NamedTuple):
    """One dead letter: who refused which record, and why."""

    stage: str
    topic: str
    partition: int
    offset: int
    reason: str
    event_id: str | None
    mark: str | None


class KafkaLog(NamedTuple):
    """The events of a log, as far as they can be read."""

    #: What is an event of `events-raw`, in its order: all of them, repeats too.
    events: Log
    #: The same events in the order in which `events-alert` has them, each once.
    alerting: Log
    dead_letters: list[DeadLetter]
    #: How many events the router sent more than once: what it read again after a crash.
    routed_again: int


def read_log(bootstrap: str) -> KafkaLog:
    """Read all there is."""
    return asyncio.run(_read_log(bootstrap))


async def _read_log(bootstrap: str) -> KafkaLog:
    raw = await read(bootstrap, [EVENTS_RAW.name])
    events = [
        (event, Source(record.partition, record.offset, record.timestamp))
        for record in raw
        if (event := _event_of(record)) is not None
    ]
    by_place = {(src.partition, src.offset): (event, src) for event, src in events}
    alert_places = _sources_of(await read(bootstrap, [EVENTS_ALERT.name]))
    routed = Counter(_sources_of(await read(bootstrap, [EVENTS_SESSION.name])))
    dead = await read(bootstrap, [topic.name for topic in DEAD_LETTERS])
    return KafkaLog(
        events,
        [by_place[place] for place in dict.fromkeys(alert_places) if place in by_place],
        [_dead_letter(record) for record in dead],
        sum(count - 1 for place, count in routed.items() if place in by_place),
    )


async def read(bootstrap: str, topics: Sequence[str]) -> list[Any]:
    """Return all records of topics, each partition in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    records: list[Any] = []
    try:
        places = [TopicPartition(topic, part) for topic in topics for part in range(PARTITIONS)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(fetched)
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))


def ask(bootstrap: str, question: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """Return what `question` answers, given an admin client and a consumer of the broker."""

    async def run() -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        try:
            await admin.start()
            await consumer.start()
            return await question(admin, consumer)
        finally:
            await consumer.stop()
            await admin.close()

    return asyncio.run(run())


def _event_of(record: Any) -> RawEvent | None:
    """Return the event; None for a tick, and for what the router must refuse."""
    event_id, key = find(record.headers, names.EVENT_ID), record.key or b""
    if record.value is None or event_id is None or len(event_id) != 16 or b":" not in key[1:]:
        return None
    try:
        return decode(record.value, RawEvent)
    except CodecError:
        return None


def _sources_of(records: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the places in `events-raw` that records of a routed topic are from."""
    packed = [find(record.headers, SOURCE) for record in records]
    sources = [Source.unpack(value) for value in packed if value and len(value) == 20]
    return [(source.partition, source.offset) for source in sources]


def _dead_letter(record: Any) -> DeadLetter:
    told = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    event_id = find(record.headers, names.EVENT_ID)
    return DeadLetter(
        told[names.DLQ_STAGE],
        told[names.DLQ_TOPIC],
        int(told[names.DLQ_PARTITION]),
        int(told[names.DLQ_OFFSET]),
        told[names.DLQ_REASON],
        str(UUID(bytes=event_id)) if event_id and len(event_id) == 16 else None,
        told.get(MARK),
    )
