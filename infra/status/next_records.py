"""The log time of the next record to be processed, of several partitions at once."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition

_LIMIT_SECONDS = 5.0
_POLL_MS = 200


async def log_times(
    consumer: Any,
    offsets: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int | None]:
    """Return the log time (ms) of the first record between an offset and the end of its partition.

    A partition without a record there is absent: compaction removed them, or they are markers of
    transactions. One that Kafka does not let us read in time has None.
    """
    found: dict[TopicPartition, int | None] = {}
    if not offsets:
        return found
    left = set(offsets)
    consumer.assign(list(left))
    for place, offset in offsets.items():
        consumer.seek(place, offset)
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            while left:
                for place, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
                    if place in left and records[0].offset < ends[place]:
                        found[place] = int(records[0].timestamp)
                        left.discard(place)
                        consumer.pause(place)
                for place in list(left):
                    if await consumer.position(place) >= ends[place]:
                        left.discard(place)
                        consumer.pause(place)
    except TimeoutError:
        found |= dict.fromkeys(left)
    return found
