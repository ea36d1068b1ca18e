"""Values as other clients write them, in the form of the API: times as numbers, sizes as texts."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from producer_api.events.dialects.decoding import json_of
from producer_api.events.rejection import Rejected

#: Units of times, as the arguments of `timedelta` are named.
SECOND = "seconds"
MILLISECOND = "milliseconds"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: In seconds this is the year 5138, in milliseconds 1973.
_FIRST_MILLISECONDS = 10**11
#: The year 1973. A smaller number is rather an age or a counter.
_FIRST_SECONDS = 10**8
#: A zone as Ruby and PostgreSQL write it: UTC, or an offset after a space.
_SPACED_ZONE = re.compile(r" (?:UTC|GMT|([+-]\d\d:?\d\d))$")
#: An offset as `Date` of JavaScript writes it.
_NAMED_OFFSET = re.compile(r"(?:UTC|GMT)(?=[+-]\d{4})")
#: The maximum length of a time; the longest are those of JavaScript, with the name of the zone.
_LONGEST = 100
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def iso_time(number: Any, unit: str) -> Any:
    """Return a number of units since the epoch in ISO 8601, or the value if it is not a number."""
    try:
        return (_EPOCH + timedelta(**{unit: float(number)})).isoformat()
    except (TypeError, ValueError, OverflowError):
        return number


def iso_time_of_seconds(value: Any) -> Any:
    """Return seconds since the epoch, or obviously milliseconds, as `iso_time` does."""
    try:
        is_milliseconds = float(value) > _FIRST_MILLISECONDS
    except (TypeError, ValueError, OverflowError):
        return value
    return iso_time(value, MILLISECOND if is_milliseconds else SECOND)


def other_time(value: Any) -> Any:
    """Return a time that is no ISO 8601 in ISO 8601, or the value if it is not a time.

    It may be a number of seconds or milliseconds since the epoch, also as a text, a date of RFC
    2822 or JavaScript, or one with a zone as Ruby and PostgreSQL write it.
    """
    with suppress(TypeError, ValueError, OverflowError):
        return iso_time_of_seconds(value) if float(value) >= _FIRST_SECONDS else value
    if not isinstance(value, str) or len(value) > _LONGEST:
        return value
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        return parsedate_to_datetime(_NAMED_OFFSET.sub("", value)).isoformat()
    return _SPACED_ZONE.sub(lambda match: match[1] or "Z", value)


def size(text: Any) -> tuple[int, int] | None:
    """Return width and height of a text such as "1920x1080"; None if it is not one."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None


def json_or_text(text: str) -> Any:
    """Return the value of a JSON text, or the text if it is not JSON."""
    try:
        return json_of(text.encode("utf-8", "surrogatepass"))
    except Rejected:
        return text
