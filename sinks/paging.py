"""Pages of lists: slices, cursors, and rows as answers show them. Pure.

A cursor is the key of the last row that was shown, so a page is what follows it, whatever was
inserted in between. It is opaque to clients.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

#: What decoding a cursor that is none of ours raises.
_BAD_CURSOR = (
    *(binascii.Error, ValueError, TypeError, OverflowError),
    *(RecursionError, msgspec.MsgspecError),
)
_INTEGERS = 2**63


class Slice(NamedTuple):
    """At most `limit` rows after the key `after`, from `since` up to `until` exclusive."""

    limit: int
    after: tuple[Any, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(NamedTuple):
    """Some rows of a list; `next_cursor` is None after the last one."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def page_of(items: Sequence[dict[str, Any]], limit: int, key: Sequence[str]) -> Page:
    """Return a page of at most `limit` items; one more item means that there is a next page."""
    shown = list(items[:limit])
    is_last = len(items) <= limit
    return Page(shown, None if is_last else cursor_of([shown[-1][name] for name in key]))


def cursor_of(key: Sequence[Any]) -> str:
    """Return the cursor of the row with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).rstrip(b"=").decode()


def read_cursor(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Return the key of a cursor; `ValueError` unless it is one of ours, of these types."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.b64decode(padded, altchars="-_", validate=True))
        return tuple(
            _bindable(msgspec.convert(value, kind))
            for value, kind in zip(values, kinds, strict=True)
        )
    except _BAD_CURSOR:
        raise ValueError("cursor must be the next_cursor of an earlier answer") from None


def in_utc(time: datetime) -> datetime:
    """Return a time in UTC, in which one without a zone is; `OverflowError` outside 1 to 9999."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def iso(time: datetime) -> str:
    """Return a time as answers show it: ISO 8601, UTC, microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def item_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as answers show it, with its times as text."""
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def _bindable(value: Any) -> Any:
    """Return a part of a key as both databases take it; `ValueError` or `OverflowError` if none."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without its zone")
        return in_utc(value)
    if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
        raise ValueError("over 64 bits")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a NUL character")
    return value
