import asyncio

from aiokafka import TopicPartition

from schemas.topics import EVENTS_SESSION
from streams.engine.batch import Batch
from streams.engine.topic_readers import CONCURRENT_BATCHES
from streams.engine.worker import Worker
from tests.component.streams.bench import Bench, routed
from tests.unit.streams.samples import event


async def test_an_agent_processes_batches_of_several_partitions_concurrently() -> None:
    """So that their outputs share produce requests, and their rows transactions."""
    together = asyncio.Barrier(CONCURRENT_BATCHES)

    async def meet(_: Batch) -> None:
        await together.wait()

    def register(worker: Worker) -> None:
        worker.agent(EVENTS_SESSION)(meet)

    bench = Bench(register)
    places = [TopicPartition(EVENTS_SESSION.name, number) for number in range(CONCURRENT_BATCHES)]
    async with bench.started(*places), asyncio.timeout(10):
        done = await asyncio.gather(
            *(bench.handle(tp, [routed(1, event("a"), partition=tp.partition)]) for tp in places)
        )

    assert done == [True] * CONCURRENT_BATCHES
