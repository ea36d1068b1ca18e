"""Reading a routed topic: its events, decoded, with their place in `events-raw`, and ticks."""

from collections.abc import Callable, Iterator

from schemas.codec import CodecError
from schemas.event_types import TICK
from schemas.headers import SOURCE, TYPE, Source, find
from schemas.records import RawEvent
from schemas.reject_reasons import DeadLetterReason
from streams.engine.batch import Batch, InRecord

_TICK = TICK.encode()

#: Reads an event of its bytes, whole or what an agent needs of it; raises `CodecError`.
ReadEvent = Callable[[bytes], RawEvent]


def read_events(
    batch: Batch, read: ReadEvent
) -> Iterator[tuple[InRecord, Source, RawEvent | None]]:
    """Yield each record with its source and its event, None for a tick; refuse the others."""
    for record in batch.records:
        try:
            src = Source.unpack(find(record.headers, SOURCE) or b"")
        except ValueError as error:
            batch.refuse(record, DeadLetterReason.BAD_HEADERS, str(error))
            continue
        if find(record.headers, TYPE) == _TICK:
            yield record, src, None
            continue
        try:
            event = read(record.value or b"")
        except CodecError as error:
            batch.refuse(record, DeadLetterReason.UNDECODABLE, str(error))
            continue
        if not _is_key_of(record.key, event):
            batch.refuse(record, DeadLetterReason.BAD_KEY, "the key is not the event's")
            continue
        yield record, src, event


def _is_key_of(key: bytes | None, event: RawEvent) -> bool:
    """Tell whether a record of this event may have the key: its session's, or its site's."""
    site = event.site_id
    return key == f"{site}:{event.session_id}".encode() or key == site.encode()
