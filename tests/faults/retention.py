"""End offsets, committed offsets of `streams`, and expiry of records."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from schemas.topics import Topic
from tests.e2e.stack import PARTITIONS
from tests.faults.kafka_log import query_kafka
from tests.fixtures.waiting import eventually_async

Offsets = Mapping[TopicPartition, int]


def end_offsets(bootstrap: str, *topics: Topic) -> Offsets:
    """Return the end offsets of topics."""

    async def ends(_: Any, consumer: Any) -> Offsets:
        return dict(await consumer.end_offsets(_partitions(*topics)))

    found: Offsets = query_kafka(bootstrap, ends)
    return found


def processed(bootstrap: str, *topics: Topic) -> Offsets:
    """Return the offsets that `streams` has committed in topics."""

    async def committed(admin: Any, _: Any) -> Offsets:
        # aiokafka returns none while a broker that has just started loads them.
        await eventually_async(
            lambda: _is_loaded(admin), within_seconds=30, what="the group's offsets are loaded"
        )
        offsets = await admin.list_consumer_group_offsets("headrace-streams")
        return {tp: offsets[tp].offset if tp in offsets else 0 for tp in _partitions(*topics)}

    found: Offsets = query_kafka(bootstrap, committed)
    return found


def unprocessed(bootstrap: str, *topics: Topic) -> int:
    """Return the number of records of topics that `streams` has not processed."""
    done = processed(bootstrap, *topics)
    return sum(end - done[tp] for tp, end in end_offsets(bootstrap, *topics).items())


def expire(bootstrap: str, *topics: Topic) -> None:
    """Delete all records of topics, as if they had expired."""

    async def delete(admin: Any, consumer: Any) -> None:
        ends = await consumer.end_offsets(_partitions(*topics))
        async with asyncio.timeout(30):
            await admin.delete_records({tp: RecordsToDelete(end) for tp, end in ends.items()})

    query_kafka(bootstrap, delete)


async def _is_loaded(admin: Any) -> bool:
    [described] = await admin.describe_consumer_groups(["headrace-streams"])
    return all(error_code == 0 for error_code, *_ in described.groups)


def _partitions(*topics: Topic) -> list[TopicPartition]:
    return [
        TopicPartition(topic.name, partition) for topic in topics for partition in range(PARTITIONS)
    ]
