"""The short way for an event as good trackers send it: read in C, straight from its bytes.

`read_fast` refuses nothing and cuts nothing. Whatever is not just as it is stored, or cannot
be told to be quickly, it leaves to the steps of `parse.py`; properties hold that both ways
read the same event. Why there are two, and what that saves: docs/adr/0015.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from producer_api.draft import Surroundings
from producer_api.fields import (
    MAX_ID_CHARACTERS,
    MAX_JSON_BYTES,
    MAX_PROPERTIES_DEPTH,
    MAX_STACK_BYTES,
    SHORT,
    TEXTS,
    VITALS,
)
from producer_api.numbers import whole
from producer_api.ready import Ready, headers_of
from producer_api.times import is_storable, place_in_time
from schemas import codec
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.settings import SITE_ID

_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
_Short = Annotated[str, Meta(max_length=SHORT)]
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Milliseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[float, Meta(ge=0, lt=2.0**63)]
_Number = Annotated[float, Meta(ge=-(2.0**63), lt=2.0**63)]
_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
#: The form in which nearly all times come. Python itself takes more than ISO 8601 knows.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_BACKSLASH = ord("\\")
_NUL = b"\\u0000"


class _Screen(Struct, forbid_unknown_fields=True, gc=False):
    width: _Whole | None = None
    height: _Whole | None = None
    viewport_width: _Whole | None = None
    viewport_height: _Whole | None = None
    pixel_ratio: _Number | None = None


class _Utm(Struct, forbid_unknown_fields=True, gc=False):
    source: _Short | None = None
    medium: _Short | None = None
    campaign: _Short | None = None
    term: _Short | None = None
    content: _Short | None = None


class _Event(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event as JSON, of the fields that most have: payments are rare, and money is exact.

    Of its fields those of a `RawEvent` are called as there, so that it is encoded without one.
    """

    type: Literal[tuple(EVENT_TYPES)]  # type: ignore[valid-type]
    site_id: str
    session_id: _Id
    event_id: str | None = None
    visitor_id: _Id | None = None
    user_id: _Id | None = None
    timestamp: str | None = None
    sent_at: str | None = None
    url: Annotated[str, Meta(max_length=TEXTS["url"])] | None = None
    path: Annotated[str, Meta(max_length=TEXTS["path"])] | None = None
    hostname: _Short | None = None
    title: Annotated[str, Meta(max_length=TEXTS["title"])] | None = None
    referrer: Annotated[str, Meta(max_length=TEXTS["referrer"])] | None = None
    language: _Short | None = None
    user_agent: _Short | None = None
    screen: _Screen | None = None
    utm: _Utm | None = None
    ad_click_ids: Annotated[dict[_Short, _Short], Meta(min_length=1)] | None = None
    duration: _Milliseconds | None = None
    event_name: _Short | None = None
    properties: dict[str, Any] | None = None
    vitals: Annotated[dict[Literal[VITALS], _Number], Meta(min_length=1)] | None = None  # type: ignore[valid-type]
    error_name: _Short | None = None
    error_message: Annotated[str, Meta(max_length=TEXTS["error_message"])] | None = None
    error_stack: Annotated[str, Meta(max_length=MAX_STACK_BYTES)] | None = None
    provider: _Short | None = None


_decode = msgspec.json.Decoder(_Event).decode
_to_json = msgspec.json.Encoder().encode
_encode = codec.encoder_of_parts(
    RawEvent,
    ("event_id", "received_at", "event_ts", "time_source", "duration_ms", "properties"),
    absent={"amount", "currency", "extra", "truncated"},
)
_NO_SCREEN = _Screen()
_NO_UTM = _Utm()
_fromisoformat = datetime.fromisoformat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Unusual(ValueError):  # noqa: N818 - it is an outcome, and no fault
    """The event is one for the steps."""


def read_fast(raw: bytes, around: Surroundings) -> Ready | None:
    """Read an event and encode it; None when the steps must judge it."""
    # To look for one character first costs a tenth, and most events hold none.
    if _BACKSLASH in raw and _NUL in raw:
        return None
    try:
        return _ready(_decode(raw), around)
    except (ValueError, RecursionError):  # msgspec's errors, and that of UTF-8, are ValueErrors
        return None


def _ready(event: _Event, around: Surroundings) -> Ready:
    _check(event)
    site_id, client_id = event.site_id, event.event_id
    event_id = around.new_id() if client_id is None else client_id.lower()
    received_at = around.now()
    (event_ts, time_source) = place_in_time(
        received_at,
        _microseconds(event.timestamp),
        _microseconds(event.sent_at),
        imported=site_id in around.import_sites,
    )
    return Ready(
        event_id,
        event.type,
        f"{site_id}:{event.session_id}".encode(),
        _encode(
            event,
            event_id,
            received_at,
            event_ts,
            time_source,
            _whole(event.duration),
            _compact(event.properties),
        ),
        headers_of(event_id, event.type, has_client_id=client_id is not None),
    )


def _check(event: _Event) -> None:
    """See that ids are just as they are stored, and that objects hold something."""
    event_id, visitor_id, user_id = event.event_id, event.visitor_id, event.user_id
    if (
        not SITE_ID.fullmatch(event.site_id)
        or (event_id is not None and not _UUID.fullmatch(event_id))
        # Stricter than what is refused, and much quicker to tell.
        or not event.session_id.isprintable()
        or (visitor_id is not None and not visitor_id.isprintable())
        or (user_id is not None and not user_id.isprintable())
        or event.screen == _NO_SCREEN
        or event.utm == _NO_UTM
    ):
        raise _Unusual
    if (stack := event.error_stack) is not None and len(stack.encode()) > MAX_STACK_BYTES:
        raise _Unusual


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise _Unusual
    since = _fromisoformat(text) - _EPOCH
    moment = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if is_storable(moment):
        return moment
    raise _Unusual


def _whole(duration: float | None) -> int | None:
    if duration is None or type(duration) is int:
        return duration
    return whole("duration", duration)


def _compact(properties: dict[str, Any] | None) -> str | None:
    if properties is None:
        return None
    text = _to_json(properties)
    # Not deeper than this many brackets, also those in texts.
    brackets = text.count(b"{") + text.count(b"[")
    if len(text) > MAX_JSON_BYTES or brackets > MAX_PROPERTIES_DEPTH:
        raise _Unusual
    return text.decode()
