"""events-session → live-counters: what happens now, by site and partition."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from schemas.codec import encode, projection
from schemas.records import RawEvent
from schemas.topics import EVENTS_SESSION, LIVE_COUNTERS
from streams.agents.reading import read_events
from streams.agents.replaying import is_replay
from streams.domain.live import LiveBook
from streams.engine.batch import Batch
from streams.engine.producer import OutRecord
from streams.engine.since import Stretch
from streams.engine.worker import Worker

#: Counters of one site and partition leave at most four times a second.
TELL_SECONDS = 0.25
#: While no event comes: what was counted decays, and is told anew.
_DECAY_SECONDS = 1.0

#: What the rules look at, beside what every event has.
READ = projection(
    RawEvent,
    *("visitor_id", "url", "path", "hostname", "referrer"),
    *("amount", "currency", "error_name", "error_message", "event_name"),
)


@dataclass(slots=True)
class _Reading:
    """A partition: its counts, where it is to be read from next, and where it was behind."""

    book: LiveBook
    next_offset: int
    behind_until: int


class Counting:
    """The partitions that this worker counts."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._readings: dict[int, _Reading] = {}
        self._counted = asyncio.Event()

    def take(self, stretches: Mapping[int, Stretch]) -> dict[int, int]:
        """Take these partitions over, and no others; return where each is read from.

        One that it has already goes on from where it is. Others are read from the beginning of
        their stretch, and nothing is told of them before its end.
        """
        readings = {}
        for partition, (begin, end) in stretches.items():
            known = self._readings.get(partition)
            if known is None or not begin <= known.next_offset <= end:
                known = _Reading(LiveBook(partition), begin, end)
            readings[partition] = known
        self._readings = readings
        return {partition: reading.next_offset for partition, reading in readings.items()}

    def count_live(self, batch: Batch) -> None:
        """Count a batch."""
        reading, mono_ms = self._readings[batch.partition], self._clock() * 1_000
        for record, src, event in read_events(batch, READ):
            # What sessionize is given again was counted when it came first.
            counted = None if is_replay(record) else event
            with batch.refusing(record):
                reading.book.apply(counted, src, mono_ms)
        reading.next_offset = batch.last_offset + 1
        self._counted.set()
        # sessionize refuses the same records, once; they are read here again at each start.
        batch.refused.clear()
        batch.refused_offsets.clear()

    def catching_up(self) -> str | None:
        """Say that old events are still being read; None when they are not."""
        behind = [one.behind_until - one.next_offset for one in self._readings.values()]
        left = sum(records for records in behind if records > 0)
        return f"live counters are catching up: {left} records to go" if left else None

    @property
    def tellable(self) -> list[int]:
        """The partitions that have counted something, and whose counts are right by now."""
        readings = self._readings.items()
        return [
            partition
            for partition, one in readings
            if one.book and one.next_offset >= one.behind_until
        ]

    async def until_due(self) -> None:
        """Return when there may be something to tell."""
        remembers = any(one.book for one in self._readings.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(_DECAY_SECONDS if remembers else None):
                await self._counted.wait()
        self._counted.clear()

    def due(self, partition: int) -> list[OutRecord]:
        """Return what there is to tell of a partition's sites."""
        counters = self._readings[partition].book.due(self._clock() * 1_000)
        if counters:  # there may be more than are told at once
            self._counted.set()
        return [OutRecord(one.site_id.encode(), encode(one)) for one in counters]


def register(worker: Worker, counting: Counting) -> None:
    """Register the agent, and have its counters told."""

    async def tell() -> None:
        for partition in counting.tellable:
            # What moves to another worker, or may have moved in a freeze, its new owner tells.
            if worker.faust.rebalancing or partition not in worker.partitions_of(EVENTS_SESSION):
                continue
            worker.guard.check()
            if records := counting.due(partition):
                await worker.producer.send(LIVE_COUNTERS.name, partition, records)

    worker.agent(EVENTS_SESSION, counting.count_live)
    worker.checks.append(counting.catching_up)
    worker.every(TELL_SECONDS, tell, due=counting.until_due)
