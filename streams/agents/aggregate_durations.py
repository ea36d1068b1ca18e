"""events-pageleave → page-durations: time on page by site, hour and path."""

from schemas.records import PageDuration
from schemas.topics import EVENTS_PAGELEAVE, PAGE_DURATIONS
from streams.domain.durations.aggregator import DurationAggregator
from streams.engine.events import EventStream
from streams.engine.worker import Worker

#: The fields that the rules read, next to those that every event has.
READS = ("url", "path", "duration_ms")


def register(worker: Worker) -> None:
    """Register the agent and its table."""

    @worker.aggregating_agent(
        EVENTS_PAGELEAVE,
        table=worker.table(PAGE_DURATIONS, PageDuration),
        aggregator=DurationAggregator,
        reads=READS,
    )
    async def aggregate_durations(stream: EventStream, durations: DurationAggregator) -> None:
        await stream.apply(durations.add)
