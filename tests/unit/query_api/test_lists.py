from datetime import UTC, datetime
from uuid import UUID

import pytest

from query_api.errors import ApiError
from query_api.lists import ListParameters, parse_cursor, slice_of
from sinks.paging import Slice, cursor_of

KEY = (datetime, UUID)
ID = "0196d1a0-0000-7000-8000-000000000001"


def _slice(**query: str) -> Slice:
    return slice_of(ListParameters.model_validate(query), KEY)


def test_a_cursor_is_decoded_to_its_key() -> None:
    """With the types that SQL parameters need."""
    cursor = cursor_of(["2026-01-31T12:00:00.000001Z", ID])

    (started_at, visit_id) = _slice(cursor=cursor).after or ()

    assert (started_at, visit_id) == (datetime(2026, 1, 31, 12, 0, 0, 1, UTC), ID)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"])
def test_a_cursor_can_have_the_minimum_and_maximum_time(time: str) -> None:
    """An import may have such events."""
    (started_at, _) = _slice(cursor=cursor_of([time, ID])).after or ()

    assert started_at == datetime.fromisoformat(time)


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
def test_an_invalid_cursor_is_rejected(cursor: str) -> None:
    """Before the query."""
    with pytest.raises(ApiError) as rejected:
        _slice(cursor=cursor)

    assert (rejected.value.status_code, rejected.value.field) == (400, "cursor")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1.5, None, "1"])
def test_an_integer_of_a_cursor_must_fit_64_bits(number: object) -> None:
    """SQL parameters do, too."""
    with pytest.raises(ApiError):
        parse_cursor(cursor_of([number]), (int,))


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
def test_times_are_iso_8601_and_utc_by_default(text: str, hour: int) -> None:
    """An unescaped + of an offset is decoded as a space."""
    assert _slice(**{"from": text}).since == datetime(2026, 1, 31, hour, tzinfo=UTC)


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
def test_an_invalid_parameter_is_reported(name: str, value: str) -> None:
    """Unknown ones, too: a misspelt filter would not filter."""
    with pytest.raises(ApiError) as rejected:
        _slice(**{name: value})

    assert (rejected.value.status_code, rejected.value.field) == (400, name)
