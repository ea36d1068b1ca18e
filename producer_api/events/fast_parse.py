"""The fast path for events that are stored unchanged: decoded and encoded in C.

`read_fast` does not reject or truncate; `parse.py` handles every other event. Property tests check
that both produce the same record. See docs/adr/0015 and 0062.
"""

from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct, defstruct

from producer_api.events.client import Client
from producer_api.events.derive.steps import DERIVED
from producer_api.events.draft import EncodedEvent, EventContext
from producer_api.events.fields import (
    MAX_ID_CHARACTERS,
    MAX_STACK_BYTES,
    SCREEN_PIXELS,
    SHORT_TEXT,
    TEXTS,
    UTM,
    VITALS,
)
from schemas import codec
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent

_Type: Any = Literal[tuple(EVENT_TYPES)]
_Vital: Any = Literal[VITALS]
_Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
_Short = Annotated[str, Meta(max_length=SHORT_TEXT)]
_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Milliseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[float, Meta(ge=0, lt=2.0**63)]
_Number = Annotated[float, Meta(ge=-(2.0**63), lt=2.0**63)]


def _struct(name: str, required: dict[str, Any], optional: dict[str, Any]) -> type[Struct]:
    fields: list[Any] = [*required.items()]
    fields += [(field, kind | None, None) for field, kind in optional.items()]
    return defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


_Screen = _struct("_Screen", {}, dict.fromkeys(SCREEN_PIXELS, _Whole) | {"pixel_ratio": _Number})
_Utm = _struct("_Utm", {}, dict.fromkeys(UTM, _Short))
#: Fields of `RawEvent` have the same names here, so that the event can be encoded without creating
#: one. Those of payments, which are rare, are missing.
_REQUIRED = {"type": _Type, "site_id": str, "session_id": _Id}
_OPTIONAL = {
    **dict.fromkeys(("event_id", "timestamp", "sent_at"), str),
    **dict.fromkeys(("visitor_id", "user_id"), _Id),
    **{name: Annotated[str, Meta(max_length=limit)] for name, limit in TEXTS.items()},
    "error_stack": Annotated[str, Meta(max_length=MAX_STACK_BYTES)],
    "screen": _Screen,
    "utm": _Utm,
    "ad_click_ids": Annotated[dict[_Short, _Short], Meta(min_length=1)],
    "duration": _Milliseconds,
    "properties": dict[str, Any],
    "vitals": Annotated[dict[_Vital, _Number], Meta(min_length=1)],
}
_Event = _struct("_Event", _REQUIRED, _OPTIONAL)


class ReadFast(Protocol):
    """Reads events as `read_fast`."""

    def __call__(
        self, raw: bytes, context: EventContext, client: Client, extra: str | None = None
    ) -> EncodedEvent | None:
        """Return the encoded event of a client; None if `parse.py` must handle it.

        `extra` is the record's, of a translated event of another system's client: compact JSON
        within the limits, without NUL. Raises `Rejected` if the client may not send the event.
        """


def make_reader() -> ReadFast:
    """Return the compiled reader; if it was not compiled, a function that always returns None."""
    try:
        from producer_api.events.event_compiled import Reader  # noqa: PLC0415
    except ImportError:
        return lambda raw, context, client, extra=None: None  # noqa: ARG005 - names of the protocol
    encode = codec.make_encoder(
        RawEvent,
        (
            *("event_id", "received_at", "event_ts", "time_source", "duration_ms", "properties"),
            *("extra", *DERIVED),
        ),
        nulls={"amount", "currency", "truncated"},
    )
    read: ReadFast = Reader(msgspec.json.Decoder(_Event).decode, encode, _Screen(), _Utm()).read
    return read


read_fast = make_reader()
