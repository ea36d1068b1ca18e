"""A recorded event on its way out: its bytes as they were recorded, and what must be added.

Nothing is decoded and encoded again, so that the server judges what was recorded, to the last
digit of an amount.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

#: The longest line, bytes. An event may have 64 KiB, so the server refuses what is cut here.
MAX_LINE_BYTES = 256 * 1024


class Recorded(NamedTuple):
    """One event: the line (of a JSON document: the element) where it begins, and its bytes.

    The bytes are one line without its end, not blank, and as a rule one JSON object.
    """

    line: int
    data: bytes


class _Head(msgspec.Struct):
    event_id: Any = None


_head = msgspec.json.Decoder(_Head).decode


class Completion:
    """Gives each event the id that makes it safe to send twice, and the site that is asked for."""

    def __init__(self, site_id: str | None, new_id: Callable[[], str]) -> None:
        self._site = None if site_id is None else b'"site_id":' + msgspec.json.encode(site_id)
        self._new_id = new_id

    def complete(self, data: bytes) -> bytes:
        """Return the event with its id and site; what is no JSON object is returned as it is."""
        try:
            head = _head(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return data
        members = [] if self._site is None else [self._site]
        if head.event_id is None:
            members.append(b'"event_id":"%b"' % self._new_id().encode())
        return with_members(data, members) if members else data


def with_members(data: bytes, members: Sequence[bytes]) -> bytes:
    """Return a JSON object with members added at its end, where they win over earlier ones."""
    body = data.rstrip()[:-1].rstrip()
    comma = b"" if body.endswith(b"{") else b","
    return b"%b%b%b}" % (body, comma, b",".join(members))
