"""Find the records of the topics that the stopped roles have not processed."""

import sys
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from aiokafka import TopicPartition

from schemas.event_types import TICK
from schemas.headers import TYPE, find
from schemas.kafka_settings import KafkaSettings
from streams.engine.log_tail import LogTail

_TICK = TICK.encode()


def is_punctuation(record: Any) -> bool:
    """Return True if a record only advances stream time."""
    return find(record.headers, TYPE) == _TICK


async def unprocessed(
    kafka: KafkaSettings,
    partitions: Collection[TopicPartition],
    next_offsets: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> list[str]:
    """Return the partitions with unprocessed records, as phrases.

    `next_offsets` are the offsets of the role, `ends` the end offsets. Punctuation does not
    count: it may follow the last record that a worker reads before it stops.
    """
    behind = []
    for tp in partitions:
        begin = next_offsets.get(tp, 0)
        if begin >= ends[tp]:
            continue
        count = 0
        async for record in records_since(kafka, tp, begin):
            count += record.offset < ends[tp] and not is_punctuation(record)
        if count:
            behind.append(f"{count:,} in {tp.topic}/{tp.partition}")
    return behind


async def records_since(kafka: KafkaSettings, tp: TopicPartition, begin: int) -> AsyncIterator[Any]:
    """Yield the records of a partition from an offset up to the current end."""
    async for fetched in LogTail(kafka, tp.topic, sys.maxsize, begin).catch_up(tp.partition):
        for record in fetched:
            yield record
