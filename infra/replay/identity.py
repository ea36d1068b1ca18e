"""Event ids derived from content, so that importing the same events again changes nothing.

The id is a UUID (version 5) of the event's canonical JSON, and of how often this event came
before in the same file. File name, compression, order of members, white space, the form of numbers
and timestamps, `null` members, batches and rate do not matter; CSV and JSON lines with the same
values give the same ids.
"""

import json
import sqlite3
from decimal import Context, Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

from infra.replay.exact_json import Object

#: Never changes: a file that was imported once must give the same ids in every version.
_NAMESPACE = UUID("5b0f6f5e-4e1c-5d7e-9d5e-6a3f2c8b7a10")
_DIGEST_BYTES = 16
#: To normalise a number must not round it.
_EXACT = Context(prec=1_000)


class EventIds:
    """Derives ids; what it counts lies in a temporary database, so memory does not grow."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's, which is deleted when it is closed.
        self._seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, count) WITHOUT ROWID")
        self._seen.execute("BEGIN")

    def begin_file(self) -> None:
        """Count from the start: the same event in another file is the same event."""
        self._seen.execute("DELETE FROM seen")

    def id_of(self, event: Object, timestamp: int | None) -> str:
        """Return the id of an event.

        `timestamp` is microseconds since 1970, None when it is absent or cannot be read.
        """
        digest = blake2b(_canonical(event, timestamp), digest_size=_DIGEST_BYTES).digest()
        (count,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
            "RETURNING count",
            (digest,),
        ).fetchone()
        return str(uuid5(_NAMESPACE, f"{digest.hex()}:{count}"))


def _canonical(event: Object, timestamp: int | None) -> bytes:
    """Return the same bytes for all ways to write an event."""
    found = _normalized(event)
    if timestamp is not None:
        found["timestamp"] = timestamp
    amount = found.get("amount")
    if isinstance(amount, str) and not amount.startswith("\0"):
        found["amount"] = _number(amount)
    return _encode(found).encode("utf-8", "surrogatepass")


def _normalized(value: Any) -> Any:
    """Return a value without null members, its numbers as texts."""
    if isinstance(value, dict):
        return {name: _normalized(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_normalized(inner) for inner in value]
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return _number(str(value)) if is_number else value


def _number(text: str) -> str:
    """Return a number as a text that no text of an event is, however it was written."""
    try:
        return f"\0{Decimal(text).normalize(_EXACT)}"
    except ArithmeticError:
        return f"\0{text}"


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
