"""What of a batch is sent."""

from decimal import Decimal

from sinks.sql.batch import RejectedRecord, deduplicate, find_invalid, from_offset
from sinks.sql.tables import AlertRow, EventRow, SessionRow, table_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS
from tests.contract.sinks.samples import alert_at, event_at, visit_at


def test_records_below_the_fence_are_dropped() -> None:
    """The fence itself is the next to be written."""
    rows = [event_at(offset) for offset in range(5)]

    assert from_offset(rows, 3) == rows[3:]
    assert from_offset(rows, 0) == rows
    assert from_offset(rows, 5) == from_offset([], 0) == []


def test_rows_are_sorted_by_key_so_that_writers_never_wait_in_a_circle() -> None:
    """The offsets go with them."""
    rows = [event_at(offset) for offset in range(50)]
    batch = deduplicate(table_of(EventRow), rows)

    assert [row[0] for _, row in batch] == sorted(row[0] for _, row in rows)
    assert sorted(batch) == rows


def test_alerts_stay_in_the_order_they_came() -> None:
    """Their numbers tell it."""
    batch = deduplicate(table_of(AlertRow), [alert_at(n, n % 7) for n in range(20)])

    assert [offset for offset, _ in batch] == list(range(7))


def test_of_equal_revisions_the_first_is_sent() -> None:
    """As if each row were sent alone."""
    rows = [visit_at(0, "v", 2), visit_at(1, "v", 2), visit_at(2, "v", 1)]

    assert deduplicate(table_of(SessionRow), rows) == rows[:1]


def test_the_screen_names_column_and_record() -> None:
    """Each record that neither engine may get."""
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
