"""events-raw → events: every accepted event, once.

And whatever a sink could not store and is given again: replayed dead letters come this way, for
whichever sink they are. Their rows are known by their keys and revisions, so once more is
harmless.
"""

from collections import defaultdict
from typing import Any

from schemas.headers import REPLAY_FOR, find
from schemas.topics import EVENTS_RAW
from sinks.agents.stored import OF_STAGE
from sinks.agents.storing import Rows, rows_of, store
from sinks.sql.writer import Writer
from streams.engine.batch import Batch
from streams.engine.worker import Worker

_OWN = b"store_events"


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_events(batch: Batch) -> None:
        records: defaultdict[bytes, list[Any]] = defaultdict(list)
        for record in batch.records:
            records[find(record.headers, REPLAY_FOR) or _OWN].append(record)
        rows: Rows = {}
        for stage, some in records.items():
            if stage in OF_STAGE:  # else it is for a stage of the role streams
                rows = {**rows, **rows_of(batch, OF_STAGE[stage], some)}
        await store(worker, writer, batch, rows)

    worker.agent(EVENTS_RAW, store_events)
