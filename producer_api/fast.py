"""The short way for an event as good trackers send it: read in C, straight from its bytes.

`read_fast` refuses nothing and cuts nothing. Whatever is not just as it is stored, or cannot
be told to be quickly, it leaves to the steps of `parse.py`; properties hold that both ways
read the same event. Why there are two, and what that saves: docs/adr/0015.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from producer_api.draft import Parsed, Surroundings
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
from producer_api.times import is_storable, place_in_time
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent, Screen, Utm
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
    """An event as JSON, of the fields that most have: payments are rare, and money is exact."""

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
_encode = msgspec.json.Encoder().encode
_fromisoformat = datetime.fromisoformat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Unusual(ValueError):  # noqa: N818 - it is an outcome, and no fault
    """The event is one for the steps."""


def read_fast(raw: bytes, around: Surroundings) -> Parsed | None:
    """Read an event; None when the steps must judge it."""
    # To look for one character first costs a tenth, and most events hold none.
    if _BACKSLASH in raw and _NUL in raw:
        return None
    try:
        event = _decode(raw)
        return Parsed(_record(event, around), event.event_id is not None)
    except (ValueError, RecursionError):  # msgspec's errors, and that of UTF-8, are ValueErrors
        return None


def _record(event: _Event, around: Surroundings) -> RawEvent:
    site_id, event_id = event.site_id, event.event_id
    if not SITE_ID.fullmatch(site_id) or (event_id is not None and not _UUID.fullmatch(event_id)):
        raise _Unusual
    received_at = around.now()
    event_ts, time_source = place_in_time(
        received_at,
        _microseconds(event.timestamp),
        _microseconds(event.sent_at),
        imported=site_id in around.import_sites,
    )
    record = RawEvent(
        event_id=around.new_id() if event_id is None else event_id.lower(),
        type=event.type,
        site_id=site_id,
        session_id=_printable(event.session_id),
        visitor_id=_printable(event.visitor_id),
        user_id=_printable(event.user_id),
        received_at=received_at,
        event_ts=event_ts,
        time_source=time_source,
    )
    _set_as_they_are(event, record)
    _set_nested(event, record)
    return record


def _printable(name: Any) -> Any:
    # Stricter than what is refused, and much quicker to tell.
    if name is None or name.isprintable():
        return name
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


def _set_nested(event: _Event, record: RawEvent) -> None:
    if (screen := event.screen) is not None:
        record.screen = Screen(
            screen.width,
            screen.height,
            screen.viewport_width,
            screen.viewport_height,
            screen.pixel_ratio,
        )
        if record.screen == _NO_SCREEN:
            raise _Unusual
    if (utm := event.utm) is not None:
        record.utm = Utm(utm.source, utm.medium, utm.campaign, utm.term, utm.content)
        if record.utm == _NO_UTM:
            raise _Unusual
    if (duration := event.duration) is not None:
        record.duration_ms = duration if type(duration) is int else whole("duration", duration)
    if (properties := event.properties) is not None:
        record.properties = _compact(properties)
    if (stack := event.error_stack) is not None and len(stack.encode()) > MAX_STACK_BYTES:
        raise _Unusual


_NO_SCREEN = Screen()
_NO_UTM = Utm()


def _compact(properties: dict[str, Any]) -> str:
    text = _encode(properties)
    # Not deeper than this many brackets, also those in texts.
    brackets = text.count(b"{") + text.count(b"[")
    if len(text) > MAX_JSON_BYTES or brackets > MAX_PROPERTIES_DEPTH:
        raise _Unusual
    return text.decode()


def _setter(*names: str) -> Callable[[_Event, RawEvent], None]:
    """Return what sets each of the fields that is told; a loop over them costs twice as much."""
    lines = [f" if (x := event.{name}) is not None: record.{name} = x" for name in names]
    namespace: dict[str, Any] = {}
    exec("\n".join(["def set_told(event, record):", *lines]), namespace)  # noqa: S102 - ours
    set_told: Callable[[_Event, RawEvent], None] = namespace["set_told"]
    return set_told


_set_as_they_are = _setter(*TEXTS, "ad_click_ids", "vitals", "error_stack")
