"""Which offsets are committed, and where reading begins.

Faust's own bookkeeping must not see whole fetches: `_add_gap` would count the records of the
fetch just read as acked, and `_new_offset` is off by one at the head. Here each partition
keeps its fetches in the order they were delivered, and what is committed is the end of the
acked head.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.protocol.offset import OffsetRequest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from mode.utils.futures import notify

from streams.engine.pace import Hold, Pace
from streams.engine.parsed import hand_out_parsed

log = logging.getLogger(__name__)

#: Given the partitions of the sources, returns where each is to be read from.
Positions = Callable[[Sequence[TP]], Awaitable[Mapping[TP, int]]]

#: How long a rebalance or a stop waits for work under way. The group waits for a worker in
#: a rebalance as long as its rebalance timeout, 30 s; a batch that is not done by then is
#: fenced (see `app.Worker`).
_DRAIN_SECONDS = 15.0
_POSITIONS_SECONDS = 60.0
_HELD_SECONDS = 0.02
#: Beside aiokafka's connection groups, one for where partitions begin and end.
_OFFSETS = "offsets"


class FetchConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer with whole fetches; set through `FetchTransport`."""

    #: Where partitions are read from, when not from the group's offsets (sinks: SQL's).
    positions: Positions | None = None

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: defaultdict[TP, deque[Any]] = defaultdict(deque)
        #: For each source partition, the offset behind the fetch that was acked last.
        self.done: dict[TP, int] = {}
        self._pace = Pace()

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
        fetched = dict(await super()._getmany(wanted, timeout))
        records = sum(map(len, fetched.values()))
        self._hold_fetches(self._pace.after(records, busy=bool(self._buffered_partitions)))
        if self.app.rebalancing:  # it began, or ended, meanwhile
            late = {tp: fetched.pop(tp)[0].offset for tp in list(fetched) if self._is_source(tp)}
            await self.seek_wait(late)
        return fetched

    def _hold_fetches(self, hold: Hold) -> None:
        fetcher = self._thread._ensure_consumer()._fetcher  # noqa: SLF001 - there is no other way
        # Another thread reads both: many bytes are never asked for with a long wait.
        fetcher._fetch_min_bytes = 1  # noqa: SLF001
        fetcher._fetch_max_wait_ms = hold.max_wait_ms  # noqa: SLF001
        fetcher._fetch_min_bytes = hold.min_bytes  # noqa: SLF001

    def ack(self, message: Any) -> bool:
        """Mark a fetch as done; True when it was not before."""
        message.acked = True
        message.value = None  # thousands of records, which would stay until the next commit
        self.done[message.tp] = message.offset + 1
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    def release(self, message: Any) -> None:
        """Let go of a fetch that will not be done: nothing waits for it, nor is it committed."""
        self._unacked_messages.discard(message)

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

    async def wait_empty(self) -> None:
        """Wait for the work under way, but not for ever, then commit what is done."""
        deadline = monotonic() + _DRAIN_SECONDS
        while self._unacked_messages and monotonic() < deadline:
            await self._wait_for_ack(timeout=1)
            self._clean_unacked_messages()
        if self._unacked_messages:
            log.warning("gave up waiting for %d fetches; they are read again", self.under_way)
        await self.commit_and_end_transactions()

    @property
    def under_way(self) -> int:
        """The number of fetches that agents are working on."""
        return len(self._unacked_messages)

    def _is_source(self, tp: TP) -> bool:
        return bool(self.app.topics.acks_enabled_for(tp.topic))

    # -- what Faust's commit asks: which partitions have something, and up to where.

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (
            tp
            for tp in list(self._delivered)
            if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        done = None
        for message in self._delivered[tp]:
            if not message.acked:
                break
            done = message.offset + 1
        return done

    def _should_commit(self, tp: TP, offset: int) -> bool:  # noqa: ARG002
        # Faust would compare with what it last tried to commit, whether or not that succeeded.
        return True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, and forget the fetches only when that succeeded: a rebalance can refuse it."""
        committed = bool(await super()._commit(offsets))
        if committed:
            for tp, offset in offsets.items():
                fetches = self._delivered[tp]
                while fetches and fetches[0].acked and fetches[0].offset < offset:
                    fetches.popleft()
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: the list of deliveries knows."""


class _ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's, whose consumer asks for offsets beside what it fetches, and hands it out parsed."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        consumer = super()._create_consumer(loop)
        ask_offsets_aside(consumer._client)  # noqa: SLF001 - of the one version that is pinned
        return consumer

    async def on_start(self) -> None:
        """Start the consumer; only then it has a fetcher."""
        await super().on_start()
        hand_out_parsed(self._ensure_consumer()._fetcher)  # noqa: SLF001


def ask_offsets_aside(client: Any) -> None:
    """Have an aiokafka client ask for offsets on a connection that nothing else uses.

    A broker answers one connection's requests in their order, and a fetch that finds nothing
    after 1.5 s: behind that one, an idle worker would wait for its offsets at each assignment.
    """
    send = client.send

    async def send_aside(
        node_id: int, request: Any, *, group: object = ConnectionGroup.DEFAULT
    ) -> Any:
        aside = _OFFSETS if isinstance(request, OffsetRequest) else group
        return await send(node_id, request, group=aside)

    client.send = send_aside


class FetchTransport(Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with this consumer; set on `app.transport`."""

    Consumer = FetchConsumer
    positions: Positions | None = None

    def create_consumer(self, callback: Any, **kwargs: Any) -> FetchConsumer:
        """Return the consumer, which reads from `positions` when there are any."""
        consumer: FetchConsumer = super().create_consumer(callback, **kwargs)
        consumer.positions = self.positions
        return consumer
