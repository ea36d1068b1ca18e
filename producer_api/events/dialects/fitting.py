"""Makes translated events acceptable: members that the API would reject become unmapped.

The clients of other systems have no such rules, and an event is worth more than one of its members.
"""

from contextlib import suppress
from math import isfinite
from typing import Any
from uuid import UUID, uuid5

import msgspec

from producer_api.events.client import NO_CLIENT, Grant, SitePolicy
from producer_api.events.derive.privacy import mask_emails
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
#: Less than `extra` may have, which also has their names.
_MAX_UNMAPPED_BYTES = MAX_JSON_BYTES - 512
_MAX_UNMAPPED_DEPTH = 32


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
    if UNMAPPED in event:
        _fit_unmapped(event)
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
    (members, cut, excess) = _cut(properties, MAX_JSON_BYTES, MAX_PROPERTIES_DEPTH)
    if cut:
        event["properties"] = members
        event[UNMAPPED] = {**event.get(UNMAPPED, {}), "cut_properties": cut}
    if excess > 0:  # of many small properties
        _unmap(event, "properties")


def _fit_unmapped(event: Event) -> None:
    """Cut the largest members, so that the others are stored, and mask e-mail addresses in URLs."""
    (members, cut, _) = _cut(event[UNMAPPED], _MAX_UNMAPPED_BYTES, _MAX_UNMAPPED_DEPTH)
    event[UNMAPPED] = _masked({**members, "cut_unmapped": cut} if cut else members)


def _cut(
    members: dict[str, Any], max_bytes: int, max_depth: int
) -> tuple[dict[str, Any], list[str], int]:
    """Cut members that are too deep, and the largest ones, to texts.

    Return the members, the names of those that were cut, and how many bytes are still too many.
    """
    excess = len(to_json_text(members).encode()) - max_bytes
    too_deep = [name for name in members if is_deeper_than(members[name], max_depth - 1)]
    if excess <= 0 and not too_deep:
        return members, [], excess
    sizes = {name: len(to_json_text(value).encode()) for name, value in members.items()}
    cut = {}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if name in too_deep or (excess > 0 and size > _KEPT_CHARACTERS):
            cut[name] = to_json_text(members[name])[:_KEPT_CHARACTERS]
            excess -= size - len(to_json_text(cut[name]).encode())
    return {**members, **cut}, sorted(cut), excess


def _masked(value: Any) -> Any:
    """Return the value with e-mail addresses masked in the queries of its texts and names."""
    if isinstance(value, str):
        return mask_emails(value)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {mask_emails(name): _masked(item) for name, item in value.items()}
    return value


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
