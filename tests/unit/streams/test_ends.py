"""How the ends of partitions are found when a client does not answer."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import NodeNotReadyError

from streams.engine.end_offsets import first_response

TP = TopicPartition("events", 0)
Partitions = Collection[TopicPartition]
EndOffsets = Mapping[TopicPartition, int]


async def hangs(_: Partitions) -> EndOffsets:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def is_away(_: Partitions) -> EndOffsets:
    """Answer as a client does without a broker."""
    raise NodeNotReadyError


async def answers(partitions: Partitions) -> EndOffsets:
    """Answer."""
    return dict.fromkeys(partitions, 7)


async def test_another_client_is_asked_when_the_first_hangs_or_fails() -> None:
    """So that a client that is stuck does not hide that work is waiting."""
    for first in (hangs, is_away):
        assert await first_response((first, answers), [TP], 0.01) == {TP: 7}


async def test_nothing_is_known_when_kafka_is_away() -> None:
    """Then nothing stands still."""
    assert await first_response((hangs, is_away), [TP], 0.01) == {}
