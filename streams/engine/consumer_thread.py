"""The thread of Faust's consumer, woken by what happens and not by the clock.

Faust and aiokafka look after it some ten times a second, each time for nothing while nothing
comes (docs/adr/0026). What they look for wakes it here: records, a rebalance, a request.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.protocol.fetch import FetchRequest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode import Service
from mode.threads import MethodQueue

from streams.engine.pace import HELD_MS
from streams.engine.parsed import hand_out_parsed

#: aiokafka's fetcher is woken by each of its events; it looks every 0.2 s as well.
_FETCHER_LOOKS_SECONDS = 30.0
#: Beside aiokafka's connection groups, one for what is fetched.
_FETCHES = "fetches"


class ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's, without its timers: who waits for records can be woken. Records come as parsed."""

    _method_queue: MethodQueue | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: What asks for records in vain, at most two at a time.
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def method_queue(self) -> MethodQueue:
        """Faust's, with three workers in place of two, for what is called in the thread.

        One rests while nothing comes, and one may ask for the end of a partition that has no
        leader: a commit, or a seek, would wait behind them.
        """
        if self._method_queue is None:
            self._method_queue = MethodQueue(3, loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def end_wait(self) -> None:
        """Have whoever waits for records look again now. For other threads."""
        self.thread_loop.call_soon_threadsafe(self._end_wait)

    def _end_wait(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - the name is Faust's
        max_records: int | None = None,
    ) -> Mapping[TP, list[Any]]:
        """Return what there is of these partitions; when nothing is, what there is later.

        That is as soon as something has come, `end_wait` was called, or `timeout` is over.
        """
        look = super()._fetch_records
        fetched: Mapping[TP, list[Any]] = await look(consumer, active_partitions, 0, max_records)
        if fetched or not timeout or not self.consumer.flow_active:
            return fetched
        waiting = consumer._fetcher._create_fetch_waiter()  # noqa: SLF001 - as aiokafka's own wait
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=timeout)
        finally:
            self._waiting.discard(waiting)
            waiting.cancel()
        if not waiting.cancelled():
            waiting.result()  # what the group refuses for good
        return await look(consumer, active_partitions, 0, max_records)  # type: ignore[no-any-return]

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        consumer = super()._create_consumer(loop)
        # Of the one version that is pinned.
        consumer._consumer_timeout = _FETCHER_LOOKS_SECONDS  # noqa: SLF001
        consumer._fetch_max_wait_ms = HELD_MS  # noqa: SLF001
        fetch_aside(consumer._client)  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        """Start the consumer; only then it has a fetcher."""
        await super().on_start()
        hand_out_parsed(self._ensure_consumer()._fetcher)  # noqa: SLF001

    @Service.task  # type: ignore[untyped-decorator]
    async def _thread_keepalive(self) -> None:
        """Do nothing: calls into the thread wake its loop."""

    async def _keepalive2(self) -> None:
        """Do nothing: it wakes the main thread, too, and only logs."""


def fetch_aside(client: Any) -> None:
    """Have an aiokafka client fetch on a connection that nothing else uses.

    A broker answers one connection's requests in their order, and a fetch that finds nothing
    after seconds: what is asked for behind it would wait so long. A fetch whose answer nobody
    wants any more takes its connection with it, for the next one would wait, too.
    """
    send = client.send

    async def send_aside(node_id: int, request: Any, **more: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await send(node_id, request, **more)
        try:
            return await send(node_id, request, group=_FETCHES)
        except asyncio.CancelledError:
            if (connection := client._conns.get((node_id, _FETCHES))) is not None:  # noqa: SLF001
                connection.close()
            raise

    client.send = send_aside
