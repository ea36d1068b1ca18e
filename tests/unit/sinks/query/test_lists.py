from datetime import UTC, datetime
from uuid import UUID

import pytest

from sinks.paging import Slice, cursor_of
from sinks.query.errors import ApiError
from sinks.query.lists import ListParameters, after_cursor, slice_of

KEY = (datetime, UUID)
ID = "0196d1a0-0000-7000-8000-000000000001"


def _asked(**query: str) -> Slice:
    return slice_of(ListParameters.model_validate(query), KEY)


def test_a_cursor_is_read_back_as_the_key_it_was_made_of() -> None:
    """Times and ids as SQL takes them."""
    cursor = cursor_of(["2026-01-31T12:00:00.000001Z", ID])

    (began, visit_id) = _asked(cursor=cursor).after or ()

    assert (began, visit_id) == (datetime(2026, 1, 31, 12, 0, 0, 1, UTC), ID)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
def test_a_cursor_may_be_of_the_first_and_the_last_time(time: str) -> None:
    """An import may have events of both."""
    (began, _) = _asked(cursor=cursor_of([time, ID])).after or ()

    assert began == datetime.fromisoformat(time)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ä",
        "WzFd",
        cursor_of(["2026-01-31T12:00:00Z"]),
        cursor_of(["2026-01-31T12:00:00", ID]),
        cursor_of(["0001-01-01T00:00:00+00:01", ID]),
        cursor_of(["9999-12-31T23:59:59-00:01", ID]),
        cursor_of(["2026-01-31T12:00:00Z", "' OR 1=1"]),
        cursor_of(["2026-01-31T12:00:00Z", ID, 1]),
        "W1tb" * 10_000,  # nested ten thousand times
    ],
)
def test_any_other_cursor_is_refused(cursor: str) -> None:
    """It never gets as far as SQL."""
    with pytest.raises(ApiError) as refused:
        _asked(cursor=cursor)

    assert (refused.value.status_code, refused.value.field) == (400, "cursor")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1.5, None, "1"])
def test_a_cursor_holds_numbers_that_sql_takes(number: object) -> None:
    """A number over 64 bits is none of ours."""
    with pytest.raises(ApiError):
        after_cursor(cursor_of([number]), (int,))


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
    assert _asked(**{"from": text}).since == datetime(2026, 1, 31, hour, tzinfo=UTC)


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
    with pytest.raises(ApiError) as refused:
        _asked(**{name: value})

    assert (refused.value.status_code, refused.value.field) == (400, name)
