"""The encodings in which clients send JSON: gzip without a header, base64, forms, CESU-8, NaN."""

import binascii
import json
import re
from contextlib import suppress
from typing import Any

import msgspec
import pybase64

from producer_api.events.decompression import decompress
from producer_api.events.fields import is_deeper_than
from producer_api.events.parse import read_json
from producer_api.events.rejection import Rejected, kind_of
from producer_api.events.request import Request, parameters_of
from schemas.reject_reasons import RejectReason

#: The limit of a body, also when it is compressed twice. The largest are those of PostHog's client
#: for Python: up to 5 MiB, and one event.
MAX_BYTES = 6 * 1024 * 1024
#: The limit of Mixpanel's import and of Amplitude's batches, which their clients may be set to.
_MAX_EVENTS = 2_000
_TOO_MANY_EVENTS = "A request has at most {limit:,} events, not {count:,}"
GZIP_MAGIC = b"\x1f\x8b"
#: Levels of objects and arrays. More would exceed the recursion limits of what encodes them again.
_MAX_DEPTH = 64
#: Parameters of a form. The clients send less than a hundred.
_MAX_PARAMETERS = 1000
#: Why JSON of some clients is rejected that Python's own parser accepts.
_LENIENT = (RejectReason.INVALID_UTF8, RejectReason.LONE_SURROGATE)
_TOO_MANY_PARAMETERS = "A form has at most 1,000 parameters"
#: A body of 6 MiB can have a million objects or other values, which take seconds; batches of the
#: clients have a few thousand.
_MAX_BRACKETS = 100_000
_MAX_COMMAS = 200_000
#: Numbers that are no JSON, as Python writes them.
_NO_NUMBER = re.compile(rb"\b(?:NaN|Infinity)\b")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_BRACKETS = bytes(set(range(256)).difference(b"[]{}"))
#: To standard base64 from its URL-safe form. A plus sign of a form that was not percent-encoded
#: arrives as a space.
_STANDARD_BASE64 = bytes.maketrans(b"-_ ", b"+/+")


def unpacked(body: bytes) -> bytes:
    """Return the body, decompressed if it is gzip although no header says so."""
    if body.startswith(GZIP_MAGIC):
        body = decompress(body, MAX_BYTES)
    return body.removeprefix(_BYTE_ORDER_MARK)


def form(request: Request) -> dict[str, str]:
    """Return the parameters of the query and of an urlencoded body, which has priority."""
    body = unpacked(request.body)
    if body.count(b"&") >= _MAX_PARAMETERS:  # 6 MiB can have millions, which take seconds
        raise Rejected(RejectReason.BODY_TOO_LARGE, sentence=_TOO_MANY_PARAMETERS)
    text = body.decode(errors="replace")
    return {**request.parameters, **parameters_of(text)}


def json_of(data: bytes) -> Any:
    """Decode JSON in UTF-8 or CESU-8; raises `Rejected`.

    Unpaired surrogates become U+FFFD. NaN and infinity become null, as JavaScript writes them.
    """
    if len(data) > _MAX_BRACKETS and (
        len(_brackets(data)) > _MAX_BRACKETS or data.count(b",") > _MAX_COMMAS
    ):
        raise Rejected(RejectReason.INVALID_JSON, detail="it has too many values")
    value = _decoded(data)
    if may_be_deeper(data, _MAX_DEPTH) and is_deeper_than(value, _MAX_DEPTH):
        raise Rejected(RejectReason.INVALID_JSON, detail="it is nested too deeply")
    return value


def may_be_deeper(data: bytes, levels: int) -> bool:
    """Return False if JSON is not nested deeper; it may return True for brackets in texts.

    Visiting all values would cost as much as decoding. Most events do not even have so many
    brackets.
    """
    if data.count(b"{") + data.count(b"[") <= levels:
        return False
    brackets = _brackets(data)
    for _ in range(levels):  # remove the innermost ones
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return bool(brackets)


def _brackets(data: bytes) -> bytes:
    return data.translate(None, _NO_BRACKETS)


def _decoded(data: bytes) -> Any:
    try:
        return read_json(data)
    except Rejected as rejected:
        if rejected.reason not in _LENIENT and not _NO_NUMBER.search(data):
            raise
        return _lenient_json(data)


def json_object(data: bytes) -> dict[str, Any]:
    """Decode a JSON object as `json_of`; raises `Rejected` for other values."""
    value = json_of(data)
    if not isinstance(value, dict):
        raise Rejected(RejectReason.NOT_AN_OBJECT, kind=kind_of(value))
    return value


def json_or_base64(text: str) -> Any:
    """Decode JSON, or base64 of JSON, also URL-safe and without padding; raises `Rejected`."""
    if text.lstrip()[:1] in ("{", "["):
        return json_of(text.encode("utf-8", "surrogatepass"))
    return json_of(unpacked(from_base64(text)))


def batch_of(value: Any) -> list[Any]:
    """Return the events of a list; another value is the only one. Raises `Rejected`.

    A body can have a million, whose translation would take ten seconds.
    """
    events = value if isinstance(value, list) else [value]
    check_count(len(events), _MAX_EVENTS)
    return events


def check_count(count: int, limit: int = 2 * _MAX_EVENTS) -> None:
    """Raise `Rejected` if there are too many events; each that is sent may mean two."""
    if count > limit:
        sentence = _TOO_MANY_EVENTS.format(limit=limit, count=count)
        raise Rejected(RejectReason.TOO_MANY_EVENTS, sentence=sentence, count=count)


def member_names(body: bytes) -> frozenset[str]:
    """Return the names of the members of a JSON object; none of a body that is not one."""
    with suppress(Rejected):
        body = unpacked(body)
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frozenset(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
        if body.lstrip().startswith(b"{"):
            return frozenset(json_object(body))
    return frozenset()


def from_base64(text: str) -> bytes:
    """Decode base64, also URL-safe and without padding; raises `Rejected`."""
    try:
        standard = text.strip("\t\r\n").encode("ascii")
        if any(character in standard for character in b"-_ "):
            standard = standard.translate(_STANDARD_BASE64)
        return pybase64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        sentence = "The data are neither JSON nor base64 of JSON"
        raise Rejected(RejectReason.INVALID_JSON, sentence=sentence) from None


def _lenient_json(data: bytes) -> Any:
    """Decode JSON with NaN, or with surrogates, raw or escaped; those of a pair are joined."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    try:
        # Python's own parser accepts surrogates, and keeps integers of any size.
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise Rejected(RejectReason.INVALID_JSON, detail=str(error)) from None
    return read_json(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())
