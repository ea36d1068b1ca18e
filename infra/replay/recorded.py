"""A recorded event on its way out: what must be added, the rest as it was recorded."""

from decimal import Decimal
from typing import NamedTuple

from infra.replay.exact_json import decode_object, encode
from infra.replay.identity import EventIds
from infra.replay.timestamps import to_iso


class Problem(NamedTuple):
    """Why an event is rejected before it is sent; `header` is that of its CSV file."""

    code: str
    error: str
    header: str = ""


class Recorded(NamedTuple):
    """One event: the line (of a JSON document: the element) where it begins, and its bytes.

    The bytes are one line without its end, not blank, and as a rule one JSON object.
    `has_time` is False when it carries no timestamp.
    """

    line: int
    data: bytes
    problem: Problem | None = None
    has_time: bool = True


class Completion:
    """Completes events: the id by which it counts once, the requested site, its recorded time."""

    def __init__(self, site_id: str | None) -> None:
        self._site_id = site_id
        self._ids = EventIds()

    def begin_file(self) -> None:
        """Prepare for the events of the next file."""
        self._ids.begin_file()

    def complete(self, event: Recorded) -> Recorded:
        """Return the event as it is sent; what is no JSON object is returned as it is."""
        if event.problem is not None:
            return event
        if problem := not_utf8(event.data):
            return event._replace(problem=problem)
        members = decode_object(event.data)
        if members is None:
            return event
        if self._site_id is not None:
            members["site_id"] = self._site_id
        if "sent_at" in members:
            # It corrects a client's clock by ours, but the event was not sent just now.
            members["sent_at"] = None
        micros = None
        timestamp = members.get("timestamp")
        if isinstance(timestamp, str | int | Decimal):
            (iso, micros) = to_iso(str(timestamp))
            if iso != str(timestamp):
                members["timestamp"] = iso
        if members.get("event_id") is None:
            members["event_id"] = self._ids.id_of(members, micros)
        return event._replace(data=encode(members), has_time=timestamp is not None)


def not_utf8(data: bytes) -> Problem | None:
    """Return the problem of bytes that are not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return Problem(
            "invalid_utf8",
            f"the byte 0x{data[error.start]:02X} is not UTF-8: the file is likely Latin-1 or "
            "Windows-1252; convert it with `iconv -f WINDOWS-1252 -t UTF-8`",
        )
    return None
