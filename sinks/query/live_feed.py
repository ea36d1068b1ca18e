"""What is new of what happens now, for all who watch a site: merged once, not once a client."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from sinks.query import sse
from sinks.query.live import Live, same_but_for_time
from sinks.query.live_board import Board

#: At most two messages a second, and as many merges of a site.
INTERVAL_SECONDS = 0.5
#: Sites of which the last message is remembered.
_MOST_SITES = 2_000


@dataclass(slots=True)
class _Told:
    live: Live
    message: bytes
    at: float


class LiveFeed:
    """Gives each site's newest message; `clock` is in seconds."""

    def __init__(self, board: Board, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._told: OrderedDict[tuple[str, bool], _Told] = OrderedDict()

    def message(self, site_id: str, *, latest: bool) -> bytes:
        """Return the newest message: the same object until something has changed."""
        key = (site_id, latest)
        told = self._told.get(key)
        now = self._clock()
        if told is not None and now - told.at < INTERVAL_SECONDS:
            return told.message
        live = self._board.snapshot(site_id, latest=latest)
        if told is not None and same_but_for_time(live, told.live):
            told.at = now
            return told.message
        message = sse.event("live", msgspec.json.encode(live))
        self._told[key] = _Told(live, message, now)
        self._told.move_to_end(key)
        if len(self._told) > _MOST_SITES:
            self._told.popitem(last=False)
        return message

    def watch(self, site_id: str, *, latest: bool) -> "LiveSource":
        """Return a source for one client; `latest` adds the last events, and a standstill."""
        return LiveSource(self, site_id, latest=latest)


class LiveSource:
    """One client's place: what it was sent last."""

    def __init__(self, feed: LiveFeed, site_id: str, *, latest: bool) -> None:
        self._feed = feed
        self._site_id = site_id
        self._latest = latest
        self._sent = b""

    async def news(self) -> bytes:
        """Return what the client has not been sent; a client that was slow misses what is over."""
        message = self._feed.message(self._site_id, latest=self._latest)
        if message is self._sent:
            return b""
        self._sent = message
        return message
