"""An event as it goes to Kafka: what both ways of reading it, `fast.py` and the steps, lead to."""

from typing import NamedTuple

from producer_api.draft import Parsed
from schemas import codec, headers
from schemas.event_types import EVENT_TYPES
from schemas.headers import Headers


class Ready(NamedTuple):
    """An event as it goes to Kafka."""

    event_id: str
    type: str
    key: bytes
    value: bytes
    headers: Headers


#: Made once: they are the same for all events of a type.
_TYPE_HEADERS = {name: (headers.TYPE, name.encode()) for name in EVENT_TYPES}
_CLIENT_ID = (headers.CLIENT_ID, b"")


def to_record(parsed: Parsed) -> Ready:
    """Return the event's record for `events-raw`."""
    event = parsed.event
    return Ready(
        event.event_id,
        event.type,
        f"{event.site_id}:{event.session_id}".encode(),
        codec.encode(event),
        headers_of(event.event_id, event.type, has_client_id=parsed.has_client_id),
    )


def headers_of(event_id: str, name: str, *, has_client_id: bool) -> Headers:
    """Return the headers of an event of a type."""
    id_header = (headers.EVENT_ID, bytes.fromhex(event_id.replace("-", "")))
    if has_client_id:
        return [id_header, _TYPE_HEADERS[name], _CLIENT_ID]
    return [id_header, _TYPE_HEADERS[name]]
