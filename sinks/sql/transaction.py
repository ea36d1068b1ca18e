"""The two transactions of a batch: the one that writes it, and the one that finds what is wrong.

Both are plain functions of a connection, run by `engine.Database.run`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table

from sinks.sql import offsets, outbox
from sinks.sql.batch import Refused, SourcedRow, TableBatch, above_fence, screen, table_batch
from sinks.sql.errors import is_poison, reason
from sinks.sql.offsets import Place
from sinks.sql.statements import insert_rows
from sinks.sql.tables import AlertRow, DeliveryRow, table_of

Rows = Sequence[tuple[Table, Sequence[SourcedRow]]]

_ALERTS = table_of(AlertRow)
_DELIVERIES = table_of(DeliveryRow)

# Both engines have RETURNING; the row stays locked until the transaction ends.
_TAKE_NUMBERS = (
    "INSERT INTO alert_sequence (name, last_seq) VALUES ('alerts', {count}) "
    "ON CONFLICT (name) DO UPDATE SET last_seq = alert_sequence.last_seq + excluded.last_seq "
    "RETURNING last_seq"
)


class PoisonFound(Exception):  # noqa: N818 - raised to roll back and to say what was found
    """Some records cannot be stored; nothing of the batch was written."""

    def __init__(self, refused: list[Refused]) -> None:
        super().__init__(f"{len(refused)} records cannot be stored")
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Batch:
    """What one call of `write` was given."""

    place: Place
    next_offset: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction did: rows sent, rows below the fence, the offset now stored.

    `enqueued` deliveries went with the alerts of the batch.
    """

    sent: int
    skipped: int
    next_offset: int
    enqueued: int


def write(connection: Connection, batch: Batch, without: Collection[int]) -> Written:
    """Write what of the batch is above the fence, but the records `without`; move the offset.

    Raises `PoisonFound` for records that `screen` refuses, `NotAssigned`, `ClusterMismatch`,
    and what the driver raises.
    """
    stored = offsets.lock(connection, batch.place)
    parts, skipped = _prepare(batch, stored, without)
    if refused := [found for part in parts for found in screen(part)]:
        raise PoisonFound(_one_for_each_record(refused))
    enqueued = sum(_insert(connection, part) for part in parts)
    if batch.next_offset > stored:
        offsets.advance(connection, batch.place, batch.next_offset)
    sent = sum(len(part.offsets) for part in parts)
    return Written(sent, skipped, max(stored, batch.next_offset), enqueued)


def find_poison(connection: Connection, batch: Batch, without: Collection[int]) -> None:
    """Insert the batch by halves, down to each row that is refused; raises `PoisonFound`.

    Always raises, so that the transaction is rolled back; with an empty list when the
    database refused nothing this time.
    """
    stored = offsets.lock(connection, batch.place)
    parts, _ = _prepare(batch, stored, without)
    refused = [found for part in parts for found in _refused_of(connection, part)]
    raise PoisonFound(_one_for_each_record(refused))


def _refused_of(connection: Connection, part: TableBatch) -> list[Refused]:
    try:
        with connection.begin_nested():
            _insert(connection, part)
    except Exception as error:
        if not is_poison(error):
            raise
        count = len(part.offsets)
        if count == 1:
            return [Refused(part.offsets[0], reason(error))]
        halves = (part.part(0, count // 2), part.part(count // 2, count))
        return [found for half in halves for found in _refused_of(connection, half)]
    return []


def _prepare(batch: Batch, stored: int, without: Collection[int]) -> tuple[list[TableBatch], int]:
    parts: list[TableBatch] = []
    skipped = 0
    for table, rows in batch.rows:
        current = above_fence(rows, stored)
        skipped += len(rows) - len(current)
        wanted = [row for row in current if row[0] not in without] if without else current
        part = table_batch(table, wanted)
        if part is not None:
            parts.append(part)
    return parts, skipped


def _insert(connection: Connection, part: TableBatch) -> int:
    """Insert what goes to a table; returns how many deliveries were enqueued with it."""
    if part.table is _ALERTS:
        return _insert_alerts(connection, part)
    insert_rows(connection, part.table, part.rows)
    return 0


def _insert_alerts(connection: Connection, part: TableBatch) -> int:
    """Insert alerts with the numbers they get, and what is to be delivered of those that are new.

    The partition is ours alone while its offset is locked, and an alert is always of the same
    partition: nobody inserts it between the question and the insertion.
    """
    known = outbox.known_alerts(connection, part)
    numbers = _numbers(connection, len(part.offsets))
    numbered = [(*row, number) for row, number in zip(part.rows, numbers, strict=True)]
    insert_rows(connection, part.table, numbered)
    if rows := outbox.delivery_rows(connection, numbered, known):
        insert_rows(connection, _DELIVERIES, rows)
    return len(rows)


def _numbers(connection: Connection, count: int) -> range:
    last = connection.exec_driver_sql(_TAKE_NUMBERS.format(count=count)).scalar_one()
    return range(last - count + 1, last + 1)


def _one_for_each_record(refused: list[Refused]) -> list[Refused]:
    """Keep the first reason of each record, in order of offset."""
    reasons = dict(reversed(refused))
    return [Refused(offset, reasons[offset]) for offset in sorted(reasons)]
