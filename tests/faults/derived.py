"""An independent implementation of the contract: derives the record and row of a JSON body.

It imports none of the product's code that does this, so that bugs there are not repeated here.
Times are microseconds since the epoch.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from hashlib import blake2b
from typing import Any

from tests.faults.enriched import enriched
from tests.reference import Row, page_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_DAY, _FIVE_MINUTES = 86_400 * _SECOND, 300 * _SECOND

_TEXTS = {
    **dict.fromkeys(("url", "path", "referrer"), 2_048),
    **dict.fromkeys(("title", "error_message"), 1_024),
    **dict.fromkeys(("hostname", "language", "user_agent", "event_name"), 512),
    **dict.fromkeys(("error_name", "provider"), 512),
}
_MEMBERS = {
    "screen": ("width", "height", "viewport_width", "viewport_height", "pixel_ratio"),
    "utm": ("source", "medium", "campaign", "term", "content"),
    "vitals": ("lcp", "fid", "cls", "fcp", "ttfb", "inp"),
}
_REQUIRED = ("type", "site_id", "session_id")
_READ_SEPARATELY = ("event_id", "timestamp", "sent_at")
_MAX_JSON = 8_192
_MAX_STACK = 2_048

#: All fields of a record that may be empty, in the names of `events-raw`.
_OPTIONAL = (
    *("visitor_id", "user_id", "url", "path", "hostname", "title", "referrer", "language"),
    *("user_agent", "screen", "utm", "ad_click_ids", "duration_ms", "event_name", "properties"),
    *("vitals", "error_name", "error_message", "error_stack", "provider", "amount", "currency"),
    "extra",
)


def record_of(
    body: Mapping[str, Any],
    received_at: int,
    *,
    imported: bool = False,
    header: str | None = None,
) -> Row:
    """Return the fields of the record of a body, with JSON fields decoded.

    `imported`: the site's events keep their timestamps, whatever their age. `header` is the user
    agent of the request, which is stored if the event carries none.
    """
    builder = _RecordBuilder()
    for name, value in body.items():
        if name not in (*_REQUIRED, *_READ_SEPARATELY):
            builder.read(name, value)
    builder.keep_extra()
    event_ts, source = event_time(body, received_at, imported=imported)
    record = {
        **dict.fromkeys(_OPTIONAL),
        **{name: body[name] for name in _REQUIRED},
        "event_id": body["event_id"].lower(),
        "received_at": received_at,
        "event_ts": event_ts,
        "time_source": source,
        **builder.fields,
        "truncated": sorted(builder.truncated),
    }
    return enriched(record, header)


def row_of(record: Row) -> Row:
    """Return the row of `events` for a record, without its position in Kafka."""
    return {
        **record,
        "path": page_of(record["path"], record["url"]),
        "truncated": record["truncated"] or None,
    }


def event_time(body: Mapping[str, Any], received_at: int, *, imported: bool) -> tuple[int, str]:
    """Return the time of an event and its source (D8)."""
    if body.get("timestamp") is None:
        return received_at, "server"
    happened = _micros(body["timestamp"])
    if imported:
        return happened, "client"
    if body.get("sent_at") is not None:
        happened += received_at - _micros(body["sent_at"])
    if happened < received_at - _DAY:
        return received_at - _DAY, "clamped"
    if happened > received_at + _FIVE_MINUTES:
        return received_at + _FIVE_MINUTES, "clamped"
    return happened, "client"


def error_identity(event: Any) -> str:
    """Return the fingerprint of an error of the tests' traffic.

    It ignores numbers in the message, and host, line and column of the innermost frame.
    """
    message = " ".join(re.sub(r"\d+", "#", event.error_message or "").split())
    frame = re.search(
        r"^ +at (\S+) \(https?://[^/]+/(\S+):\d+:\d+\)", event.error_stack or "", re.MULTILINE
    )
    parts = (event.error_name or "", message, f"{frame[1]} {frame[2]}" if frame else "")
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


class _RecordBuilder:
    """Builds the optional fields of a record."""

    def __init__(self) -> None:
        self.fields: Row = {}
        self.truncated: list[str] = []
        self._extra: dict[str, Any] = {}
        self._readers: dict[str, Callable[[str, Any], None]] = {
            **dict.fromkeys(_TEXTS, self._text),
            **dict.fromkeys(_MEMBERS, self._group),
            **dict.fromkeys(("visitor_id", "user_id"), self._id),
            "ad_click_ids": self._click_ids,
            "error_stack": self._stack,
            "duration": self._duration,
            "amount": self._amount,
            "currency": self._currency,
            "properties": self._properties,
        }

    def read(self, name: str, value: Any) -> None:
        if name not in self._readers:
            self._extra[name] = value
        elif value is not None:
            self._readers[name](name, value)

    def keep_extra(self) -> None:
        if not self._extra:
            return
        if (
            len(json.dumps(self._extra, ensure_ascii=False, separators=(",", ":")).encode())
            > _MAX_JSON
        ):
            self.truncated.append("extra")
        else:
            self.fields["extra"] = _clean(self._extra)

    def _id(self, name: str, value: str) -> None:
        self.fields[name] = value or None

    def _text(self, name: str, value: str) -> None:
        self.fields[name] = self._truncate(name, value, _TEXTS[name])

    def _truncate(self, name: str, value: str, limit: int) -> str:
        if len(value) > limit:
            self.truncated.append(name)
        return str(_clean(value))[:limit]

    def _stack(self, name: str, value: str) -> None:
        kept = ""
        for character in _clean(value):
            if len((kept + character).encode()) > _MAX_STACK:
                self.truncated.append(name)
                break
            kept += character
        self.fields[name] = kept

    def _group(self, name: str, value: Mapping[str, Any]) -> None:
        members = {}
        for member, content in value.items():
            if member not in _MEMBERS[name]:
                self._extra.setdefault(name, {})[member] = content
            elif content is not None:
                members[member] = self._member(name, member, content)
        self.fields[name] = members or None

    def _member(self, name: str, member: str, content: Any) -> Any:
        if name == "utm":
            return self._truncate(f"{name}.{member}", content, 512)
        is_real = name == "vitals" or member == "pixel_ratio"
        return float(content) if is_real else _round_half_up(content)

    def _click_ids(self, name: str, value: Mapping[str, Any]) -> None:
        ids = {
            key: self._truncate(f"{name}.{key}", text, 512)
            for key, text in value.items()
            if text is not None
        }
        self.fields[name] = ids or None

    def _duration(self, _: str, value: float) -> None:
        self.fields["duration_ms"] = _round_half_up(value)

    def _amount(self, name: str, value: Any) -> None:
        exact = Decimal(str(value))
        rounded = exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
        if rounded != exact:
            self.truncated.append(name)
        self.fields[name] = rounded

    def _currency(self, name: str, value: str) -> None:
        self.fields[name] = value.upper()

    def _properties(self, name: str, value: Any) -> None:
        self.fields[name] = _clean(value)


def _round_half_up(value: float) -> int:
    return int((Decimal(value) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def _clean(value: Any) -> Any:
    """Replace each NUL, including in names and nested values."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return since.days * _DAY + since.seconds * _SECOND + since.microseconds
