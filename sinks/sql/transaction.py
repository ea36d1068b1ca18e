"""The transactions of a batch: one that writes it, and one that finds its poison rows.

Both are functions of a connection, to be run by `Database.run`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table

from schemas.plurals import counted
from sinks.sql import offsets, outbox
from sinks.sql.batch import RejectedRecord, SourcedRow, deduplicate, find_invalid, from_offset
from sinks.sql.digests import DeliveryLimits
from sinks.sql.erasure import Erasure, erase
from sinks.sql.errors import driver_message, is_poison
from sinks.sql.offsets import SourcePartition
from sinks.sql.statements import insert_rows
from sinks.sql.tables import AlertRow, DeliveryRow, table_of

#: The rows for one table with their source offsets.
TableRows = tuple[Table, Sequence[SourcedRow]]

_ALERTS = table_of(AlertRow)
_DELIVERIES = table_of(DeliveryRow)

# Keeps the row locked until the transaction ends.
_ALLOCATE_SEQ = (
    "INSERT INTO alert_sequence (name, last_seq) VALUES ('alerts', {count}) "
    "ON CONFLICT (name) DO UPDATE SET last_seq = alert_sequence.last_seq + excluded.last_seq "
    "RETURNING last_seq"
)


class PoisonFound(Exception):  # noqa: N818 - raised to roll back
    """The database cannot store some records; the batch was rolled back."""

    def __init__(self, rejected: list[RejectedRecord]) -> None:
        super().__init__(f"{counted(len(rejected), 'record')} cannot be stored")
        self.rejected = rejected


class Batch(NamedTuple):
    """The arguments of one call of `Writer.write`."""

    source: SourcePartition
    next_offset: int
    rows: Sequence[TableRows]
    limits: DeliveryLimits
    erasures: Sequence[Erasure] = ()


def write(connection: Connection, batch: Batch, excluded: Collection[int]) -> int:
    """Write the rows that are not stored yet, and advance the partition's offset.

    Skip the records at the offsets in `excluded`. Return the number of enqueued deliveries. Raises
    `PoisonFound` for records that `find_invalid` rejects, `NotAssigned`, `ClusterMismatch` and
    driver errors.
    """
    stored = offsets.lock(connection, batch.source)
    parts = list(_parts(batch, stored, excluded))
    if rejected := [record for part in parts for record in find_invalid(*part)]:
        raise PoisonFound(_first_per_record(rejected))
    for erasure in batch.erasures:
        if erasure.offset >= stored:
            erase(connection, erasure)
    enqueued = sum(_insert(connection, part, batch.limits) for part in parts)
    if batch.next_offset > stored:
        offsets.advance(connection, batch.source, batch.next_offset)
    return enqueued


def find_poison(connection: Connection, batch: Batch, excluded: Collection[int]) -> None:
    """Find the rows that the database rejects, by bisection; always raises `PoisonFound`.

    Raising rolls the transaction back. The list is empty if the database rejected no row.
    """
    stored = offsets.lock(connection, batch.source)
    parts = _parts(batch, stored, excluded)
    rejected = [record for part in parts for record in _bisect(connection, part, batch.limits)]
    raise PoisonFound(_first_per_record(rejected))


def _parts(batch: Batch, stored: int, excluded: Collection[int]) -> Iterator[TableRows]:
    for table, rows in batch.rows:
        new = [row for row in from_offset(rows, stored) if row[0] not in excluded]
        if new:
            yield table, deduplicate(table, new)


def _bisect(
    connection: Connection, part: TableRows, limits: DeliveryLimits
) -> list[RejectedRecord]:
    try:
        with connection.begin_nested():
            _insert(connection, part, limits)
    except Exception as error:
        if not is_poison(error):
            raise
        table, rows = part
        if len(rows) == 1:
            return [RejectedRecord(rows[0][0], driver_message(error))]
        middle = len(rows) // 2
        halves = ((table, rows[:middle]), (table, rows[middle:]))
        return [record for half in halves for record in _bisect(connection, half, limits)]
    return []


def _insert(connection: Connection, part: TableRows, limits: DeliveryLimits) -> int:
    """Insert rows of a table; return the number of deliveries enqueued for new alerts.

    Alerts are assigned their `seq`. No other writer can insert the same alerts concurrently,
    because an alert always has the same partition, whose offset is locked.
    """
    table, rows = part[0], [row for _, row in part[1]]
    if table is not _ALERTS:
        insert_rows(connection, table, rows)
        return 0
    recipients = outbox.recipients_of(connection, rows)
    last_seq = connection.exec_driver_sql(_ALLOCATE_SEQ.format(count=len(rows))).scalar_one()
    first_seq = last_seq - len(rows) + 1
    with_seq = [(*row, seq) for seq, row in enumerate(rows, first_seq)]
    insert_rows(connection, table, with_seq)
    if deliveries := outbox.delivery_rows(connection, with_seq, recipients, limits):
        insert_rows(connection, _DELIVERIES, deliveries)
    return len(deliveries)


def _first_per_record(rejected: list[RejectedRecord]) -> list[RejectedRecord]:
    """Return the first rejection of each record, sorted by offset."""
    reasons = dict(reversed(rejected))
    return [RejectedRecord(offset, reasons[offset]) for offset in sorted(reasons)]
