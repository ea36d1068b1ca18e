"""The optional fields of the event API, as a table of readers.

A reader is called with the draft, the field's name and its value, which is never null. It writes
the value to `draft.fields` and unknown members to `draft.extra`, and adds the names of truncated
texts to `draft.truncated`.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import msgspec

from producer_api.events.client import Client
from producer_api.events.draft import Draft
from producer_api.events.numbers import exact_amount, milliseconds, number, round_half_up
from producer_api.events.rejection import Rejected, wrong_kind
from schemas.paths import MAX_PATH_CHARACTERS
from schemas.records import Screen, Utm
from schemas.reject_reasons import RejectReason

Reader = Callable[[Draft, str, Any], None]

MAX_ID_CHARACTERS = 128
MAX_STACK_BYTES = 2048
MAX_JSON_BYTES = 8192
MAX_PROPERTIES_DEPTH = 8
SHORT_TEXT = 512
_LONG_TEXT = 1024

#: Text fields, with the number of characters that are kept.
TEXTS: dict[str, int] = {
    "url": 2048,
    "path": MAX_PATH_CHARACTERS,
    "hostname": SHORT_TEXT,
    "title": _LONG_TEXT,
    "referrer": 2048,
    "language": SHORT_TEXT,
    "user_agent": SHORT_TEXT,
    "event_name": SHORT_TEXT,
    "error_name": SHORT_TEXT,
    "error_message": _LONG_TEXT,
    "provider": SHORT_TEXT,
}
SCREEN_PIXELS = ("width", "height", "viewport_width", "viewport_height")
UTM = ("source", "medium", "campaign", "term", "content")
VITALS = ("lcp", "fid", "cls", "fcp", "ttfb", "inp")

_CONTAINERS = (dict, list)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
#: Replaces NUL characters, which PostgreSQL cannot store in a text.
_REPLACEMENT = "\ufffd"


def read_id(name: str, value: Any) -> str:
    """Return the id of a session, visitor or user; raises `Rejected` for an invalid one."""
    if not isinstance(value, str):
        raise wrong_kind(name, "a string", value)
    # No control character is printable, and the pattern takes five times as long.
    if len(value) > MAX_ID_CHARACTERS or (not value.isprintable() and _CONTROL.search(value)):
        raise Rejected(RejectReason.BAD_ID, name)
    return value


def _id(draft: Draft, name: str, value: Any) -> None:
    # Events with an empty id must not all belong to one visitor.
    draft.fields[name] = read_id(name, value) or None


def _text(limit: int) -> Reader:
    def read(draft: Draft, name: str, value: Any) -> None:
        draft.fields[name] = _truncate(draft, name, value, limit)

    return read


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_kind(name, "a string", value)
    return _replace_nul(value)


def _truncate(draft: Draft, name: str, value: Any, limit: int) -> str:
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
    members = _known_members(draft, name, value, (*SCREEN_PIXELS, "pixel_ratio"))
    if members:
        ratio = members.pop("pixel_ratio", None)
        pixels = {
            member: round_half_up(f"{name}.{member}", size) for member, size in members.items()
        }
        if ratio is not None:
            ratio = float(number(f"{name}.pixel_ratio", ratio))
        draft.fields[name] = Screen(**pixels, pixel_ratio=ratio)


def _utm(draft: Draft, name: str, value: Any) -> None:
    members = _known_members(draft, name, value, UTM)
    if members:
        texts = {
            member: _truncate(draft, f"{name}.{member}", text, SHORT_TEXT)
            for member, text in members.items()
        }
        draft.fields[name] = Utm(**texts)


def _vitals(draft: Draft, name: str, value: Any) -> None:
    members = _known_members(draft, name, value, VITALS)
    if members:
        draft.fields[name] = {
            member: float(number(f"{name}.{member}", vital)) for member, vital in members.items()
        }


def _ad_click_ids(draft: Draft, name: str, value: Any) -> None:
    ids = {}
    for network, click_id in _object(name, value).items():
        if click_id is not None:
            key = _replace_nul(network)[:SHORT_TEXT]
            ids[key] = _truncate(draft, f"{name}.{key}", click_id, SHORT_TEXT)
    draft.fields[name] = ids or None


def _properties(draft: Draft, name: str, value: Any) -> None:
    if is_deeper_than(_object(name, value), MAX_PROPERTIES_DEPTH):
        raise Rejected(RejectReason.PROPERTIES_TOO_DEEP, name)
    text = to_json_text(value)
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


def _ip(draft: Draft, name: str, value: Any) -> None:
    """Pass on the visitor's address that a back end reports, for derivation; it is not stored."""
    if draft.grant.trust != "key":
        return
    try:
        address = str(ip_address(_string(name, value).strip()))
    except ValueError:
        raise Rejected(RejectReason.BAD_IP, name) from None
    # The headers are those of the back end.
    draft.client = Client(address=address, opts_out=draft.client.opts_out, is_reported=True)


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_kind(name, "an object", value)
    return value


def _known_members(draft: Draft, name: str, value: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """Return the known members that are not null; unknown members are added to `draft.extra`."""
    members = {}
    for member, content in _object(name, value).items():
        if member not in known:
            draft.extra.setdefault(name, {})[member] = content
        elif content is not None:
            members[member] = content
    return members


def _replace_nul(text: str) -> str:
    """Return the text with each NUL replaced by U+FFFD."""
    return text.replace("\0", _REPLACEMENT) if "\0" in text else text


def to_json_text(value: Any) -> str:
    """Return compact JSON, with each NUL in strings and names replaced by U+FFFD."""
    encoded = msgspec.json.encode(value)
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode(_replace_nul_in_all(value))
    return encoded.decode()


def is_deeper_than(value: Any, limit: int) -> bool:
    """Return True if objects and arrays are nested more than `limit` levels, including `value`."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, _CONTAINERS)
        ]
    return bool(level)


def _replace_nul_in_all(value: Any) -> Any:
    if isinstance(value, str):
        return _replace_nul(value)
    if isinstance(value, list):
        return [_replace_nul_in_all(item) for item in value]
    if isinstance(value, dict):
        return {_replace_nul(name): _replace_nul_in_all(item) for name, item in value.items()}
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
    "ip": _ip,
}
