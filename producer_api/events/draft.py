"""The intermediate forms of an event between its JSON and its record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producer_api.events.client import (
    OPEN_GRANT,
    Authorize,
    CheckIds,
    Client,
    Grant,
    accept_all_ids,
    authorize_all,
)
from producer_api.events.derive.steps import BOT, Derivation, keep_trust
from producer_api.events.import_sites import ImportSites
from producer_api.events.times import Clamped
from schemas import headers
from schemas.event_types import EVENT_TYPES
from schemas.headers import Headers

#: The type header of each event type.
TYPE_HEADERS = {name: (headers.TYPE, name.encode()) for name in EVENT_TYPES}
#: The header of events that are stored, but not counted, by reason.
EXCLUDED_HEADERS = {BOT: (headers.EXCLUDED, BOT.encode())}


@dataclass(frozen=True, slots=True)
class EventContext:
    """What events are parsed with: clock, id generator, import sites, access and derivation.

    `now` returns microseconds since the epoch.
    """

    now: Callable[[], int]
    new_id: Callable[[], str]
    import_sites: ImportSites
    authorize: Authorize = authorize_all
    check_ids: CheckIds = accept_all_ids
    derive: Callable[[Any, Client, Grant], Derivation] = keep_trust


@dataclass(slots=True)
class Draft:
    """An event while it is parsed: `body` is the JSON object, `fields` are those of the record."""

    raw: bytes
    body: dict[str, Any]
    received_at: int
    client: Client
    grant: Grant = OPEN_GRANT
    fields: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    truncated: list[str] = field(default_factory=list)


class EncodedEvent(msgspec.Struct, frozen=True, gc=False):
    """A record for Kafka, returned by both `fast.py` and `parse.py`."""

    event_id: str
    type: str
    key: bytes
    value: bytes
    headers: Headers
    clamped: Clamped | None
