"""Validation of an event: the bytes of one JSON object become a record, or are rejected.

`STEPS` lists all rules in order; each step reads its part of the draft. Most events never
come here: `fast.py` reads those that are stored as they came.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from producer_api.draft import TYPE_HEADERS, Draft, Ready, Surroundings
from producer_api.fields import FIELDS, MAX_JSON_BYTES, deeper_than, json_text, read_id
from producer_api.rejected import Rejected, kind_of, shown, wrong_kind
from producer_api.times import clamping, microseconds, place_in_time
from schemas import codec, headers
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.reject_reasons import RejectReason
from schemas.settings import SITE_ID

REQUIRED = ("site_id", "type", "session_id")
#: Fields that steps of their own read.
_READ_BY_STEPS = frozenset({*REQUIRED, "event_id", "timestamp", "sent_at"})
#: Deep enough for what anyone nests, and safe for every reader behind us.
_MAX_EXTRA_DEPTH = 64

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EMPTY = "The body is empty; send an event as a JSON object, or a batch of them to /api/events"
_TOO_LARGE = "The body holds a number that is too large to be read, over 1.7e308"
#: What the decoder says of numbers, which are valid JSON whatever their size.
_OUT_OF_RANGE = "out of range"

decode = msgspec.json.Decoder().decode


def parse(raw: bytes, around: Surroundings) -> Ready:
    """Read an event field by field; `Rejected` is the only exception."""
    body = read_json(raw)
    if not isinstance(body, dict):
        raise Rejected(RejectReason.NOT_AN_OBJECT, kind=kind_of(body))
    draft = Draft(raw, body, around.now())
    for step in STEPS:
        step(draft, around)
    event = RawEvent(**draft.fields)
    id_header = (headers.EVENT_ID, bytes.fromhex(event.event_id.replace("-", "")))
    client_id = [] if body.get("event_id") is None else [(headers.CLIENT_ID, b"")]
    return Ready(
        event.event_id,
        event.type,
        f"{event.site_id}:{event.session_id}".encode(),
        codec.encode(event),
        [id_header, TYPE_HEADERS[event.type], *client_id],
        clamping(event.received_at, event.event_ts, event.time_source),
    )


def read_json(raw: bytes) -> Any:
    """Decode JSON in UTF-8; `Rejected` names what is wrong with it."""
    try:
        return decode(raw)
    except UnicodeDecodeError as error:
        raise Rejected(RejectReason.INVALID_UTF8, detail=_of_decoding(error)) from None
    except RecursionError:
        raise Rejected(RejectReason.INVALID_JSON, detail="it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise why_invalid(raw, str(error)) from None


def why_invalid(raw: bytes, detail: str) -> Rejected:
    """Return why bytes that are not JSON are rejected, as precisely as possible."""
    if not raw.strip():
        return Rejected(RejectReason.INVALID_JSON, sentence=_EMPTY)
    if raw.startswith(_BYTE_ORDER_MARK):
        return Rejected(RejectReason.INVALID_JSON, detail="it begins with a byte order mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return Rejected(RejectReason.INVALID_UTF8, detail=_of_decoding(error))
    if _holds_lone_surrogate(text):
        return Rejected(RejectReason.LONE_SURROGATE)
    if _OUT_OF_RANGE in detail:
        return Rejected(RejectReason.INVALID_JSON, sentence=_TOO_LARGE)
    return Rejected(RejectReason.INVALID_JSON, detail=detail)


def _of_decoding(error: UnicodeDecodeError) -> str:
    return f"{error.reason} at byte {error.start}"


def _holds_lone_surrogate(text: str) -> bool:
    if "\\u" not in text:
        return False
    try:
        # Python's own parser lets surrogates pass, and so tells them from broken JSON.
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def require_fields(draft: Draft, _: Surroundings) -> None:
    """Reject an event that lacks a field that all must have."""
    missing = [name for name in REQUIRED if draft.body.get(name) in (None, "")]
    if missing:
        raise Rejected(RejectReason.MISSING_FIELDS, missing=missing)


def read_type(draft: Draft, _: Surroundings) -> None:
    """Read the event type; reject one that is not in the registry."""
    name = draft.body["type"]
    if not isinstance(name, str):
        raise wrong_kind("type", "a string", name)
    if name not in EVENT_TYPES:
        raise Rejected(
            RejectReason.UNKNOWN_TYPE,
            "type",
            value=json.dumps(shown(name), ensure_ascii=False),
            known=", ".join(EVENT_TYPES),
        )
    draft.fields["type"] = name


def read_session(draft: Draft, _: Surroundings) -> None:
    """Read the site and the session, which are the record's key."""
    site_id = draft.body["site_id"]
    if not isinstance(site_id, str):
        raise wrong_kind("site_id", "a string", site_id)
    if not SITE_ID.fullmatch(site_id):
        raise Rejected(RejectReason.BAD_SITE_ID, "site_id")
    draft.fields["site_id"] = site_id
    draft.fields["session_id"] = read_id("session_id", draft.body["session_id"])


def read_event_id(draft: Draft, around: Surroundings) -> None:
    """Read the client's id in its canonical form, or create one."""
    event_id = draft.body.get("event_id")
    if event_id is None:
        draft.fields["event_id"] = around.new_id()
        return
    if not isinstance(event_id, str):
        raise wrong_kind("event_id", "a string", event_id)
    if not _UUID.fullmatch(event_id):
        raise Rejected(RejectReason.BAD_EVENT_ID, "event_id")
    draft.fields["event_id"] = event_id.lower()


def read_times(draft: Draft, around: Surroundings) -> None:
    """Set when the event was received and when it happened."""
    given = {
        name: microseconds(name, draft.body[name])
        for name in ("timestamp", "sent_at")
        if draft.body.get(name) is not None
    }
    (event_ts, source) = place_in_time(
        draft.received_at,
        given.get("timestamp"),
        given.get("sent_at"),
        draft.fields["site_id"] in around.import_sites,
    )
    draft.fields.update(received_at=draft.received_at, event_ts=event_ts, time_source=source)


def read_fields(draft: Draft, _: Surroundings) -> None:
    """Read the optional fields that the API knows; set the others aside."""
    for name, value in draft.body.items():
        reader = FIELDS.get(name)
        if reader is not None:
            if value is not None:
                reader(draft, name, value)
        elif name not in _READ_BY_STEPS:
            draft.extra[name] = value


def keep_extra(draft: Draft, _: Surroundings) -> None:
    """Keep the fields that the API does not know, as JSON, when they are not too much."""
    if draft.extra:
        text = "" if deeper_than(draft.extra, _MAX_EXTRA_DEPTH) else json_text(draft.extra)
        if text and len(text.encode()) <= MAX_JSON_BYTES:
            draft.fields["extra"] = text
        else:
            draft.truncated.append("extra")
    if draft.truncated:
        draft.fields["truncated"] = draft.truncated


Step = Callable[[Draft, Surroundings], None]

STEPS: tuple[Step, ...] = (
    require_fields,
    read_type,
    read_session,
    read_event_id,
    read_times,
    read_fields,
    keep_extra,
)
