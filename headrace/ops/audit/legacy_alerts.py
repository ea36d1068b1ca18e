"""The fingerprints and details of alerts that earlier versions raised."""

import re
from functools import lru_cache
from hashlib import blake2b

from schemas.alert_rules import PAYMENT
from schemas.records import RawEvent

_MAX_CHARACTERS = 2_000
_ADDED = {"site_id", "session_id", "path", "trust"}

_QUERY_STRING = re.compile(r"\?[^\s\"')\]]*")
#: Parts of messages that vary between occurrences of an error, in the order of masking.
_VARYING = (
    re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),  # UUIDs
    re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE),
    # Hex ids: letters and digits, because "facade" is a word and 1234567 a number.
    re.compile(r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{6,}\b", re.IGNORECASE),
    re.compile(r"[-+]?\d+(?:[.,:]\d+)*"),  # numbers, also line:column
)

#: A stack frame of V8, of Firefox and Safari, or of Python; only the first is used.
_FRAME = re.compile(r"^\s*at\s+.+|^[^\s@]*@\S+|^\s*File \".+")


def is_legacy(details: object) -> bool:
    """Return True if an earlier version wrote these details."""
    return isinstance(details, dict) and "site_id" not in details


def legacy_details(details: dict[str, object], rule: str) -> dict[str, object]:
    """Return the details of an alert without those that earlier versions did not have."""
    added = _ADDED | ({"url"} if rule == PAYMENT else {"user_id", "visitor_id"})
    return {name: value for name, value in details.items() if name not in added}


def legacy_fingerprint(event: RawEvent) -> str:
    """Return the fingerprint of an error in alerts of earlier versions."""
    parts = (
        event.error_name or "",
        _masked((event.error_message or "")[:_MAX_CHARACTERS]),
        _masked(_first_frame(event.error_stack or "")[:_MAX_CHARACTERS]),
    )
    return blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


@lru_cache(maxsize=1_000)
def _masked(text: str) -> str:
    text = _QUERY_STRING.sub("", text)
    for pattern in _VARYING:
        text = pattern.sub("#", text)
    return " ".join(text.split())


def _first_frame(stack: str) -> str:
    return next((line for line in stack.splitlines() if _FRAME.match(line)), "")
