"""Record headers: what can be known of a record without decoding it."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

#: The event's id, 16 bytes.
EVENT_ID = "id"
#: The event type's name, or `tick`.
TYPE = "type"
#: Present when the client chose the event's id, so that it may send it again.
CLIENT_ID = "client-id"
#: Where and when the event stands in `events-raw`; put on by the router.
SOURCE = "src"

#: Why, where and when a record was put into a dead letter topic.
DLQ_REASON = "dlq-reason"
DLQ_DETAIL = "dlq-detail"
DLQ_STAGE = "dlq-stage"
DLQ_TOPIC = "dlq-topic"
DLQ_PARTITION = "dlq-partition"
DLQ_OFFSET = "dlq-offset"
DLQ_AT = "dlq-at"

#: On a dead letter that was put into `events-raw` again: the one stage that it is for.
REPLAY_FOR = "replay-for"
#: And its place before, `topic/partition/offset`, by which a second replay of it is known.
REPLAY_OF = "replay-of"
#: And, for `store_events`, the offset in `events-raw` that the event had first.
REPLAY_OFFSET = "replay-offset"

#: On a record of `live-counters` without key and value: until when partitions were counted.
COUNTED = "counted"

Headers = Sequence[tuple[str, bytes]]

_SOURCE = struct.Struct(">iqq")
_COUNTED = struct.Struct(">iq")


class Source(NamedTuple):
    """A record's place in `events-raw`: partition, position and log time (milliseconds, UTC).

    `offset` is the position (`schemas.positions`): the offset itself in an installation's first
    cluster, with the epoch in its upper bits in later ones.
    """

    partition: int
    offset: int
    log_ms: int

    def pack(self) -> bytes:
        """Return the header's value: big-endian int32, int64, int64."""
        return _SOURCE.pack(*self)

    @classmethod
    def unpack(cls, value: bytes) -> "Source":
        """Read a header's value; `ValueError` when it is not one."""
        try:
            # Not `cls(*...)`, which takes three times as long; the format has just these fields.
            return tuple.__new__(cls, _SOURCE.unpack(value))
        except struct.error as error:
            raise ValueError(f"the header {SOURCE!r} has {len(value)} bytes, not 20") from error


def pack_counted(ages_ms: Mapping[int, int]) -> bytes:
    """Return the value of the header `counted`: for each partition, big-endian int32 and int64.

    The latter says how long before the record was written (ms) everything that had been accepted
    for the partition by then was in its counters.
    """
    return b"".join(_COUNTED.pack(*one) for one in ages_ms.items())


def unpack_counted(value: bytes) -> dict[int, int]:
    """Read the value of the header `counted`; `ValueError` when it is not one."""
    try:
        return dict(_COUNTED.iter_unpack(value))
    except struct.error as error:
        raise ValueError(f"the header {COUNTED!r} has {len(value)} bytes, not 12 each") from error


def find(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the first header called `name`, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
