"""Parses translated events: as they are if the API accepts them, else after `fit`."""

import re

import msgspec

from producer_api.events.client import Client
from producer_api.events.dialects.fitting import UNMAPPED, fit
from producer_api.events.dialects.model import Event
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fast_parse import read_translated
from producer_api.events.fields import MAX_JSON_BYTES, MAX_PROPERTIES_DEPTH, is_deeper_than
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

_MAX_BYTES = 64 * 1024
#: Fields whose members have a meaning of their own.
_OBJECTS = frozenset({"screen", "utm", "ad_click_ids", "vitals"})
#: An e-mail address in the query of a URL, in JSON.
_ADDRESS_IN_QUERY = re.compile(rb'[?#][^"]*(?:@|%(?:25)?40)')


def parse_translated(event: Event, context: EventContext, client: Client) -> EncodedEvent:
    """Parse and encode an event of a dialect; raises `Rejected`."""
    raw = plain_json(event)
    if raw is not None and (encoded := read_translated(raw, context, client)):
        return encoded
    raw = msgspec.json.encode(fit(event))
    if len(raw) > _MAX_BYTES:
        raise Rejected(RejectReason.EVENT_TOO_LARGE, limit=_MAX_BYTES)
    return parse(raw, context, client)


def plain_json(event: Event) -> bytes | None:
    """Return the JSON for the compiled reader; None if `extra` has to be changed first."""
    event = {name: value for name, value in event.items() if value is not None}
    for name in _OBJECTS & event.keys():
        _remove_nulls(event, name)
    if UNMAPPED in event:
        extra = {UNMAPPED: event.pop(UNMAPPED)}
        text = msgspec.json.encode(extra)
        if len(text) > MAX_JSON_BYTES or _ADDRESS_IN_QUERY.search(text):  # `fit` masks addresses
            return None
        # Brackets in strings count as well: there are never fewer than levels.
        brackets = text.count(b"{") + text.count(b"[")
        if brackets > MAX_PROPERTIES_DEPTH and is_deeper_than(extra, MAX_PROPERTIES_DEPTH):
            return None
        event["extra"] = text.decode()
    raw = msgspec.json.encode(event)
    return raw if len(raw) <= _MAX_BYTES else None


def _remove_nulls(event: Event, name: str) -> None:
    """Remove the members of an object that are null, and the object if no other is left."""
    value = event[name]
    if isinstance(value, dict) and None in value.values():
        members = {member: content for member, content in value.items() if content is not None}
        event[name] = members
        if not members:
            del event[name]
