"""New alerts, for all who wait for some: SQL is asked once for all of them.

`seq` never becomes visible out of order (see `AlertSequenceRow`), so a client's place in the
stream is one number, and whatever came after it is read from SQL: nothing is queued, nothing
has a gap.
"""

import asyncio
from collections.abc import Callable

import msgspec

from sinks.query import reads, sse
from sinks.sql.engine import Database
from sinks.sql.errors import is_transient

INTERVAL_SECONDS = 0.5
#: Alerts that are read at once.
PAGE = 200
#: Answers that are shared until the next look.
_MOST_SHARED = 1_000

_Found = tuple[bytes, int]


class AlertFeed:
    """Knows the newest alert's number; `clock` is in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._newest = 0
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._shared: dict[tuple[str, int], asyncio.Task[_Found]] = {}

    async def newest(self) -> int:
        """Return the number of the newest alert, at most half a second old."""
        async with self._looking:
            if self._clock() - self._looked >= INTERVAL_SECONDS:
                newest = await self._database.run(reads.last_seq)
                self._looked = self._clock()
                if newest != self._newest:
                    self._newest = newest
                    self._shared.clear()
            return self._newest

    async def after(self, site_id: str, seq: int) -> _Found:
        """Return the messages of a site's alerts above `seq`, and up to where they reach.

        Clients that are up to date ask the same, and are answered by one read.
        """
        newest = await self.newest()
        if seq >= newest:
            return b"", seq
        if len(self._shared) >= _MOST_SHARED:
            return await self._read(site_id, seq, newest)
        reading = self._shared.get((site_id, seq))
        if reading is None:
            reading = asyncio.ensure_future(self._read(site_id, seq, newest))
            self._shared[site_id, seq] = reading
        try:
            return await asyncio.shield(reading)
        except Exception:
            self._shared.pop((site_id, seq), None)
            raise

    async def watch(self, site_id: str, last_seen: int | None) -> sse.Source:
        """Return a source for one client: from the alert after `last_seen`, else from now on.

        A number that is still to come is of another database, and means nothing in this one. While
        SQL is away, there are no alerts.
        """
        newest = await self.newest()
        seq = newest if last_seen is None or last_seen > newest else last_seen

        async def news() -> bytes:
            nonlocal seq
            try:
                (messages, seq) = await self.after(site_id, seq)
            except Exception as error:
                if not is_transient(error):
                    raise
                return b""
            return messages

        return news

    async def _read(self, site_id: str, seq: int, newest: int) -> _Found:
        alerts = await self._database.run(
            lambda connection: reads.alerts_after(connection, site_id, seq, newest, PAGE)
        )
        messages = [sse.event("alert", msgspec.json.encode(a), str(a["seq"])) for a in alerts]
        reached = alerts[-1]["seq"] if len(alerts) == PAGE else newest
        return b"".join(messages), reached
