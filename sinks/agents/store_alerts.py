"""alerts → alerts: raised alerts, each once."""

from schemas.records import Alert
from schemas.topics import ALERTS
from sinks.agents.storing import rows_of, store
from sinks.rows import alert_row
from sinks.sql.tables import AlertRow
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_alerts(batch: Batch) -> None:
        rows = rows_of(batch, Alert, lambda alert, _: [alert_row(alert)])
        await store(worker, writer, batch, AlertRow, rows)

    worker.agent(ALERTS, store_alerts)
