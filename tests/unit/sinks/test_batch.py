"""Deduplication and validation of the rows of a batch."""

from decimal import Decimal

from sinks.sql.batch import RejectedRecord, deduplicate, find_invalid, from_offset
from sinks.sql.tables import AlertRow, EventRow, SessionRow, table_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS
from tests.contract.sinks.samples import alert_at, event_at, visit_at


def test_records_below_the_next_offset_are_dropped() -> None:
    """The record at the next offset is kept."""
    rows = [event_at(offset) for offset in range(5)]

    assert from_offset(rows, 3) == rows[3:]
    assert from_offset(rows, 0) == rows
    assert from_offset(rows, 5) == from_offset([], 0) == []


def test_rows_are_sorted_by_key_to_avoid_deadlocks() -> None:
    """Each row keeps its offset."""
    rows = [event_at(offset) for offset in range(50)]
    batch = deduplicate(table_of(EventRow), rows)

    assert [row[0] for _, row in batch] == sorted(row[0] for _, row in rows)
    assert sorted(batch) == rows


def test_alerts_keep_their_order() -> None:
    """`seq` is assigned in this order."""
    batch = deduplicate(table_of(AlertRow), [alert_at(n, n % 7) for n in range(20)])

    assert [offset for offset, _ in batch] == list(range(7))


def test_of_equal_revisions_the_first_is_kept() -> None:
    """As if the rows were written one by one."""
    rows = [visit_at(0, "v", 2), visit_at(1, "v", 2), visit_at(2, "v", 1)]

    assert deduplicate(table_of(SessionRow), rows) == rows[:1]


def test_invalid_values_are_reported_by_offset_and_column() -> None:
    """NUL characters, times out of range and amounts that overflow."""
    rows = [
        event_at(0),
        event_at(1, title="\0"),
        event_at(2, event_ts=LATEST_MICROS + 1),
        event_at(3, received_at=EARLIEST_MICROS - 1),
        event_at(4, event_ts=EARLIEST_MICROS, received_at=LATEST_MICROS),
        event_at(5, properties='"\0"'),
        event_at(6, amount=Decimal("9999999999999999999.999999")),
        event_at(7, amount=Decimal("-9999999999999999999.9999995")),
        event_at(8, amount=Decimal("1E+999")),
        event_at(9, amount=Decimal("NaN")),
        event_at(10, amount=Decimal("0E+999")),
    ]

    assert sorted(find_invalid(table_of(EventRow), rows)) == [
        RejectedRecord(1, "a NUL character in title"),
        RejectedRecord(2, f"event_ts is not in the years 1 to 9999: {LATEST_MICROS + 1}"),
        RejectedRecord(3, f"received_at is not in the years 1 to 9999: {EARLIEST_MICROS - 1}"),
        RejectedRecord(5, "a NUL character in properties"),
        *(
            RejectedRecord(n, "numeric field overflow: amount has over 25 digits")
            for n in (7, 8, 9)
        ),
    ]
