"""events-raw → events: every accepted event, once."""

from schemas.records import RawEvent
from schemas.topics import EVENTS_RAW
from sinks.agents.storing import rows_of, store
from sinks.rows import event_row
from sinks.sql.tables import EventRow
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_events(batch: Batch) -> None:
        rows = rows_of(
            batch, RawEvent, lambda event, offset: [event_row(event, batch.partition, offset)]
        )
        await store(worker, writer, batch, EventRow, rows)

    worker.agent(EVENTS_RAW, store_events)
