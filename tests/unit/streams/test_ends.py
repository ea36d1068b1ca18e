"""How the ends of partitions are found when a client does not answer."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import NodeNotReadyError

from streams.engine.end_offsets import first_answer

PLACE = TopicPartition("events", 0)
Places = Collection[TopicPartition]
Ends = Mapping[TopicPartition, int]


async def hangs(_: Places) -> Ends:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def is_away(_: Places) -> Ends:
    """Answer as a client does without a broker."""
    raise NodeNotReadyError


async def answers(places: Places) -> Ends:
    """Answer."""
    return dict.fromkeys(places, 7)


async def test_another_client_is_asked_when_the_first_hangs_or_fails() -> None:
    """So that a client that is stuck does not hide that work is waiting."""
    for first in (hangs, is_away):
        assert await first_answer((first, answers), [PLACE], 0.01) == {PLACE: 7}


async def test_nothing_is_known_when_kafka_is_away() -> None:
    """Then nothing stands still."""
    assert await first_answer((hangs, is_away), [PLACE], 0.01) == {}
