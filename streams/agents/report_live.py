"""live-counters: the time until which this worker has counted all accepted events.

Counters alone do not show whether they are complete: without events, a site looks like one whose
events are delayed because a role is down, starting, or lagging (docs/adr/0033).
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from time import monotonic

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.headers import COUNTED, pack_counted
from schemas.kafka_settings import KafkaSettings
from schemas.live import COUNTED_SECONDS
from schemas.positions import position
from schemas.topics import EVENTS_RAW, EVENTS_SESSION, LIVE_COUNTERS
from streams.agents.count_live import Counting, Sample
from streams.engine.offsets import ClusterOffsets
from streams.engine.producer import OutRecord
from streams.engine.worker import Worker

log = logging.getLogger(__name__)

#: Interval until all partitions are assigned, and complete for the first time.
_STARTING_SECONDS = 0.1


def register(
    worker: Worker, counting: Counting, kafka: KafkaSettings, router_group: str, epoch: int
) -> None:
    """Register the report; the worker is not ready before all its partitions were complete once."""

    async def report() -> None:
        offsets: ClusterOffsets | None = None
        failed = False
        try:
            while True:
                try:
                    # A delayed report would be taken for a current one.
                    async with asyncio.timeout(2 * COUNTED_SECONDS):
                        offsets = offsets or await _connect(kafka)
                        await take_sample(offsets)
                        await send()
                    failed = False
                except (KafkaError, OSError, TimeoutError) as error:
                    if not failed:
                        log.warning("cannot report the progress of live counters: %r", error)
                    failed = True
                starting = not counting.ages_ms() or counting.incomplete() is not None
                await asyncio.sleep(_STARTING_SECONDS if starting else COUNTED_SECONDS)
        finally:
            if offsets is not None:
                await offsets.stop()

    async def take_sample(offsets: ClusterOffsets) -> None:
        partitions = worker.partitions_of(EVENTS_SESSION)
        if partitions:
            group = None if counting.has_read_samples else router_group
            counting.observe(await _sample(offsets, group, partitions, epoch))

    async def send() -> None:
        owned = worker.partitions_of(EVENTS_SESSION)
        ages = {one: ms for one, ms in counting.ages_ms().items() if one in owned}
        if ages:
            worker.fence.check()
            record = OutRecord(None, None, ((COUNTED, pack_counted(ages)),))
            await worker.producer.send(LIVE_COUNTERS.name, min(ages), [record])

    worker.checks.append(counting.incomplete)
    worker.background(report)


async def _connect(kafka: KafkaSettings) -> ClusterOffsets:
    offsets = ClusterOffsets(kafka, _places(range(kafka.partitions)))
    try:
        await offsets.start()
    except BaseException:
        await offsets.stop()
        raise
    return offsets


async def _sample(
    offsets: ClusterOffsets, router_group: str | None, partitions: Collection[int], epoch: int
) -> Sample:
    """Return a sample, without the progress of the router if there is no `router_group`.

    The end offsets must be requested after the committed ones.
    """
    at = monotonic()
    routed = {} if router_group is None else await offsets.committed(router_group)
    ends = await offsets.ends(_places(partitions))
    raw = {one: TopicPartition(EVENTS_RAW.name, one) for one in partitions}
    return Sample(
        at=at,
        routed={one: position(epoch, routed.get(place, 0)) for one, place in raw.items()},
        raw_ends={one: position(epoch, ends[place]) for one, place in raw.items()},
        ends={one: ends[TopicPartition(EVENTS_SESSION.name, one)] for one in partitions},
    )


def _places(partitions: Iterable[int]) -> list[TopicPartition]:
    return [
        TopicPartition(topic.name, partition)
        for topic in (EVENTS_RAW, EVENTS_SESSION)
        for partition in partitions
    ]
