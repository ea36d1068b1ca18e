"""Faust's consumer with whole fetches: how they are asked for, and where reading begins."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any

from faust.transport.drivers.aiokafka import Transport
from faust.types import TP

from streams.engine.commits import CommittingConsumer
from streams.engine.consumer_thread import ConsumerThread
from streams.engine.pace import BRIEFLY, Hold, Pace

#: Given the partitions of the sources, returns where each is to be read from.
Positions = Callable[[Sequence[TP]], Awaitable[Mapping[TP, int]]]

_POSITIONS_SECONDS = 60.0
_HELD_SECONDS = 0.02
#: How long is waited for records that come one by one, ...
_NEXT_SECONDS = 0.2
#: ... and while nothing comes: whatever happens ends that wait.
_REST_SECONDS = 30.0


class FetchConsumer(CommittingConsumer):
    """Faust's consumer with whole fetches; set through `FetchTransport`."""

    #: Where partitions are read from, when not from the group's offsets (sinks: SQL's).
    positions: Positions | None = None

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pace = Pace()
        self._hold = BRIEFLY

    async def getmany(  # the name is Faust's
        self,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[tuple[TP, Any]]:
        """Yield fetches, noting each; streams inline `track_message`, so it is done here."""
        async for tp, message in super().getmany(timeout):
            read = self._read_offset[tp]
            dropped = read is not None and message.offset < read  # Faust drops it next
            if self._is_source(tp) and not dropped:
                self._delivered[tp].append(message)
            yield tp, message

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[Any, Any]:
        """Wait a moment, not a second as Faust does, while the streams of all have their fill."""
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(_HELD_SECONDS)
            return {}, set()
        fetched: tuple[Any, Any] = await super()._wait_next_records(timeout)
        return fetched

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109
    ) -> Mapping[TP, list[Any]]:
        """Fetch, but from no source until a rebalance is over.

        Faust opens the sources before it seeks, and empties the streams' queues after: what
        was fetched in between would be lost. Recovery meanwhile reads the changelogs.
        """
        wanted = active_partitions or set()
        if self.app.rebalancing:
            wanted = {tp for tp in wanted if not self._is_source(tp)}
        if not wanted:  # to aiokafka, none means all
            await self.sleep(_HELD_SECONDS)
            return {}
        if self._buffered_partitions:  # those whose streams have their fill are wanted soon
            timeout = _HELD_SECONDS
        elif not self.app.rebalancing:
            timeout = _REST_SECONDS if self._hold.is_at_rest else _NEXT_SECONDS
        fetched = dict(await super()._getmany(wanted, timeout))
        records = sum(map(len, fetched.values()))
        busy = bool(self._buffered_partitions) or self.app.rebalancing
        self._hold_fetches(self._pace.after(records, busy=busy))
        if self.app.rebalancing:  # it began, or ended, meanwhile
            late = {tp: fetched.pop(tp)[0].offset for tp in list(fetched) if self._is_source(tp)}
            await self.seek_wait(late)
        return fetched

    def stop_flow(self) -> None:
        """Begin a rebalance or the end: where it seeks to, nothing waits behind a long fetch."""
        super().stop_flow()
        self._hold_fetches(BRIEFLY)

    def resume_flow(self) -> None:
        """Read on, at once, from where there is something to be read now."""
        super().resume_flow()
        self._thread.end_wait()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read on in these partitions, at once."""
        super().resume_partitions(tps)
        self._thread.end_wait()

    def _hold_fetches(self, hold: Hold) -> None:
        self._hold = hold
        fetcher = self._thread._ensure_consumer()._fetcher  # noqa: SLF001 - there is no other way
        # Another thread reads both: many bytes are never asked for with a long wait.
        fetcher._fetch_min_bytes = 1  # noqa: SLF001
        fetcher._fetch_max_wait_ms = hold.max_wait_ms  # noqa: SLF001
        fetcher._fetch_min_bytes = hold.min_bytes  # noqa: SLF001

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Go to where reading begins, and return it; what was under way is read again.

        An app with `positions` has no tables: Faust then reads nothing before this returns.
        """
        start = dict(await super().seek_to_committed())
        if self.positions is None:
            start |= await self._seek_to_earliest([tp for tp in start if start[tp] is None])
        else:
            start |= await self._seek_to_positions([tp for tp in start if self._is_source(tp)])
        self._delivered.clear()
        self.done = {tp: start[tp] or 0 for tp in start if self._is_source(tp)}
        return start

    async def _seek_to_earliest(self, tps: Sequence[TP]) -> Mapping[TP, int]:
        """Go back where nothing was committed yet.

        aiokafka seeks nowhere then; what Faust fetched and dropped while it rebalanced would
        never be read.
        """
        if not tps:
            return {}
        earliest: Mapping[TP, int] = await self.earliest_offsets(*tps)
        await self.seek_wait(earliest)
        return earliest

    async def _seek_to_positions(self, sources: Sequence[TP]) -> Mapping[TP, int]:
        assert self.positions is not None  # noqa: S101 - for the type checker
        # Faust waits for 90 s, then reads on from anywhere: end the worker before that.
        async with asyncio.timeout(_POSITIONS_SECONDS):
            wanted = dict(await self.positions(sources))
        earliest = await self.earliest_offsets(*sources)
        # What was wanted may have been deleted by retention.
        start = {tp: max(offset, earliest[tp]) for tp, offset in wanted.items()}
        await self.seek_wait(start)
        return start


class FetchTransport(Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with this consumer; set on `app.transport`."""

    Consumer = FetchConsumer
    positions: Positions | None = None

    def create_consumer(self, callback: Any, **kwargs: Any) -> FetchConsumer:
        """Return the consumer, which reads from `positions` when there are any."""
        consumer: FetchConsumer = super().create_consumer(callback, **kwargs)
        consumer.positions = self.positions
        return consumer
