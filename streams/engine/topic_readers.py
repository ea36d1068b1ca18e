"""The readers of a group member: one per topic, so that a slow agent does not delay the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.fetches import Fetch, Fetches
from streams.engine.group_offsets import GroupOffsets
from streams.engine.lag import LagMeter

log = logging.getLogger(__name__)

#: Batches of a topic that are processed concurrently, each of another partition.
CONCURRENT_BATCHES = 4
_RETRY_SECONDS = 1.0

#: Processes one batch; returns True when its effects are durable, so that it can be committed.
Process = Callable[[TopicPartition, Sequence[Any]], Awaitable[bool]]


class TopicReaders:
    """Fetches the records of owned partitions between `open` and `close`, and processes them.

    A partition has one batch in progress at a time.
    """

    def __init__(
        self, process: Process, fetches: Fetches, offsets: GroupOffsets, lag: LagMeter
    ) -> None:
        self._process = process
        self._fetches = fetches
        self._offsets = offsets
        self._lag = lag
        #: Set while partitions may be read; `_revoked` is done when the assignment ends.
        self.is_open = asyncio.Event()
        self._revoked: asyncio.Future[None] | None = None
        self._owned: Collection[TopicPartition] = ()
        #: The number of readers that fetch, or wait for their batches; and the batches in progress.
        self._active = 0
        self._batches: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self, owned: Collection[TopicPartition]) -> None:
        """Begin an assignment: read its partitions."""
        self._owned = owned
        self._revoked = asyncio.get_running_loop().create_future()
        self.is_open.set()

    def close(self) -> None:
        """End the assignment: fetch no more records, and begin no more batches."""
        self.is_open.clear()
        if self._revoked is not None and not self._revoked.done():
            self._revoked.set_result(None)

    async def wait_until_idle(self) -> None:
        """Return when no fetch and no batch is in progress."""
        await self._idle.wait()

    def cancel(self) -> None:
        """Cancel the batches in progress, after `wait_until_idle` took too long."""
        for batch in self._batches:
            batch.cancel()

    async def read(self, topic: str) -> None:
        """Read a topic until cancelled. Raises fatal errors, and those of batches.

        Its batches are not cancelled with it: `wait_until_idle` waits for them.
        """
        while True:
            await self.is_open.wait()
            revoked = self._revoked
            assert revoked is not None  # noqa: S101 - for the type checker
            partitions = [tp for tp in self._owned if tp.topic == topic]
            if not partitions:  # getmany() without partitions reads all
                await asyncio.wait([revoked])
                continue
            self._active += 1
            self._idle.clear()
            try:
                fetched = await self._fetch(partitions, revoked)
                await self._handle(fetched, revoked)
            finally:
                self._active -= 1
                self._check_idle()
            if revoked.done():
                continue
            await self._fetches.wait(topic)

    def _check_idle(self) -> None:
        if not self._active and not self._batches:
            self._idle.set()

    async def _fetch(
        self, partitions: Sequence[TopicPartition], revoked: asyncio.Future[None]
    ) -> Fetch:
        """Return the next records; {} when the partitions are revoked before.

        A fetch that outlived its assignment would consume records of the next one, and drop them.
        """
        fetching = asyncio.ensure_future(self._fetches.next(partitions))
        try:
            await asyncio.wait((fetching, revoked), return_when=asyncio.FIRST_COMPLETED)
            if revoked.done():
                return {}
            fetched = fetching.result()
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("a fetch failed (%r); retrying", error)
            await asyncio.wait([revoked], timeout=_RETRY_SECONDS)
            return {}
        else:
            return fetched
        finally:
            fetching.cancel()

    async def _handle(self, fetched: Fetch, revoked: asyncio.Future[None]) -> None:
        """Process the batches of several partitions at a time, so that they share requests.

        Raises the first error, and leaves the other batches in progress.
        """
        done, slots = self._offsets.done, asyncio.Semaphore(CONCURRENT_BATCHES)

        async def handle(tp: TopicPartition, records: Sequence[Any]) -> None:
            async with slots:
                if revoked.done():
                    return  # it is read again
                try:
                    is_durable = await self._process(tp, records)
                except Exception:
                    self.close()  # the worker stops
                    raise
                if is_durable:
                    self._offsets.note_done(done, tp, records[-1].offset + 1)
                    self._lag.end_batch(tp, records, self._fetches.high_watermark(tp) or 0)

        for tp, records in fetched.items():
            self._lag.begin_batch(tp, records)
        batches = [self._begin(handle(tp, records)) for tp, records in fetched.items()]
        if batches:
            # Not `gather` or a task group: a batch that is cancelled, or that nobody waits for, can
            # still write after its partition was handed over.
            ended, _ = await asyncio.wait(batches, return_when=asyncio.FIRST_EXCEPTION)
            for batch in ended:
                batch.result()

    def _begin(self, batch: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(batch)
        self._batches.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._check_idle()
        if not task.cancelled():
            task.exception()  # retrieved: Faust logs it, and the first error stops the worker
