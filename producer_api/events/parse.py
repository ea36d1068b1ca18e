"""Validation of events: converts one JSON object to a record, or rejects it.

`STEPS` lists the rules in order. Most events take the fast path of `fast.py` instead, which
handles those that are stored unchanged.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from producer_api.events.client import NO_CLIENT, Client
from producer_api.events.derive.steps import DERIVED
from producer_api.events.draft import (
    EXCLUDED_HEADERS,
    TYPE_HEADERS,
    Draft,
    EncodedEvent,
    EventContext,
)
from producer_api.events.event_ids import UUID_TEXT, stored_id
from producer_api.events.fields import FIELDS, MAX_JSON_BYTES, is_deeper_than, read_id, to_json_text
from producer_api.events.rejection import Rejected, kind_of, shorten, wrong_kind
from producer_api.events.times import clamp_reason, microseconds, resolve_event_time
from schemas import codec, headers
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.reject_reasons import RejectReason
from schemas.settings import SITE_ID

REQUIRED = ("site_id", "type", "session_id")
#: Fields that have their own steps.
_READ_BY_STEPS = frozenset({*REQUIRED, "event_id", "timestamp", "sent_at"})
#: Within the recursion limits of all consumers.
_MAX_EXTRA_DEPTH = 64

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EMPTY = "The body is empty; send an event as a JSON object, or a batch of them to /api/events"
_TOO_LARGE = "The body contains a number that is too large: over 1.7e308"
#: In the decoder's message about a number, which is valid JSON whatever its size.
_OUT_OF_RANGE = "out of range"

decode = msgspec.json.Decoder().decode


def parse(raw: bytes, context: EventContext, client: Client = NO_CLIENT) -> EncodedEvent:
    """Parse and encode an event; raises only `Rejected`."""
    body = read_json(raw)
    if not isinstance(body, dict):
        raise Rejected(RejectReason.NOT_AN_OBJECT, kind=kind_of(body))
    draft = Draft(raw, body, context.now(), client)
    for step in STEPS:
        step(draft, context)
    event = RawEvent(**draft.fields)
    context.check_ids(event.site_id, event.visitor_id, event.user_id)
    derived = context.derive(event, draft.client, draft.grant)
    for name in DERIVED:
        setattr(event, name, getattr(derived, name))
    id_bytes = bytes.fromhex(event.event_id.replace("-", ""))
    ids = ((headers.EVENT_ID, id_bytes), (headers.EVENT_ID_TEXT, event.event_id.encode()))
    more = [] if body.get("event_id") is None else [(headers.CLIENT_ID, b"")]
    if event.excluded is not None:
        more.append(EXCLUDED_HEADERS[event.excluded])
    return EncodedEvent(
        event.event_id,
        event.type,
        f"{event.site_id}:{event.session_id}".encode(),
        codec.encode(event),
        [*ids, TYPE_HEADERS[event.type], *more],
        clamp_reason(event.received_at, event.event_ts, event.time_source),
    )


def read_json(raw: bytes) -> Any:
    """Decode JSON in UTF-8; raises `Rejected` with the reason."""
    try:
        return decode(raw)
    except UnicodeDecodeError as error:
        raise Rejected(RejectReason.INVALID_UTF8, detail=_describe_decoding_error(error)) from None
    except RecursionError:
        raise Rejected(RejectReason.INVALID_JSON, detail="it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise explain_invalid(raw, str(error)) from None


def explain_invalid(raw: bytes, detail: str) -> Rejected:
    """Return the rejection of bytes that are not JSON; `detail` is the decoder's message."""
    if not raw.strip():
        return Rejected(RejectReason.INVALID_JSON, sentence=_EMPTY)
    if raw.startswith(_BYTE_ORDER_MARK):
        return Rejected(RejectReason.INVALID_JSON, detail="it begins with a byte order mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return Rejected(RejectReason.INVALID_UTF8, detail=_describe_decoding_error(error))
    if _has_lone_surrogate(text):
        return Rejected(RejectReason.LONE_SURROGATE)
    if _OUT_OF_RANGE in detail:
        return Rejected(RejectReason.INVALID_JSON, sentence=_TOO_LARGE)
    return Rejected(RejectReason.INVALID_JSON, detail=detail)


def _describe_decoding_error(error: UnicodeDecodeError) -> str:
    return f"{error.reason} at byte {error.start}"


def _has_lone_surrogate(text: str) -> bool:
    if "\\u" not in text:
        return False
    try:
        # Python's own parser accepts lone surrogates, so only they fail to encode.
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def require_fields(draft: Draft, _: EventContext) -> None:
    """Reject an event without a required field."""
    missing = [name for name in REQUIRED if draft.body.get(name) in (None, "")]
    if missing:
        raise Rejected(RejectReason.MISSING_FIELDS, missing=missing)


def read_type(draft: Draft, _: EventContext) -> None:
    """Read the event type; reject an unknown one."""
    name = draft.body["type"]
    if not isinstance(name, str):
        raise wrong_kind("type", "a string", name)
    if name not in EVENT_TYPES:
        raise Rejected(
            RejectReason.UNKNOWN_TYPE,
            "type",
            value=json.dumps(shorten(name), ensure_ascii=False),
            known=", ".join(EVENT_TYPES),
        )
    draft.fields["type"] = name


def read_session(draft: Draft, _: EventContext) -> None:
    """Read the site and session ids, which form the record's key."""
    site_id = draft.body["site_id"]
    if not isinstance(site_id, str):
        raise wrong_kind("site_id", "a string", site_id)
    if not SITE_ID.fullmatch(site_id):
        raise Rejected(RejectReason.BAD_SITE_ID, "site_id")
    draft.fields["site_id"] = site_id
    draft.fields["session_id"] = read_id("session_id", draft.body["session_id"])


def authorize(draft: Draft, context: EventContext) -> None:
    """Check that the client may send the event; reject it otherwise."""
    url = draft.body.get("url")
    draft.grant = context.authorize(
        draft.fields["site_id"],
        draft.fields["type"],
        url if isinstance(url, str) else None,
        draft.client,
    )


def read_event_id(draft: Draft, context: EventContext) -> None:
    """Read the client's event id in lower case, or assign one."""
    event_id = draft.body.get("event_id")
    if event_id is None:
        draft.fields["event_id"] = context.new_id()
        return
    if not isinstance(event_id, str):
        raise wrong_kind("event_id", "a string", event_id)
    if not UUID_TEXT.fullmatch(event_id):
        raise Rejected(RejectReason.BAD_EVENT_ID, "event_id")
    draft.fields["event_id"] = stored_id(event_id.lower(), draft.fields["site_id"], draft.grant)


def read_times(draft: Draft, context: EventContext) -> None:
    """Set the time of the event and the time of receipt."""
    times = {
        name: microseconds(name, draft.body[name])
        for name in ("timestamp", "sent_at")
        if draft.body.get(name) is not None
    }
    (event_ts, source) = resolve_event_time(
        draft.received_at,
        times.get("timestamp"),
        times.get("sent_at"),
        draft.fields["site_id"] in context.import_sites,
    )
    draft.fields.update(received_at=draft.received_at, event_ts=event_ts, time_source=source)


def read_fields(draft: Draft, _: EventContext) -> None:
    """Read the known optional fields; collect the others in `draft.extra`."""
    for name, value in draft.body.items():
        reader = FIELDS.get(name)
        if reader is not None:
            if value is not None:
                reader(draft, name, value)
        elif name not in _READ_BY_STEPS:
            draft.extra[name] = value


def keep_extra(draft: Draft, _: EventContext) -> None:
    """Store unknown fields as JSON in `extra`, unless they are too large or too deep."""
    if draft.extra:
        text = "" if is_deeper_than(draft.extra, _MAX_EXTRA_DEPTH) else to_json_text(draft.extra)
        if text and len(text.encode()) <= MAX_JSON_BYTES:
            draft.fields["extra"] = text
        else:
            draft.truncated.append("extra")
    if draft.truncated:
        draft.fields["truncated"] = draft.truncated


Step = Callable[[Draft, EventContext], None]

STEPS: tuple[Step, ...] = (
    require_fields,
    read_type,
    read_session,
    authorize,
    read_event_id,
    read_times,
    read_fields,
    keep_extra,
)
