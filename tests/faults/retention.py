"""Where topics end, what `streams` has processed of them, and records that expire."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from schemas.topics import Topic
from tests.e2e.stack import PARTITIONS
from tests.faults.kafka_log import ask
from tests.fixtures.waiting import eventually_async

Offsets = Mapping[TopicPartition, int]


def end_offsets(bootstrap: str, *topics: Topic) -> Offsets:
    """Return the end offset of each partition of topics."""

    async def ends(_: Any, consumer: Any) -> Offsets:
        return dict(await consumer.end_offsets(_partitions(*topics)))

    found: Offsets = ask(bootstrap, ends)
    return found


def processed(bootstrap: str, *topics: Topic) -> Offsets:
    """Return the offset that `streams` has committed in each partition of topics."""

    async def committed(admin: Any, _: Any) -> Offsets:
        # While a broker that has just started loads them, aiokafka finds no offsets.
        await eventually_async(
            lambda: _is_loaded(admin), within_seconds=30, what="the group's offsets are loaded"
        )
        found = await admin.list_consumer_group_offsets("headrace-streams")
        return {one: found[one].offset if one in found else 0 for one in _partitions(*topics)}

    found: Offsets = ask(bootstrap, committed)
    return found


def unprocessed(bootstrap: str, *topics: Topic) -> int:
    """Return how many records of topics `streams` has not processed."""
    done = processed(bootstrap, *topics)
    return sum(end - done[one] for one, end in end_offsets(bootstrap, *topics).items())


def expire(bootstrap: str, *topics: Topic) -> None:
    """Delete all records of topics, as retention does."""

    async def delete(admin: Any, consumer: Any) -> None:
        ends = await consumer.end_offsets(_partitions(*topics))
        async with asyncio.timeout(30):
            await admin.delete_records({one: RecordsToDelete(end) for one, end in ends.items()})

    ask(bootstrap, delete)


async def _is_loaded(admin: Any) -> bool:
    [described] = await admin.describe_consumer_groups(["headrace-streams"])
    return all(error_code == 0 for error_code, *_ in described.groups)


def _partitions(*topics: Topic) -> list[TopicPartition]:
    return [
        TopicPartition(one.name, partition) for one in topics for partition in range(PARTITIONS)
    ]
