"""sessions → sessions: the visits of each session, their newest revision."""

from schemas.topics import SESSIONS
from sinks.agents import stored
from sinks.agents.absence import Absence
from sinks.agents.storing import rows_of, store
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""
    absence = Absence()

    async def store_sessions(batch: Batch) -> None:
        absence.look(batch, worker.next_offset(batch))
        rows = rows_of(batch, stored.SESSIONS, batch.records)
        await store(worker, writer, batch, rows)

    worker.agent(SESSIONS, store_sessions)
