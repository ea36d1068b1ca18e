"""The latest events of a site, as one line each."""

from collections import deque

import msgspec

from schemas import money
from schemas.live import LATEST_EVENTS, LIVE_MINUTES
from schemas.paths import path_of
from schemas.records import LatestEvent, RawEvent

#: Limit of the detail of an event.
MAX_DETAIL_CHARACTERS = 120

_MINUTE_MS = 60_000
#: Types that are recognized by their `event_name`.
_NAMED_TYPES = frozenset({"custom_event", "button_click", "form_submit"})


class _Link(msgspec.Struct):
    """The properties of `external_link` that are shown."""

    href: str | None = None


class LatestEvents:
    """The latest events of a site within the reported minutes.

    Only the shown fields are kept: ten whole events have up to 500 kB.
    """

    def __init__(self) -> None:
        self._events: deque[LatestEvent] = deque(maxlen=LATEST_EVENTS)

    def add(self, event: RawEvent, log_ms: int) -> None:
        """Add an event; log times must be ascending."""
        self._events.append(LatestEvent(log_ms, event.type, detail_of(event)))

    def decay(self, now_ms: int) -> None:
        """Remove events that are older than the window."""
        last = now_ms // _MINUTE_MS - LIVE_MINUTES
        while self._events and self._events[0].at_ms // _MINUTE_MS <= last:
            self._events.popleft()

    def newest_first(self) -> list[LatestEvent]:
        """Return the events, the newest first."""
        return list(reversed(self._events))


def detail_of(event: RawEvent) -> str:
    """Return the most specific detail of an event: a field of its type, otherwise its page."""
    special: str | None = None
    if event.type == "payment" and event.amount is not None:
        special = money.format_amount(event.amount, event.currency)
    elif event.type == "error":
        special = ": ".join(filter(None, (event.error_name, event.error_message)))
    elif event.type in _NAMED_TYPES:
        special = event.event_name
    elif event.type == "external_link":
        special = _target_of(event.properties) or event.url
    return (special or path_of(event.path, event.url))[:MAX_DETAIL_CHARACTERS]


def _target_of(properties: str | None) -> str | None:
    """Return where a followed link leads, if its properties have it as the tracker's have."""
    try:
        return msgspec.json.decode(properties or "{}", type=_Link).href
    except msgspec.DecodeError:  # of another client: no text, or not an object
        return None
