"""events-raw → events-session, events-pageleave, events-alert: each event once, by its type.

Nothing is decoded: type and id are in the headers, and the key and partition stay. Dead
letters that are replayed pass here, too, each to its stage.
"""

from collections.abc import Callable
from contextlib import suppress

from schemas.codec import decode, encode
from schemas.event_types import TICK
from schemas.headers import CLIENT_ID, EVENT_ID, SOURCE, TYPE, Source, find
from schemas.raw import site_of, why_no_event
from schemas.records import Replay
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_RAW, EVENTS_SESSION, REPLAYS
from streams.agents.replaying import to_route
from streams.domain import routing
from streams.domain.dedupe import CLIENT_IDS, SERVER_IDS, SeenIds
from streams.domain.replays import ReplayBook
from streams.engine.batch import Batch, InRecord
from streams.engine.table import BatchTable
from streams.engine.tail import Tail
from streams.engine.worker import Worker

_TICK = TICK.encode()


def register(worker: Worker, tail: Tail, partition_of_site: Callable[[bytes], int]) -> None:
    """Register the agent. `tail` reads events-session, where what was passed on is found."""
    routes = {**routing.same_partition_topics(), _TICK: (EVENTS_SESSION, EVENTS_PAGELEAVE)}
    alerting = routing.alerting_types()
    replays = worker.table(REPLAYS, encode, lambda value: decode(value, Replay))
    memories: dict[int, _Memory] = {}

    async def remember(partition: int) -> None:
        memory = memories.setdefault(partition, _Memory())
        memory.replays = await _open_book(replays, partition)
        async for fetched in tail.catch_up(partition):
            memory.remember(fetched)

    def route_events(batch: Batch) -> None:
        memory = memories[batch.partition]
        for record, headers in to_route(batch, memory.replays):
            name, event_id = find(record.headers, TYPE), find(record.headers, EVENT_ID)
            is_tick = name == _TICK
            if not is_tick and (problem := why_no_event(record.key, record.headers)):
                batch.refuse(record, *problem)
            elif is_tick or not memory.is_repeat(record, event_id or b""):
                src = (SOURCE, Source(batch.partition, record.offset, record.timestamp).pack())
                routed = (*headers, src)
                for topic in routes[name or b""]:
                    batch.emit(topic.name, batch.partition, record.key, record.value, routed)
                if name in alerting:
                    site = site_of(record.key)
                    place = (EVENTS_ALERT.name, partition_of_site(site))
                    batch.emit(*place, site, record.value, routed)

    worker.agent(EVENTS_RAW, route_events, tables=[replays], prepare=remember)


async def _open_book(replays: BatchTable[Replay], partition: int) -> ReplayBook:
    book = ReplayBook(replays.of(partition))
    async for key, replay in replays.stored(partition):
        book.know(key, replay)
    return book


class _Memory:
    """What one partition had: ids of clients for long, the server's for minutes, and replays."""

    replays: ReplayBook

    def __init__(self) -> None:
        self._clients = SeenIds(CLIENT_IDS)
        self._servers = SeenIds(SERVER_IDS)

    def is_repeat(self, record: InRecord, event_id: bytes) -> bool:
        return self._ids(record).is_repeat(event_id, record.key, record.offset, record.timestamp)

    def remember(self, fetched: list[InRecord]) -> None:
        """Take in what was passed on to events-session."""
        for record in fetched:
            event_id, packed = find(record.headers, EVENT_ID), find(record.headers, SOURCE)
            if event_id is not None and packed is not None:
                with suppress(ValueError):  # not of a router: sessionize refuses it
                    src = Source.unpack(packed)
                    self._ids(record).is_repeat(event_id, record.key, src.offset, src.log_ms)

    def _ids(self, record: InRecord) -> SeenIds:
        return self._servers if find(record.headers, CLIENT_ID) is None else self._clients
