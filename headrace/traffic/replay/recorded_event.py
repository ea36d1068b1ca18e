"""Recorded events, and the fields that are added before they are sent."""

from decimal import Decimal
from typing import NamedTuple

from headrace.traffic.replay.event_ids import EventIds
from headrace.traffic.replay.exact_json import decode_object, encode
from headrace.traffic.replay.timestamps import to_iso


class Problem(NamedTuple):
    """Why an event is rejected before it is sent. `header` is the header of its CSV file."""

    code: str
    error: str
    header: str = ""


class RecordedEvent(NamedTuple):
    """One event: the number of its line, or of its element in a JSON document, and its bytes.

    The bytes are one line without the line end, not blank, and usually a JSON object. `has_time`
    is False for an event without a timestamp.
    """

    line: int
    data: bytes
    problem: Problem | None = None
    has_time: bool = True


class EventCompleter:
    """Completes events: sets the site, converts the timestamp, adds an id for deduplication."""

    def __init__(self, site_id: str | None) -> None:
        self._site_id = site_id
        self._ids = EventIds()

    def begin_file(self) -> None:
        """Start the next file."""
        self._ids.begin_file()

    def complete(self, event: RecordedEvent) -> RecordedEvent:
        """Return the event to send; anything but a JSON object is returned unchanged."""
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
            # The server would correct the timestamp by it, as if the event were sent now.
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
    """Return a problem if the bytes are not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return Problem(
            "invalid_utf8",
            f"the byte 0x{data[error.start]:02X} is not UTF-8: the file is likely Latin-1 or "
            "Windows-1252; convert it with `iconv -f WINDOWS-1252 -t UTF-8`",
        )
    return None
