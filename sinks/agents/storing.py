"""What all sink agents do: decode records into rows, hand them to the writer, in one batch."""

from collections.abc import Iterable, Mapping, Sequence

from sqlmodel import SQLModel

from schemas.codec import CodecError, decode
from schemas.reject_reasons import DeadLetterReason
from sinks.agents.stored import Stored
from sinks.sql.batch import Refused, SourcedRow
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.writer import Writer
from streams.engine.batch import Batch, InRecord
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

Rows = Mapping[type[SQLModel], Sequence[SourcedRow]]


def rows_of(batch: Batch, stored: Stored, records: Iterable[InRecord]) -> Rows:
    """Return the rows of some of a batch's records, each with its offset, for their table.

    What cannot be decoded is refused. Ticks and tombstones, which have no value, have no rows.
    """
    rows: list[SourcedRow] = []
    for record in records:
        if record.value is None:
            continue
        try:
            decoded = decode(record.value, stored.record)
        except CodecError as error:
            batch.refuse(record, DeadLetterReason.UNDECODABLE, str(error))
            continue
        with batch.refusing(record):
            made = stored.to_rows(decoded, record, batch.partition)
            rows += [(record.offset, row) for row in made]
    return {stored.table: rows}


async def store(worker: Worker, writer: Writer, batch: Batch, rows: Rows) -> None:
    """Write the rows and move the partition's offset; dead letters leave before it moves."""

    async def refuse(refused: Sequence[Refused]) -> None:
        reasons = dict(refused)
        for record in batch.records:
            if record.offset in reasons:
                batch.refuse(record, DeadLetterReason.ROW_REFUSED, reasons[record.offset])
        await worker.send_refused(batch)

    await worker.send_refused(batch)
    worker.check_owned(batch)
    try:
        await writer.write(batch.topic, batch.partition, batch.last_offset + 1, rows, refuse)
    except DatabaseUnavailable as error:
        raise StoppingError(str(error)) from error
