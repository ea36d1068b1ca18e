"""alerts → alerts: raised alerts, each once."""

from schemas.topics import ALERTS
from sinks.agents import stored
from sinks.agents.storing import rows_of, store
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_alerts(batch: Batch) -> None:
        rows = rows_of(batch, stored.ALERTS, batch.records)
        await store(worker, writer, batch, rows)

    worker.agent(ALERTS, store_alerts)
