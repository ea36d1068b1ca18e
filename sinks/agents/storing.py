"""What all sink agents do: decode records into rows, hand them to the writer, in one batch."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sqlmodel import SQLModel

from schemas.codec import CodecError, decode
from schemas.records import Record
from schemas.reject_reasons import DeadLetterReason
from sinks.sql.batch import Refused, SourcedRow
from sinks.sql.errors import DatabaseUnavailable
from sinks.sql.statements import Row
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker

R = TypeVar("R", bound=Record)


def rows_of(
    batch: Batch, record_type: type[R], to_rows: Callable[[R, int], Iterable[Row]]
) -> list[SourcedRow]:
    """Return the rows of a batch, each with its offset; refuse what cannot be decoded.

    `to_rows` is given a record and its offset. Ticks and tombstones, which have no value, have
    no rows.
    """
    rows: list[SourcedRow] = []
    for record in batch.records:
        if record.value is None:
            continue
        try:
            decoded = decode(record.value, record_type)
        except CodecError as error:
            batch.refuse(record, DeadLetterReason.UNDECODABLE, str(error))
            continue
        with batch.refusing(record):
            rows += [(record.offset, row) for row in to_rows(decoded, record.offset)]
    return rows


async def store(
    worker: Worker, writer: Writer, batch: Batch, table: type[SQLModel], rows: list[SourcedRow]
) -> None:
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
        await writer.write(
            batch.topic, batch.partition, batch.last_offset + 1, {table: rows}, refuse
        )
    except DatabaseUnavailable as error:
        raise StoppingError(str(error)) from error
