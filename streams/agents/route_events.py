"""events-raw → events-session, events-pageleave, events-alert: each event once, by its type.

Records are not decoded: type and id are in the headers; key and partition are kept. Replayed dead
letters are routed to their stages, too.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from schemas.event_types import ERASE, TICK
from schemas.headers import (
    CLIENT_ID,
    EVENT_ID,
    EXCLUDED,
    REPLAY_FOR,
    SOURCE,
    TYPE,
    Headers,
    Source,
    by_name,
    source_of,
)
from schemas.positions import position
from schemas.raw_records import problem_of, site_of
from schemas.records import Replay
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_RAW, EVENTS_SESSION, REPLAYS
from streams.agents.replaying import to_route
from streams.domain.routing import routes as routing
from streams.domain.routing.dedupe import CLIENT_IDS, SERVER_IDS, SeenIds
from streams.domain.routing.replays import ReplayRegistry
from streams.engine.batch import Batch, InRecord
from streams.engine.cluster import Epoch
from streams.engine.events import now_ms
from streams.engine.log_tail import LogTail
from streams.engine.stream_time import limited
from streams.engine.table import BatchTable
from streams.engine.worker import Worker

_TICK, _ERASE = TICK.encode(), ERASE.encode()
_FIRST = Epoch()


def register(
    worker: Worker,
    tail: LogTail,
    partition_of_site: Callable[[bytes], int],
    cluster_epoch: Epoch = _FIRST,
    raw_tail: LogTail | None = None,
) -> None:
    """Register the agent.

    `tail` reads the routed events in events-session, `raw_tail` reads events-raw for those that
    have expired there. The number of `cluster_epoch` is a part of each position. Records before
    its start were routed, with another number of partitions, and are skipped.
    """
    epoch, starts = cluster_epoch
    topics = routing.same_partition_topics()
    topics[_TICK] = (EVENTS_SESSION, EVENTS_PAGELEAVE, EVENTS_ALERT)
    topics[_ERASE] = (EVENTS_SESSION,)
    routes = {name: [topic.name for topic in same] for name, same in topics.items()}
    alerting = routing.alerting_types()
    replays = worker.table(REPLAYS, Replay)
    memories: dict[int, _Memory] = {}

    async def remember(partition: int) -> None:
        memory = memories.setdefault(partition, _Memory())
        memory.replays = await _restore_replays(replays, partition)
        await _recall(memory, partition, epoch, tail, raw_tail)

    @worker.agent(EVENTS_RAW, tables=[replays], prepare=remember)
    def route_events(batch: Batch) -> None:
        memory = memories[batch.partition]
        memory.now_ms = now_ms()
        start, begin = starts.get(batch.partition, 0), position(epoch, 0)
        for record, headers, named in to_route(batch, memory.replays, epoch, memory.now_ms):
            if record.offset < start:
                continue
            name = named.get(TYPE)
            is_control = name == _TICK or (name == _ERASE and record.key is not None)
            if not is_control and (problem := problem_of(record.key, name, named.get(EVENT_ID))):
                batch.reject(record, *problem)
                continue
            src = source_of((batch.partition, begin + record.offset, record.timestamp))
            if not is_control and memory.is_repeat(record.key, named, src):
                continue
            # First, because agents search for it in each record.
            packed, text = src.headers()
            routed = (packed, *headers, text)
            if named.get(EXCLUDED) is not None:
                punctuation = _punctuation_headers(routed)
                batch.emit(EVENTS_SESSION.name, batch.partition, record.key, None, punctuation)
            else:
                for topic in routes[name or b""]:
                    batch.emit(topic, batch.partition, record.key, record.value, routed)
                if name in alerting:
                    site = site_of(record.key)
                    place = (EVENTS_ALERT.name, partition_of_site(site))
                    batch.emit(*place, site, record.value, routed)


def _punctuation_headers(routed: Headers) -> Headers:
    """Return the headers of a punctuation record with the id of an event that is not counted.

    It restores the id after a restart: of several events with one id, the first one decides whether
    it counts, as in SQL.
    """
    kept = (pair for pair in routed if pair[0] not in (TYPE, EXCLUDED))
    return (*kept, (TYPE, _TICK))


async def _recall(
    memory: "_Memory", partition: int, epoch: int, tail: LogTail, raw_tail: LogTail | None
) -> None:
    """Restore the ids of the last events, from events-raw if they have expired elsewhere."""
    async for fetched in tail.catch_up(partition):
        memory.remember(fetched)
    if raw_tail is not None and partition in tail.expired and not memory.covers_a_day:
        async for fetched in raw_tail.catch_up(partition):
            memory.remember_raw(partition, epoch, fetched)


async def _restore_replays(replays: BatchTable[Replay], partition: int) -> ReplayRegistry:
    registry = ReplayRegistry(replays.of(partition))
    async for key, replay in replays.stored(partition):
        registry.restore(key, replay)
    return registry


class _Memory:
    """The remembered ids of one partition, of clients and of the server, and its replays."""

    replays: ReplayRegistry

    def __init__(self) -> None:
        self._clients = SeenIds(CLIENT_IDS)
        self._servers = SeenIds(SERVER_IDS)
        #: Log times of the first and the last remembered event.
        self._first_ms = sys.maxsize
        self._last_ms = 0
        #: The worker's clock (ms), which limits log times.
        self.now_ms = 0

    def is_repeat(self, key: bytes | None, named: Mapping[str, bytes], src: Source) -> bool:
        """Return True if the id of an event with these headers was seen at a lower offset."""
        ids = self._servers if named.get(CLIENT_ID) is None else self._clients
        log_ms = src.log_ms
        if log_ms > self.now_ms:
            log_ms = limited(log_ms, self.now_ms)
        return ids.is_repeat(named[EVENT_ID], key or b"", src.offset, log_ms)

    @property
    def covers_a_day(self) -> bool:
        """Whether the routed events go back as far as ids must be remembered."""
        return self._last_ms - self._first_ms >= CLIENT_IDS.keep_ms

    def remember_raw(self, partition: int, epoch: int, fetched: list[InRecord]) -> None:
        """Remember events of events-raw; those that are not routed yet are still routed."""
        self.now_ms = now_ms()
        for record in fetched:
            named = by_name(record.headers)
            problem = problem_of(record.key, named.get(TYPE), named.get(EVENT_ID))
            if problem is None and named.get(REPLAY_FOR) is None:
                src = Source(partition, position(epoch, record.offset), record.timestamp)
                self.is_repeat(record.key, named, src)

    def remember(self, fetched: list[InRecord]) -> None:
        """Remember events of events-session, including those of a previous cluster."""
        self.now_ms = now_ms()
        for record in fetched:
            named = by_name(record.headers)
            packed = named.get(SOURCE)
            if named.get(EVENT_ID) is not None and packed is not None:
                with suppress(ValueError):  # not written by the router; sessionize rejects it
                    src = Source.unpack(packed)
                    log_ms = limited(src.log_ms, self.now_ms)
                    self._first_ms = min(self._first_ms, log_ms)
                    self._last_ms = max(self._last_ms, log_ms)
                    self.is_repeat(record.key, named, src)
