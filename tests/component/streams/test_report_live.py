"""The report of how far live counters are complete."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from schemas.kafka_settings import KafkaSettings
from schemas.topics import LIVE_COUNTERS
from streams.agents import report_live
from tests.component.streams.bench import NotingProducer
from tests.fixtures.waiting import eventually_async


class Offsets:
    """The offsets of an empty cluster, which the first client cannot reach."""

    def __init__(self, created: "list[Offsets]") -> None:
        self.is_open = False
        self.is_first = not created
        created.append(self)

    async def start(self) -> None:
        """Connect."""
        self.is_open = True
        if self.is_first:
            raise KafkaConnectionError("Unable to bootstrap")

    async def stop(self) -> None:
        """Disconnect."""
        self.is_open = False

    async def committed(self, _group: str) -> Mapping[TopicPartition, int]:
        """Return no committed offsets."""
        return {}

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the end offsets."""
        return dict.fromkeys(partitions, 0)


async def test_a_connection_that_fails_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy broker must not end the role."""
    created: list[Offsets] = []
    monkeypatch.setattr(report_live, "ClusterOffsets", lambda *_: Offsets(created))
    jobs: list[Callable[[], Awaitable[Any]]] = []
    producer = NotingProducer()
    worker = Mock(producer=producer, background=jobs.append, partitions_of=lambda _: [0])
    counting = Mock()
    counting.ages_ms.return_value = {0: 5}

    report_live.register(worker, counting, KafkaSettings(partitions=1), "router", 0)
    [report] = jobs
    running = asyncio.ensure_future(report())
    await eventually_async(
        lambda: running.done() or producer.sent[LIVE_COUNTERS.name, 0],
        within_seconds=10,
        what="a report is sent",
    )
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert len(created) == 2
    assert not any(offsets.is_open for offsets in created)
