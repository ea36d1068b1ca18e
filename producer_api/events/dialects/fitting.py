"""Makes translated events acceptable: members that the API would reject become unmapped.

The clients of other systems have no such rules, and an event is worth more than one of its members.
"""

from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from uuid_utils import UUID, uuid5

from producer_api.events.client import NO_CLIENT, Grant, SitePolicy
from producer_api.events.derive.privacy import CLICK_IDS, mask_emails, without_click_ids
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.values import other_time
from producer_api.events.draft import Draft
from producer_api.events.event_ids import UUID_TEXT
from producer_api.events.fields import (
    FIELDS,
    MAX_JSON_BYTES,
    MAX_PROPERTIES_DEPTH,
    MAX_STACK_BYTES,
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
#: Objects whose nulls mean the same as missing members.
_MAPS = ("ad_click_ids", "vitals")
_TIMES = ("timestamp", "sent_at")
_VOUCHED = Grant("key", SitePolicy())
#: Longer texts are truncated by the parser, which names them: the rest need not get there.
_TEXTS = {**TEXTS, "error_stack": MAX_STACK_BYTES}
#: Members of `unmapped` that identify a visitor who opts out.
_OF_THE_VISITOR = CLICK_IDS | {"traits"}
#: Characters that are kept of a member that is too large or too deep, as JSON.
_KEPT_CHARACTERS = 512
#: `extra` contains the name as well.
MAX_UNMAPPED_BYTES = MAX_JSON_BYTES - 64


def with_ids(event: Event) -> Event:
    """Return the event without nulls and empty properties, with ids as the API accepts them."""
    event = {name: value for name, value in event.items() if value is not None}
    for name in ("properties", UNMAPPED):
        if event.get(name) == {}:
            del event[name]
    for name in _IDS:
        if name in event:
            _fit_id(event, name)
    for name in _MAPS:
        if isinstance(event.get(name), dict):
            event[name] = {key: value for key, value in event[name].items() if value is not None}
    return event


def fit(event: Event, *, opts_out: bool = False) -> Event:
    """Return an event of `with_ids`; members that the API would reject are in `unmapped`.

    If the visitor opts out, ids of the visitor, the user and clicks are not in `unmapped`.
    """
    event = dict(event)
    for name in [name for name in _TEXTS if name in event]:
        text = event[name] if isinstance(event[name], str) else to_json_text(event[name])
        event[name] = text[: _TEXTS[name] + 1]
    if "properties" in event:
        _fit_properties(event)
    if isinstance(event.get("amount"), str):
        _fit_amount(event)
    for name in [name for name in _TIMES if name in event and not _is_time(name, event[name])]:
        event[name] = other_time(event[name])
    draft = Draft(msgspec.json.encode(event), event, 0, NO_CLIENT, _VOUCHED)
    for name in [name for name in event if not _is_readable(draft, name)]:
        if name == "ip":  # addresses are never stored, also misspelled ones
            del event[name]
        else:
            _unmap(event, name)
    if UNMAPPED in event:
        if opts_out:
            ids = {event[name] for name in ("visitor_id", "user_id") if name in event}
            event[UNMAPPED] = _anonymous(event[UNMAPPED], ids)
        # Masked last, when nothing is nested deeply.
        event[UNMAPPED] = masked(_cut(event[UNMAPPED], MAX_UNMAPPED_BYTES)[0])
    return event


def event_uuid(site_id: str, event_id: Any) -> str:
    """Return an event id as a UUID: the same one, or a UUIDv5 of the site and the id."""
    text = event_id if isinstance(event_id, str) else to_json_text(event_id)
    return text.lower() if UUID_TEXT.fullmatch(text) else hashed_id(site_id, text)


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
    if not isinstance(event["properties"], dict):
        event["properties"] = {"value": event["properties"]}
    (event["properties"], cut) = _cut(event["properties"], MAX_JSON_BYTES)
    if cut:
        event[UNMAPPED] = {**event.get(UNMAPPED, {}), "cut_properties": cut}


def _cut(members: dict[str, Any], limit: int) -> tuple[dict[str, Any], list[str]]:
    """Return the members within a limit of bytes, and the names of those that were cut to texts."""
    excess = len(to_json_text(members).encode()) - limit
    if excess <= 0 and not is_deeper_than(members, MAX_PROPERTIES_DEPTH):
        return members, []
    sizes = {name: len(to_json_text(value).encode()) for name, value in members.items()}
    cut = {}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        is_too_deep = is_deeper_than(members[name], MAX_PROPERTIES_DEPTH - 1)
        if is_too_deep or (excess > 0 and size > _KEPT_CHARACTERS):
            cut[name] = to_json_text(members[name])[:_KEPT_CHARACTERS]
            excess -= size - len(to_json_text(cut[name]).encode())
    if excess > 0:  # many small members
        return {"cut": to_json_text(members)[: limit // 8]}, [f"{len(members)} members"]
    return {**members, **cut}, sorted(cut)


def masked(value: Any) -> Any:
    """Return the value with e-mail addresses masked in the queries of its texts and names."""
    if isinstance(value, str):
        return mask_emails(value)
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, dict):
        return {mask_emails(name): masked(item) for name, item in value.items()}
    return value


def _anonymous(value: Any, ids: Collection[str]) -> Any:
    """Return the value without click ids, traits, and members that are one of the ids."""
    if isinstance(value, str):
        return without_click_ids(value)
    if isinstance(value, list):
        return [_anonymous(item, ids) for item in value if not _is_one_of(item, ids)]
    if isinstance(value, dict):
        return {
            name: _anonymous(item, ids)
            for name, item in value.items()
            if not (_is_one_of(item, ids) or name.rpartition("initial_")[2] in _OF_THE_VISITOR)
        }
    return value


def _is_one_of(value: Any, ids: Collection[str]) -> bool:
    return isinstance(value, str) and value in ids


def _fit_amount(event: Event) -> None:
    """Write an amount as the API reads it, without losing a digit."""
    try:
        amount = Decimal(event["amount"].strip())
    except InvalidOperation:
        return
    if amount.is_finite():
        event["amount"] = str(amount)


def _is_readable(draft: Draft, name: str) -> bool:
    """Return False if the API would reject the member."""
    value = draft.body[name]
    try:
        if name in _TIMES:
            return _is_time(name, value)
        if name in FIELDS:
            FIELDS[name](draft, name, value)
    except Rejected:
        return False
    return True


def _is_time(name: str, value: Any) -> bool:
    try:
        microseconds(name, value)
    except Rejected:
        return False
    return True


def _unmap(event: Event, name: str) -> None:
    event[UNMAPPED] = {**event.get(UNMAPPED, {}), name: event.pop(name)}
