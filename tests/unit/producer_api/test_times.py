from typing import Any

import pytest

from producer_api.events.rejection import Rejected
from producer_api.events.times import MAX_AGE_US, MAX_LEAD_US, microseconds, resolve_event_time
from schemas.reject_reasons import RejectReason
from tests.unit.producer_api.around import NOW, read

MINUTE = 60_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31T12:00:00", NOW),
        ("2026-01-31 12:00:00+00:00", NOW),
        ("2026-01-31t12:00:00z", NOW),
        ("20260131T120000Z", NOW),
        ("2026-W05-6T12:00Z", NOW),
        ("2026-031T12:00:00Z", NOW),
        ("2026-01-31T17:30:00+05:30", NOW),
        ("2026-01-31T12:00:00.123456789Z", NOW + 123_456),
        ("2026-01-31T12:00:00,5Z", NOW + 500_000),
        ("2026-01-31", NOW - 720 * MINUTE),
        ("2026-01-31T24:00:00Z", NOW + 720 * MINUTE),
        ("2026-01-31T11:59:60Z", NOW),
        ("2026-01-31T11:59:60.5+00:00", NOW + 500_000),
        ("2026-01-31 11:59:60", NOW),
        ("20260131T115960Z", NOW),
        ("2026-01-31T12Z", NOW),
        ("2026-01-31T17:30+0530", NOW),
        ("2026-01-31T13:00+01", NOW),
        ("2026W056T1200", NOW),
        ("2026031T120000Z", NOW),
        ("2026-031 13:00+01", NOW),
        ("2024-366T24:00+00:00", 1_735_689_600_000_000),
        ("2026-01-31T24", NOW + 720 * MINUTE),
        ("20260131T2400Z", NOW + 720 * MINUTE),
        ("2026-01-31T24:00:00.000+05:30", NOW + 390 * MINUTE),
        ("2026-031T11:59:60,5", NOW + 500_000),
    ],
)
def test_all_forms_of_iso_8601_are_parsed(text: str, expected: int) -> None:
    """A time without an offset is in UTC; a leap second is the next second."""
    assert microseconds("timestamp", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026",
        "2026-01",
        "1769860800000",
        "2026-02-30T00:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "\uff12026-01-31T12:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "2026-01-31T12:00:00Z" + "0" * 10_000,
        "2026-01-31T12:00:00." + "0" * 10_000,
        # Fractions of hours and minutes, which `fromisoformat` misreads.
        "2026-01-31T12.5Z",
        "2026-01-31T12,5",
        "2026-01-31T12:30.5Z",
        "2026-01-31T1230.5Z",
        "2026-01-31x12:00:00Z",
        "2026-01-31\n12:00:00Z",
        "2026-01-31-12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T",
        "2026-01-31TZ",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T1\u066200:00Z",
        "2026-W05",
        # Days and weeks that the year does not have.
        "2026-366T12:00:00Z",
        "2026-000",
        "0000-001",
        "2025-W53-1",
        # Only 24:00:00 itself is valid.
        "2026-01-31T24:00:01Z",
        "2026-01-31T24:01Z",
        "2026-01-31T24:00:00.001Z",
    ],
)
def test_invalid_timestamps_are_rejected(text: str) -> None:
    """So are times outside the years 1 to 9999."""
    with pytest.raises(Rejected) as caught:
        microseconds("timestamp", text)

    assert (caught.value.reason, caught.value.field) == (RejectReason.BAD_TIMESTAMP, "timestamp")


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T24:00:00Z",
    ],
)
def test_a_year_out_of_range_has_its_own_message(text: str) -> None:
    """The format is valid."""
    with pytest.raises(Rejected) as caught:
        microseconds("sent_at", text)

    assert caught.value.to_json() == {
        "error": "sent_at must be in the years 1 to 9999 in UTC",
        "code": "bad_timestamp",
        "field": "sent_at",
    }


@pytest.mark.parametrize("value", [1_769_860_800_000, True, [], {}])
def test_a_timestamp_must_be_a_string(value: Any) -> None:
    """A number could mean seconds or milliseconds."""
    with pytest.raises(Rejected) as caught:
        microseconds("sent_at", value)

    assert caught.value.reason is RejectReason.WRONG_KIND


@pytest.mark.parametrize(
    ("timestamp", "sent", "expected"),
    [
        (None, None, (NOW, "server")),
        (None, NOW, (NOW, "server")),
        (NOW - MINUTE, None, (NOW - MINUTE, "client")),
        (NOW - MAX_AGE_US, None, (NOW - MAX_AGE_US, "client")),
        (NOW - MAX_AGE_US - 1, None, (NOW - MAX_AGE_US, "clamped")),
        (NOW + MAX_LEAD_US, None, (NOW + MAX_LEAD_US, "client")),
        (NOW + MAX_LEAD_US + 1, None, (NOW + MAX_LEAD_US, "clamped")),
        # A clock that is years off: only the difference to `sent_at` counts.
        (MINUTE, 3 * MINUTE, (NOW - 2 * MINUTE, "client")),
        (0, 3 * MAX_AGE_US, (NOW - MAX_AGE_US, "clamped")),
    ],
)
def test_timestamps_are_corrected_and_clamped(
    timestamp: int | None, sent: int | None, expected: tuple[int, str]
) -> None:
    """To 24 hours before and 5 minutes after the time of receipt."""
    assert resolve_event_time(NOW, timestamp, sent, imported=False) == expected


def test_timestamps_of_import_sites_are_kept() -> None:
    """They may have any age, and `sent_at` is ignored."""
    event = read(site_id="archive", timestamp="2014-04-07T10:51:09.277Z", sent_at="2014-04-08")

    assert (event.event_ts, event.time_source) == (1_396_867_869_277_000, "client")


def test_timestamps_of_other_sites_are_clamped() -> None:
    """The event's source of time is `clamped`."""
    event = read(timestamp="2014-04-07T10:51:09.277Z")

    assert (event.event_ts, event.time_source) == (NOW - MAX_AGE_US, "clamped")
