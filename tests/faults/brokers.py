"""Operations on brokers through the Kafka protocol."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaClient, AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NotEnoughReplicasError
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest, DeleteGroupsRequest

from schemas.topics import TOPICS
from tests.e2e.stack import PARTITIONS, Stack
from tests.faults.cluster_broker import Broker
from tests.faults.kafka_log import query_kafka
from tests.fixtures.waiting import eventually_async

#: Error codes: none, and GROUP_ID_NOT_FOUND.
_DELETED = {0, 69}
#: The broker of a stack, and a second one that is registered and stopped.
_FIRST, _SECOND = 1, 2


@contextmanager
def reject_records(stack: Stack, topic: str) -> Iterator[None]:
    """Make writes to a topic fail with NotEnoughReplicas during the block."""
    reject(stack, topic)
    try:
        yield
    finally:
        accept(stack.kafka, topic)


def reject(stack: Stack, *topics: str) -> None:
    """Make writes to topics fail with NotEnoughReplicas.

    Two replicas must be in sync, and the second is on a stopped broker. With one replica, Kafka
    ignores `min.insync.replicas`. Fails if a partition still accepts records.
    """
    _register_second_broker(stack.data_dir)
    for topic in topics:
        _configure(stack.kafka, topic, {**_configs_of(topic), "min.insync.replicas": "2"})
    for topic in topics:
        _reassign(stack.kafka, topic, [_FIRST, _SECOND])
    for topic in topics:
        _wait_until_rejected(stack.kafka, topic)


def accept(bootstrap: str, *topics: str) -> None:
    """Make writes to topics succeed again."""
    for topic in topics:
        _reassign(bootstrap, topic, [_FIRST])
        _configure(bootstrap, topic, _configs_of(topic))


async def reassign(
    bootstrap: str, controller: int, topic: str, replicas: Mapping[int, list[int]]
) -> None:
    """Assign the replicas of a topic's partitions to broker ids."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    partitions: list[Any] = [(partition, numbers, {}) for partition, numbers in replicas.items()]
    request = AlterPartitionReassignmentsRequest(10_000, [(topic, partitions, {})], {})
    try:
        response = await client.send(controller, request)
    finally:
        await client.close()
    assert not response.error_code, response
    assert all(code == 0 for _, results, _ in response.responses for _, code, *_ in results), (
        response
    )


def _reassign(bootstrap: str, topic: str, replicas: list[int]) -> None:
    everywhere = dict.fromkeys(range(PARTITIONS), replicas)
    asyncio.run(reassign(bootstrap, _FIRST, topic, everywhere))


def _register_second_broker(data_dir: Path) -> None:
    """Start and stop a second broker of a stack's cluster, so that it can have replicas."""
    folder = data_dir.with_suffix(".second-broker")
    if folder.exists():
        return
    settings = _properties(data_dir / "kafka" / "server.properties")
    cluster_id = _properties(data_dir / "kafka" / "data" / "meta.properties")["cluster.id"]
    broker = Broker(_SECOND, folder)
    try:
        broker.prepare(
            settings["controller.quorum.voters"],
            cluster_id,
            f"process.roles=broker\nlisteners=BROKER://{broker.address}\n",
        )
        broker.start()
        asyncio.run(broker.await_ready())
        broker.stop()
    finally:
        broker.release()


def _properties(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def _wait_until_rejected(bootstrap: str, topic: str) -> None:
    """Wait until all partitions reject records with the new replicas."""

    async def is_rejected(admin: Any) -> bool:
        [described] = await admin.describe_topics([topic])
        if any(len(partition["replicas"]) != 2 for partition in described["partitions"]):
            return False
        results = await _produce(bootstrap, topic)
        return all(isinstance(response, NotEnoughReplicasError) for response in results)

    async def wait(admin: Any, _: Any) -> None:
        await eventually_async(
            lambda: is_rejected(admin), within_seconds=30, what=f"records of {topic} are rejected"
        )

    query_kafka(bootstrap, wait)


async def _produce(bootstrap: str, topic: str) -> list[Any]:
    """Send a record to each partition; return the results and errors."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", request_timeout_ms=1_000
    ) as producer:
        sent = [
            producer.send_and_wait(topic, b"rejected", partition=partition)
            for partition in range(PARTITIONS)
        ]
        return await asyncio.gather(*sent, return_exceptions=True)


def _configs_of(topic: str) -> dict[str, str]:
    [configs] = [one.configs() for one in TOPICS if one.name == topic]
    return configs


def _configure(bootstrap: str, topic: str, configs: Mapping[str, str]) -> None:
    async def alter(admin: Any, _: Any) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))
        [response] = await admin.alter_configs([resource])
        assert response.resources[0][0] == 0, response

    query_kafka(bootstrap, alter)


def delete_groups(bootstrap: str, groups: list[str]) -> None:
    """Delete consumer groups without members."""

    async def delete(admin: Any, _: Any) -> None:
        async def are_gone() -> bool:
            coordinator = await admin.find_coordinator(groups[0])
            request = DeleteGroupsRequest(groups)
            response = await admin._send_request(request, coordinator)  # noqa: SLF001 - has no method
            return {error for _, error in response.results} <= _DELETED

        # A broker that has just started is not a coordinator yet.
        await eventually_async(are_gone, within_seconds=30, what="the groups are deleted")

    query_kafka(bootstrap, delete)
