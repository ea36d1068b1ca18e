"""The last events of a site, in a line each."""

from collections import deque

from schemas.live import LATEST_EVENTS, LIVE_MINUTES
from schemas.paths import path_of
from schemas.records import LatestEvent, RawEvent

#: A detail is told so far.
MAX_DETAIL_CHARACTERS = 120

_MINUTE_MS = 60_000


class LatestEvents:
    """The last that came, for as long as their minutes are told."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, RawEvent]] = deque(maxlen=LATEST_EVENTS)

    def add(self, event: RawEvent, log_ms: int) -> None:
        """Note an event; log times come in their order."""
        self._events.append((log_ms, event))

    def decay(self, now_ms: int) -> None:
        """Forget what fell out of the minutes."""
        last = now_ms // _MINUTE_MS - LIVE_MINUTES
        while self._events and self._events[0][0] // _MINUTE_MS <= last:
            self._events.popleft()

    def told(self) -> list[LatestEvent]:
        """Return them, the newest first."""
        # The details here: of a thousand events that come between two tellings, ten are told.
        newest_first = reversed(self._events)
        return [LatestEvent(at_ms, event.type, detail_of(event)) for at_ms, event in newest_first]


def detail_of(event: RawEvent) -> str:
    """Return what tells most of an event: what is special to its type, else its page."""
    special: str | None = None
    if event.type == "payment" and event.amount is not None:
        special = f"{event.amount.normalize():f} {event.currency or ''}".rstrip()
    elif event.type == "error":
        special = ": ".join(filter(None, (event.error_name, event.error_message)))
    elif event.type == "custom_event":
        special = event.event_name
    elif event.type == "external_link":
        special = event.url
    return (special or path_of(event.path, event.url))[:MAX_DETAIL_CHARACTERS]
