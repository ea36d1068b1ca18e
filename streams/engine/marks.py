"""What the records of a table's changelog say beside the state, in headers."""

import struct
from typing import Any

from schemas.headers import find

_OFFSET = struct.Struct(">q")

#: On each record: how far in its input the writer had come. Recovery keeps the value that
#: knows most, not the one written last: a worker that lost its partition may still have had a
#: write on the way (design D6).
_VERSION = "version"
#: On each tombstone: how far in its source the rules had come when the batch began, as they
#: say. Nothing else tells that what they deleted had been applied.
_APPLIED_UNTIL = "applied"

Headers = tuple[tuple[str, bytes], ...]


def version_header(version: int) -> Headers:
    """Return the headers of a state whose writer had come so far."""
    return ((_VERSION, _OFFSET.pack(version)),)


def tombstone_headers(version: int, applied_until: int) -> Headers:
    """Return the headers of a tombstone."""
    return (*version_header(version), (_APPLIED_UNTIL, _OFFSET.pack(applied_until)))


def version_of(record: Any) -> int:
    """Return how far the writer had come; -1 when something else wrote it, which knows less."""
    return _offset_in(record, _VERSION)


def applied_until(record: Any) -> int:
    """Return what a tombstone says was applied; -1 when it says nothing."""
    return _offset_in(record, _APPLIED_UNTIL)


def _offset_in(record: Any, name: str) -> int:
    packed = find(record.headers, name)
    return -1 if packed is None or len(packed) != _OFFSET.size else int(_OFFSET.unpack(packed)[0])
