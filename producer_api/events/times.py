"""Event times: parsed, corrected by `sent_at` and clamped to the time of receipt (design D8)."""

import re
from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from producer_api.events.rejection import Rejected, wrong_kind
from schemas.records import TimeSource
from schemas.reject_reasons import RejectReason

#: Why a timestamp was clamped: over 24 hours old, or over 5 minutes ahead.
Clamped = Literal["too_old", "too_new"]

_SECOND = 1_000_000
#: How far a timestamp may be from the time of receipt, in microseconds.
MAX_AGE_US = 24 * 3600 * _SECOND
MAX_LEAD_US = 5 * 60 * _SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The years 1 to 9999, which both Python and PostgreSQL support.
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

#: The maximum length of a timestamp.
_LONGEST = 64
#: A date with an optional time; a year, month or week alone is too imprecise. `fromisoformat`
#: itself accepts any character for the T, and misreads fractions of hours and minutes.
_FORM = re.compile(
    r"""(\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3}|\d{4}-\d{3}|\d{7})
    ([T\ ]
        \d\d(:\d\d(:\d\d([.,]\d+)?)?|\d\d(\d\d([.,]\d+)?)?)?
        (Z|[+-]\d\d(:?\d\d)?)?
    )?""",
    re.ASCII | re.VERBOSE,
)
#: 60 seconds; 60 minutes are invalid.
_LEAP_SECOND = re.compile(r"([T ]\d\d:?\d\d:?)60")
_END_OF_DAY = re.compile(r"([T ])24(?=(:?00(:?00([.,]0+)?)?)?(Z|[+-]|$))")
_DAY_OF_YEAR = re.compile(r"(\d{4})-?(\d{3})(?=[T ]|$)")


def resolve_event_time(
    received: int, timestamp: int | None, sent: int | None, imported: bool
) -> tuple[int, TimeSource]:
    """Return `event_ts` and its source; all times are microseconds since the epoch.

    With `sent`, the client's clock at sending, the event is placed relative to the time of receipt,
    which corrects a wrong clock. Imported events keep their timestamps.
    """
    if timestamp is None:
        return received, "server"
    if imported:
        return timestamp, "client"
    if sent is not None:
        timestamp = received - (sent - timestamp)
    if timestamp < received - MAX_AGE_US:
        return received - MAX_AGE_US, "clamped"
    if timestamp > received + MAX_LEAD_US:
        return received + MAX_LEAD_US, "clamped"
    return timestamp, "client"


def clamp_reason(received: int, event_ts: int, source: TimeSource) -> Clamped | None:
    """Return why a timestamp was clamped; None if it was not."""
    if source != "clamped":
        return None
    return "too_old" if event_ts < received else "too_new"


def microseconds(name: str, value: Any) -> int:
    """Parse an ISO 8601 date and time, by default in UTC, to microseconds since the epoch.

    Raises `Rejected` if it is invalid or outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, str):
        raise wrong_kind(name, "a text with an ISO 8601 date and time", value)
    try:
        moment = _read(value)
    except ValueError:
        raise Rejected(RejectReason.BAD_TIMESTAMP, name) from None
    except OverflowError:  # a leap second at the end of 9999
        raise _out_of_range(name) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    parsed = (moment - _EPOCH) // _MICROSECOND
    if not _FIRST <= parsed <= _LAST:
        raise _out_of_range(name)
    return parsed


def _out_of_range(name: str) -> Rejected:
    sentence = f"{name} must be in the years 1 to 9999 in UTC"
    return Rejected(RejectReason.BAD_TIMESTAMP, name, sentence=sentence)


def _read(text: str) -> datetime:
    text = text[: _LONGEST + 1].upper()
    if len(text) > _LONGEST or not _FORM.fullmatch(text):
        raise ValueError
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        # `fromisoformat` lacks ordinal dates, 24:00 and leap seconds, which become the next second.
        if ordinal := _DAY_OF_YEAR.match(text):
            text = _calendar_date(int(ordinal[1]), int(ordinal[2])) + text[ordinal.end() :]
        text, leaps = _LEAP_SECOND.subn(r"\g<1>59", text)
        text, midnights = _END_OF_DAY.subn(r"\g<1>00", text)
        return datetime.fromisoformat(text) + timedelta(days=midnights, seconds=leaps)


def _calendar_date(year: int, day: int) -> str:
    if not 1 <= day <= 365 + isleap(year):
        raise ValueError
    return (date(year, 1, 1) + timedelta(days=day - 1)).isoformat()
