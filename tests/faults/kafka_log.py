"""What stands in Kafka: the log that the database is the fold of."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import headers as names
from schemas.headers import SOURCE, Source, find
from schemas.records import RawEvent, Screen, Utm
from schemas.topics import DEAD_LETTERS, EVENTS_ALERT, EVENTS_RAW, EVENTS_SESSION
from tests.e2e.poison import MARK
from tests.e2e.stack import PARTITIONS
from tests.faults.decoded import RawRecord, fields_of
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
    #: The records of `events-raw` that are events, repeats too, as they stand there.
    records: Sequence[RawRecord] = ()
    #: The log time of the last record of `events-raw`, which may be a tick.
    last_ms: int = 0


def read_log(bootstrap: str, before: Sequence[KafkaLog] = ()) -> KafkaLog:
    """Read all there is, after the logs of the clusters `before`, of one epoch each."""
    logs = (*before, asyncio.run(_read_log(bootstrap, len(before))))
    return KafkaLog(
        [one for log in logs for one in log.events],
        [one for log in logs for one in log.alerting],
        [one for log in logs for one in log.dead_letters],
        sum(log.routed_again for log in logs),
        [one for log in logs for one in log.records],
        max(log.last_ms for log in logs),
    )


async def _read_log(bootstrap: str, epoch: int) -> KafkaLog:
    raw = await read(bootstrap, [EVENTS_RAW.name])
    read_ones = [(record, one) for record in raw if (one := _record_of(record, epoch))]
    events = [
        (_event_of(one), Source(record.partition, epoch << 48 | record.offset, record.timestamp))
        for record, one in read_ones
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
        [one for _, one in read_ones],
        max((record.timestamp for record in raw), default=0),
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


def _record_of(record: Any, epoch: int) -> RawRecord | None:
    """Return the record of an event; None for a tick, and for what the router must reject."""
    event_id, key = find(record.headers, names.EVENT_ID), record.key or b""
    if record.value is None or event_id is None or len(event_id) != 16 or b":" not in key[1:]:
        return None
    try:
        fields = fields_of(record.value)
    except ValueError:
        return None
    return RawRecord(record.partition, record.offset, key, dict(record.headers), fields, epoch)


def _event_of(record: RawRecord) -> RawEvent:
    """Return the event of a record; its JSON texts are left out, which no result depends on."""
    fields = {**record.fields, "properties": None, "extra": None}
    fields["screen"] = Screen(**fields["screen"]) if fields["screen"] else None
    fields["utm"] = Utm(**fields["utm"]) if fields["utm"] else None
    return RawEvent(**fields)


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
