"""Record headers: what can be known of a record without decoding it."""

import struct
from collections.abc import Iterable, Sequence
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

Headers = Sequence[tuple[str, bytes]]

_SOURCE = struct.Struct(">iqq")


class Source(NamedTuple):
    """A record's place in `events-raw`: partition, offset and log time (milliseconds, UTC)."""

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


def find(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the first header called `name`, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
