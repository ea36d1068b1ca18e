"""Makes translated events acceptable: members that the API would reject become unmapped.

The clients of other systems have no such rules, and an event is worth more than one of its members.
"""

from contextlib import suppress
from math import isfinite
from typing import Any
from uuid import UUID, uuid5

import msgspec

from producer_api.events.client import NO_CLIENT, Grant, SitePolicy
from producer_api.events.dialects.model import Event
from producer_api.events.draft import Draft
from producer_api.events.fields import (
    FIELDS,
    MAX_JSON_BYTES,
    MAX_PROPERTIES_DEPTH,
    TEXTS,
    is_deeper_than,
    read_id,
    to_json_text,
)
from producer_api.events.rejection import Rejected
from producer_api.events.times import microseconds

#: The member of an event with what has no field. It is stored in `extra`.
UNMAPPED = "unmapped"
#: The namespace of ids that are not UUIDs, or too long. Never changes: a retry gets the same id.
_NAMESPACE = UUID("5a0c9a5e-5a8f-5d0e-8f5b-6f1c39b4c0de")
_IDS = ("session_id", "visitor_id", "user_id")
_TIMES = ("timestamp", "sent_at")
_VOUCHED = Grant("key", SitePolicy())
#: Characters that are kept of a property that is too large or too deep, as JSON.
_KEPT_CHARACTERS = 512


def fit(event: Event) -> Event:
    """Return the event without nulls; members that the API would reject are in `unmapped`."""
    event = {name: value for name, value in event.items() if value is not None}
    for name in [name for name in _IDS if name in event]:
        _fit_id(event, name)
    for name in TEXTS:
        if not isinstance(event.get(name, ""), str):
            event[name] = to_json_text(event[name])
    if "properties" in event:
        _fit_properties(event)
    if isinstance(event.get("amount"), str):
        _fit_amount(event)
    draft = Draft(msgspec.json.encode(event), event, 0, NO_CLIENT, _VOUCHED)
    for name in [name for name in event if not _is_readable(draft, name)]:
        _unmap(event, name)
    return event


def event_uuid(site_id: str, event_id: Any) -> str:
    """Return an event id as a UUID: the same one, or a UUIDv5 of the site and the id."""
    text = event_id if isinstance(event_id, str) else to_json_text(event_id)
    try:
        return str(UUID(text)) if len(text) == len(str(_NAMESPACE)) else hashed_id(site_id, text)
    except ValueError:
        return hashed_id(site_id, text)


def hashed_id(site_id: str, text: str) -> str:
    """Return the UUIDv5 of a site and an id of one of its clients."""
    return str(uuid5(_NAMESPACE, f"{site_id}:{text}"))


def _fit_id(event: Event, name: str) -> None:
    """Convert an id to a text; one that is invalid becomes a UUID, an empty one is removed."""
    value = event[name]
    if isinstance(value, bool | dict | list):
        _unmap(event, name)
        return
    text = value if isinstance(value, str) else to_json_text(value)
    if not text:
        del event[name]
        return
    try:
        event[name] = read_id(name, text)
    except Rejected:
        event[name] = str(uuid5(_NAMESPACE, text))


def _fit_properties(event: Event) -> None:
    """Cut properties that are too deep, and the largest ones, to texts; name them."""
    properties = event["properties"]
    if not isinstance(properties, dict):
        event["properties"] = {"value": properties}
        return
    sizes = {name: len(to_json_text(value).encode()) for name, value in properties.items()}
    excess = len(to_json_text(properties).encode()) - MAX_JSON_BYTES
    cut = {}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        is_too_deep = is_deeper_than(properties[name], MAX_PROPERTIES_DEPTH - 1)
        if is_too_deep or (excess > 0 and size > _KEPT_CHARACTERS):
            cut[name] = to_json_text(properties[name])[:_KEPT_CHARACTERS]
            excess -= size - len(to_json_text(cut[name]).encode())
    if cut:
        event["properties"] = {**properties, **cut}
        event[UNMAPPED] = {**event.get(UNMAPPED, {}), "cut_properties": sorted(cut)}
    if excess > 0:  # of many small properties
        _unmap(event, "properties")


def _fit_amount(event: Event) -> None:
    with suppress(ValueError):
        amount = float(event["amount"])
        event["amount"] = amount if isfinite(amount) else event["amount"]


def _is_readable(draft: Draft, name: str) -> bool:
    """Return False if the API would reject the member."""
    value = draft.body[name]
    try:
        if name in _TIMES:
            microseconds(name, value)
        elif name in FIELDS:
            FIELDS[name](draft, name, value)
    except Rejected:
        return False
    return True


def _unmap(event: Event, name: str) -> None:
    event[UNMAPPED] = {**event.get(UNMAPPED, {}), name: event.pop(name)}
