"""The live counters' reader with a real Kafka."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from query_api import live_reader
from query_api.live_reader import LiveReader
from query_api.live_store import LiveStore
from schemas.codec import encode
from schemas.headers import COUNTED, pack_counted
from schemas.kafka_settings import KafkaSettings
from schemas.topics import LIVE_COUNTERS
from tests.fixtures.waiting import eventually_async
from tests.unit.query_api.test_live import partial


@pytest.fixture
async def topic(kafka: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a unique topic that does not exist yet."""
    name = f"live-counters-{uuid4().hex}"
    monkeypatch.setattr(live_reader, "LIVE_COUNTERS", replace(LIVE_COUNTERS, base_name=name))
    return name


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a producer."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    yield producer
    await producer.stop()


async def test_all_partitions_are_read_from_two_minutes_ago(
    kafka: str, topic: str, producer: AIOKafkaProducer
) -> None:
    """Older records are not fetched; invalid ones are skipped."""
    await _create(kafka, topic)
    now = now_ms()
    await _send(producer, topic, 0, encode(partial(7, sessions=1_000)), now - 300_000)
    await _send(producer, topic, 0, encode(partial(0, sessions=1)), now)
    await _send(producer, topic, 1, b"no record", now)
    await _send(producer, topic, 1, encode(partial(1, sessions=10)), now)
    store = LiveStore(lambda: now)
    reader = LiveReader(KafkaSettings(bootstrap_servers=kafka), store)
    reader.start(now)
    try:
        await eventually_async(lambda: not reader.problem, within_seconds=20, what="it is ready")
        assert store.snapshot("shop")["sessions_now"] == 11

        await _send(producer, topic, 1, encode(partial(1, sessions=20)), now)
        await eventually_async(
            lambda: store.snapshot("shop")["sessions_now"] == 21,
            within_seconds=10,
            what="it continues reading",
        )
        assert reader.malformed == 1

        assert "stalled_since" in store.snapshot("shop")
        await _report(producer, topic, pack_counted({0: 100, 1: 2_000}), now)
        await eventually_async(
            lambda: "stalled_since" not in store.snapshot("shop"),
            within_seconds=10,
            what="all partitions were reported",
        )
        await _report(producer, topic, b"no report", now)
        await eventually_async(
            lambda: reader.malformed == 2, within_seconds=10, what="it is skipped"
        )
    finally:
        await reader.stop()


async def test_the_reader_waits_for_its_topic(kafka: str, topic: str) -> None:
    """And reports it; a process may start before the topics are created."""
    reader = LiveReader(KafkaSettings(bootstrap_servers=kafka), LiveStore(now_ms))
    reader.start(now_ms())
    try:
        assert topic in str(reader.problem)
        await _create(kafka, topic)
        await eventually_async(lambda: not reader.problem, within_seconds=20, what="it is ready")
    finally:
        await reader.stop()


async def test_an_unavailable_broker_is_reported_and_retried() -> None:
    """The reader never gives up."""
    reader = LiveReader(KafkaSettings(bootstrap_servers="127.0.0.1:1"), LiveStore(now_ms))
    reader.start(now_ms())
    try:
        await eventually_async(
            lambda: reader.problem and "not read" in reader.problem,
            within_seconds=20,
            what="the problem is reported",
        )
    finally:
        await reader.stop()


def now_ms() -> int:
    """Return the current time."""
    return time.time_ns() // 1_000_000


async def _create(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 2, 1)])
    finally:
        await admin.close()


async def _report(producer: AIOKafkaProducer, topic: str, counted: bytes, at_ms: int) -> None:
    headers = [(COUNTED, counted)]
    await producer.send_and_wait(topic, key=b"", partition=0, timestamp_ms=at_ms, headers=headers)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, value: bytes, at_ms: int
) -> None:
    await producer.send_and_wait(topic, value, key=b"shop", partition=partition, timestamp_ms=at_ms)
