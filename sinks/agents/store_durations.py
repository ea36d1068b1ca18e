"""page-durations → page_durations: time on page, its newest revision."""

from schemas.records import PageDuration
from schemas.topics import PAGE_DURATIONS
from sinks.agents.storing import rows_of, store
from sinks.rows import duration_row
from sinks.sql.tables import PageDurationRow
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_durations(batch: Batch) -> None:
        rows = rows_of(batch, PageDuration, lambda duration, _: [duration_row(duration)])
        await store(worker, writer, batch, PageDurationRow, rows)

    worker.agent(PAGE_DURATIONS, store_durations)
