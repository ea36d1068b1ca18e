"""The stream of alerts. SQL is polled once for all clients.

Alerts become visible in the order of `seq` (see `AlertSequenceRow`), so the position of a client is
one number: all later alerts are read from SQL, without queues and without gaps.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from query_api import queries, sse
from sinks.sql.engine import Database
from sinks.sql.errors import is_transient

INTERVAL_SECONDS = 0.5
#: Maximum number of alerts per read.
PAGE_SIZE = 200
#: Maximum number of cached reads.
_MAX_CACHED_READS = 1_000
#: Maximum number of sites whose latency is measured.
_MAX_SITES = 2_000

#: Encoded messages, and the `seq` up to which they are complete.
_Messages = tuple[bytes, int]


class AlertFeed:
    """Polls the newest `seq` and shares reads among clients. `clock` is in seconds.

    `observe_latency` is called once for each new alert of a watched site, with the time at which it
    was raised, when it is read for the first time.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        observe_latency: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._observe_latency = observe_latency
        #: The `seq` up to which alerts of a site were observed, or raised before it was watched.
        self._observed: OrderedDict[str, int] = OrderedDict()
        self._newest = 0
        self._polled_at = float("-inf")
        self._polling = asyncio.Lock()
        self._reads: dict[tuple[str, int], asyncio.Task[_Messages]] = {}

    async def newest(self) -> int:
        """Return the `seq` of the newest alert, at most half a second old."""
        async with self._polling:
            if self._clock() - self._polled_at >= INTERVAL_SECONDS:
                newest = await self._database.run(queries.last_seq)
                self._polled_at = self._clock()
                if newest != self._newest:
                    self._newest = newest
                    self._reads.clear()
            return self._newest

    async def after(self, site_id: str, seq: int) -> _Messages:
        """Return the messages of a site's alerts after `seq`, and the `seq` to continue from.

        Clients with the same position share one read.
        """
        newest = await self.newest()
        if seq >= newest:
            return b"", seq
        if len(self._reads) >= _MAX_CACHED_READS:
            return await self._read(site_id, seq, newest)
        reading = self._reads.get((site_id, seq))
        if reading is None:
            reading = asyncio.ensure_future(self._read(site_id, seq, newest))
            self._reads[site_id, seq] = reading
        try:
            return await asyncio.shield(reading)
        except Exception:
            self._reads.pop((site_id, seq), None)
            raise

    async def watch(self, site_id: str, last_seen: int | None) -> sse.Source:
        """Return the source of one client: alerts after `last_seen`, or only new ones if None.

        A `last_seen` above the newest `seq` is from another database and ignored. The source
        returns nothing while SQL is unavailable.
        """
        newest = await self.newest()
        seq = newest if last_seen is None or last_seen > newest else last_seen
        self._observed[site_id] = newest
        self._observed.move_to_end(site_id)
        if len(self._observed) > _MAX_SITES:
            self._observed.popitem(last=False)

        async def next_messages() -> bytes:
            nonlocal seq
            try:
                (messages, seq) = await self.after(site_id, seq)
            except Exception as error:
                if not is_transient(error):
                    raise
                return b""
            return messages

        return next_messages

    async def _read(self, site_id: str, seq: int, newest: int) -> _Messages:
        alerts = await self._database.run(
            lambda connection: queries.alerts_after(connection, site_id, seq, newest, PAGE_SIZE)
        )
        self._observe(site_id, alerts)
        messages = [sse.event("alert", msgspec.json.encode(a), str(a["seq"])) for a in alerts]
        until = alerts[-1]["seq"] if len(alerts) == PAGE_SIZE else newest
        return b"".join(messages), until

    def _observe(self, site_id: str, alerts: Iterable[Mapping[str, Any]]) -> None:
        for alert in alerts:
            if alert["seq"] > self._observed.get(site_id, alert["seq"]):
                self._observed[site_id] = alert["seq"]
                self._observe_latency(datetime.fromisoformat(alert["raised_at"]))
