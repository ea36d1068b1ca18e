from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from schemas.codec import decode
from schemas.records import SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS
from streams.engine.processor import BatchProcessor
from streams.engine.producer import StoppingError
from streams.engine.worker import Worker
from tests.component.streams.bench import Bench, NotingProducer, routed
from tests.component.streams.test_table_agents import SESSIONIZE, a_bench
from tests.unit.streams.samples import MINUTE, NOON, event

PLACE = TopicPartition(EVENTS_SESSION.name, 0)


class AwayAtFirst(NotingProducer):
    """Gives the first batch up, as when the worker ends while Kafka is away."""

    is_away = True

    async def send(self, *sent: Any) -> int:
        """Raise once."""
        if self.is_away:
            self.is_away = False
            raise StoppingError("Kafka was away")
        return await super().send(*sent)


@asynccontextmanager
async def ending(producer: NotingProducer) -> AsyncIterator[Bench]:
    """Give a worker without Kafka, whose agent owns a partition."""
    bench = await a_bench(SESSIONIZE)
    bench.noted = producer
    anything: Any = producer
    bench.processor = BatchProcessor(
        bench.group, anything, bench.fence, bench.breaker, bench.capacity
    )
    bench.group.owned = frozenset([PLACE])
    Worker.add(bench, bench.one)
    bench.fence.begin()
    bench.app.finalize()
    await bench.app.start()
    bench.app.flow_control.resume()
    try:
        yield bench
    finally:
        await bench.app.stop()


async def test_after_a_batch_that_was_given_up_no_other_is_handled() -> None:
    """Its states would say that the events before it had been applied."""
    batches = [(routed(1, event("a")),), (routed(2, event("b", event_ts=NOON + MINUTE)),)]
    async with ending(AwayAtFirst()) as bench:
        assert [await bench.handle(PLACE, batch) for batch in batches] == [False, False]

    after = await a_bench(SESSIONIZE, after=bench)
    await after.run_batch(*batches[0], *batches[1])
    [(_, value)] = after.written(SESSIONS)
    assert decode(value or b"", SessionState).visits[0].events == 2
