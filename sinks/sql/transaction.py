"""The two transactions of a batch: the one that writes it, and the one that finds what is wrong.

Both are plain functions of a connection, run by `engine.Database.run`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table

from schemas.counted import counted
from sinks.sql import offsets, outbox
from sinks.sql.batch import Refused, SourcedRow, above_fence, newest_by_key, screen
from sinks.sql.digests import Budget
from sinks.sql.errors import is_poison, reason
from sinks.sql.offsets import Place
from sinks.sql.statements import insert_rows
from sinks.sql.tables import AlertRow, DeliveryRow, table_of

#: Rows for one table, each with the offset that it is from.
TableRows = tuple[Table, Sequence[SourcedRow]]

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
        super().__init__(f"{counted(len(refused), 'record')} cannot be stored")
        self.refused = refused


class Batch(NamedTuple):
    """What one call of `Writer.write` was given."""

    place: Place
    next_offset: int
    rows: Sequence[TableRows]
    budget: Budget


def write(connection: Connection, batch: Batch, without: Collection[int]) -> int:
    """Write what of the batch is above the fence, but the records `without`; move the offset.

    Returns how many deliveries went with its alerts. Raises `PoisonFound` for records that
    `screen` refuses, `NotAssigned`, `ClusterMismatch`, and what the driver raises.
    """
    stored = offsets.lock(connection, batch.place)
    parts = list(_parts(batch, stored, without))
    if refused := [found for part in parts for found in screen(*part)]:
        raise PoisonFound(_one_for_each_record(refused))
    enqueued = sum(_insert(connection, part, batch.budget) for part in parts)
    if batch.next_offset > stored:
        offsets.advance(connection, batch.place, batch.next_offset)
    return enqueued


def find_poison(connection: Connection, batch: Batch, without: Collection[int]) -> None:
    """Insert the batch by halves, down to each row that is refused; raises `PoisonFound`.

    Always raises, so that the transaction is rolled back; with an empty list when the
    database refused nothing this time.
    """
    stored = offsets.lock(connection, batch.place)
    parts = _parts(batch, stored, without)
    refused = [found for part in parts for found in _refused_of(connection, part, batch.budget)]
    raise PoisonFound(_one_for_each_record(refused))


def _parts(batch: Batch, stored: int, without: Collection[int]) -> Iterator[TableRows]:
    for table, rows in batch.rows:
        wanted = [row for row in above_fence(rows, stored) if row[0] not in without]
        if wanted:
            yield table, newest_by_key(table, wanted)


def _refused_of(connection: Connection, part: TableRows, budget: Budget) -> list[Refused]:
    try:
        with connection.begin_nested():
            _insert(connection, part, budget)
    except Exception as error:
        if not is_poison(error):
            raise
        table, rows = part
        if len(rows) == 1:
            return [Refused(rows[0][0], reason(error))]
        middle = len(rows) // 2
        halves = ((table, rows[:middle]), (table, rows[middle:]))
        return [found for half in halves for found in _refused_of(connection, half, budget)]
    return []


def _insert(connection: Connection, part: TableRows, budget: Budget) -> int:
    """Insert rows of a table; return how many deliveries were enqueued with them.

    Alerts get their numbers; those that are new get deliveries. The partition is ours alone while
    its offset is locked, and an alert is always of the same partition: nobody inserts it between
    the query for those that are there and the insertion.
    """
    table, rows = part[0], [row for _, row in part[1]]
    if table is not _ALERTS:
        insert_rows(connection, table, rows)
        return 0
    known = outbox.known_alerts(connection, [row[0] for row in rows])
    last = connection.exec_driver_sql(_TAKE_NUMBERS.format(count=len(rows))).scalar_one()
    numbered = [(*row, last - len(rows) + number) for number, row in enumerate(rows, 1)]
    insert_rows(connection, table, numbered)
    if deliveries := outbox.delivery_rows(connection, numbered, known, budget):
        insert_rows(connection, _DELIVERIES, deliveries)
    return len(deliveries)


def _one_for_each_record(refused: list[Refused]) -> list[Refused]:
    """Keep the first reason of each record, in order of offset."""
    reasons = dict(reversed(refused))
    return [Refused(offset, reasons[offset]) for offset in sorted(reasons)]
