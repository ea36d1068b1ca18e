"""Values as other clients write them, in the form of the API: times as numbers, sizes as texts."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from producer_api.events.dialects.decoding import json_of
from producer_api.events.rejection import Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def iso_time(number: Any, unit: timedelta) -> Any:
    """Return a number of units since the epoch in ISO 8601, or the value if it is not a number."""
    try:
        return (_EPOCH + float(number) * unit).isoformat()
    except (TypeError, ValueError, OverflowError):
        return number


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
