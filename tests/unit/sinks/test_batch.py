"""What of a batch is sent."""

from sinks.sql.batch import Refused, above_fence, screen, table_batch
from sinks.sql.tables import AlertRow, EventRow, SessionRow, table_of
from sinks.sql.types import EARLIEST_MICROS, LATEST_MICROS
from tests.contract.sinks.samples import alert_at, event_at, visit_at


def test_records_below_the_fence_are_dropped() -> None:
    """The fence itself is the next to be written."""
    rows = [event_at(offset) for offset in range(5)]

    assert above_fence(rows, 3) == rows[3:]
    assert above_fence(rows, 0) == rows
    assert above_fence(rows, 5) == above_fence([], 0) == []


def test_rows_are_sorted_by_key_so_that_writers_never_wait_in_a_circle() -> None:
    """The offsets go with them."""
    rows = [event_at(offset) for offset in range(50)]
    batch = table_batch(table_of(EventRow), rows)

    assert batch is not None
    ids = [row[0] for row in batch.rows]
    assert ids == sorted(row[0] for _, row in rows)
    assert [event_at(offset)[1][0] for offset in batch.offsets] == ids


def test_alerts_stay_in_the_order_they_came() -> None:
    """Their numbers tell it."""
    batch = table_batch(table_of(AlertRow), [alert_at(n, n % 7) for n in range(20)])

    assert batch is not None
    assert list(batch.offsets) == list(range(7))


def test_of_equal_revisions_the_first_is_sent() -> None:
    """As if each row were sent alone."""
    rows = [visit_at(0, "v", 2), visit_at(1, "v", 2), visit_at(2, "v", 1)]
    batch = table_batch(table_of(SessionRow), rows)

    assert batch is not None
    assert list(batch.offsets) == [0]


def test_a_table_without_rows_gets_no_statement() -> None:
    """As when all of them are below the fence."""
    assert table_batch(table_of(EventRow), []) is None


def test_the_screen_names_column_and_record() -> None:
    """Each record that neither engine may get."""
    rows = [
        event_at(0),
        event_at(1, title="\0"),
        event_at(2, event_ts=LATEST_MICROS + 1),
        event_at(3, received_at=EARLIEST_MICROS - 1),
        event_at(4, event_ts=EARLIEST_MICROS, received_at=LATEST_MICROS),
        event_at(5, properties='"\0"'),
    ]
    batch = table_batch(table_of(EventRow), rows)

    assert batch is not None
    assert sorted(screen(batch)) == [
        Refused(1, "a NUL character in title"),
        Refused(2, f"event_ts is not in the years 1 to 9999: {LATEST_MICROS + 1}"),
        Refused(3, f"received_at is not in the years 1 to 9999: {EARLIEST_MICROS - 1}"),
        Refused(5, "a NUL character in properties"),
    ]
