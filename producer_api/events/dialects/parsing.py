"""Parses translated events: as they are if the API accepts them, else after `fit`."""

import re
from typing import Any

import msgspec
from msgspec.structs import replace

from producer_api.events.client import Client
from producer_api.events.dialects.decoding import may_be_deeper
from producer_api.events.dialects.fitting import MAX_UNMAPPED_BYTES, UNMAPPED, fit, masked
from producer_api.events.dialects.model import SITE_KEY, Event
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.fields import MAX_PROPERTIES_DEPTH
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason

_UNKNOWN_KEY = "The site key of the event is not one of a registered site"
#: What has to be masked: an e-mail address in the query or fragment of a URL, in JSON. Each
#: character is visited for one `?` or `#` only, so that many of them do not take quadratic time.
_ADDRESS = re.compile(rb'[?#][^"?#]*(?:@|%(?:25)?40)')
_MAX_BYTES = 64 * 1024
#: Members of a larger event are cut. One that is larger than this is not worth the time.
_MAX_SENT_BYTES = 4 * _MAX_BYTES


def parse_translated(event: Event, context: EventContext, client: Client) -> EncodedEvent:
    """Parse and encode an event of a dialect; raises `Rejected`."""
    if SITE_KEY in event:
        event = dict(event)
        client = replace(client, key=event.pop(SITE_KEY))
        if not event["site_id"]:
            raise Rejected(RejectReason.BAD_KEY, sentence=_UNKNOWN_KEY)
    is_anonymous = client.opts_out and UNMAPPED in event
    plain = None if is_anonymous else plain_json(event)
    if plain is not None:
        (raw, extra) = plain
        if encoded := read_fast(raw, context, client, extra):
            return encoded
    if len(msgspec.json.encode(event)) > _MAX_SENT_BYTES:
        raise Rejected(RejectReason.EVENT_TOO_LARGE, limit=_MAX_SENT_BYTES)
    raw = msgspec.json.encode(fit(event, opts_out=client.opts_out))
    if len(raw) > _MAX_BYTES:
        raise Rejected(RejectReason.EVENT_TOO_LARGE, limit=_MAX_BYTES)
    return parse(raw, context, client)


def plain_json(event: Event) -> tuple[bytes, str | None] | None:
    """Return the JSON of an event without `extra`, and `extra`; None if it has to be cut first."""
    extra = None
    if UNMAPPED in event:
        event = dict(event)
        extra = _extra_of(event.pop(UNMAPPED))
        if extra is None:
            return None
    raw = msgspec.json.encode(event)
    if len(raw) + len(extra or b"") > _MAX_BYTES:
        return None
    return raw, None if extra is None else extra.decode()


def _extra_of(unmapped: Any) -> bytes | None:
    extra = msgspec.json.encode({UNMAPPED: unmapped})
    if len(extra) > MAX_UNMAPPED_BYTES or may_be_deeper(extra, MAX_PROPERTIES_DEPTH):
        return None
    if b"\\" in extra and b"\\u0000" in extra:
        return None
    if _has_at(extra) and _ADDRESS.search(extra):
        return msgspec.json.encode({UNMAPPED: masked(unmapped)})
    return extra


def _has_at(extra: bytes) -> bool:
    """Return True if there is a character of all addresses, which most events do not have."""
    return b"@" in extra or (b"%" in extra and (b"%40" in extra or b"%2540" in extra))
