from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from schemas.codec import decode
from schemas.records import SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS
from streams.engine.producer import StoppingError
from tests.component.streams.bench import Bench, NotingProducer, routed
from tests.component.streams.test_table_agents import SESSIONIZE, a_bench
from tests.unit.streams.samples import MINUTE, NOON, event

PLACE = TopicPartition(EVENTS_SESSION.name, 0)


class AwayAtFirst(NotingProducer):
    """Abandons the first batch, as a worker does that stops while Kafka is unreachable."""

    is_away = True

    async def send(self, *sent: Any) -> int:
        """Raise once."""
        if self.is_away:
            self.is_away = False
            raise StoppingError("Kafka was away")
        return await super().send(*sent)


@asynccontextmanager
async def ending(producer: NotingProducer) -> AsyncIterator[Bench]:
    """Yield a worker without Kafka, whose agent has a partition."""
    bench = await a_bench(SESSIONIZE)
    bench.noted = producer
    async with bench.started(PLACE):
        yield bench


async def test_no_batch_is_processed_after_an_abandoned_one() -> None:
    """Its states would claim that the events of the abandoned batch had been applied."""
    batches = [(routed(1, event("a")),), (routed(2, event("b", event_ts=NOON + MINUTE)),)]
    async with ending(AwayAtFirst()) as bench:
        assert [await bench.handle(PLACE, batch) for batch in batches] == [False, False]

    after = await a_bench(SESSIONIZE, after=bench)
    await after.run_batch(*batches[0], *batches[1])
    [(_, value)] = after.written(SESSIONS)
    assert decode(value or b"", SessionState).visits[0].events == 2
