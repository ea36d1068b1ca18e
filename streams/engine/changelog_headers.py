"""Headers of changelog records: the version of a state, and the offset that was applied."""

import struct
from typing import Any

from schemas.headers import find

_OFFSET = struct.Struct(">q")

#: On each record: the last input offset of its writer. Recovery keeps the state of the highest
#: version, not the last one: a worker that lost its partition may have had a write in flight
#: (design D6).
_VERSION = "version"
#: On each tombstone: the source offset up to which all events were applied when the batch began.
#: Nothing else records that the events of a deleted state were applied.
_APPLIED_UNTIL = "applied"

Headers = tuple[tuple[str, bytes], ...]


def version_header(version: int) -> Headers:
    """Return the headers of a state."""
    return ((_VERSION, _OFFSET.pack(version)),)


def tombstone_headers(version: int, applied_until: int) -> Headers:
    """Return the headers of a tombstone."""
    return (*version_header(version), (_APPLIED_UNTIL, _OFFSET.pack(applied_until)))


def version_of(record: Any) -> int:
    """Return the version of a record; -1 if it has none, so that any version replaces it."""
    return _offset_in(record, _VERSION)


def applied_until(record: Any) -> int:
    """Return the source offset in a tombstone up to which events were applied; -1 without one."""
    return _offset_in(record, _APPLIED_UNTIL)


def _offset_in(record: Any, name: str) -> int:
    packed = find(record.headers, name)
    return -1 if packed is None or len(packed) != _OFFSET.size else int(_OFFSET.unpack(packed)[0])
