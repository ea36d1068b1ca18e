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
from schemas.topic_prefix import use_prefix
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

            await eventually_async(both, within_seconds=30, what="both processes")
            status = (await roles(settings))["api"].status
            assert (status.counters, status.rejections) == ({"events_accepted": 5}, rejections)
            problems["sinks"] = "the database does not respond"

            async def is_reported() -> bool:
                reported = (await roles(settings))["sinks"].status.not_ready
                return reported == "the database does not respond"

            await eventually_async(is_reported, within_seconds=30, what="the problem")
        assert (await roles(settings)).keys() == {"sinks"}
    assert await roles(settings) == {}


async def test_a_missing_topic_is_not_created_by_a_heartbeat(
    kafka: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would have the wrong number of partitions. It is logged with what to do."""
    monkeypatch.setattr(heartbeat, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "QUIET_SECONDS", 0.0)
    settings = KafkaSettings(bootstrap_servers=kafka)
    use_prefix("absent-")
    try:
        async with heartbeats(settings, "api", lambda: Report(None)):

            async def is_logged() -> bool:
                return "has no topic absent-processes" in caplog.text

            await eventually_async(is_logged, within_seconds=30, what="the log entry")
        async with make_consumer(settings) as consumer:
            assert "absent-processes" not in await consumer.topics()
    finally:
        use_prefix("")


async def test_an_unreachable_kafka_neither_delays_nor_ends_a_process(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role itself says why Kafka is not reached."""
    monkeypatch.setattr(heartbeat, "QUIET_SECONDS", 0.0)
    away = KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}")
    async with heartbeats(away, "api", lambda: Report(None)):

        async def is_logged() -> bool:
            return "`headrace status` cannot show this process" in caplog.text

        await eventually_async(is_logged, within_seconds=60, what="the log entry")
