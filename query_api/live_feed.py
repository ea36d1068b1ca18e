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
    #: The log time (ms) of the newest event in it.
    newest_ms: int


class LiveFeed:
    """Merges the live counters of a site once for all of its clients; `clock` is in seconds.

    `observe_latency` is called with the time (s) from the confirmation of the newest event to the
    message that contains it.
    """

    def __init__(
        self,
        store: LiveStore,
        clock: Callable[[], float],
        observe_latency: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._observe_latency = observe_latency
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
            newest_ms = self._store.newest_ms(site_id)
            # The first message of a stream contains events from before.
            if previous is not None and newest_ms > previous.newest_ms:
                self._observe_latency(max(0.0, self._store.now_ms() - newest_ms) / 1_000)
            self._sent[key] = _Sent(live, message, now, newest_ms)
        self._sent.move_to_end(key)
        if len(self._sent) > _MAX_SITES:
            self._sent.popitem(last=False)
        return message
