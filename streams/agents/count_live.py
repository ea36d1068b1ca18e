"""events-session → live-counters: live counters by site and partition."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from schemas.codec import encode, projection
from schemas.plurals import counted
from schemas.records import RawEvent
from schemas.topics import EVENTS_SESSION, LIVE_COUNTERS
from streams.agents.replaying import is_replay
from streams.domain.live.aggregator import LiveAggregator
from streams.domain.live.sites import Sites
from streams.engine.batch import Batch
from streams.engine.events import now_ms, read_events
from streams.engine.offset_range import OffsetRange
from streams.engine.producer import OutRecord
from streams.engine.stream_time import StreamTime
from streams.engine.worker import Worker

#: Counters of a site and partition are published at most four times per second.
PUBLISH_SECONDS = 0.25
#: Without events: counters expire, and are published again.
_DECAY_SECONDS = 1.0

#: The fields that the rules read, in addition to those of every event.
READS = (
    *("visitor_id", "url", "path", "hostname", "referrer"),
    *("amount", "currency", "error_name", "error_message", "event_name"),
    *("country", "device", "source"),
)


class Sample(NamedTuple):
    """Offsets of the cluster by partition, requested at the monotonic time `at` (s).

    `routed` are the offsets of `events-raw` that the router has committed, requested before the end
    offsets. Offsets of `events-raw` are positions.
    """

    at: float
    routed: Mapping[int, int]
    raw_ends: Mapping[int, int]
    ends: Mapping[int, int]


@dataclass(slots=True)
class _Reading:
    """The counters of a partition, its next offset, and the end of its catch-up range."""

    aggregator: LiveAggregator
    next_offset: int
    behind_until: int
    #: The position in `events-raw` of the last counted record.
    raw_offset: int = -1
    #: Monotonic time (s) until which all accepted events are counted; None if not known yet.
    counted_at: float | None = None

    @property
    def has_caught_up(self) -> bool:
        return self.next_offset >= self.behind_until

    def has_read(self, before: Sample, partition: int) -> bool:
        """Return True if the last record of `events-raw` in a sample has been read here."""
        raw_end = before.raw_ends.get(partition)
        return raw_end is not None and self.raw_offset + 1 >= raw_end

    def has_counted(self, before: Sample, now: Sample, partition: int) -> bool:
        """Return True if all events up to the previous sample are counted."""
        raw_end = before.raw_ends.get(partition)
        if raw_end is None or not self.has_caught_up or not self.aggregator.has_published_all:
            return False
        if self.has_read(before, partition):
            return True
        # Duplicates, for example, are processed by the router but never read here.
        return now.routed[partition] >= raw_end and self.next_offset >= now.ends[partition]


class Counting:
    """The counters of the partitions of this worker."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._read = projection(RawEvent, *READS)
        self._readings: dict[int, _Reading] = {}
        self._times = StreamTime()
        self._counted = asyncio.Event()
        self._sample = Sample(0.0, {}, {}, {})

    @property
    def sites(self) -> list[Sites]:
        """The sites of each partition."""
        return [reading.aggregator.sites for reading in list(self._readings.values())]

    def assign(self, ranges: Mapping[int, OffsetRange]) -> dict[int, int]:
        """Replace the assignment, and return the start offset of each partition.

        A partition that was assigned before continues. Others are read from the start of their
        catch-up range, and are not published before its end.
        """
        readings = {}
        for partition, (begin, end) in ranges.items():
            known = self._readings.get(partition)
            if known is None or not begin <= known.next_offset <= end:
                known = _Reading(LiveAggregator(partition), begin, end)
            readings[partition] = known
        self._readings = readings
        return {partition: reading.next_offset for partition, reading in readings.items()}

    def count_live(self, batch: Batch) -> None:
        """Count the events of a batch."""
        reading, mono_ms = self._readings[batch.partition], self._clock() * 1_000
        self._times.begin_batch(now_ms())
        apply = reading.aggregator.apply
        for record, src, event in read_events(batch, self._read, self._times):
            # A replayed dead letter of sessionize was counted before.
            counted = None if is_replay(record) else event
            if src.offset > reading.raw_offset:  # noqa: PLR1730 - twice as fast as `max`
                reading.raw_offset = src.offset
            try:
                apply(counted, src, mono_ms)
            except Exception as error:  # noqa: BLE001 - it is logged
                batch.reject_poison(record, error)
        reading.next_offset = batch.last_offset + 1
        self._counted.set()
        # sessionize rejects the same records; this agent reads them again at each start.
        batch.dead_letters.clear()
        batch.dead_letter_offsets.clear()

    def catching_up(self) -> str | None:
        """Return the progress of the catch-up as a sentence; None when it is complete."""
        behind = [one.behind_until - one.next_offset for one in self._readings.values()]
        left = sum(records for records in behind if records > 0)
        return f"live counters are catching up: {counted(left, 'record')} to go" if left else None

    def observe(self, sample: Sample) -> None:
        """Determine which partitions have counted all events up to the previous sample."""
        for partition, reading in self._readings.items():
            if partition in sample.ends and reading.has_counted(self._sample, sample, partition):
                reading.counted_at = self._sample.at
        self._sample = sample

    @property
    def has_read_samples(self) -> bool:
        """Whether the next sample needs no `routed`: all records up to the last one were read."""
        readings = self._readings.items()
        return all(reading.has_read(self._sample, partition) for partition, reading in readings)

    def ages_ms(self) -> dict[int, int]:
        """Return how long ago (ms) each partition was complete, without those that never were."""
        now = self._clock()
        return {
            partition: int((now - reading.counted_at) * 1_000)
            for partition, reading in self._readings.items()
            if reading.counted_at is not None
        }

    def incomplete(self) -> str | None:
        """Return why counters are still too low, as a sentence; None if they are not."""
        partitions = [one for one, reading in self._readings.items() if reading.counted_at is None]
        if not partitions:
            return None
        names = ", ".join(map(str, partitions))
        return f"live counters wait for events that are not routed yet (partitions {names})"

    @property
    def publishable(self) -> list[int]:
        """The partitions with counts whose catch-up is complete."""
        readings = self._readings.items()
        return [partition for partition, one in readings if one.aggregator and one.has_caught_up]

    async def until_due(self) -> None:
        """Return when counters may have changed."""
        has_counts = any(one.aggregator for one in self._readings.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(_DECAY_SECONDS if has_counts else None):
                await self._counted.wait()
        self._counted.clear()

    def due(self, partition: int) -> list[OutRecord]:
        """Return the records to publish for a partition."""
        counters = self._readings[partition].aggregator.due(self._clock() * 1_000)
        if counters:  # there may be more than are published at once
            self._counted.set()
        return [OutRecord(one.site_id.encode(), encode(one)) for one in counters]


def register(worker: Worker, counting: Counting) -> None:
    """Register the agent and the publication of its counters."""

    async def publish() -> None:
        # Only the owner of a partition publishes its counters.
        owned = set(worker.partitions_of(EVENTS_SESSION)).intersection(counting.publishable)
        worker.fence.check()
        due = {partition: counting.due(partition) for partition in owned}
        # Concurrently, so that they share a request.
        await asyncio.gather(
            *(
                worker.producer.send(LIVE_COUNTERS.name, partition, records)
                for partition, records in due.items()
                if records
            )
        )

    worker.agent(EVENTS_SESSION)(counting.count_live)
    worker.checks.append(counting.catching_up)
    worker.every(PUBLISH_SECONDS, publish, due=counting.until_due)
