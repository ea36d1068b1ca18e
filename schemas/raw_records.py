"""Validation of `events-raw` records by key and headers.

All consumers of the topic use it, so that no record is both dead-lettered and stored.
"""

from schemas.event_types import EVENT_TYPES
from schemas.headers import EVENT_ID, TYPE, Headers, find
from schemas.reject_reasons import DeadLetterReason

_NAMES = frozenset(name.encode() for name in EVENT_TYPES)
_ID_BYTES = 16


def dead_letter_reason(key: bytes | None, headers: Headers) -> tuple[DeadLetterReason, str] | None:
    """Return why a record that is no punctuation is not an event, as reason and detail, or None."""
    return problem_of(key, find(headers, TYPE), find(headers, EVENT_ID))


def problem_of(
    key: bytes | None, name: bytes | None, event_id: bytes | None
) -> tuple[DeadLetterReason, str] | None:
    """Return the same, given the headers with the type's name and the event's id."""
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
    """Return the site of a `site_id:session_id` key. Raise `ValueError` if it is malformed."""
    site, separator, session = key.partition(b":")
    if not (site and separator and session):
        raise ValueError("the key is not site_id:session_id")
    return site
