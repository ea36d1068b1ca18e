"""Keyset pagination of lists: slices, pages, cursors and the JSON form of rows. Pure.

A cursor encodes the key of the last row of a page, so inserts do not shift the next page. It is
opaque to clients.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

#: Raised when an invalid cursor is decoded.
_CURSOR_ERRORS = (
    *(binascii.Error, ValueError, TypeError, OverflowError),
    *(RecursionError, msgspec.MsgspecError),
)
_INT64_LIMIT = 2**63


class Slice(NamedTuple):
    """The part of a list to read: at most `limit` rows after the key `after`.

    Only rows with times from `since` (inclusive) to `until` (exclusive).
    """

    limit: int
    after: tuple[Any, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(NamedTuple):
    """A page of a list. `next_cursor` is None on the last page."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def page_of(items: Sequence[dict[str, Any]], limit: int, key: Sequence[str]) -> Page:
    """Return a page of the first `limit` items; more items mean that there is a next page.

    `key` names the fields that the cursor contains.
    """
    page_items = list(items[:limit])
    is_last = len(items) <= limit
    return Page(page_items, None if is_last else cursor_of([page_items[-1][name] for name in key]))


def cursor_of(key: Sequence[Any]) -> str:
    """Return the cursor that encodes the key of a row."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).rstrip(b"=").decode()


def read_cursor(cursor: str, types: Sequence[type]) -> tuple[Any, ...]:
    """Decode a cursor into a key with parts of these types; `ValueError` if it is invalid."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.b64decode(padded, altchars="-_", validate=True))
        return tuple(
            _checked_parameter(msgspec.convert(value, type_))
            for value, type_ in zip(values, types, strict=True)
        )
    except _CURSOR_ERRORS:
        raise ValueError("cursor must be the next_cursor of an earlier response") from None


def in_utc(time: datetime) -> datetime:
    """Convert a time to UTC; a naive time is taken as UTC.

    Raises `OverflowError` outside the years 1 to 9999.
    """
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def iso(time: datetime) -> str:
    """Format a time for responses: ISO 8601, UTC, microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def item_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as a JSON object for responses; times become ISO 8601 text."""
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def _checked_parameter(value: Any) -> Any:
    """Return a part of a key as a query parameter for both databases.

    Raises `ValueError` or `OverflowError` if it is not valid for both.
    """
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        return in_utc(value)
    if isinstance(value, int) and not -_INT64_LIMIT <= value < _INT64_LIMIT:
        raise ValueError("over 64 bits")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a NUL character")
    return value
