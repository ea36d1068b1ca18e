from datetime import UTC, datetime
from uuid import UUID

import pytest

from sinks.query.answers import Refused
from sinks.query.lists import asked, cursor_of

KEY = (datetime, UUID)
ID = "0196d1a0-0000-7000-8000-000000000001"


def test_a_cursor_is_read_back_as_the_key_it_was_made_of() -> None:
    """Times and ids as SQL takes them."""
    cursor = cursor_of(["2026-01-31T12:00:00.000001Z", ID])

    (began, visit_id) = asked({"cursor": cursor}, KEY).after or ()

    assert (began, visit_id) == (datetime(2026, 1, 31, 12, 0, 0, 1, UTC), ID)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ä",
        "WzFd",
        cursor_of(["2026-01-31T12:00:00Z"]),
        cursor_of(["2026-01-31T12:00:00", ID]),
        cursor_of(["0001-01-01T00:00:00Z", ID]),
        cursor_of(["2026-01-31T12:00:00Z", "' OR 1=1"]),
        cursor_of(["2026-01-31T12:00:00Z", ID, 1]),
        "W1tb" * 10_000,  # nested ten thousand times
    ],
)
def test_any_other_cursor_is_refused(cursor: str) -> None:
    """It never gets as far as SQL."""
    with pytest.raises(Refused) as refused:
        asked({"cursor": cursor}, KEY)

    assert (refused.value.status, refused.value.field) == (400, "cursor")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1.5, None, "1"])
def test_a_cursor_holds_numbers_that_sql_takes(number: object) -> None:
    """A number over 64 bits is none of ours."""
    with pytest.raises(Refused):
        asked({"cursor": cursor_of([number])}, (int,))


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-01-31T12:00:00Z", 12),
        ("2026-01-31T12:00:00+02:00", 10),
        ("2026-01-31T12:00:00 02:00", 10),
        ("2026-01-31 12:00", 12),
        ("2026-01-31", 0),
    ],
)
def test_times_are_iso_8601_and_utc_unless_they_say_otherwise(text: str, hour: int) -> None:
    """The plus sign of an offset may have become a space on its way."""
    assert asked({"from": text}, KEY).since == datetime(2026, 1, 31, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "²"),
        ("limit", "1" * 5_000),
        ("from", "yesterday"),
        ("to", "9999-12-31T23:59:59-23:00"),
        ("sort", "seq"),
        ("rule; DROP TABLE alerts", "1"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str) -> None:
    """And one that nothing reads is wrong: a filter with a typing error would not filter."""
    with pytest.raises(Refused) as refused:
        asked({name: value}, KEY, "rule")

    assert (refused.value.status, refused.value.field) == (400, name)
