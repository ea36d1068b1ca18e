from types import SimpleNamespace
from typing import Any

from faust.types import TP

from schemas.codec import decode
from schemas.records import SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS
from streams.engine.agent import Agent
from streams.engine.producer import StoppingError
from tests.component.streams.bench import Bench, InRecord, NotingProducer, routed
from tests.component.streams.test_table_agents import SESSIONIZE, a_bench
from tests.unit.streams.samples import MINUTE, NOON, event

TOPIC = TP(EVENTS_SESSION.name, 0)


class AwayAtFirst(NotingProducer):
    """Gives the first batch up, as when the worker ends while Kafka is away."""

    is_away = True

    async def send(self, *sent: Any) -> None:
        """Raise once."""
        if self.is_away:
            self.is_away = False
            raise StoppingError("Kafka was away")
        await super().send(*sent)


def fetch(acked: list[int], *records: InRecord) -> Any:
    """Return a fetch as Faust hands it over."""
    place = {"topic": TOPIC.topic, "partition": 0, "generation_id": 1, "tp": TOPIC}
    return SimpleNamespace(
        message=SimpleNamespace(**place), value=records, ack=lambda: acked.append(records[0].offset)
    )


async def ending(producer: NotingProducer) -> tuple[Bench, Agent]:
    """Return a worker without Kafka, and its agent, which owns a partition."""
    bench = await a_bench(SESSIONIZE)
    bench.noted = producer
    anything: Any = producer
    bench.producer = anything
    bench.faust = SimpleNamespace(
        consumer=SimpleNamespace(assignment=lambda: {TOPIC}, release=lambda _: None)
    )
    bench.guard.begin()
    return bench, Agent("sessionize", EVENTS_SESSION, bench.process, bench.tables, None)


async def test_after_a_batch_that_was_given_up_no_other_is_handled() -> None:
    """Its states would say that the events before it had been applied."""
    bench, agent = await ending(AwayAtFirst())
    batches = [(routed(1, event("a")),), (routed(2, event("b", event_ts=NOON + MINUTE)),)]
    acked: list[int] = []
    for batch in batches:
        await bench.handle(agent, fetch(acked, *batch))
    assert acked == []

    after = await a_bench(SESSIONIZE, after=bench)
    await after.run_batch(*batches[0], *batches[1])
    [(_, value)] = after.written(SESSIONS)
    assert decode(value or b"", SessionState).visits[0].events == 2
