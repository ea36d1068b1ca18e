"""An event on its way from JSON to a record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producer_api.import_sites import ImportSites
from producer_api.times import Clamped
from schemas import headers
from schemas.event_types import EVENT_TYPES
from schemas.headers import Headers

#: Made once: they are the same for all events of a type.
TYPE_HEADERS = {name: (headers.TYPE, name.encode()) for name in EVENT_TYPES}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an event needs and does not bring: the time, ids, and the sites that import.

    `now` is microseconds since 1970.
    """

    now: Callable[[], int]
    new_id: Callable[[], str]
    import_sites: ImportSites


@dataclass(slots=True)
class Draft:
    """What was read so far: `body` is the JSON object, `fields` become the record's."""

    raw: bytes
    body: dict[str, Any]
    received_at: int
    fields: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    truncated: list[str] = field(default_factory=list)


class Ready(msgspec.Struct, frozen=True, gc=False):
    """An event as it goes to Kafka; both `fast.py` and `parse.py` return one."""

    event_id: str
    type: str
    key: bytes
    value: bytes
    headers: Headers
    clamped: Clamped | None
