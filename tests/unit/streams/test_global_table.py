"""A global table while Kafka is not available."""

import asyncio
from contextlib import suppress

import pytest
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError

from schemas.kafka_settings import KafkaSettings
from streams.engine import global_table
from streams.engine.global_table import GlobalTable
from tests.fixtures.waiting import eventually_async


class Reader:
    """A consumer whose start fails with the next error."""

    def __init__(self, errors: list[Exception]) -> None:
        self._errors = errors

    async def start(self) -> None:
        """Fail; hang after the last error."""
        if not self._errors:
            await asyncio.Event().wait()
        raise self._errors.pop(0)

    async def stop(self) -> None:
        """Do nothing."""


async def test_an_outage_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is retried every second; another error is logged again."""
    errors: list[Exception] = [KafkaConnectionError("a"), KafkaConnectionError("b")]
    errors += [UnknownTopicOrPartitionError("c"), UnknownTopicOrPartitionError("d")]
    monkeypatch.setattr(global_table, "_RETRY_SECONDS", 0)
    monkeypatch.setattr(global_table, "make_topic_reader", lambda *_: Reader(errors))
    table = GlobalTable(KafkaSettings(), "sites", 1, lambda *_: None)

    running = asyncio.ensure_future(table.run())
    await eventually_async(lambda: not errors, within_seconds=10, what="all errors were raised")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert [record.getMessage() for record in caplog.records] == [
        "sites cannot be read (KafkaConnectionError('a')); retrying",
        "sites cannot be read (UnknownTopicOrPartitionError('c')); retrying",
    ]
