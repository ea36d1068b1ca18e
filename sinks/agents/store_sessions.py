"""sessions → sessions: the visits of each session, their newest revision."""

from schemas.records import SessionState
from schemas.topics import SESSIONS
from sinks.agents.storing import rows_of, store
from sinks.rows import session_rows
from sinks.sql.tables import SessionRow
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_sessions(batch: Batch) -> None:
        rows = rows_of(batch, SessionState, lambda state, _: session_rows(state))
        await store(worker, writer, batch, SessionRow, rows)

    worker.agent(SESSIONS, store_sessions)
