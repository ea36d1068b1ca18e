"""events-raw → events: every accepted event, once.

And whatever a sink could not store and is given again: replayed dead letters come this way, for
whichever sink they are. Their rows are known by their keys and revisions, so once more is
harmless.
"""

from collections import defaultdict

from schemas.headers import REPLAY_FOR, find
from schemas.raw import why_no_event
from schemas.stages import ROUTER
from schemas.topics import EVENTS_RAW
from sinks.agents.stored import OF_STAGE
from sinks.agents.storing import Rows, rows_of, store
from sinks.sql.writer import Writer
from streams.engine.batch import Batch, InRecord
from streams.engine.worker import Worker

_OWN = b"store_events"
#: What is given to the router again was no event before, and so is stored as if it came first.
_ROUTER = ROUTER.encode()


def register(worker: Worker, writer: Writer) -> None:
    """Register the agent."""

    async def store_events(batch: Batch) -> None:
        records: defaultdict[bytes, list[InRecord]] = defaultdict(list)
        for record in batch.records:
            stage = find(record.headers, REPLAY_FOR) or _ROUTER
            if stage != _ROUTER:
                records[stage].append(record)
            elif why_no_event(record.key, record.headers) is None:  # else the router refuses it
                records[_OWN].append(record)
        rows: Rows = {}
        for stage, some in records.items():
            if stage in OF_STAGE:  # else it is for a stage of the role streams
                rows = {**rows, **rows_of(batch, OF_STAGE[stage], some)}
        await store(worker, writer, batch, rows)

    worker.agent(EVENTS_RAW, store_events)
