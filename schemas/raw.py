"""What a record of `events-raw` must be, by its key and headers, to be an event.

Held by all who read the topic: what the router refuses must not become a row either.
"""

from schemas.event_types import EVENT_TYPES
from schemas.headers import EVENT_ID, TYPE, Headers, find
from schemas.reject_reasons import DeadLetterReason

_NAMES = frozenset(name.encode() for name in EVENT_TYPES)
_ID_BYTES = 16


def why_no_event(key: bytes | None, headers: Headers) -> tuple[DeadLetterReason, str] | None:
    """Say why a record that is no tick is no event either; None when it is one."""
    name, event_id = find(headers, TYPE), find(headers, EVENT_ID)
    if name is None:
        return DeadLetterReason.BAD_HEADERS, f"no header {TYPE!r}"
    if name not in _NAMES:
        return DeadLetterReason.UNKNOWN_TYPE, f"unknown type {name[:64]!r}"
    if event_id is None or len(event_id) != _ID_BYTES:
        return DeadLetterReason.BAD_HEADERS, f"the header {EVENT_ID!r} is not 16 bytes"
    try:
        site_of(key or b"")
    except ValueError as error:
        return DeadLetterReason.BAD_KEY, str(error)
    return None


def site_of(key: bytes) -> bytes:
    """Return the site of a `site_id:session_id` key; `ValueError` when it is none."""
    site, separator, session = key.partition(b":")
    if not (site and separator and session):
        raise ValueError("the key is not site_id:session_id")
    return site
