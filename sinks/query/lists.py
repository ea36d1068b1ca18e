"""What a list is asked: `limit`, `cursor`, `from`, `to`. Pure.

A cursor is the key of the last row that was shown, so a page is what follows it, whatever was
inserted meanwhile. It is opaque: clients may only hand it back.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from sinks.query.answers import Refused, bad_parameter, shown

DEFAULT_LIMIT = 100
MOST = 1_000

#: The parameters of every list.
LIST = frozenset({"limit", "cursor", "from", "to"})
#: Every address may carry its token.
_ANYWHERE = frozenset({"access_token"})
_INTEGERS = 2**63
_LAST_YEAR = 9999


@dataclass(frozen=True, slots=True)
class Asked:
    """A page of a list: at most `limit` rows after the key `after`, from `since` to `until`."""

    limit: int
    after: tuple[Any, ...] | None
    since: datetime | None
    until: datetime | None


def asked(query: Mapping[str, str], key: Sequence[type], *filters: str) -> Asked:
    """Read the parameters; `Refused` names the wrong one. `key` is the kinds of the list's key."""
    only_known(query, *LIST, *filters)
    return Asked(
        limit_of(query),
        _after(query["cursor"], key) if "cursor" in query else None,
        *within(query),
    )


def asked_by_name(query: Mapping[str, str]) -> tuple[int, str]:
    """Read the parameters of a list of names: its limit, and the name that it goes on after."""
    only_known(query, "limit", "cursor")
    (after,) = _after(query["cursor"], (str,)) if "cursor" in query else ("",)
    return limit_of(query), after


def within(query: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Return the times that a list is bounded by: from the first, up to the second."""
    return _time(query, "from"), _time(query, "to")


def only_known(query: Mapping[str, str], *known: str) -> None:
    """Refuse parameters that nothing reads: a filter with a typing error would not filter."""
    for name in query.keys() - _ANYWHERE - set(known):
        raise bad_parameter(
            name[:100], f"Unknown parameter; known are {', '.join(sorted(known)) or 'none'}"
        )


def one_of(query: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    """Return the value of a filter, None without one: a value that nothing has would find none."""
    value = query.get(name)
    if value is not None and value not in known:
        raise bad_parameter(
            name, f"{name} must be one of: {', '.join(known)}; it is {shown(value)!r}"
        )
    return value


def limit_of(query: Mapping[str, str]) -> int:
    """Return how many rows are asked for."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST):
        raise bad_parameter("limit", f"limit must be a number from 1 to {MOST:,}")
    return int(text[:9])


def cursor_of(key: Sequence[Any]) -> str:
    """Return the cursor behind the row with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).rstrip(b"=").decode()


def _after(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.b64decode(padded, altchars="-_", validate=True))
        key: tuple[Any, ...] = tuple(
            msgspec.convert(value, kind) for value, kind in zip(values, kinds, strict=True)
        )
    except (binascii.Error, ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        raise _bad_cursor() from None
    if any(not _can_be_bound(value) for value in key):
        raise _bad_cursor()
    return tuple(str(value) if isinstance(value, UUID) else value for value in key)


def _bad_cursor() -> Refused:
    return bad_parameter("cursor", "cursor must be the next_cursor of an earlier answer")


def _can_be_bound(value: Any) -> bool:
    if isinstance(value, int):
        return -_INTEGERS <= value < _INTEGERS
    if isinstance(value, datetime):
        return value.tzinfo is not None and 1 < value.year < _LAST_YEAR
    return not isinstance(value, str) or "\0" not in value


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        # The plus of an offset that was not escaped arrives as a space.
        (date, rest) = (query[name][:11], query[name][11:])
        found = datetime.fromisoformat(date + rest.replace(" ", "+"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_parameter(
            name, f"{name} must be an ISO 8601 date and time, such as 2026-01-31T12:00:00Z"
        ) from None


def iso(time: datetime) -> str:
    """Return a time as answers show it: ISO 8601, UTC, microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
