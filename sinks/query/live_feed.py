"""The stream of live counters: merged once for all clients of a site."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sinks.query import sse
from sinks.query.live import Live, same_but_for_time
from sinks.query.live_board import Board

#: At most two messages a second, and as many merges of a site.
INTERVAL_SECONDS = 0.5
#: Sites of which the last message is remembered.
_MAX_SITES = 2_000


class _Sent(NamedTuple):
    live: Live
    message: bytes
    at: float


class LiveFeed:
    """Merges the live counters of a site once for all of its clients; `clock` is in seconds."""

    def __init__(self, board: Board, clock: Callable[[], float]) -> None:
        self._board = board
        self._clock = clock
        self._sent: OrderedDict[tuple[str, bool], _Sent] = OrderedDict()

    def watch(self, site_id: str, *, latest: bool) -> sse.Source:
        """Return a source for one client: the newest message, whenever something has changed."""
        sent = b""

        async def news() -> bytes:
            nonlocal sent
            message = self._message(site_id, latest)
            if message is sent:
                return b""
            sent = message
            return message

        return news

    def _message(self, site_id: str, latest: bool) -> bytes:
        """Return the newest message: the same object until something has changed."""
        key, now = (site_id, latest), self._clock()
        before = self._sent.get(key)
        if before is not None and now - before.at < INTERVAL_SECONDS:
            return before.message
        live = self._board.snapshot(site_id, latest=latest)
        if before is not None and same_but_for_time(live, before.live):
            message = before.message
            self._sent[key] = before._replace(at=now)
        else:
            message = sse.event("live", msgspec.json.encode(live))
            self._sent[key] = _Sent(live, message, now)
        self._sent.move_to_end(key)
        if len(self._sent) > _MAX_SITES:
            self._sent.popitem(last=False)
        return message
