"""Heartbeats in Kafka, as `headrace status` reads them."""

import pytest
from aiokafka import TopicPartition

from headrace.admin.topics import create_topics
from headrace.ops.status.processes import Heartbeat, read_heartbeats
from headrace.roles import heartbeat
from headrace.roles.heartbeat import Report, heartbeats
from kafka_clients.clients import make_consumer
from schemas.kafka_settings import KafkaSettings
from schemas.records import RejectionCount
from schemas.topics import PROCESSES
from tests.fixtures.waiting import eventually_async

_PLACES = [TopicPartition(PROCESSES.name, number) for number in range(4)]


@pytest.fixture
async def settings(kafka: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Return the settings of a broker with the topics."""
    settings = KafkaSettings(bootstrap_servers=kafka, partitions=len(_PLACES))
    await create_topics(settings)
    monkeypatch.setattr(heartbeat, "CHECK_SECONDS", 0.05)
    return settings


async def roles(settings: KafkaSettings) -> dict[str, Heartbeat]:
    """Return the last heartbeats by role."""
    async with make_consumer(settings) as consumer:
        found = await read_heartbeats(consumer, _PLACES)
    return {one.status.role: one for one in found}


async def test_processes_appear_report_changes_and_disappear(settings: KafkaSettings) -> None:
    """A change of the readiness is reported at once; the end, too."""
    problems: dict[str, str] = {}
    rejections = [RejectionCount("shop", "bad_key", 2)]
    api = heartbeats(settings, "api", lambda: Report(None, {"events_accepted": 5}, rejections))
    sinks = heartbeats(settings, "sinks", lambda: Report(problems.get("sinks")))

    async with sinks:
        async with api:

            async def both() -> bool:
                return (await roles(settings)).keys() == {"api", "sinks"}

            await eventually_async(both)
            status = (await roles(settings))["api"].status
            assert (status.counters, status.rejections) == ({"events_accepted": 5}, rejections)
            problems["sinks"] = "the database does not respond"

            async def is_reported() -> bool:
                reported = (await roles(settings))["sinks"].status.not_ready
                return reported == "the database does not respond"

            await eventually_async(is_reported)
        assert (await roles(settings)).keys() == {"sinks"}
    assert await roles(settings) == {}


async def test_an_unreachable_kafka_neither_delays_nor_ends_a_process(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The role itself says why Kafka is not reached."""
    away = KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}")
    async with heartbeats(away, "api", lambda: Report(None)):

        async def is_logged() -> bool:
            return "`headrace status` cannot show this process" in caplog.text

        await eventually_async(is_logged)
