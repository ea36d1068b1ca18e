"""The stream of live counters. They are merged once for all clients of a site."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from query_api import sse
from query_api.live import Live, equal_except_time
from query_api.live_store import LiveStore

#: At most two messages per second and client, and two merges per second and site.
INTERVAL_SECONDS = 0.5
#: Maximum number of cached messages.
_MAX_SITES = 2_000


class _Sent(NamedTuple):
    live: Live
    message: bytes
    at: float


class LiveFeed:
    """Merges the live counters of a site once for all of its clients; `clock` is in seconds."""

    def __init__(self, store: LiveStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._sent: OrderedDict[tuple[str, bool], _Sent] = OrderedDict()

    def watch(self, site_id: str, *, latest: bool) -> sse.Source:
        """Return the source of one client: the newest message after each change."""
        sent = b""

        async def next_messages() -> bytes:
            nonlocal sent
            message = self._message(site_id, latest)
            if message is sent:
                return b""
            sent = message
            return message

        return next_messages

    def _message(self, site_id: str, latest: bool) -> bytes:
        """Return the newest message: the same object until the counters change."""
        key, now = (site_id, latest), self._clock()
        previous = self._sent.get(key)
        if previous is not None and now - previous.at < INTERVAL_SECONDS:
            return previous.message
        live = self._store.snapshot(site_id, latest=latest)
        if previous is not None and equal_except_time(live, previous.live):
            message = previous.message
            self._sent[key] = previous._replace(at=now)
        else:
            message = sse.event("live", msgspec.json.encode(live))
            self._sent[key] = _Sent(live, message, now)
        self._sent.move_to_end(key)
        if len(self._sent) > _MAX_SITES:
            self._sent.popitem(last=False)
        return message
