"""page-durations → page_durations: time on page, its newest revision."""

from schemas.topics import PAGE_DURATIONS
from sinks.agents import stored
from sinks.agents.absence import Absence
from sinks.agents.storing import rows_of, store
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""
    absence = Absence()

    async def store_durations(batch: Batch) -> None:
        absence.look(batch, worker.next_offset(batch))
        rows = rows_of(batch, stored.DURATIONS, batch.records)
        await store(worker, writer, batch, rows)

    worker.agent(PAGE_DURATIONS, store_durations)
