"""Requests for end offsets when a client does not respond."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import NodeNotReadyError

from streams.engine.end_offsets import first_response

TP = TopicPartition("events", 0)
Partitions = Collection[TopicPartition]
EndOffsets = Mapping[TopicPartition, int]


async def hangs(_: Partitions) -> EndOffsets:
    """Never respond."""
    await asyncio.Event().wait()
    raise AssertionError


async def is_away(_: Partitions) -> EndOffsets:
    """Fail as a client without a broker does."""
    raise NodeNotReadyError


async def answers(partitions: Partitions) -> EndOffsets:
    """Respond."""
    return dict.fromkeys(partitions, 7)


async def test_another_client_is_used_when_the_first_hangs_or_fails() -> None:
    """So a client that hangs does not hide pending records."""
    for first in (hangs, is_away):
        assert await first_response((first, answers), [TP], 0.01) == {TP: 7}


async def test_without_kafka_the_end_offsets_are_unknown() -> None:
    """Then the watchdog does not act."""
    assert await first_response((hangs, is_away), [TP], 0.01) == {}
