"""events-raw → events-session, events-pageleave, events-alert: each event once, by its type.

Nothing is decoded: type and id are in the headers, and the key and partition stay.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from schemas.event_types import TICK
from schemas.headers import CLIENT_ID, EVENT_ID, SOURCE, TYPE, Source, find
from schemas.reject_reasons import DeadLetterReason
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_RAW, EVENTS_SESSION
from streams.domain import routing
from streams.domain.dedupe import CLIENT_IDS, SERVER_IDS, SeenIds
from streams.engine.batch import Batch
from streams.engine.tail import Tail
from streams.engine.worker import Worker

_TICK = TICK.encode()
_ID_BYTES = 16


def register(worker: Worker, tail: Tail, partition_of_site: Callable[[bytes], int]) -> None:
    """Register the agent. `tail` reads events-session, where what was passed on is found."""
    routes = {**routing.same_partition_topics(), _TICK: (EVENTS_SESSION, EVENTS_PAGELEAVE)}
    alerting = routing.alerting_types()
    memories: dict[int, _Memory] = {}

    async def remember(partition: int) -> None:
        memory = memories.setdefault(partition, _Memory())
        async for fetched in tail.catch_up(partition):
            memory.remember(fetched)

    def route_events(batch: Batch) -> None:
        memory = memories[batch.partition]
        for record in batch.records:
            name, event_id = find(record.headers, TYPE), find(record.headers, EVENT_ID)
            if problem := _problem(record, name, event_id, routes):
                batch.refuse(record, *problem)
            elif name == _TICK or not memory.is_repeat(record, event_id or b""):
                src = (SOURCE, Source(record.partition, record.offset, record.timestamp).pack())
                headers = (*record.headers, src)
                for topic in routes[name or b""]:
                    batch.emit(topic.name, batch.partition, record.key, record.value, headers)
                if name in alerting:
                    site = routing.site_of(record.key)
                    batch.emit(
                        EVENTS_ALERT.name, partition_of_site(site), site, record.value, headers
                    )

    worker.agent(EVENTS_RAW, route_events, prepare=remember)


class _Memory:
    """The ids that one partition had: those of clients for long, the server's for minutes."""

    def __init__(self) -> None:
        self._clients = SeenIds(CLIENT_IDS)
        self._servers = SeenIds(SERVER_IDS)

    def is_repeat(self, record: Any, event_id: bytes) -> bool:
        return self._ids(record).is_repeat(event_id, record.key, record.offset, record.timestamp)

    def remember(self, fetched: list[Any]) -> None:
        """Take in what was passed on to events-session."""
        for record in fetched:
            event_id, packed = find(record.headers, EVENT_ID), find(record.headers, SOURCE)
            if event_id is not None and packed is not None:
                with suppress(ValueError):  # not of a router: sessionize refuses it
                    src = Source.unpack(packed)
                    self._ids(record).is_repeat(event_id, record.key, src.offset, src.log_ms)

    def _ids(self, record: Any) -> SeenIds:
        return self._servers if find(record.headers, CLIENT_ID) is None else self._clients


def _problem(
    record: Any, name: bytes | None, event_id: bytes | None, routes: dict[bytes, Any]
) -> tuple[DeadLetterReason, str] | None:
    """Say why a record cannot be routed; None when it can."""
    if name is None:
        return DeadLetterReason.BAD_HEADERS, f"no header {TYPE!r}"
    if name == _TICK:
        return None
    if name not in routes:
        return DeadLetterReason.UNKNOWN_TYPE, f"unknown type {name[:64]!r}"
    if event_id is None or len(event_id) != _ID_BYTES:
        return DeadLetterReason.BAD_HEADERS, f"the header {EVENT_ID!r} is not 16 bytes"
    try:
        routing.site_of(record.key or b"")
    except ValueError as error:
        return DeadLetterReason.BAD_KEY, str(error)
    return None
