"""Read records with a consumer without a group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition

#: Timeout of waiting for the next record.
_READ_TIMEOUT_SECONDS = 30.0
_POLL_MS = 1_000
_MAX_POLL_RECORDS = 500


async def read_records(
    consumer: Any, partitions: Sequence[TopicPartition], since_ms: int | None = None
) -> AsyncIterator[Any]:
    """Yield all records up to the current end offsets, in order of each partition."""
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    if since_ms is not None:
        since = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        starts = {tp: at.offset if (at := since.get(tp)) else ends[tp] for tp in partitions}
    async for record in records_between(consumer, starts, ends):
        yield record


async def records_between(
    consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[Any]:
    """Yield the records from `starts` up to `ends`, offsets, in order of each partition.

    Raises TimeoutError if none arrives for 30 s.
    """
    unread = {tp for tp in starts if starts[tp] < ends[tp]}
    _seek(consumer, {tp: starts[tp] for tp in unread})
    while unread:
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            fetched: dict[TopicPartition, list[Any]] = {}
            while not fetched:
                fetched = await consumer.getmany(
                    *unread, timeout_ms=_POLL_MS, max_records=_MAX_POLL_RECORDS
                )
        for tp, records in fetched.items():
            for record in records:
                if record.offset < ends[tp]:
                    yield record
            if await consumer.position(tp) >= ends[tp]:
                unread.discard(tp)
                consumer.pause(tp)


async def records_from(consumer: Any, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Any]:
    """Yield the records from `starts` on, forever, in order of each partition."""
    _seek(consumer, starts)
    while True:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_POLL_RECORDS)
        for records in fetched.values():
            for record in records:
                yield record


def _seek(consumer: Any, starts: Mapping[TopicPartition, int]) -> None:
    consumer.assign(list(starts))
    for tp, offset in starts.items():
        consumer.seek(tp, offset)
