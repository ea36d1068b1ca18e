"""When an event happened: the client's word, corrected by `sent_at` and kept near the present."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil.parser import isoparse  # type: ignore[import-untyped]

from producer_api.rejected import Rejected, wrong_kind
from schemas.records import TimeSource
from schemas.reject_reasons import RejectReason

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


def place_in_time(
    received: int, timestamp: int | None, sent: int | None, *, imported: bool
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
    nearest = min(max(timestamp, received - OLDEST), received + NEWEST)
    return nearest, "client" if nearest == timestamp else "clamped"


def microseconds(name: str, value: Any) -> int:
    """Read an ISO 8601 date and time; one without a zone is in UTC."""
    if not isinstance(value, str):
        raise wrong_kind(name, "a text with an ISO 8601 date and time", value)
    try:
        moment = _read(value)
    except (ValueError, OverflowError):
        raise Rejected(RejectReason.BAD_TIMESTAMP, name) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = (moment - _EPOCH) // _MICROSECOND
    if not is_storable(since):
        raise Rejected(RejectReason.BAD_TIMESTAMP, name)
    return since


def is_storable(since: int) -> bool:
    """Return whether microseconds since 1970 lie within the years that all can tell."""
    return _FIRST <= since <= _LAST


def _read(text: str) -> datetime:
    text = text[: _LONGEST + 1].upper()
    if len(text) > _LONGEST or not _FORM.fullmatch(text):
        raise ValueError
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        # What it misses: 24:00, days of the year, and leap seconds, which count as the second
        # after them.
        (plain, leaps) = _LEAP_SECOND.subn(r"\g<1>59", text)
        moment: datetime = isoparse(plain)
        return moment + timedelta(seconds=leaps)
