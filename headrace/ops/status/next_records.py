"""Look up the log append times of the next records to process, in several partitions at once."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition

_TIMEOUT_SECONDS = 5.0
_POLL_MS = 200


async def log_times(
    consumer: Any,
    offsets: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int | None]:
    """Return the log append time (ms) of the first record from an offset on, for each partition.

    Partitions without a record before their end offset are left out: after compaction, or because
    of transaction markers. The value is None for partitions that could not be read in time.
    """
    found: dict[TopicPartition, int | None] = {}
    if not offsets:
        return found
    unread = set(offsets)
    consumer.assign(list(unread))
    for tp, offset in offsets.items():
        consumer.seek(tp, offset)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while unread:
                for tp, records in (await consumer.getmany(*unread, timeout_ms=_POLL_MS)).items():
                    if tp in unread and records[0].offset < ends[tp]:
                        found[tp] = int(records[0].timestamp)
                        unread.discard(tp)
                        consumer.pause(tp)
                for tp in list(unread):
                    if await consumer.position(tp) >= ends[tp]:
                        unread.discard(tp)
                        consumer.pause(tp)
    except TimeoutError:
        found |= dict.fromkeys(unread)
    return found
