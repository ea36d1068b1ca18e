"""Compares the topic `visits` with the table `sessions`."""

import asyncio

from schemas.codec import decode
from schemas.records import FlatVisit
from schemas.topics import VISITS
from sinks.rows import flat_visit_of
from sinks.sql.tables import SessionRow
from tests.e2e.stack import Stack
from tests.faults.kafka_log import read
from tests.faults.tables import rows_of


def check_visits(stack: Stack) -> None:
    """Check that a consumer that keeps the last record of each key has the rows of the database.

    The stack must be idle.
    """
    last = {record.key: record.value for record in asyncio.run(read(stack.kafka, [VISITS.name]))}
    consumed = {
        key.decode(): decode(value, FlatVisit) for key, value in last.items() if value is not None
    }
    rows = [flat_visit_of(tuple(row.values())) for row in rows_of(stack, SessionRow)]
    assert consumed == {row.visit_id: row for row in rows}
