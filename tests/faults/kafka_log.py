"""Reads the log in Kafka from which the database is derived."""

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
    """A dead letter: the stage, the record's position and the reason."""

    stage: str
    topic: str
    partition: int
    offset: int
    reason: str
    event_id: str | None
    mark: str | None


class KafkaLog(NamedTuple):
    """The readable events of a log, with its dead letters."""

    #: The events of `events-raw` in order, including repeats.
    events: Log
    #: The same events in the order of `events-alert`, without repeats.
    alerting: Log
    dead_letters: list[DeadLetter]
    #: The number of events that the router sent again after a crash.
    routed_again: int
    #: The records of `events`, including repeats.
    records: Sequence[RawRecord] = ()
    #: The log time of the last record of `events-raw`, which may be a punctuation record.
    last_ms: int = 0


def read_log(bootstrap: str, before: Sequence[KafkaLog] = ()) -> KafkaLog:
    """Read the log, and append it to those of earlier clusters, of one epoch each."""
    logs = (*before, asyncio.run(_read_log(bootstrap, len(before))))
    return KafkaLog(
        [entry for log in logs for entry in log.events],
        [entry for log in logs for entry in log.alerting],
        [letter for log in logs for letter in log.dead_letters],
        sum(log.routed_again for log in logs),
        [record for log in logs for record in log.records],
        max(log.last_ms for log in logs),
    )


async def _read_log(bootstrap: str, epoch: int) -> KafkaLog:
    raw = await read(bootstrap, [EVENTS_RAW.name])
    decoded = [(record, fields) for record in raw if (fields := _record_of(record, epoch))]
    events = [
        (_event_of(fields), Source(record.partition, epoch << 48 | record.offset, record.timestamp))
        for record, fields in decoded
    ]
    by_position = {(src.partition, src.offset): (event, src) for event, src in events}
    alerting = _sources_of(await read(bootstrap, [EVENTS_ALERT.name]))
    routed = Counter(_sources_of(await read(bootstrap, [EVENTS_SESSION.name])))
    dead = await read(bootstrap, [topic.name for topic in DEAD_LETTERS])
    return KafkaLog(
        events,
        [by_position[source] for source in dict.fromkeys(alerting) if source in by_position],
        [_dead_letter(record) for record in dead],
        sum(count - 1 for source, count in routed.items() if source in by_position),
        [fields for _, fields in decoded],
        max((record.timestamp for record in raw), default=0),
    )


async def read(bootstrap: str, topics: Sequence[str]) -> list[Any]:
    """Return all records of topics, sorted by topic, partition and offset."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    records: list[Any] = []
    try:
        partitions = [TopicPartition(topic, part) for topic in topics for part in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(fetched)
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))


def query_kafka(bootstrap: str, query: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """Return the result of `query`, called with an admin client and a consumer."""

    async def run() -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        try:
            await admin.start()
            await consumer.start()
            return await query(admin, consumer)
        finally:
            await consumer.stop()
            await admin.close()

    return asyncio.run(run())


def _record_of(record: Any, epoch: int) -> RawRecord | None:
    """Decode a record; None for punctuation, and for records that the router must reject."""
    event_id, key = find(record.headers, names.EVENT_ID), record.key or b""
    if record.value is None or event_id is None or len(event_id) != 16 or b":" not in key[1:]:
        return None
    try:
        fields = fields_of(record.value)
    except ValueError:
        return None
    return RawRecord(record.partition, record.offset, key, dict(record.headers), fields, epoch)


def _event_of(record: RawRecord) -> RawEvent:
    """Return the event of a record, without JSON fields, which no result depends on."""
    fields = {**record.fields, "properties": None, "extra": None}
    fields["screen"] = Screen(**fields["screen"]) if fields["screen"] else None
    fields["utm"] = Utm(**fields["utm"]) if fields["utm"] else None
    return RawEvent(**fields)


def _sources_of(records: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the partitions and offsets in `events-raw` of routed records."""
    packed = [find(record.headers, SOURCE) for record in records]
    sources = [Source.unpack(value) for value in packed if value and len(value) == 20]
    return [(source.partition, source.offset) for source in sources]


def _dead_letter(record: Any) -> DeadLetter:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    event_id = find(record.headers, names.EVENT_ID)
    return DeadLetter(
        headers[names.DLQ_STAGE],
        headers[names.DLQ_TOPIC],
        int(headers[names.DLQ_PARTITION]),
        int(headers[names.DLQ_OFFSET]),
        headers[names.DLQ_REASON],
        str(UUID(bytes=event_id)) if event_id and len(event_id) == 16 else None,
        headers.get(MARK),
    )
