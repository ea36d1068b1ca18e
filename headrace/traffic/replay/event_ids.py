"""Derive event ids from content, so that importing the same events again is idempotent.

The id is a UUID (version 5) of the event's canonical JSON, and of the number of its previous
occurrences in the same file. It does not depend on file name, compression, order of members, white
space, the format of numbers and timestamps, `null` members, batches or rate. CSV and JSON lines
with the same values yield the same ids.
"""

import json
import sqlite3
from decimal import Context, Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

from headrace.traffic.replay.exact_json import JsonObject

#: Never change this: a file must yield the same ids in every version.
_NAMESPACE = UUID("5b0f6f5e-4e1c-5d7e-9d5e-6a3f2c8b7a10")
_DIGEST_BYTES = 16
#: Enough precision to normalise numbers without rounding.
_EXACT = Context(prec=1_000)


class EventIds:
    """Derives ids; occurrences are counted in a temporary database, to bound memory."""

    def __init__(self) -> None:
        # An empty name is a temporary file that SQLite deletes when it is closed.
        self._counts = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._counts.execute("PRAGMA journal_mode = OFF")
        self._counts.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, count) WITHOUT ROWID")
        self._counts.execute("BEGIN")

    def begin_file(self) -> None:
        """Reset the counts, so that the same event in another file gets the same id."""
        self._counts.execute("DELETE FROM seen")

    def id_of(self, event: JsonObject, timestamp: int | None) -> str:
        """Return the id of an event.

        `timestamp` is microseconds since 1970, or None if it is missing or invalid.
        """
        digest = blake2b(_canonical(event, timestamp), digest_size=_DIGEST_BYTES).digest()
        (count,) = self._counts.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
            "RETURNING count",
            (digest,),
        ).fetchone()
        return str(uuid5(_NAMESPACE, f"{digest.hex()}:{count}"))


def _canonical(event: JsonObject, timestamp: int | None) -> bytes:
    """Return the same bytes for all representations of an event."""
    found = _normalized(event)
    if timestamp is not None:
        found["timestamp"] = timestamp
    amount = found.get("amount")
    if isinstance(amount, str) and not amount.startswith("\0"):
        found["amount"] = _number(amount)
    return _encode(found).encode("utf-8", "surrogatepass")


def _normalized(value: Any) -> Any:
    """Return a value without null members, and with numbers as strings."""
    if isinstance(value, dict):
        return {name: _normalized(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_normalized(inner) for inner in value]
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return _number(str(value)) if is_number else value


def _number(text: str) -> str:
    """Return a normalised number, as a string that no event can contain."""
    try:
        return f"\0{Decimal(text).normalize(_EXACT)}"
    except ArithmeticError:
        return f"\0{text}"


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
