from typing import Any

import pytest

from producer_api.rejected import Rejected
from producer_api.times import MAX_AGE_US, MAX_LEAD_US, microseconds, resolve_event_time
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
def test_iso_8601_is_read_in_its_many_forms(text: str, expected: int) -> None:
    """A time without a zone is in UTC; a leap second is the second after it."""
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
        # Fractions of hours or minutes, which the parsers take for whole ones.
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
        # A year has 365 days, or 366, and 52 weeks, or 53.
        "2026-366T12:00:00Z",
        "2026-000",
        "0000-001",
        "2025-W53-1",
        # The end of a day is a moment.
        "2026-01-31T24:00:01Z",
        "2026-01-31T24:01Z",
        "2026-01-31T24:00:00.001Z",
    ],
)
def test_what_is_no_date_and_time_is_refused(text: str) -> None:
    """Also what lies outside the years that every reader can tell."""
    with pytest.raises(Rejected) as refused:
        microseconds("timestamp", text)

    assert (refused.value.reason, refused.value.field) == (RejectReason.BAD_TIMESTAMP, "timestamp")


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T24:00:00Z",
    ],
)
def test_a_time_that_no_calendar_has_is_refused_by_a_sentence_of_its_own(text: str) -> None:
    """It is written as it should be."""
    with pytest.raises(Rejected) as refused:
        microseconds("sent_at", text)

    assert refused.value.to_json() == {
        "error": "sent_at must be in the years 1 to 9999 in UTC",
        "code": "bad_timestamp",
        "field": "sent_at",
    }


@pytest.mark.parametrize("value", [1_769_860_800_000, True, [], {}])
def test_a_time_that_is_no_text_is_of_the_wrong_kind(value: Any) -> None:
    """A number could mean seconds or milliseconds."""
    with pytest.raises(Rejected) as refused:
        microseconds("sent_at", value)

    assert refused.value.reason is RejectReason.WRONG_KIND


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
        # A clock that is years off: only the difference counts.
        (MINUTE, 3 * MINUTE, (NOW - 2 * MINUTE, "client")),
        (0, 3 * MAX_AGE_US, (NOW - MAX_AGE_US, "clamped")),
    ],
)
def test_the_clients_word_is_corrected_and_kept_near(
    timestamp: int | None, sent: int | None, expected: tuple[int, str]
) -> None:
    """Between a day before and five minutes after it was received."""
    assert resolve_event_time(NOW, timestamp, sent, imported=False) == expected


def test_imports_are_taken_at_their_word() -> None:
    """Of any age, and not moved to when they were sent again."""
    event = read(site_id="archive", timestamp="2014-04-07T10:51:09.277Z", sent_at="2014-04-08")

    assert (event.event_ts, event.time_source) == (1_396_867_869_277_000, "client")


def test_other_sites_are_kept_near() -> None:
    """An import site's privilege is its own."""
    event = read(timestamp="2014-04-07T10:51:09.277Z")

    assert (event.event_ts, event.time_source) == (NOW - MAX_AGE_US, "clamped")
