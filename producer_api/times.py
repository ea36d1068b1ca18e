"""When an event happened: the client's word, corrected by `sent_at` and kept near the present."""

import re
from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from producer_api.rejected import Rejected, wrong_kind
from schemas.records import TimeSource
from schemas.reject_reasons import RejectReason

#: Why a timestamp was clamped: over 24 hours old, or over 5 minutes ahead.
Clamped = Literal["too_old", "too_new"]

_SECOND = 1_000_000
OLDEST = 24 * 3600 * _SECOND
NEWEST = 5 * 60 * _SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What Python and PostgreSQL can both tell as a date: the years 1 to 9999.
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

#: No date has more; a longer text is not worth a parser's time.
_LONGEST = 64
#: A day and perhaps a time: years, months and weeks alone say nothing of when an event happened.
#: The parsers would take any character for the T, and misread a fraction of hours or minutes.
_FORM = re.compile(
    r"""(\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3}|\d{4}-\d{3}|\d{7})
    ([T\ ]
        \d\d(:\d\d(:\d\d([.,]\d+)?)?|\d\d(\d\d([.,]\d+)?)?)?
        (Z|[+-]\d\d(:?\d\d)?)?
    )?""",
    re.ASCII | re.VERBOSE,
)
#: Only the seconds can be 60; minutes never are.
_LEAP_SECOND = re.compile(r"([T ]\d\d:?\d\d:?)60")
_END_OF_DAY = re.compile(r"([T ])24(?=(:?00(:?00([.,]0+)?)?)?(Z|[+-]|$))")
_DAY_OF_YEAR = re.compile(r"(\d{4})-?(\d{3})(?=[T ]|$)")


def place_in_time(
    received: int, timestamp: int | None, sent: int | None, imported: bool
) -> tuple[int, TimeSource]:
    """Return `event_ts` and where it comes from; all times are microseconds since 1970.

    With `sent`, the client's clock at sending, only the difference of its two times counts, so
    a clock that is wrong does no harm. An imported event is taken at its word.
    """
    if timestamp is None:
        return received, "server"
    if imported:
        return timestamp, "client"
    if sent is not None:
        timestamp = received - (sent - timestamp)
    if timestamp < received - OLDEST:
        return received - OLDEST, "clamped"
    if timestamp > received + NEWEST:
        return received + NEWEST, "clamped"
    return timestamp, "client"


def clamping(received: int, event_ts: int, source: TimeSource) -> Clamped | None:
    """Return why an event does not have its client's timestamp; None when it was not clamped."""
    if source != "clamped":
        return None
    return "too_old" if event_ts < received else "too_new"


def microseconds(name: str, value: Any) -> int:
    """Read an ISO 8601 date and time; one without a zone is in UTC.

    `Rejected` for what is none, and for one outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, str):
        raise wrong_kind(name, "a text with an ISO 8601 date and time", value)
    try:
        moment = _read(value)
    except ValueError:
        raise Rejected(RejectReason.BAD_TIMESTAMP, name) from None
    except OverflowError:  # a leap second behind the last second of 9999
        raise _out_of_range(name) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = (moment - _EPOCH) // _MICROSECOND
    if not _FIRST <= since <= _LAST:
        raise _out_of_range(name)
    return since


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
        # What it misses: days of the year, the end of a day, and leap seconds, which count as the
        # second after them.
        if ordinal := _DAY_OF_YEAR.match(text):
            text = _calendar_date(int(ordinal[1]), int(ordinal[2])) + text[ordinal.end() :]
        text, leaps = _LEAP_SECOND.subn(r"\g<1>59", text)
        text, ends = _END_OF_DAY.subn(r"\g<1>00", text)
        return datetime.fromisoformat(text) + timedelta(days=ends, seconds=leaps)


def _calendar_date(year: int, day: int) -> str:
    if not 1 <= day <= 365 + isleap(year):
        raise ValueError
    return (date(year, 1, 1) + timedelta(days=day - 1)).isoformat()
