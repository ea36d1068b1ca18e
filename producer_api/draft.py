"""An event on its way from JSON to a record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.records import RawEvent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an event needs and does not bring: the time, ids, and the sites that import."""

    now: Callable[[], int]
    new_id: Callable[[], str]
    import_sites: frozenset[str] = frozenset()


@dataclass(slots=True)
class Draft:
    """What was read so far: `body` is the JSON object, `fields` become the record's."""

    raw: bytes
    body: dict[str, Any]
    received_at: int
    fields: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    truncated: list[str] = field(default_factory=list)


class Parsed(NamedTuple):
    """An event, and whether its id is the client's."""

    event: RawEvent
    has_client_id: bool
