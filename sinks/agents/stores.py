"""The sink agents: each stores the records of its topic in its table, a batch in a transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlmodel import SQLModel

from schemas.codec import CodecError, decode
from schemas.headers import REPLAY_FOR, REPLAY_OFFSET, find
from schemas.raw import dead_letter_reason
from schemas.records import Alert, PageDuration, RawEvent, Record, SessionState
from schemas.reject_reasons import DeadLetterReason
from schemas.stages import ROUTER, SINK_STAGES
from schemas.topics import Topic
from sinks.agents.absence import Absence
from sinks.rows import alert_row, duration_row, event_row, session_rows
from sinks.sql.batch import Refused, SourcedRow
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from sinks.sql.writer import Writer
from streams.engine.batch import Batch, InRecord
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

Rows = dict[type[SQLModel], list[SourcedRow]]


class Store(NamedTuple):
    """What a sink stores: of which record, in which table, in which rows.

    `to_rows` gets the decoded value, its record, and the partition and cluster epoch of that.
    """

    record: type[Record]
    table: type[SQLModel]
    to_rows: Callable[[Any, InRecord, int, int], Iterable[Row]]


def _rows_of_event(event: RawEvent, record: InRecord, partition: int, epoch: int) -> list[Row]:
    """Return the row of an event; one that is replayed keeps the offset of its first time."""
    first = find(record.headers, REPLAY_OFFSET) or b""
    offset = int(first) if first.isdigit() else record.offset
    return [event_row(event, partition, offset, epoch)]


#: By the names of the agents, which dead letters carry.
STORES = {
    "store_events": Store(RawEvent, EventRow, _rows_of_event),
    "store_sessions": Store(SessionState, SessionRow, lambda state, *_: session_rows(state)),
    "store_durations": Store(PageDuration, PageDurationRow, lambda one, *_: [duration_row(one)]),
    "store_alerts": Store(Alert, AlertRow, lambda alert, *_: [alert_row(alert)]),
}


def register(worker: Worker, writer: Writer) -> None:
    """Register all sink agents: `events-raw` → `events`, `sessions` → `sessions` and so on."""
    for name, source in SINK_STAGES.items():
        _register(worker, writer, name, source)


def _register(worker: Worker, writer: Writer, name: str, source: Topic) -> None:
    absence = Absence() if source.cleanup == "compact" else None

    async def store(batch: Batch) -> None:
        if absence is not None:
            absence.look(batch, worker.next_offset(batch))
        rows: Rows = {}
        for stage, records in _by_store(name, batch).items():
            rows[STORES[stage].table] = _rows_of(batch, STORES[stage], records, writer.epoch)
        await _write(worker, writer, batch, rows)

    store.__name__ = name
    worker.agent(source)(store)


def _by_store(name: str, batch: Batch) -> dict[str, list[InRecord]]:
    """Return the batch's records by the store that they are for.

    `store_events` gets replayed dead letters of all sinks. Rows are known by their keys and
    revisions, so once more is harmless.
    """
    if name != "store_events":
        return {name: list(batch.records)}
    records: defaultdict[str, list[InRecord]] = defaultdict(list)
    for record in batch.records:
        # What is replayed for the router was no event before: it is stored as if it came first.
        stage = (find(record.headers, REPLAY_FOR) or b"").decode(errors="replace") or ROUTER
        if stage == ROUTER and dead_letter_reason(record.key, record.headers) is not None:
            continue  # the router dead-letters it
        stage = name if stage == ROUTER else stage
        if stage in STORES:  # else it is for a stage of the role streams
            records[stage].append(record)
    return records


def _rows_of(
    batch: Batch, store: Store, records: Iterable[InRecord], epoch: int
) -> list[SourcedRow]:
    """Return the rows of records, each with its offset; dead-letter what cannot be decoded.

    Ticks and tombstones, which have no value, have no rows.
    """
    rows: list[SourcedRow] = []
    for record in records:
        if record.value is None:
            continue
        try:
            decoded = decode(record.value, store.record)
        except CodecError as error:
            batch.reject(record, DeadLetterReason.UNDECODABLE, str(error))
            continue
        with batch.rejecting(record):
            made = store.to_rows(decoded, record, batch.partition, epoch)
            rows += [(record.offset, row) for row in made]
    return rows


async def _write(worker: Worker, writer: Writer, batch: Batch, rows: Rows) -> None:
    """Write the rows and move the partition's offset; dead letters leave before it moves."""

    async def refuse(refused: Sequence[Refused]) -> None:
        reasons = dict(refused)
        for record in batch.records:
            if record.offset in reasons:
                batch.reject(record, DeadLetterReason.ROW_REFUSED, reasons[record.offset])
        await worker.processor.send_dead_letters(batch)

    await worker.processor.send_dead_letters(batch)
    worker.processor.check_owned(batch)
    try:
        await writer.write(batch.topic, batch.partition, batch.last_offset + 1, rows, refuse)
    except DatabaseUnavailable as error:
        raise StoppingError(str(error)) from error
