"""The sink agents: each writes the records of its topic to a table, one transaction per batch."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlmodel import SQLModel

from schemas.codec import CodecError, decode
from schemas.event_types import ERASE
from schemas.headers import ERASE_FROM, ERASE_UNTIL, REPLAY_FOR, REPLAY_OFFSET, TYPE, find
from schemas.raw_records import dead_letter_reason
from schemas.records import Alert, PageDuration, RawEvent, Record, SessionState
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import ROUTER, SINK_STAGES
from schemas.topics import Topic
from sinks.agents.compaction_check import CompactionCheck
from sinks.metrics import Latencies
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql.batch import RejectedRecord, SourcedRow
from sinks.sql.erasure import Erasure, without_erased
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow, table_of
from sinks.sql.writer import Writer
from streams.engine.batch import Batch, InRecord
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

Rows = dict[type[SQLModel], list[SourcedRow]]


class Sink(NamedTuple):
    """The record type that a sink reads, its table, and the row mapping.

    `to_rows` is called with the decoded value, its Kafka record, the partition and the cluster
    epoch; `to_erasure` with the value (None without one) and its record, if there are no rows.
    """

    record: type[Record]
    table: type[SQLModel]
    to_rows: Callable[[Any, InRecord, int, int], Sequence[Row]]
    to_erasure: Callable[[Any, InRecord], Erasure | None] = lambda *_: None


def _rows_of_event(event: RawEvent, record: InRecord, partition: int, epoch: int) -> list[Row]:
    """Return the row of an event; a replayed event keeps its original offset."""
    first = find(record.headers, REPLAY_OFFSET) or b""
    offset = int(first) if first.isdigit() else record.offset
    return [event_row(event, partition, offset, epoch)]


def _erasure_of_events(_: object, record: InRecord) -> Erasure | None:
    """Return the erasure that a record of `events-raw` requests; None for a punctuation record."""
    if find(record.headers, TYPE) != ERASE.encode():
        return None
    site, _, session = record.key.decode().partition(":")
    times = (int(find(record.headers, name) or b"") for name in (ERASE_FROM, ERASE_UNTIL))
    return Erasure(record.offset, table_of(EventRow), site, session, *times)


def _erasure_of_visits(state: SessionState | None, record: InRecord) -> Erasure | None:
    """Return the erasure that a state without visits requests; None for a tombstone."""
    if state is None or state.visits:
        return None
    return Erasure(record.offset, table_of(SessionRow), state.site_id, state.session_id)


#: The sinks by agent name; dead letters carry the name in a header.
SINKS = {
    "store_events": Sink(RawEvent, EventRow, _rows_of_event, _erasure_of_events),
    "store_sessions": Sink(
        SessionState, SessionRow, lambda state, *_: session_rows(state), _erasure_of_visits
    ),
    "store_durations": Sink(PageDuration, PageDurationRow, lambda page, *_: [duration_row(page)]),
    "store_alerts": Sink(Alert, AlertRow, lambda alert, *_: [alert_row(alert)]),
}


def register(worker: Worker, writer: Writer) -> Latencies:
    """Register all sink agents: `events-raw` → `events`, `sessions` → `sessions` and so on."""
    latencies = Latencies()
    for name, source in SINK_STAGES.items():
        _register(worker, writer, name, source, latencies)
    return latencies


def _register(
    worker: Worker, writer: Writer, name: str, source: Topic, latencies: Latencies
) -> None:
    compaction = CompactionCheck() if source.cleanup == "compact" else None

    async def store(batch: Batch) -> None:
        if compaction is not None:
            compaction.check(batch, worker.next_offset(batch))
        rows: Rows = {}
        erasures: list[Erasure] = []
        for sink_name, records in _by_sink(name, batch).items():
            sink = SINKS[sink_name]
            rows[sink.table] = _rows_of(batch, sink, records, writer.epoch, erasures)
        await _write(worker, writer, batch, rows, erasures)
        latencies.observe(name, batch.records, time.time())

    store.__name__ = name
    worker.agent(source)(store)


def _by_sink(name: str, batch: Batch) -> dict[str, list[InRecord]]:
    """Group the records of a batch by the sink that stores them.

    `store_events` also reads the replayed dead letters of the other sinks. Storing them twice is
    harmless, because rows are upserted by key and revision.
    """
    if name != "store_events":
        return {name: list(batch.records)}
    records: defaultdict[str, list[InRecord]] = defaultdict(list)
    for record in batch.records:
        # A dead letter of the router was never stored as an event, so it is stored like a new one.
        stage = (find(record.headers, REPLAY_FOR) or b"").decode(errors="replace") or ROUTER
        if stage == ROUTER and _is_dead_letter(record):
            continue  # the router dead-letters it
        stage = name if stage == ROUTER else stage
        if stage in SINKS:  # else it is for an agent of the role streams
            records[stage].append(record)
    return records


def _is_dead_letter(record: InRecord) -> bool:
    if record.value is None and find(record.headers, TYPE) == ERASE.encode():
        return record.key is None
    return dead_letter_reason(record.key, record.headers) is not None


def _rows_of(
    batch: Batch,
    sink: Sink,
    records: Iterable[InRecord],
    epoch: int,
    erasures: list[Erasure],
) -> list[SourcedRow]:
    """Return the rows of records with their offsets; dead-letter records that cannot be decoded.

    Append erasures to `erasures`, and omit earlier rows that they erase. Skip tombstones and
    punctuation records, which have no value.
    """
    rows: list[SourcedRow] = []
    own: list[Erasure] = []
    for record in records:
        decoded: Any = None
        mapped: Sequence[Row] = ()
        with batch.rejecting(record):
            if record.value is not None:
                try:
                    decoded = decode(record.value, sink.record)
                except CodecError as error:
                    batch.reject(record, DeadLetterReason.UNDECODABLE, str(error))
                    continue
                mapped = sink.to_rows(decoded, record, batch.partition, epoch)
            if mapped:
                rows += [(record.offset, row) for row in mapped]
            elif erasure := sink.to_erasure(decoded, record):
                own.append(erasure)
    erasures += own
    return without_erased(table_of(sink.table), rows, own) if own else rows


async def _write(
    worker: Worker, writer: Writer, batch: Batch, rows: Rows, erasures: Sequence[Erasure]
) -> None:
    """Send the dead letters, then write the rows and advance the partition's offset."""

    async def dead_letter(rejected: Sequence[RejectedRecord]) -> None:
        reasons = dict(rejected)
        for record in batch.records:
            if record.offset in reasons:
                batch.reject(record, DeadLetterReason.ROW_REFUSED, reasons[record.offset])
        await worker.processor.send_dead_letters(batch)

    await worker.processor.send_dead_letters(batch)
    worker.processor.check_owned(batch)
    try:
        next_offset = batch.last_offset + 1
        await writer.write(
            batch.topic, batch.partition, next_offset, rows, dead_letter, erasures=erasures
        )
    except DatabaseUnavailable as error:
        raise StoppingError(str(error)) from error
