"""Texts as they are stored: bounded, and without the character that databases refuse."""

from typing import Any

import msgspec

#: PostgreSQL stores no NUL in a text, so none may get as far as a sink.
REPLACEMENT = "\ufffd"


def without_nul(text: str) -> str:
    """Return the text with U+FFFD for each NUL."""
    return text.replace("\0", REPLACEMENT) if "\0" in text else text


def cut_to_bytes(text: str, limit: int) -> str:
    """Return the longest beginning that has at most `limit` bytes in UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


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
        return without_nul(value)
    if isinstance(value, list):
        return [_deeply_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(name): _deeply_without_nul(item) for name, item in value.items()}
    return value
