"""Which errors are the same: name, message without what varies, first stack frame."""

import re
from functools import lru_cache
from hashlib import blake2b

from schemas.records import RawEvent

_MAX_CHARACTERS = 2_000

#: One error comes with and without them.
_QUERY_STRING = re.compile(r"\?[^\s\"')\]]*")
#: What differs between two occurrences of one error, in the order it is taken out.
_VARYING = (
    re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),  # UUIDs
    re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE),
    # Hex ids: both letters and digits, for "facade" is a word and 1234567 a number.
    re.compile(r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{6,}\b", re.IGNORECASE),
    re.compile(r"[-+]?\d+(?:[.,:]\d+)*"),  # numbers, also line:column
)

#: How a stack frame looks in V8, in Firefox and Safari, and in Python.
_FRAME = re.compile(r"^\s*at\s+.+|^[^\s@]*@\S+|^\s*File \".+")


def fingerprint(event: RawEvent) -> str:
    """Return 16 hex digits, equal for occurrences of the same error; total on any text."""
    parts = (
        event.error_name or "",
        _constant((event.error_message or "")[:_MAX_CHARACTERS]),
        _constant(_first_frame(event.error_stack or "")[:_MAX_CHARACTERS]),
    )
    return blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


@lru_cache(maxsize=1_000)  # the same errors come again and again
def _constant(text: str) -> str:
    text = _QUERY_STRING.sub("", text)
    for pattern in _VARYING:
        text = pattern.sub("#", text)
    return " ".join(text.split())


def _first_frame(stack: str) -> str:
    return next((line for line in stack.splitlines() if _FRAME.match(line)), "")
