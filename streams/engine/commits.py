"""Which offsets are committed, and when.

Faust's own bookkeeping must not see whole fetches: `_add_gap` would count the records of the
fetch just read as acked, and `_new_offset` is off by one at the head. Here each partition
keeps its fetches in the order they were delivered, and what is committed is the end of the
acked head.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from mode import Service
from mode.utils.futures import notify

log = logging.getLogger(__name__)

#: How long a rebalance or a stop waits for work under way. The group waits for a worker in
#: a rebalance as long as its rebalance timeout, 30 s; a batch that is not done by then is
#: fenced (see `app.Worker`).
_DRAIN_SECONDS = 15.0


class CommittingConsumer(Consumer):  # type: ignore[misc]
    """Faust's consumer, which commits the end of what was acked without a gap."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: defaultdict[TP, deque[Any]] = defaultdict(deque)
        #: For each source partition, the offset behind the fetch that was acked last.
        self.done: dict[TP, int] = {}
        #: Set when something was acked that may not be committed yet.
        self._acked_something = asyncio.Event()

    def ack(self, message: Any) -> bool:
        """Mark a fetch as done; True when it was not before."""
        message.acked = True
        message.value = None  # thousands of records, which would stay until the next commit
        self.done[message.tp] = message.offset + 1
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        self._acked_something.set()
        return True

    def release(self, message: Any) -> None:
        """Let go of a fetch that will not be done: nothing waits for it, nor is it committed."""
        self._unacked_messages.discard(message)

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

    # -- what Faust does by the clock

    @Service.task  # type: ignore[untyped-decorator]
    async def _commit_handler(self) -> None:
        """Commit an interval after the first ack, again and again until Kafka has taken it."""
        while not await self.wait_for_stopped(self._acked_something):
            self._acked_something.clear()
            await self.sleep(self.commit_interval)
            if self.should_stop:
                return  # the end commits what there is
            await self.commit()
            if any(self._new_offset(tp) is not None for tp in self._delivered):
                self._acked_something.set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _commit_livelock_detector(self) -> None:
        """Do nothing: it logs what the worker's watchdog ends it for."""
