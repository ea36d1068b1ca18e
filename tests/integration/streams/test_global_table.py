"""Global tables and the publisher of configuration topics, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.admin.topics import create_topics
from kafka_clients.topic_reader import make_topic_reader
from schemas.codec import encode
from schemas.kafka_settings import KafkaSettings
from schemas.topics import SUBSCRIPTIONS
from sinks.delivery.publisher import Unavailable, open_publisher
from streams.engine.global_table import GlobalTable
from streams.engine.producer import StoppingError
from tests.fixtures.waiting import eventually_async
from tests.integration.streams.conftest import OwnBroker
from tests.unit.streams.subscribed import subscription

PARTITIONS = 3
Known = dict[bytes | None, bytes | None]


@asynccontextmanager
async def following(bootstrap: str, topic: str) -> AsyncIterator[tuple[GlobalTable, Known]]:
    """Run a global table; yield it and the records that it has read."""
    known: Known = {}
    follower = GlobalTable(
        KafkaSettings(bootstrap_servers=bootstrap), topic, PARTITIONS, known.__setitem__
    )
    task = asyncio.create_task(follower.run())
    try:
        yield follower, known
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def new_topic(bootstrap: str) -> str:
    """Create a topic that no other test uses."""
    name = f"t{uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        configs = SUBSCRIPTIONS.configs()
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=configs)])
    finally:
        await admin.close()
    return name


async def send(bootstrap: str, topic: str, records: Known) -> None:
    """Send records, each to the partition of its key."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        for key, value in records.items():
            await producer.send_and_wait(topic, value, key)
    finally:
        await producer.stop()


async def test_a_global_table_is_complete_before_it_is_used(kafka: str) -> None:
    """All partitions from the beginning, with tombstones; then new records within 5 s."""
    topic = await new_topic(kafka)
    before: Known = {b"%d" % n: b"v%d" % n for n in range(2_000)}
    await send(kafka, topic, before)
    await send(kafka, topic, {b"7": None, b"8": b"new"})

    async with following(kafka, topic) as (follower, known):
        await asyncio.wait_for(follower.complete(), 20)
        assert known == {**before, b"7": None, b"8": b"new"}

        await send(kafka, topic, {b"9": b"newer"})
        await eventually_async(
            lambda: known[b"9"] == b"newer", within_seconds=15, what="a change is known"
        )


async def test_a_replaced_client_continues_at_the_last_position(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that may hang is replaced. No record is applied twice."""
    monkeypatch.setattr("kafka_clients.topic_reader.SILENT_SECONDS", 0.2)
    made: list[object] = []

    def make(*arguments: Any) -> Any:
        made.append(arguments)
        return make_topic_reader(*arguments)

    monkeypatch.setattr("streams.engine.global_table.make_topic_reader", make)
    topic = await new_topic(kafka)
    await send(kafka, topic, {b"1": b"old"})

    async with following(kafka, topic) as (_, known):
        await eventually_async(lambda: b"1" in known, within_seconds=20, what="it is read")
        del known[b"1"]
        before = len(made)
        await eventually_async(
            lambda: len(made) > before, within_seconds=30, what="the client is replaced"
        )
        await send(kafka, topic, {b"2": b"new"})
        await eventually_async(lambda: b"2" in known, within_seconds=30, what="it reads on")

        assert b"1" not in known


async def test_the_table_of_an_empty_topic_is_complete_immediately(kafka: str) -> None:
    """Without subscriptions, for example."""
    topic = await new_topic(kafka)

    async with following(kafka, topic) as (follower, known):
        await asyncio.wait_for(follower.complete(), 20)
        assert known == {}


async def test_waiting_for_a_table_fails_when_it_stops_before() -> None:
    """So a stopping worker does not wait for an unreachable broker."""
    async with following("127.0.0.1:1", "nothing") as (follower, _):
        waiting = asyncio.create_task(follower.complete())
        await asyncio.sleep(0)
    with pytest.raises(StoppingError):
        await waiting


@pytest.mark.fault
async def test_a_table_and_a_publisher_continue_after_a_broker_outage(
    own_broker: OwnBroker,
) -> None:
    """From the last position. Writes during the outage fail within their deadline."""
    settings = KafkaSettings(bootstrap_servers=own_broker.bootstrap, partitions=PARTITIONS)
    await create_topics(settings)
    first, second = subscription(1, "payment", {}), subscription(2, "payment", {})
    async with (
        following(own_broker.bootstrap, SUBSCRIPTIONS.name) as (follower, known),
        open_publisher(settings) as publish,
    ):
        await publish(first.subscription_id, first)
        await asyncio.wait_for(follower.complete(), 20)
        await asyncio.to_thread(own_broker.kill_and_restart)

        async def is_written() -> bool:
            try:
                await publish(second.subscription_id, second)
            except Unavailable:
                return False
            return True

        await eventually_async(is_written, within_seconds=40, what="it is written again")
        await publish(first.subscription_id, None)
        expected = {
            first.subscription_id.encode(): None,
            second.subscription_id.encode(): encode(second),
        }
        await eventually_async(
            lambda: known == expected, within_seconds=40, what="it is followed again"
        )


async def test_a_write_without_a_broker_fails_within_its_deadline() -> None:
    """An HTTP request waits for it."""
    async with open_publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1")) as publish:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(publish("x", None), 12)


async def test_a_topic_may_have_any_number_of_partitions(kafka: str) -> None:
    """If the table does not depend on it. A topic that is created later is found."""
    known: Known = {}
    name = f"t{uuid4().hex[:10]}"
    follower = GlobalTable(KafkaSettings(bootstrap_servers=kafka), name, None, known.__setitem__)
    task = asyncio.create_task(follower.run())
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(name, 5, 1)])
        await admin.close()
        records: Known = {str(number).encode(): b"1" for number in range(20)}
        await send(kafka, name, records)

        async with asyncio.timeout(60):
            await follower.complete()
        await eventually_async(
            lambda: known == records, within_seconds=30, what="all partitions are read"
        )
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
