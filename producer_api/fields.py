"""The optional fields of the API, as a table: how each is read into the record.

A reader is called with the draft, the field's name and its value, which is never null. It
puts what it read into `draft.fields`, what the API does not know into `draft.extra`, and
names what it cut in `draft.truncated`.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from producer_api.draft import Draft
from producer_api.numbers import exact_amount, milliseconds, number, whole
from producer_api.rejected import Rejected, wrong_kind
from schemas.paths import MAX_PATH_CHARACTERS
from schemas.records import Screen, Utm
from schemas.reject_reasons import RejectReason

Reader = Callable[[Draft, str, Any], None]

MAX_ID_CHARACTERS = 128
MAX_STACK_BYTES = 2048
MAX_JSON_BYTES = 8192
MAX_PROPERTIES_DEPTH = 8
SHORT = 512
_LONG = 1024

#: Texts and the characters that are kept of each.
TEXTS: dict[str, int] = {
    "url": 2048,
    "path": MAX_PATH_CHARACTERS,
    "hostname": SHORT,
    "title": _LONG,
    "referrer": 2048,
    "language": SHORT,
    "user_agent": SHORT,
    "event_name": SHORT,
    "error_name": SHORT,
    "error_message": _LONG,
    "provider": SHORT,
}
SCREEN_PIXELS = ("width", "height", "viewport_width", "viewport_height")
UTM = ("source", "medium", "campaign", "term", "content")
VITALS = ("lcp", "fid", "cls", "fcp", "ttfb", "inp")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
#: PostgreSQL stores no NUL in a text, so none may get as far as a sink.
_REPLACEMENT = "\ufffd"


def read_id(name: str, value: Any) -> str:
    """Return a client's name for a session, visitor or user; refuse one that is no good key."""
    if not isinstance(value, str):
        raise wrong_kind(name, "a string", value)
    if len(value) > MAX_ID_CHARACTERS or _CONTROL.search(value):
        raise Rejected(RejectReason.BAD_ID, name)
    return value


def _id(draft: Draft, name: str, value: Any) -> None:
    # An empty id names nobody: it must not become a visitor that all such events share.
    draft.fields[name] = read_id(name, value) or None


def _text(limit: int) -> Reader:
    def read(draft: Draft, name: str, value: Any) -> None:
        draft.fields[name] = _cut(draft, name, value, limit)

    return read


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_kind(name, "a string", value)
    return _without_nul(value)


def _cut(draft: Draft, name: str, value: Any, limit: int) -> str:
    text = _string(name, value)
    if len(text) > limit:
        draft.truncated.append(name)
        return text[:limit]
    return text


def _stack(draft: Draft, name: str, value: Any) -> None:
    text = _string(name, value)
    kept = text.encode()[:MAX_STACK_BYTES].decode(errors="ignore")
    if len(kept) < len(text):
        draft.truncated.append(name)
    draft.fields[name] = kept


def _screen(draft: Draft, name: str, value: Any) -> None:
    known = _known_members(draft, name, value, (*SCREEN_PIXELS, "pixel_ratio"))
    if known:
        ratio = known.pop("pixel_ratio", None)
        pixels = {member: whole(f"{name}.{member}", size) for member, size in known.items()}
        if ratio is not None:
            ratio = float(number(f"{name}.pixel_ratio", ratio))
        draft.fields[name] = Screen(**pixels, pixel_ratio=ratio)


def _utm(draft: Draft, name: str, value: Any) -> None:
    known = _known_members(draft, name, value, UTM)
    if known:
        texts = {
            member: _cut(draft, f"{name}.{member}", text, SHORT) for member, text in known.items()
        }
        draft.fields[name] = Utm(**texts)


def _vitals(draft: Draft, name: str, value: Any) -> None:
    known = _known_members(draft, name, value, VITALS)
    if known:
        draft.fields[name] = {
            member: float(number(f"{name}.{member}", vital)) for member, vital in known.items()
        }


def _ad_click_ids(draft: Draft, name: str, value: Any) -> None:
    ids = {}
    for network, click_id in _object(name, value).items():
        if click_id is not None:
            key = _without_nul(network)[:SHORT]
            ids[key] = _cut(draft, f"{name}.{key}", click_id, SHORT)
    draft.fields[name] = ids or None


def _properties(draft: Draft, name: str, value: Any) -> None:
    if deeper_than(_object(name, value), MAX_PROPERTIES_DEPTH):
        raise Rejected(RejectReason.PROPERTIES_TOO_DEEP, name)
    text = json_text(value)
    size = len(text.encode())
    if size > MAX_JSON_BYTES:
        raise Rejected(RejectReason.PROPERTIES_TOO_LARGE, name, size=size)
    draft.fields[name] = text


def _duration(draft: Draft, name: str, value: Any) -> None:
    draft.fields["duration_ms"] = milliseconds(name, value)


def _amount(draft: Draft, name: str, value: Any) -> None:
    (draft.fields[name], is_rounded) = exact_amount(value, draft.raw)
    if is_rounded:
        draft.truncated.append(name)


def _currency(draft: Draft, name: str, value: Any) -> None:
    if not _CURRENCY.fullmatch(_string(name, value)):
        raise Rejected(RejectReason.BAD_CURRENCY, name)
    draft.fields[name] = value.upper()


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_kind(name, "an object", value)
    return value


def _known_members(draft: Draft, name: str, value: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """Return the members that the API knows and that are not null; the unknown go to `extra`."""
    found = {}
    for member, content in _object(name, value).items():
        if member not in known:
            draft.extra.setdefault(name, {})[member] = content
        elif content is not None:
            found[member] = content
    return found


def _without_nul(text: str) -> str:
    """Return the text with U+FFFD for each NUL."""
    return text.replace("\0", _REPLACEMENT) if "\0" in text else text


def json_text(value: Any) -> str:
    """Return compact JSON, without NUL in any text or name of it."""
    encoded = msgspec.json.encode(value)
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode(_deeply_without_nul(value))
    return encoded.decode()


def deeper_than(value: Any, limit: int) -> bool:
    """Return whether objects and arrays are nested over `limit` levels; `value` is the first."""
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _deeply_without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return _without_nul(value)
    if isinstance(value, list):
        return [_deeply_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name): _deeply_without_nul(item) for name, item in value.items()}
    return value


FIELDS: dict[str, Reader] = {
    "visitor_id": _id,
    "user_id": _id,
    **{name: _text(limit) for name, limit in TEXTS.items()},
    "error_stack": _stack,
    "screen": _screen,
    "utm": _utm,
    "ad_click_ids": _ad_click_ids,
    "duration": _duration,
    "properties": _properties,
    "vitals": _vitals,
    "amount": _amount,
    "currency": _currency,
}
